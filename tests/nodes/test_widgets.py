"""Every widget counts: a node that is set otherwise gives other pictures, or hands other numbers to the core."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from prompts import Prompt, aligned, generate, inverted, load, node, sample, save
from support import pixels

import stylegan_core as sg

BASE: Prompt = {"base": load(), "toon": load("tiny_toon.safetensors"), "latents": sample(count=3),
                "one": sample(seed=9, count=1)}
PORTRAIT: Prompt = {"photo": node("AtelierLoadExamplePortrait"), "faces": aligned(64)}
FOUND: Prompt = {"found": node("AtelierFindDirections", model=["base", 0], method="sefa", count=3, layers="all", from_px="8",
                               to_px="16", seed=5)}

LATENTS: dict[str, tuple[Prompt, dict[str, Any], dict[str, Any]]] = {
    "AtelierSampleLatents": ({}, {"model": ["base", 0], "seed": 1, "batch_size": 2, "truncation_psi": 0.7,
                                  "truncate_up_to": "all", "class_label": -1},
                             {"seed": 3, "batch_size": 1, "truncation_psi": 0.2, "truncate_up_to": "8"}),
    "AtelierTruncateLatents": ({}, {"model": ["base", 0], "latents": ["latents", 0], "truncation_psi": 0.5,
                                    "truncate_up_to": "all"}, {"truncation_psi": -0.5, "truncate_up_to": "8"}),
    "AtelierMixStyles": ({}, {"model": ["base", 0], "latents": ["latents", 0], "style": ["one", 0], "layers": "custom",
                              "from_px": "8", "to_px": "16"}, {"layers": "coarse", "from_px": "16", "to_px": "8"}),
    "AtelierInterpolateLatents": ({}, {"latents": ["latents", 0], "frames": 5, "path": "auto", "loop": False},
                                  {"frames": 4, "path": "slerp", "loop": True}),
    "AtelierCombineLatents": ({}, {"latents_1": ["latents", 0], "latents_2": ["one", 0]},
                              {"latents_1": ["one", 0], "latents_2": ["latents", 0], "latents_3": ["one", 0],
                               "latents_4": ["one", 0]}),
    "AtelierPickLatents": ({}, {"latents": ["latents", 0], "indices": "0"}, {"indices": "2"}),
    "AtelierApplyDirection": (FOUND, {"model": ["base", 0], "latents": ["one", 0], "directions": ["found", 0], "which": "0",
                                      "strength_from": -3.0, "strength_to": 3.0, "steps": 3, "layers": "custom", "from_px": "8",
                                      "to_px": "16"}, {"which": "1", "strength_from": 0.0, "strength_to": 1.0, "steps": 2,
                                                       "layers": "all", "from_px": "16", "to_px": "8"}),
}
"""Node that gives latents -> (nodes it needs, its inputs, other values)."""
MODELS: dict[str, tuple[Prompt, dict[str, Any], dict[str, Any]]] = {
    "AtelierBlendStyleGANsByResolution": ({}, {"base": ["base", 0], "other": ["toon", 0], "swap_at": "8", "coarse": "other",
                                               "mode": "smooth", "width": 1.0, "mapping": "base", "convention": "paper"},
                                          {"swap_at": "16", "coarse": "base", "mode": "swap", "width": 3.0,
                                           "convention": "pinkney", "strength": 0.5}),
}
PICTURES: dict[str, tuple[Prompt, dict[str, Any], dict[str, Any]]] = {
    "AtelierGenerateImage": ({}, {"model": ["base", 0], "latents": ["latents", 0], "noise": "random", "noise_variant": 0,
                                  "at_once": 8, "translate_x": 0.0, "translate_y": 0.0, "rotate": 0.0},
                             {"noise": "const", "noise_variant": 1, "latents": ["one", 0], "model": ["toon", 0]}),
    "AtelierPasteFacesBack": (PORTRAIT | {"drawn": generate(["toon", 0], ["one", 0])}, {
        "image": ["photo", 0], "crops": ["drawn", 0], "faces": ["faces", 1], "feather": 0.1, "color_match": 0.0,
        "outline": "oval"}, {"feather": 0.4, "color_match": 1.0, "outline": "square"}),  # the portrait has no grain to give
    "AtelierMovingCrop": (PORTRAIT, {"image": ["photo", 0], "frames": 3, "size": 64, "zoom": 1.5, "sway": 0.15, "x": 0.4,
                                     "y": 0.1}, {"frames": 2, "size": 48, "zoom": 3.0, "sway": 0.9, "x": 0.9, "y": 0.9}),
    "AtelierDirectionPreviewGrid": (FOUND, {"model": ["base", 0], "directions": ["found", 0], "latents": ["one", 0],
                                            "strength": 3.0, "columns": 3, "max_directions": 2, "cell_size": 32},
                                    {"strength": 9.0, "columns": 2, "max_directions": 1, "cell_size": 48}),
    "AtelierInvertByOptimization": (inverted("unused"), inverted("unused")["invert"]["inputs"],
                                    {"space": "w", "seed": 3, "start": ["one", 0]}),
}
"""Node that gives an IMAGE first, or for an inversion second."""


def graph(kind: str, group: str) -> tuple[Prompt, list[str]]:
    """(the node as it is and once for each other value, each saved; the widgets)."""
    needs, plain, others = {"latents": LATENTS, "models": MODELS, "pictures": PICTURES}[group][kind]
    prompt = BASE | {key: value for key, value in needs.items() if key not in ("invert", "save")}
    for widget in ("", *others):
        key = f"it.{widget}"
        prompt[key] = node(kind, **plain | ({widget: others[widget]} if widget else {}))
        shown = [key, 1 if kind == "AtelierInvertByOptimization" else 0]
        if group != "pictures":
            prompt[f"{key}.drawn"] = generate(*(["base", 0], shown) if group == "latents" else (shown, ["latents", 0]))
            shown = [f"{key}.drawn", 0]
        prompt[f"{key}.saved"] = save(shown, f"widgets/{kind}/{widget or 'plain'}")
    return prompt, list(others)


@pytest.mark.parametrize(("kind", "group"), [*((kind, "latents") for kind in LATENTS), *((kind, "models") for kind in MODELS),
                                             *((kind, "pictures") for kind in PICTURES)])
def test_every_widget_changes_the_picture(engine, kind, group):
    prompt, widgets = graph(kind, group)
    engine.succeed(prompt)
    plain = pixels(engine, f"widgets/{kind}/plain_*")
    same = [widget for widget in widgets if np.array_equal(plain, pixels(engine, f"widgets/{kind}/{widget}_*"))]
    assert not same, f"{', '.join(same)} changed nothing"


HANDED = """
import dataclasses, inspect, sys, torch
home, kind, function, inputs = {case!r}
part = lambda name: sys.modules[pack.__name__ + name]
sg, node, Resident = part(".stylegan_core"), part(".nodes." + home), part(".nodes.residency").Resident
model = lambda name: Resident(sg.load({folder!r} + f"/tiny_{{name}}.safetensors"))

