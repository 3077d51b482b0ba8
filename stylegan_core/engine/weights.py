"""A loss of several terms."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def weighted_total(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Losses of one shape, scalars or [B] -> the sum of each times its weight."""
    return torch.stack([weights[name] * value for name, value in losses.items()]).sum(0)
