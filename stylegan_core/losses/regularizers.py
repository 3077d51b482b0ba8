"""Keep optimized noise maps noise (Karras et al. 2020, 1912.04958, appendix D)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import InvalidInput

SMALLEST_MAP = 8
"""Averaging stops at this side."""


def noise_regularization(maps: Iterable[Tensor]) -> Tensor:
    """Maps [B, 1, h, w] -> [B]: the sum over maps and scales of the squared autocorrelation one pixel right and down.

    Each map is averaged 2 x 2 again and again down to 8 px, so that no signal hides at a coarse scale. About 0 for
    white noise; usual weight 1e5. Raises InvalidInput without any map.
    """
    terms = []
    for x in maps:
        while True:
            terms += [(x * x.roll(1, dim)).mean((1, 2, 3)).square() for dim in (3, 2)]
            if min(x.shape[-2:]) <= SMALLEST_MAP:
                break
            x = functional.avg_pool2d(x, 2)
    if not terms:
        raise InvalidInput("Noise regularization got no noise maps; leave it out for a generator without noise.")
    return torch.stack(terms).sum(0)


@torch.no_grad()
def normalize_noise_(maps: Iterable[Tensor]) -> None:
    """Give every map [B, 1, h, w] mean 0 and standard deviation 1 (unbiased, whole tensor), in place; each step."""
    for x in maps:
        x.sub_(x.mean()).div_(x.std().clamp(min=1e-8))


def sum_of_norms(tensors: Iterable[Tensor]) -> Tensor:
    """Sum of the 2-norms (not squared) of some weights -> scalar; keeps residual blocks small (2203.13248, section 3.3)."""
    return torch.stack([torch.linalg.vector_norm(tensor) for tensor in tensors]).sum()