def noted(core):
    core.info = dataclasses.replace(core.info, notes={{"made": "by hand"}})
    return core

class Place:
    def __init__(self, image):
        self.image = image

class Handed(Exception):
    pass

WIRES = {{
    **{{name: lambda name=name: model(name) for name in ("base", "toon", "large", "dual")}},
    "noted": lambda: Resident(noted(sg.load({folder!r} + "/tiny_base.safetensors"))),
    "image": lambda: torch.rand(2, 32, 32, 3), "mask": lambda: torch.rand(2, 32, 32), "places": lambda: [Place(3), Place(7)],
    "latents": lambda: sg.Latents(sg.sample_z([1, 2], 16), "z"), "curves": lambda: {{"l2": torch.zeros(3, 2)}},
    "styles": lambda: sg.Styles.numbered(sg.Latents(torch.zeros(2, 11, 16), "z+")),
    "data": lambda: part(".stylegan_core.training").PictureSet(torch.zeros(9, 3, 32, 32).byte().numpy(), tuple("abcdefghi"))}}

def plain(x):
    if isinstance(x, (list, tuple)):
        return [plain(v) for v in x]
    if isinstance(x, dict) or dataclasses.is_dataclass(x):
        return {{str(k): plain(v) for k, v in (x if isinstance(x, dict) else vars(x)).items()}}
    return x if isinstance(x, (bool, int, float, str, type(None))) else type(x).__name__

