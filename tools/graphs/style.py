"""DualStyleGAN: exemplars transferred, styles compared, drawings destylized, new styles, new portraits."""

from __future__ import annotations

from .parts import Node, Out, loader, note, save


def dual(at: tuple[float, float]) -> Node:
    return Node("dual", "AtelierLoadDualStyleGAN", at, {"file": "dualstylegan (built-in)"}, (330, 130))


def bank(at: tuple[float, float]) -> Node:
    return Node("bank", "AtelierLoadStyleCodes", at, {"file": "styles (built-in)"}, (330, 330))


def encoder(at: tuple[float, float]) -> Node:
    return Node("encoder", "AtelierLoadGANEncoder", at, {"file": "encoder (built-in)"}, (330, 110))


def photo(row: float) -> list[Node]:
    """The bundled photograph, aligned and encoded: keys photo, align, encode."""
    return [
        Node("photo", "AtelierLoadExamplePortrait", (0, row), {}, (330, 330)),
        Node("align", "AtelierAlignFaces", (1, 0),
             {"image": Out("photo"), "size_of": Out("dual", 1), "faces_taken": "largest"}, (330, 420)),
        Node("encode", "AtelierInvertWithEncoder", (1, 12),
             {"encoder": Out("encoder"), "image": Out("align"), "model": Out("dual", 1)}, (330, 330)),
        Node("invert", "AtelierInvertByOptimization", (1, 22),
             {"model": Out("dual", 1), "image": Out("align"), "quality": "quick", "space": "w+", "start": Out("encode")},
             (330, 470)),
    ]


EXEMPLAR_TRANSFER = [
    note("about", (0, 0),
         "## Exemplar transfer\n*Recommend Style* ranks the bank for this photograph; *Transfer Exemplar Style* draws it. "
         "**structure_weight** is the shape of the face, **color_weight** its colors and strokes: move them one by one. "
         "The *head mask* keeps hats, clothes and background of the photograph.", 190),
    dual((0, 6)),
    bank((0, 11)),
    encoder((0, 20)),
    *photo(24),
    Node("recommend", "AtelierRecommendStyle", (2, 0),
         {"model": Out("dual"), "image": Out("align"), "latents": Out("invert"), "styles": Out("bank"), "count": 4},
         (330, 400)),
    Node("transfer", "AtelierTransferExemplarStyle", (2, 12),
         {"model": Out("dual"), "latents": Out("invert"), "style": Out("recommend", 2), "structure_weight": 1.0}, (330, 430)),
    Node("best", "AtelierTransferExemplarStyle", (2, 24),
         {"model": Out("dual"), "latents": Out("invert"), "style": Out("recommend"), "weights": Out("recommend", 1)},
         (330, 430), "Transfer Exemplar Style: the best, with suggested weights"),
    Node("mask", "AtelierHeadMask", (3, 0), {"image": Out("align"), "reconstruction": Out("invert", 1)}, (330, 110)),
    Node("paste", "AtelierPasteFacesBack", (3, 4),
         {"image": Out("photo"), "crops": Out("best"), "faces": Out("align", 1), "crop_mask": Out("mask")}, (330, 200)),
    save("save_styles", Out("transfer"), (3, 11), "exemplar_transfer/style"),
    save("save_pasted", Out("paste"), (3, 20), "exemplar_transfer/pasted"),
    save("save_ranking", Out("recommend", 3), (3, 29), "exemplar_transfer/ranking"),
]

STYLE_GRID = [
    note("about", (0, 0),
         "## Style grid\nThree sampled faces under six styles of the bank; below, the whole bank on the average face, and a "
         "walk from style to style.", 130),
    dual((0, 4)),
    bank((0, 9)),
    Node("faces", "AtelierSampleLatents", (0, 18), {"model": Out("dual", 1), "seed": 11, "batch_size": 3}, (330, 150)),
    Node("pick", "AtelierPickStyle", (1, 0),
         {"styles": Out("bank"), "which": "0, 5, 10, 13, 16, 22", "model": Out("dual")}, (330, 330)),
    Node("grid", "AtelierTransferExemplarStyle", (1, 10),
         {"model": Out("dual"), "latents": Out("faces"), "style": Out("pick"), "structure_weight": 1.0, "combine": "grid"},
         (330, 430)),
    Node("walk", "AtelierInterpolateStyles", (1, 22), {"model": Out("dual"), "styles": Out("pick"), "frames": 6}, (330, 150)),
    Node("one", "AtelierPickLatents", (2, 18), {"latents": Out("faces"), "indices": "0"}, (330, 90)),
    Node("film", "AtelierTransferExemplarStyle", (2, 22),
         {"model": Out("dual"), "latents": Out("one"), "style": Out("walk"), "structure_weight": 1.0}, (330, 430)),
    save("save_grid", Out("grid"), (2, 0), "style_grid/cell"),
    save("save_sheet", Out("pick", 1), (2, 9), "style_grid/bank"),
    save("save_walk", Out("film"), (3, 22), "style_grid/walk"),
]

