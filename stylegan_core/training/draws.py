"""Random numbers of a step as a function of (seed, iteration, phase, image): nothing to save, nothing to go out of step.

An image's numbers do not depend on how a batch is cut up, so that accumulation and several processes see what one pass sees.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..networks.generators.base import Generator

PHASES = ("Gmain", "Greg", "Dmain", "Dreg", "data", "score")


def generator_for(seed: int, iteration: int, phase: str, image: int = -1,
                  device: torch.device | str = "cpu") -> torch.Generator:
    """A source of its own for one purpose; image -1: of the whole batch."""
    words = np.random.SeedSequence([seed, iteration, PHASES.index(phase), image + 1]).generate_state(2)
    return torch.Generator(device).manual_seed((int(words[0]) << 31) ^ int(words[1]))


def draw_latents(generator: Generator, batch: int, mixing: float, levels: int,
                 draw: torch.Generator) -> tuple[Tensor, Tensor | None, int | None]:
    """(z, z_mix, cutoff), codes [batch, z_dim]: with probability `mixing`, rows of ws from a uniform cutoff in 1..levels - 1 on
    come from z_mix."""
    z, z_mix = (torch.randn(batch, generator.z_dim, generator=draw) for _ in range(2))
    chosen = float(torch.rand((), generator=draw)) < mixing
    cutoff = int(torch.randint(1, max(levels, 2), (), generator=draw))
    return (z, z_mix, cutoff) if chosen and levels > 1 else (z, None, None)


def draw_maps(shapes: tuple[tuple[int, ...], ...], rows: Tensor, seed: int, iteration: int, phase: str,
              device: torch.device) -> list[Tensor]:
    """Standard normal maps [len(rows), *shape] of images `rows` of a batch, one tensor a shape."""
    drawn = []
    for row in rows.tolist():
        source = generator_for(seed, iteration, phase, row, device)
        drawn.append([torch.randn(shape, generator=source, device=device) for shape in shapes])
    return [torch.stack(maps) for maps in zip(*drawn, strict=True)]
