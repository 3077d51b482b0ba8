"""What holds a child near its parent when pictures are few."""

from __future__ import annotations

from contextlib import suppress

import torch
from torch import Tensor

from ..networks.generators.base import Generator, LayerHook, StyledLayer
from .trainer import PhaseInputs, Term

COARSE = 32
"""Features up to this many px carry what the child should keep."""


def weight_pull(parent: Generator, strength: float) -> Term:
    """strength / 2 * sum (p - p_parent)^2 over what is trained (L2-SP; Li et al. 2018, 1802.01483)."""
    start = {name: p.detach().clone() for name, p in parent.named_parameters()}

    def term(generator: Generator, ws: Tensor, x: PhaseInputs) -> Tensor:
        distances = [(p - start[name].to(p)).square().sum() for name, p in generator.named_parameters() if p.requires_grad]
        return strength / 2 * torch.stack(distances).sum() if distances else ws.new_zeros(())

    return term


def feature_pull(parent: Generator, strength: float) -> Term:
    """strength * mean squared distance of coarse features of the same latents, relative to their size."""

    def term(generator: Generator, ws: Tensor, x: PhaseInputs) -> Tensor:
        with torch.no_grad():
            wanted = _features(parent, ws)
        parts = [(a - b).square().mean() / b.square().mean().clamp(min=1e-8) for a, b in zip(_features(generator, ws), wanted,
                                                                                            strict=True)]
        return strength * torch.stack(parts).mean()

    return term


class _Enough(Exception):  # noqa: N818
    """All coarse features are there; the finer layers need not run."""


def _features(generator: Generator, ws: Tensor) -> list[Tensor]:
    last = max((layer for layer in generator.layers if layer.kind in ("conv", "up") and layer.resolution <= COARSE),
               key=lambda layer: generator.layers.index(layer))
    found: list[Tensor] = []

    def keep(layer: StyledLayer, x: Tensor) -> Tensor:
        found.append(x)
        if layer == last:
            raise _Enough
        return x

    hook: LayerHook = keep
    with suppress(_Enough):
        generator.synthesis(ws, noise_mode="const", hook=hook)
    return found
