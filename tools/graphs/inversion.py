"""Inversion: ways compared, faces edited, a video."""

from __future__ import annotations

from .parts import CLIP, MASKS, Blueprint, Group, Node, Out, encoder, found, loader, masks, note, photo, save


def report(key: str, inputs: dict, title: str) -> Node:
    return Node(key, "AtelierReconstructionReport", {"photograph": Out("align"), **inputs}, title)


INVERT_AND_COMPARE = [
    Group("1 Your picture", [
        note("## Invert and compare\nThe same face three ways: by the *encoder* (at once), by the encoder and some steps of "
             "*optimization*, and with the *model tuned* to it as well. Each report shows photograph, inversion and difference "
             "with LPIPS, L2 and identity distance: lower is nearer."),
        photo(), loader("base", "base"), encoder()]),
    Group("2 The encoder", [
        *found(Out("base"), polish=False), report("report_encoder", {"reconstruction": Out("encode", 1)}, "Report: encoder")]),
    Group("3 Optimized", [
        Node("invert", "AtelierInvertByOptimization",
             {"model": Out("base"), "image": Out("align"), "quality": "draft", "space": "w+", "start": Out("encode")}),
        report("report_invert", {"reconstruction": Out("invert", 1), "history": Out("invert", 2)}, "Report: optimized")]),
    Group("4 The model tuned", [
        Node("tune", "AtelierTuneModelToImage",
             {"model": Out("base"), "image": Out("align"), "latents": Out("invert"), "quality": "draft"}),
        report("report_tune", {"reconstruction": Out("tune", 2)}, "Report: tuned"),
        Node("keep", "AtelierSaveModelDelta", {"delta": Out("tune", 1), "name": "example_portrait"})]),
    Group("5 Results", [
        save("save_encoder", Out("report_encoder"), "invert/1_encoder"),
        save("save_invert", Out("report_invert"), "invert/2_optimized"),
        save("save_tune", Out("report_tune"), "invert/3_tuned")]),
]

EDIT_WITH_DIRECTIONS = [
    Group("1 Your picture", [
        note("## Edit with directions\nThe built-in directions have names; **which** of *Apply Direction* takes a name or "
             "number. *Find Directions* searches any model for its own, without labels."),
        photo(), loader("base", "base"), encoder(),
        Node("named", "AtelierLoadDirections", {"file": "faces (built-in)", "model": Out("base")})]),
    Group("2 Find the face", found(Out("base"), polish=False)),
    Group("3 Smile", [
        Node("apply", "AtelierApplyDirection",
             {"model": Out("base"), "latents": Out("encode"), "directions": Out("named"), "which": "smile",
              "strength_from": -2.0, "strength_to": 2.0, "steps": 4}),
        Node("render", "AtelierGenerateImage", {"model": Out("base"), "latents": Out("apply")}),
        save("save_sweep", Out("render"), "edit/sweep")]),
    Group("4 Directions of its own", [
        Node("find", "AtelierFindDirections", {"model": Out("base"), "method": "sefa", "layers": "coarse", "count": 4}),
        Node("grid", "AtelierDirectionPreviewGrid",
             {"model": Out("base"), "directions": Out("find"), "latents": Out("encode"), "strength": 1.5, "columns": 3,
              "max_directions": 4}),
        save("save_grid", Out("grid"), "edit/grid"),
        Node("keep", "AtelierSaveDirections", {"directions": Out("find"), "name": "my_directions"})]),
]

FRAMES = Out("parts")
FILM = [
    Node("align", "AtelierAlignVideoFaces", {"frames": FRAMES, "size_of": Out("base")}),
    Node("invert", "AtelierInvertVideo",
         {"model": Out("base"), "crops": Out("align"), "encoder": Out("encoder"), "quality": "quick", "steps": 4,
          "faces": Out("align", 1)})]
DRAWN = [
    Node("blend", "AtelierBlendStyleGANsByResolution",
         {"base": Out("base"), "other": Out("toon"), "swap_at": "1024", "coarse": "other"}),
    Node("render", "AtelierGenerateImage", {"model": Out("blend"), "latents": Out("invert")}, noted=True),
    Node("paste", "AtelierPasteFacesBack", {"image": FRAMES, "crops": Out("render"), "faces": Out("align", 1)})]
MODELS = [loader("base", "base"), loader("toon", "figurine"), encoder()]
PARTS = Node("parts", "GetVideoComponents", {"video": Out("video")})
CREATED = Node("create", "CreateVideo", {"images": Out("paste"), "fps": Out("parts", 2), "audio": Out("parts", 1)})

TOONIFY_VIDEO = [
    Group("1 Your video", [
        note("## Toonify a video\nChoose a video of your own in *Load Video*. One face is followed, cut out steadily, inverted "
             "frame by frame and pasted back; the sound stays."),
        Node("video", "LoadVideo", {"file": CLIP}, "Load Video: yours")]),
    Group("2 Models", MODELS),
    Group("3 Follow the face", [PARTS, *FILM]),
    Group("4 Blend and draw", DRAWN),
    Group("5 Result", [
        CREATED, Node("save_video", "SaveVideo", {"video": Out("create"), "filename_prefix": "toonify_video/toon"})]),
]

VIDEO_BLUEPRINT = Blueprint(
    [Group("Video", [PARTS]), Group("Models", MODELS), Group("Face", FILM),
     Group("Toon", [*DRAWN, CREATED, masks(Out("render"), FRAMES)])],
    "Turns one face of a video into a toon or cartoon, frame by frame, and pastes it back (StyleGAN, Toonify): video in; "
    "video, frames and masks out.",
    {"video": [("parts", "video")], "look": [("toon", "file")], "swap_at": [("blend", "swap_at")],
     "strength": [("blend", "strength")], "coarse": [("blend", "coarse")], "steps": [("invert", "steps")]},
    {"video": Out("create"), "frames": Out("paste"), "mask": Out("paste", 1), **MASKS})