at = node if hasattr(node, function) else sg
real = getattr(at, function)

def called(*args, **more):
    bound = inspect.signature(real).bind(*args, **more)
    bound.apply_defaults()
    raise Handed({{name: plain(value) for name, value in bound.arguments.items()}})

setattr(at, function, called)
try:
    getattr(node, kind).execute(**{{name: WIRES[value[1:]]() if str(value).startswith("@") else value
                                  for name, value in inputs.items()}})
except Handed as handed:
    answer, = handed.args
finally:
    setattr(at, function, real)
"""
"""Calls a node with a core function that tells what it is called with."""

CALLS: dict[str, tuple[tuple[str, str, str, dict[str, Any]], dict[str, Any]]] = {
    "search": (("face", "AlignFaces", "find_faces", {"image": "@image", "faces_taken": "all", "size": 16, "when_none": "skip",
                                                     "smallest": 48}), {"min_size": 48}),
    "faces": (("face", "AlignFaces", "take_faces", {"image": "@image", "faces_taken": "all", "size": 16, "when_none": "skip"}),
              {"size": 16, "which": "all", "when_none": "skip"}),
    "faces by number": (("face", "AlignFaces", "take_faces", {
        "image": "@image", "faces_taken": "all", "size": 16, "when_none": "error", "which": " 0, 2 ", "size_of": "@large"}),
        {"size": 64, "which": "0, 2", "when_none": "error"}),
    "pasting": (("face", "PasteFacesBack", "return_faces", {
        "image": "@image", "crops": "@image", "faces": [], "feather": 0.2, "color_match": 0.3, "crop_mask": "@mask",
        "reconstruction": "@image", "outline": "oval", "grain": 0.4, "whole": True}),
        {"feather": 0.2, "color_match": 0.3, "masks": "Tensor", "outline": "oval", "seen": "Tensor", "grain": 0.4,
         "whole": True}),
    "head": (("face", "HeadMask", "head_and_face", {"image": "@image", "grow": 0.3, "reconstruction": "@image"}),
             {"reconstruction": "Tensor", "grow": 0.3}),
    "clip": (("video", "AlignVideoFaces", "take_video_faces", {
        "frames": "@image", "size": 16, "smoothing": 2.5, "size_of": "@large", "smallest": 40, "fps": 12.0, "bridge": 0.25,
        "search_every": 9}), {"size": 64, "smoothing": 2.5, "min_size": 40, "fps": 12.0, "bridge": 0.25, "search_every": 9}),
    "video": (("video", "InvertVideo", "VideoInverter", {
        "model": "@base", "crops": "@image", "quality": "draft", "steps": 5, "smoothing": 0.5, "seed": 8, "faces": "@places"}),
        {"options": {"first": {"steps": 80, "seed": 8}, "steps": 5, "smoothing": 0.5}, "moments": [3, 7]}),
    "inversion": (("invert", "InvertByOptimization", "Inverter", {
        "model": "@base", "image": "@image", "space": "w", "quality": "quick", "seed": 6, "start": "@latents",
        "region": "@mask"}),
        {"space": "w", "options": {"steps": 30, "seed": 6}, "start": {"space": "z"}, "mask": "Tensor", "c": None}),
    "encoder": (("encode", "InvertWithEncoder", "encode", {"encoder": "@base", "image": "@image", "model": "@base", "passes": 3,
                                                           "stage": 0}), {"passes": 3, "stage": 0}),
    "all of the encoder": (("encode", "InvertWithEncoder", "encode", {"encoder": "@base", "image": "@image"}), {"stage": None}),
    "blend": (("model", "BlendByResolution", "blend", {
        "base": "@base", "other": "@toon", "swap_at": "16", "coarse": "base", "mode": "smooth", "width": 2.0,
        "mapping": "other", "convention": "pinkney", "strength": 1.5, "strength_above_32": 0.5}),
        {"resolution": 16, "mode": "smooth", "width": 2.0, "coarse": "base", "mapping": "other", "convention": "pinkney",
         "strength": [1.5, 0.5]}),
    "curves": (("model", "BlendByCurve", "blend_many", {
        "base": "@base", "other": "@toon", "curve": "4:1", "other_2": "@toon", "curve_2": "8:0.5", "other_3": "@toon",
        "curve_3": "16:0.25"}), {"others": [["MobileStyleGAN", {"4": 1.0}], ["MobileStyleGAN", {"8": 0.5}],
                                            ["MobileStyleGAN", {"16": 0.25}]]}),
    "grid": (("model", "BlendPreviewGrid", "blend_grid", {
        "base": "@base", "other": "@toon", "latents": "@latents", "cell_size": 48, "max_faces": 1, "mode": "linear"}),
        {"cell": 48, "mode": "linear"}),
    "file": (("model", "LoadStyleGAN", "load_kind", {"file": "some.pt", "weights": "raw", "resolution": 64}),
             {"name": "some.pt", "which": "raw", "resolution": 64}),
    "pictures": (("image", "GenerateImage", "render", {"model": "@base", "latents": "@latents", "noise": "random",
                                                       "noise_variant": 4, "at_once": 3}),
                 {"noise_mode": "random", "seed": 4, "chunk": 3, "transform": None}),
    "turned": (("image", "GenerateImage", "input_transform", {
        "model": "@base", "latents": "@latents", "noise": "const", "translate_x": 0.1, "translate_y": 0.2, "rotate": 90.0}),
        {"translate": [0.1, 0.2], "rotate": 0.25}),
    "report": (("report", "ReconstructionReport", "report", {"photograph": "@image", "reconstruction": "@image",
                                                             "history": "@curves", "cell_size": 80}),
               {"history": {"l2": "Tensor"}, "cell": 80}),
    "refinement": (("stylize", "RefineStyle", "Refinement", {
        "model": "@dual", "intrinsic": "@latents", "style": "@styles", "image": "@image", "steps": 3, "lr_color": 0.2,
        "lr_structure": 0.3, "contextual": 0.4, "lr_noise": 0.5, "seed": 6, "manner": False}),
        {"options": {"steps": 3, "lr_color": 0.2, "lr_structure": 0.3, "contextual": 0.4, "lr_noise": 0.5, "seed": 6,
                     "manner": False}}),
    "drawings": (("train_dual", "TrainDualStyleGAN", "train_dual", {
        "base": "@large", "encoder": "@base", "data": "@data", "preset": "draft", "kind": "anime", "run": "handed",
        "resume": False, "styled": "@large", "seed": 9, "faces": False, "drawings": 4}),
        {"source": {"names": ["a", "d", "f", "i"]}, "options": {"kind": "anime", "seed": 9, "faces": False}, "resume": False,
         "styled": "MobileStyleGAN", "start": None}),
    "tuning": (("tune", "TuneModelToImage", "Tuner", {
        "model": "@base", "image": "@image", "latents": "@latents", "quality": "draft", "protect_others": 0.2, "seed": 4}),
        {"options": {"steps": sg.TUNE_PRESETS["draft"].steps, "locality": 0.2, "seed": 4}}),
    "comment": (("model", "SaveStyleGAN", "save", {"model": "@noted", "name": "handed", "notes": "mine"}),
                {"metadata": {"notes": {"made": "by hand", "comment": "mine"}}}),
    "sampler": (("train_dual", "TrainStyleSampler", "fit_sampler", {"model": "@dual", "styles": "@styles", "epochs": 3,
                                                                    "seed": 5}), {"epochs": 3, "seed": 5}),
}
"""(module, node, function of the core, the node's inputs) -> what the function gets, or part of it."""


def part_of(found: Any, wanted: Any) -> Any:
    """Of what was found, what is asked about."""
    return {key: part_of(found[key], value) for key, value in wanted.items()} if isinstance(wanted, dict) else found


@pytest.mark.parametrize("case", CALLS)
def test_every_number_reaches_the_core(engine, family, case):
    call, wanted = CALLS[case]
    handed = engine.ask("probe", code=HANDED.format(case=call, folder=str(family)))
    assert part_of(handed, wanted) == wanted
