"""Every widget counts: a node that is set otherwise gives other pictures. One graph for each group, run once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from prompts import Prompt, aligned, generate, inverted, load, node, sample, save
from support import pixels

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