DESTYLIZE_AND_RESTYLE = [
    note("about", (0, 0),
         "## Destylize and restyle\nThe toon model draws a portrait; *Destylize Portrait* finds the face behind it; the face "
         "then takes another style. Replace the toon's picture by a drawing of your own (aligned by *Align Faces*).", 170),
    dual((0, 5)),
    loader("toon", "toon", (0, 10)),
    encoder((0, 14)),
    bank((0, 18)),
    Node("content", "AtelierSampleLatents", (0, 27), {"model": Out("dual", 1), "seed": 21, "batch_size": 1}, (330, 150)),
    Node("drawing", "AtelierGenerateImage", (1, 0), {"model": Out("toon"), "latents": Out("content")}, (330, 120),
         "The drawing"),
    Node("destylize", "AtelierDestylizePortrait", (1, 5),
         {"base": Out("dual", 1), "styled": Out("toon"), "encoder": Out("encoder"), "image": Out("drawing"), "steps": 40,
          "truncation": 1.0},
         (330, 400)),
    Node("pick", "AtelierPickStyle", (1, 17), {"styles": Out("bank"), "which": "owl night, clown pastel"}, (330, 330)),
    Node("transfer", "AtelierTransferExemplarStyle", (2, 0),
         {"model": Out("dual"), "latents": Out("destylize", 1), "style": Out("pick"), "structure_weight": 1.0}, (330, 430)),
    save("save_drawing", Out("drawing"), (2, 13), "destylize/1_drawing"),
    save("save_face", Out("destylize"), (3, 0), "destylize/2_face"),
    save("save_restyled", Out("transfer"), (3, 9), "destylize/3_restyled"),
]

UNSEEN_STYLE = [
    note("about", (0, 0),
         "## A style of your own\nA drawing that no bank holds: *destylize* it (the face behind it), *refine* its style code "
         "until the model redraws it, and give that style to other faces. Here the toon model stands in for the draughtsman; "
         "use **Load Image** and *Align Faces* for your own drawing.", 190),
    dual((0, 6)),
    loader("toon", "toon", (0, 11)),
    encoder((0, 15)),
    Node("content", "AtelierSampleLatents", (0, 19), {"model": Out("dual", 1), "seed": 33, "batch_size": 1}, (330, 150)),
    Node("faces", "AtelierSampleLatents", (0, 24), {"model": Out("dual", 1), "seed": 50, "batch_size": 3}, (330, 150),
         "Sample Latents: other faces"),
    Node("drawing", "AtelierGenerateImage", (1, 0), {"model": Out("toon"), "latents": Out("content")}, (330, 120),
         "The drawing"),
    Node("destylize", "AtelierDestylizePortrait", (1, 5),
         {"base": Out("dual", 1), "styled": Out("toon"), "encoder": Out("encoder"), "image": Out("drawing"), "steps": 40,
          "truncation": 1.0},
         (330, 400)),
    Node("refine", "AtelierRefineStyle", (1, 17),
         {"model": Out("dual"), "intrinsic": Out("destylize", 1), "style": Out("destylize", 2), "image": Out("drawing"),
          "steps": 30, "lr_color": 0.03, "lr_structure": 0.02}, (330, 330)),
    Node("transfer", "AtelierTransferExemplarStyle", (2, 0),
         {"model": Out("dual"), "latents": Out("faces"), "style": Out("refine"), "structure_weight": 1.0}, (330, 430)),
    Node("keep", "AtelierSaveStyleCodes", (2, 13), {"styles": Out("refine"), "name": "my_style"}, (330, 110)),
    save("save_drawing", Out("drawing"), (3, 0), "unseen_style/1_drawing"),
    save("save_redrawn", Out("refine", 1), (3, 9), "unseen_style/2_redrawn"),
    save("save_faces", Out("transfer"), (3, 18), "unseen_style/3_faces"),
]

PORTRAIT_GENERATOR = [
    note("about", (0, 0),
         "## Portrait generator\nNew faces in new styles: G(z1, N(z2), w). Hold the face, the shapes or the colors: "
         "*batch_size* 1 of *Sample StyleGAN Latents* holds the face, **hold** of *Sample Style* the rest.", 150),
    dual((0, 5)),
    Node("sampler", "AtelierLoadStyleSampler", (0, 10), {"file": "style_sampler (built-in)"}, (330, 130)),
    Node("faces", "AtelierSampleLatents", (0, 15), {"model": Out("dual", 1), "seed": 5, "batch_size": 4}, (330, 150)),
    Node("one", "AtelierPickLatents", (0, 20), {"latents": Out("faces"), "indices": "0"}, (330, 90)),
    Node("free", "AtelierSampleStyle", (1, 0), {"sampler": Out("sampler"), "seed": 1, "batch_size": 4}, (330, 170)),
    Node("held", "AtelierSampleStyle", (1, 6), {"sampler": Out("sampler"), "seed": 1, "batch_size": 4, "hold": "color"},
         (330, 170), "Sample Style: one palette"),
    Node("all_new", "AtelierTransferExemplarStyle", (1, 12),
         {"model": Out("dual"), "latents": Out("faces"), "style": Out("free"), "structure_weight": 1.0}, (330, 430)),
    Node("one_face", "AtelierTransferExemplarStyle", (2, 12),
         {"model": Out("dual"), "latents": Out("one"), "style": Out("held"), "structure_weight": 1.0}, (330, 430)),
    save("save_new", Out("all_new"), (3, 0), "portrait_generator/new"),
    save("save_held", Out("one_face"), (3, 9), "portrait_generator/one_palette"),
]
