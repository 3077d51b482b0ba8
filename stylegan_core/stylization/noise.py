"""Noise terms over a chunk of pictures, whose maps the published programs judge as one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..losses.regularizers import noise_regularization


def joint_noise_regularization(maps: Sequence[Tensor]) -> Tensor:
    """Maps [B, 1, h, w] -> scalar: noise_regularization with each map's means taken over the whole batch; 0 for no maps."""
    if not maps:
        return torch.zeros(())
    return noise_regularization([m.transpose(0, 1) for m in maps]).sum()
