"""Inversion: ways compared, faces edited, a video."""

from __future__ import annotations

from .parts import Node, Out, loader, note, save

INVERT_AND_COMPARE = [
    note("about", (0, 0),
         "## Invert and compare\nThe same face three ways: by the *encoder* (at once), by the encoder and some steps of "
         "*optimization*, and with the *model tuned* to it as well. Each report shows photograph, inversion and difference "
         "with LPIPS, L2 and identity distance: lower is nearer.", 190),
    Node("photo", "AtelierLoadExamplePortrait", (0, 6), {}, (330, 330)),
    loader("base", "base", (0, 15)),
    Node("encoder", "AtelierLoadGANEncoder", (0, 19), {"file": "encoder (built-in)"}, (330, 110)),
    Node("align", "AtelierAlignFaces", (1, 0),
         {"image": Out("photo"), "size_of": Out("base"), "faces_taken": "largest"}, (330, 420)),
    Node("encode", "AtelierInvertWithEncoder", (1, 12),
         {"encoder": Out("encoder"), "image": Out("align"), "model": Out("base")}, (330, 330)),
    Node("invert", "AtelierInvertByOptimization", (2, 0),
         {"model": Out("base"), "image": Out("align"), "quality": "draft", "space": "w+", "start": Out("encode")}, (330, 470)),
    Node("tune", "AtelierTuneModelToImage", (2, 13),
         {"model": Out("base"), "image": Out("align"), "latents": Out("invert"), "quality": "draft"}, (330, 470)),
    Node("report_encoder", "AtelierReconstructionReport", (3, 0),
         {"photograph": Out("align"), "reconstruction": Out("encode", 1)}, (330, 250), "Report: encoder"),
    Node("report_invert", "AtelierReconstructionReport", (3, 8),
         {"photograph": Out("align"), "reconstruction": Out("invert", 1), "history": Out("invert", 2)}, (330, 250),
         "Report: optimized"),
    Node("report_tune", "AtelierReconstructionReport", (3, 16),
         {"photograph": Out("align"), "reconstruction": Out("tune", 2)}, (330, 250), "Report: tuned"),
    save("save_encoder", Out("report_encoder"), (4, 0), "invert/1_encoder"),
    save("save_invert", Out("report_invert"), (4, 9), "invert/2_optimized"),
    save("save_tune", Out("report_tune"), (4, 18), "invert/3_tuned"),
    Node("keep", "AtelierSaveModelDelta", (3, 24), {"delta": Out("tune", 1), "name": "example_portrait"}, (330, 110)),
]

EDIT_WITH_DIRECTIONS = [
    note("about", (0, 0),
         "## Edit with directions\nThe built-in directions have names; **which** of *Apply Direction* takes a name or number. "
         "Below, *Find Directions* searches any model for its own, without labels.", 150),
    Node("photo", "AtelierLoadExamplePortrait", (0, 5), {}, (330, 330)),
    loader("base", "base", (0, 14)),
    Node("encoder", "AtelierLoadGANEncoder", (0, 18), {"file": "encoder (built-in)"}, (330, 110)),
    Node("named", "AtelierLoadDirections", (0, 22), {"file": "faces (built-in)", "model": Out("base")}, (330, 220)),
    Node("align", "AtelierAlignFaces", (1, 0),
         {"image": Out("photo"), "size_of": Out("base"), "faces_taken": "largest"}, (330, 420)),
    Node("encode", "AtelierInvertWithEncoder", (1, 12),
         {"encoder": Out("encoder"), "image": Out("align"), "model": Out("base")}, (330, 330)),
    Node("apply", "AtelierApplyDirection", (2, 0),
         {"model": Out("base"), "latents": Out("encode"), "directions": Out("named"), "which": "smile",
          "strength_from": -2.0, "strength_to": 2.0, "steps": 4}, (330, 300)),
    Node("render", "AtelierGenerateImage", (2, 9), {"model": Out("base"), "latents": Out("apply")}, (330, 120)),
    Node("find", "AtelierFindDirections", (2, 14), {"model": Out("base"), "method": "sefa", "layers": "coarse", "count": 4},
         (330, 230)),
    Node("grid", "AtelierDirectionPreviewGrid", (2, 21),
         {"model": Out("base"), "directions": Out("find"), "latents": Out("encode"), "strength": 1.5, "columns": 3,
          "max_directions": 4},
         (330, 300)),
    save("save_sweep", Out("render"), (3, 0), "edit/sweep"),
    save("save_grid", Out("grid"), (3, 9), "edit/grid"),
    Node("keep", "AtelierSaveDirections", (3, 18), {"directions": Out("find"), "name": "my_directions"}, (330, 140)),
]

TOONIFY_VIDEO = [
    note("about", (0, 0),
         "## Toonify a video\n*Moving Crop* makes a clip of the bundled photograph; for a video of your own, link the frames "
         "of **Load Video → Get Video Components** in its place. One face is followed, cut out steadily, inverted frame by "
         "frame and pasted back.", 170),
    Node("photo", "AtelierLoadExamplePortrait", (0, 6), {}, (330, 330)),
    Node("clip", "AtelierMovingCrop", (0, 15), {"image": Out("photo"), "frames": 16}, (330, 270)),
    loader("base", "base", (0, 23)),
    loader("toon", "toon", (0, 27)),
    Node("encoder", "AtelierLoadGANEncoder", (0, 31), {"file": "encoder (built-in)"}, (330, 110)),
    Node("align", "AtelierAlignVideoFaces", (1, 0), {"frames": Out("clip"), "size_of": Out("base")}, (330, 200)),
    Node("invert", "AtelierInvertVideo", (1, 7),
         {"model": Out("base"), "crops": Out("align"), "encoder": Out("encoder"), "quality": "quick", "steps": 4}, (330, 270)),
    Node("blend", "AtelierBlendStyleGANsByResolution", (1, 15),
         {"base": Out("base"), "other": Out("toon"), "swap_at": "8", "coarse": "base"}, (330, 190)),
    Node("render", "AtelierGenerateImage", (2, 0), {"model": Out("blend"), "latents": Out("invert")}, (330, 120)),
    Node("paste", "AtelierPasteFacesBack", (2, 5),
         {"image": Out("clip"), "crops": Out("render"), "faces": Out("align", 1)}, (330, 190)),
    save("save_frames", Out("paste"), (3, 0), "toonify_video/frame"),
]
