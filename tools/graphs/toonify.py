"""A photograph becomes a toon; how two models blend; sampled faces mixed."""

from __future__ import annotations

from .parts import Node, Out, loader, note, save

TOONIFY = [
    note("about", (0, 0),
         "## Toonify a portrait\nPress **Run**. The bundled photograph (NASA, public domain) shows the way; replace "
         "*Load Example Portrait* by **Load Image** for your own.\n\nThen move **swap_at** of the blend: 4 px is the "
         "boldest toon, 32 px keeps the person's own shape. Only the last nodes run again, in a second.\n\nThe encoder finds "
         "the face at once; *Invert by Optimization* brings it nearer in some seconds more. In a hurry, bypass it (Ctrl+B).",
         250),
    Node("photo", "AtelierLoadExamplePortrait", (0, 8), {}, (330, 330)),
    loader("base", "base", (0, 17)),
    loader("toon", "toon", (0, 21)),
    Node("encoder", "AtelierLoadGANEncoder", (0, 25), {"file": "encoder (built-in)"}, (330, 110)),
    Node("align", "AtelierAlignFaces", (1, 0),
         {"image": Out("photo"), "size_of": Out("base"), "faces_taken": "largest"}, (330, 420)),
    Node("encode", "AtelierInvertWithEncoder", (1, 12),
         {"encoder": Out("encoder"), "image": Out("align"), "model": Out("base")}, (330, 330)),
    Node("invert", "AtelierInvertByOptimization", (1, 22),
         {"model": Out("base"), "image": Out("align"), "quality": "quick", "space": "w+", "start": Out("encode")}, (330, 470)),
    Node("blend", "AtelierBlendStyleGANsByResolution", (2, 0),
         {"base": Out("base"), "other": Out("toon"), "swap_at": "8", "coarse": "base"}, (330, 190)),
    Node("render", "AtelierGenerateImage", (2, 6), {"model": Out("blend"), "latents": Out("invert")}, (330, 120)),
    Node("paste", "AtelierPasteFacesBack", (2, 10),
         {"image": Out("photo"), "crops": Out("render"), "faces": Out("align", 1)}, (330, 170)),
    Node("grid", "AtelierBlendPreviewGrid", (2, 16),
         {"base": Out("base"), "other": Out("toon"), "latents": Out("invert")}, (330, 300)),
    save("save_pasted", Out("paste"), (3, 0), "toonify/5_pasted"),
    save("save_toon", Out("render"), (3, 9), "toonify/3_toon"),
    save("save_grid", Out("grid"), (3, 18), "toonify/4_blend_grid"),
    save("save_crop", Out("align"), (4, 0), "toonify/1_crop"),
    save("save_inversion", Out("invert", 1), (4, 9), "toonify/2_inversion"),
]

SAMPLE_AND_MIX = [
    note("about", (0, 0),
         "## Sample and mix\nFour faces take the colors and textures of a fifth (*fine* layers). Below, a walk from the "
         "first face to the last.", 130),
    loader("base", "base", (0, 4)),
    Node("faces", "AtelierSampleLatents", (0, 8), {"model": Out("base"), "seed": 42, "batch_size": 4}, (330, 150)),
    Node("style", "AtelierSampleLatents", (0, 13), {"model": Out("base"), "seed": 7, "batch_size": 1}, (330, 150),
         "Sample Latents: style"),
    Node("mix", "AtelierMixStyles", (1, 0),
         {"model": Out("base"), "latents": Out("faces"), "style": Out("style"), "layers": "fine"}, (330, 150)),
    Node("render", "AtelierGenerateImage", (1, 5), {"model": Out("base"), "latents": Out("mix")}, (330, 120)),
    Node("combine", "AtelierCombineLatents", (1, 9), {"latents_1": Out("faces"), "latents_2": Out("style")}, (330, 110)),
    Node("ends", "AtelierPickLatents", (1, 13), {"latents": Out("combine"), "indices": "0, -1"}, (330, 90)),
    Node("calm", "AtelierTruncateLatents", (2, 9),
         {"model": Out("base"), "latents": Out("ends"), "truncation_psi": 0.8}, (330, 120)),
    Node("walk", "AtelierInterpolateLatents", (2, 13), {"latents": Out("calm"), "frames": 8}, (330, 140)),
    Node("film", "AtelierGenerateImage", (2, 18), {"model": Out("base"), "latents": Out("walk")}, (330, 120)),
    save("save_mix", Out("render"), (3, 0), "sample_and_mix/mixed"),
    save("save_walk", Out("film"), (3, 9), "sample_and_mix/walk"),
    Node("keep", "AtelierSaveLatents", (3, 18), {"latents": Out("calm"), "name": "sample_and_mix"}, (330, 100)),
]

BLEND_GRID = [
    note("about", (0, 0),
         "## Choose a swap point\nThe grid shows every swap in both directions. Set **swap_at** to the column you like. "
         "*Blend by Curve* gives each resolution its own weight.", 130),
    loader("base", "base", (0, 4)),
    loader("toon", "toon", (0, 8)),
    Node("faces", "AtelierSampleLatents", (0, 12), {"model": Out("base"), "seed": 3, "batch_size": 2}, (330, 150)),
    Node("grid", "AtelierBlendPreviewGrid", (1, 0),
         {"base": Out("base"), "other": Out("toon"), "latents": Out("faces")}, (330, 300)),
    Node("curve", "AtelierBlendStyleGANsByCurve", (1, 9),
         {"base": Out("base"), "other": Out("toon"), "curve": "4:1, 32:1, 64:0.5, 128:0"}, (330, 190)),
    Node("render", "AtelierGenerateImage", (1, 15), {"model": Out("curve"), "latents": Out("faces")}, (330, 120)),
    save("save_grid", Out("grid"), (2, 0), "blend_grid/grid"),
    save("save_curve", Out("render"), (2, 9), "blend_grid/curve"),
    Node("keep", "AtelierSaveStyleGAN", (2, 18), {"model": Out("curve"), "name": "toon_curve"}, (330, 110)),
]
