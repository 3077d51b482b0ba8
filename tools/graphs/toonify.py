"""A photograph becomes a toon: one, a folder, in a longer pipeline; how two models blend; sampled faces mixed."""

from __future__ import annotations

from dataclasses import replace

from .parts import FOLDER, MASKS, Blueprint, Group, Node, Out, encoder, found, loader, masks, note, photo, save

BLEND = Node("blend", "AtelierBlendStyleGANsByResolution",
             {"base": Out("base"), "other": Out("toon"), "swap_at": "1024", "coarse": "other"})
RENDER = Node("render", "AtelierGenerateImage", {"model": Out("blend"), "latents": Out("invert")})
WHERE = {"image": Out("photo"), "crops": Out("render"), "faces": Out("align", 1)}
PASTE = Node("paste", "AtelierPasteFacesBack", {**WHERE, "reconstruction": Out("invert", 1)})
MODELS = [loader("base", "base"), loader("toon", "figurine"), encoder()]

TOONIFY = [
    Group("1 Your picture", [
        note("## Toonify a portrait\nPress **Run**. For a picture of your own, choose it in *Load Image*.\n\nThen move "
             "**strength** of the blend: 0 is the photograph's person, 1 the look, beyond 1 exaggerated; the strip shows "
             "the way. *Load StyleGAN* has "
             "three looks: figurine, ink, painting. Only the last nodes run again.\n\nThe encoder finds the face at once; "
             "*Invert by Optimization* brings it nearer. In a hurry, bypass it (Ctrl+B)."),
        photo()]),
    Group("2 Models", MODELS),
    Group("3 Find the face", found(Out("base"))),
    Group("4 Blend and draw", [BLEND, RENDER, PASTE]),
    Group("5 Results", [save("save_pasted", Out("paste"), "toonify/5_pasted"),
                        save("save_toon", Out("render"), "toonify/3_toon")]),
    Group("Every strength", [
        Node("grid", "AtelierBlendPreviewGrid", {"base": Out("base"), "other": Out("toon"), "latents": Out("invert"),
                                                 "cell_size": 256, "shows": "strengths"}),
        save("save_grid", Out("grid"), "toonify/4_strengths")]),
    Group("On the way", [save("save_crop", Out("align"), "toonify/1_crop"),
                         save("save_inversion", Out("invert", 1), "toonify/2_inversion")]),
]

TOONIFY_FOLDER = [
    Group("1 Your pictures", [
        note("## Toonify a folder\nPut your portraits into a folder inside *ComfyUI/input* and choose it here. Each picture "
             "runs through the graph by itself; those of any size may lie side by side."),
        Node("photo", "LoadImageDataSetFromFolder", {"folder": FOLDER})]),
    Group("2 Models", MODELS),
    Group("3 Find the faces", found(Out("base"), polish=False)),
    Group("4 Blend and draw", [
        replace(BLEND, inputs=BLEND.inputs | {"strength": 1.5}),  # the encoder's faces are near the mean, where a look is mild
        Node("render", "AtelierGenerateImage", {"model": Out("blend"), "latents": Out("encode")}),
        Node("paste", "AtelierPasteFacesBack", WHERE)]),
    Group("5 Results", [save("save_pasted", Out("paste"), "toonify_folder/pasted")]),
]

TOON_INTO_PIPELINE = [
    Group("1 Your picture", [
        note("## The toon goes on\nWhat comes out is an ordinary **IMAGE** and **MASK**: here ComfyUI's own nodes blur the "
             "background, enlarge the picture and draw its edges.\n\nIn the same places *VAE Encode*, an upscale model or a "
             "ControlNet take them."),
        photo()]),
    Group("2 Models", MODELS),
    Group("3 Find the face", found(Out("base"))),
    Group("4 Blend and draw", [BLEND, RENDER, PASTE,
                               Node("head", "AtelierHeadMask", {"image": Out("align"), "reconstruction": Out("invert", 1)})]),
    Group("5 Mask: blur what is not the face", [
        Node("grow", "GrowMask", {"mask": Out("paste", 1), "expand": 12}),
        Node("blur", "ImageBlur", {"image": Out("photo"), "blur_radius": 12, "sigma": 6.0}),
        Node("composite", "ImageCompositeMasked",
             {"destination": Out("blur"), "source": Out("paste"), "mask": Out("grow")}),
        save("save_composite", Out("composite"), "pipeline/blurred")]),
    Group("6 Image: enlarge, edges", [
        Node("enlarge", "ImageScaleBy", {"image": Out("composite"), "upscale_method": "lanczos", "scale_by": 2.0}),
        save("save_large", Out("enlarge"), "pipeline/large"),
        Node("edges", "Canny", {"image": Out("paste"), "low_threshold": 0.2, "high_threshold": 0.5}),
        save("save_edges", Out("edges"), "pipeline/edges")]),
    Group("The head's mask", [
        Node("mask_image", "MaskToImage", {"mask": Out("head")}), save("save_head", Out("mask_image"), "pipeline/head")]),
]

