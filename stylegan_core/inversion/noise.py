"""Noise maps as variables: unit maps to optimize, scaled to what the network takes."""

from __future__ import annotations

import torch
from torch import Tensor

from ..networks.generators.base import Generator

STRENGTH_IN_MAP = frozenset({"mobilestylegan"})
"""Families whose stored maps hold the layer's noise strength; elsewhere a map has unit variance."""


def stored_maps(model: Generator) -> list[Tensor] | None:
    """The generator's own maps as [1, 1, h, w], in layer order; None when it keeps none."""
    buffers = [(name, b) for name, b in model.synthesis.named_buffers() if name.endswith(".noise_const")]
    by_layer = {name.removesuffix(".noise_const"): b for name, b in buffers}
    maps = [by_layer[layer.name][None, None] for layer in model.layers if layer.name in by_layer]
    return maps if len(maps) == len(model.synthesis.noise_shapes()) else None


def map_scales(model: Generator) -> list[float]:
    """Standard deviation of the maps the network takes, one a layer."""
    maps = stored_maps(model) if model.kind in STRENGTH_IN_MAP else None
    if maps is None:
        return [1.0] * len(model.synthesis.noise_shapes())
    return [float(m.float().std(correction=0)) for m in maps]


def start_maps(model: Generator, given: list[Tensor] | None, draw: torch.Generator) -> list[Tensor]:
    """Unit maps [1|B, 1, h, w] to start from: the given ones, else the model's own, else seeded noise."""
    maps = given if given is not None else stored_maps(model)
    fresh = [torch.randn(1, 1, *shape, generator=draw) for shape in model.synthesis.noise_shapes()]
    if maps is None:
        return fresh
    return [m / s if s else f for m, s, f in zip(maps, map_scales(model), fresh, strict=True)]
