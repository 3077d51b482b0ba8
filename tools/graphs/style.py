"""DualStyleGAN: exemplars transferred, styles compared, drawings destylized, new styles, new portraits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .parts import MASKS, Blueprint, Group, Node, Out, bank, dual, encoder, found, loader, masks, note, photo, save

BASE = Out("dual", 1)


def transfer(key: str, latents: Out, style: Out, title: str = "", **more: Any) -> Node:
    weights = {} if "weights" in more else {"structure_weight": 1.0}
    return Node(key, "AtelierTransferExemplarStyle",
                {"model": Out("dual"), "latents": latents, "style": style, **weights, **more}, title)


def sample(key: str, seed: int, count: int, title: str = "") -> Node:
    return Node(key, "AtelierSampleLatents", {"model": BASE, "seed": seed, "batch_size": count}, title)


DRAWING = Node("drawing", "AtelierGenerateImage", {"model": Out("toon"), "latents": Out("content")}, "The drawing", noted=True)
DESTYLIZE = Node("destylize", "AtelierDestylizePortrait",
                 {"base": BASE, "styled": Out("toon"), "encoder": Out("encoder"), "image": Out("drawing"), "steps": 40,
                  "truncation": 1.0})

EXEMPLAR_TRANSFER = [
    Group("1 Your picture", [
        note("## Exemplar transfer\n*Recommend Style* ranks the bank for this photograph; *Transfer Exemplar Style* draws it. "
             "**structure_weight** is the shape of the face, **color_weight** its colors and strokes: move them one by one. "
             "The *head mask* keeps hats, clothes and background of the photograph."),
        photo()]),
    Group("2 Model and styles", [dual(), bank(), encoder()]),
    Group("3 Find the face", found(BASE)),
    Group("4 Which style?", [
        Node("recommend", "AtelierRecommendStyle",
             {"model": Out("dual"), "image": Out("align"), "latents": Out("invert"), "styles": Out("bank"), "count": 4}),
        save("save_ranking", Out("recommend", 3), "exemplar_transfer/ranking")]),
    Group("5 All four", [transfer("transfer", Out("invert"), Out("recommend", 2)),
                         save("save_styles", Out("transfer"), "exemplar_transfer/style")]),
    Group("6 The best, pasted back", [
        transfer("best", Out("invert"), Out("recommend"), "Transfer: suggested weights", weights=Out("recommend", 1)),
        Node("mask", "AtelierHeadMask", {"image": Out("align"), "reconstruction": Out("invert", 1)}),
        Node("paste", "AtelierPasteFacesBack",
             {"image": Out("photo"), "crops": Out("best"), "faces": Out("align", 1), "crop_mask": Out("mask")}),
        save("save_pasted", Out("paste"), "exemplar_transfer/pasted")]),
]

STYLE_GRID = [
    Group("1 Model and styles", [
        note("## Style grid\nThree sampled faces under six styles of the bank; the whole bank on the average face; and a walk "
             "from style to style."),
        dual(), bank(), sample("faces", 11, 3)]),
    Group("2 Pick styles", [
        Node("pick", "AtelierPickStyle", {"styles": Out("bank"), "which": "0, 5, 10, 13, 16, 22", "model": Out("dual")}),
        save("save_sheet", Out("pick", 1), "style_grid/bank")]),
    Group("3 Grid", [transfer("grid", Out("faces"), Out("pick"), combine="grid"),
                     save("save_grid", Out("grid"), "style_grid/cell")]),
    Group("4 Walk", [
        Node("one", "AtelierPickLatents", {"latents": Out("faces"), "indices": "0"}),
        Node("walk", "AtelierInterpolateStyles", {"model": Out("dual"), "styles": Out("pick"), "frames": 6}),
        transfer("film", Out("one"), Out("walk"))]),
    Group("5 Film", [save("save_walk", Out("film"), "style_grid/walk")]),
]

DESTYLIZE_AND_RESTYLE = [
    Group("1 A drawing", [
        note("## Destylize and restyle\nThe toon model draws a portrait; *Destylize Portrait* finds the face behind it; the "
             "face then takes another style. For a drawing of your own, link *Load Image* through *Align Faces* to **image**."),
        dual(), loader("toon", "figurine"), encoder(), sample("content", 21, 1)]),
    Group("2 The face behind it", [DRAWING, DESTYLIZE]),
    Group("3 Another style", [
        bank(), Node("pick", "AtelierPickStyle", {"styles": Out("bank"), "which": "owl night, clown pastel"}),
        transfer("transfer", Out("destylize", 1), Out("pick"))]),
    Group("4 Results", [save("save_drawing", Out("drawing"), "destylize/1_drawing"),
                        save("save_face", Out("destylize"), "destylize/2_face"),
                        save("save_restyled", Out("transfer"), "destylize/3_restyled")]),
]

UNSEEN_STYLE = [
    Group("1 A drawing", [
        note("## A style of your own\nA drawing that no bank holds: *destylize* it (the face behind it), *refine* its style "
             "code until the model redraws it, and give that style to other faces. Here the toon model stands in for the "
             "draughtsman; for your own drawing, link *Load Image* through *Align Faces*."),
        dual(), loader("toon", "figurine"), encoder(), sample("content", 33, 1)]),
    Group("2 The face behind it", [DRAWING, DESTYLIZE]),
    Group("3 Its style", [
        Node("refine", "AtelierRefineStyle",
             {"model": Out("dual"), "intrinsic": Out("destylize", 1), "style": Out("destylize", 2), "image": Out("drawing"),
              "steps": 30, "lr_color": 0.03, "lr_structure": 0.02}),
        Node("keep", "AtelierSaveStyleCodes", {"styles": Out("refine"), "name": "my_style"})]),
    Group("4 Other faces", [sample("faces", 50, 3, "Sample: other faces"), transfer("transfer", Out("faces"), Out("refine"))]),
    Group("5 Results", [save("save_drawing", Out("drawing"), "unseen_style/1_drawing"),
                        save("save_redrawn", Out("refine", 1), "unseen_style/2_redrawn"),
                        save("save_faces", Out("transfer"), "unseen_style/3_faces")]),
]

PORTRAIT_GENERATOR = [
    Group("1 Model and sampler", [
        note("## Portrait generator\nNew faces in new styles: G(z1, N(z2), w). Hold the face, the shapes or the colors: "
             "*batch_size* 1 of *Sample StyleGAN Latents* holds the face, **hold** of *Sample Style* the rest."),
        dual(), Node("sampler", "AtelierLoadStyleSampler", {"file": "style_sampler (built-in)"})]),
    Group("2 Faces and styles", [
        sample("faces", 5, 4),
        Node("one", "AtelierPickLatents", {"latents": Out("faces"), "indices": "0"}),
        Node("free", "AtelierSampleStyle", {"sampler": Out("sampler"), "seed": 1, "batch_size": 4}),
        Node("held", "AtelierSampleStyle", {"sampler": Out("sampler"), "seed": 1, "batch_size": 4, "hold": "color"},
             "Sample Style: one palette")]),
    Group("3 All new", [transfer("all_new", Out("faces"), Out("free")),
                        save("save_new", Out("all_new"), "portrait_generator/new")]),
    Group("4 One face, one palette", [transfer("one_face", Out("one"), Out("held")),
                                      save("save_held", Out("one_face"), "portrait_generator/one_palette")]),
]

TRANSFER_BLUEPRINT = Blueprint(
    [Group("Models", [dual(), bank(), encoder()]), Group("Face", found(BASE)),
     Group("Style", [Node("pick", "AtelierPickStyle", {"styles": Out("bank"), "which": "0"}),
                     transfer("transfer", Out("invert"), Out("pick")),
                     Node("paste", "AtelierPasteFacesBack",
                          {"image": Out("photo"), "crops": Out("transfer"), "faces": Out("align", 1)}),
                     masks(Out("transfer"), Out("photo"))])],
    "Draws the face of a photograph in the style of an exemplar, as cartoon, caricature or painting (DualStyleGAN), and "
    "pastes it back: image in; pasted image, portrait and masks out.",
    {"image": [("align", "image"), ("paste", "image"), ("masks", "photograph")], "which": [("pick", "which")],
     "structure_weight": [("transfer", "structure_weight")], "color_weight": [("transfer", "color_weight")],
     "quality": [("invert", "quality")]},
    {"pasted": Out("paste"), "portrait": Out("transfer"), "mask": Out("paste", 1), **MASKS})

DESTYLIZE_BLUEPRINT = Blueprint(
    [Group("Models", [dual(), loader("toon", "figurine"), encoder()]),
     Group("Face", [Node("align", "AtelierAlignFaces",
                         {"image": Out("photo"), "size_of": BASE, "faces_taken": "largest", "when_none": "whole image"}),
                    replace(DESTYLIZE, inputs=DESTYLIZE.inputs | {"image": Out("align"), "steps": 100, "truncation": 0.7}),
                    masks(Out("destylize"))])],
    "Finds the plausible face behind a drawn portrait, cartoon to photo, and the drawing's style code (DualStyleGAN, pSp): "
    "image in; face, its masks, latents and style out.",
    {"image": [("align", "image")], "styled": [("toon", "file")], "steps": [("destylize", "steps")],
     "truncation": [("destylize", "truncation")]},
    {"face": Out("destylize"), "intrinsic": Out("destylize", 1), "style": Out("destylize", 2), "drawing": Out("align"),
     **MASKS})