SAMPLE_AND_MIX = [
    Group("1 Faces", [
        note("## Sample and mix\nFour faces take the colors and textures of a fifth (*fine* layers). Below, a walk from the "
             "first face to the last."),
        loader("base", "base"),
        Node("faces", "AtelierSampleLatents", {"model": Out("base"), "seed": 42, "batch_size": 4}),
        Node("style", "AtelierSampleLatents", {"model": Out("base"), "seed": 7, "batch_size": 1}, "Sample: the style")]),
    Group("2 Mix", [
        Node("mix", "AtelierMixStyles",
             {"model": Out("base"), "latents": Out("faces"), "style": Out("style"), "layers": "fine"}),
        Node("render", "AtelierGenerateImage", {"model": Out("base"), "latents": Out("mix")}),
        save("save_mix", Out("render"), "sample_and_mix/mixed")]),
    Group("3 Walk", [
        Node("combine", "AtelierCombineLatents", {"latents_1": Out("faces"), "latents_2": Out("style")}),
        Node("ends", "AtelierPickLatents", {"latents": Out("combine"), "indices": "0, -1"}),
        Node("calm", "AtelierTruncateLatents", {"model": Out("base"), "latents": Out("ends"), "truncation_psi": 0.8}),
        Node("walk", "AtelierInterpolateLatents", {"latents": Out("calm"), "frames": 8}),
        Node("keep", "AtelierSaveLatents", {"latents": Out("calm"), "name": "sample_and_mix"})]),
    Group("4 Film", [
        Node("film", "AtelierGenerateImage", {"model": Out("base"), "latents": Out("walk")}),
        save("save_walk", Out("film"), "sample_and_mix/walk")]),
]

BLEND_GRID = [
    Group("1 Models and faces", [
        note("## Choose a swap point\nThe grid shows every swap in both directions. Press **Run**, then click the picture you "
             "like on *Blend StyleGANs by Resolution*: it sets **swap_at**. *Blend by Curve* gives each resolution its own "
             "weight."),
        loader("base", "base"), loader("toon", "figurine"),
        Node("faces", "AtelierSampleLatents", {"model": Out("base"), "seed": 3, "batch_size": 2})]),
    Group("2 Every swap point", [
        Node("grid", "AtelierBlendPreviewGrid", {"base": Out("base"), "other": Out("toon"), "latents": Out("faces")}),
        save("save_grid", Out("grid"), "blend_grid/grid")]),
    Group("3 Choose by its picture", [
        replace(BLEND, inputs=BLEND.inputs | {"swap_at": "32", "latents": Out("faces")}),
        Node("swapped", "AtelierGenerateImage", {"model": Out("blend"), "latents": Out("faces")}),
        save("save_swap", Out("swapped"), "blend_grid/swap")]),
    Group("4 A curve", [
        Node("curve", "AtelierBlendStyleGANsByCurve",
             {"base": Out("base"), "other": Out("toon"), "curve": "4:1, 32:1, 64:0.5, 128:0"}),
        Node("render", "AtelierGenerateImage", {"model": Out("curve"), "latents": Out("faces")}),
        save("save_curve", Out("render"), "blend_grid/curve"),
        Node("keep", "AtelierSaveStyleGAN", {"model": Out("curve"), "name": "toon_curve"})]),
]

_INSIDE = [Group("Models", MODELS), Group("Face", found(Out("base"))),
           Group("Toon", [BLEND, RENDER, PASTE, masks(Out("render"), Out("photo"))])]

TOONIFY_BLUEPRINT = Blueprint(
    _INSIDE, "Turns the face of a photograph into a toon, cartoon or painting and pastes it back (StyleGAN, Toonify): image "
             "in; pasted image, toon and masks out.",
    {"image": [("align", "image"), ("paste", "image"), ("masks", "photograph")],
     "look": [("toon", "file")], "swap_at": [("blend", "swap_at")],
     "strength": [("blend", "strength")], "coarse": [("blend", "coarse")], "quality": [("invert", "quality")],
     "whole": [("paste", "whole")]},
    {"pasted": Out("paste"), "toon": Out("render"), "mask": Out("paste", 1), **MASKS})
