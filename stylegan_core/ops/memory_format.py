"""Which memory format feature maps should have: one place."""

from __future__ import annotations

import torch
from torch import Tensor


def preferred_format(device: torch.device, dtype: torch.dtype) -> torch.memory_format:
    """channels_last where convolutions run on it natively: CPU (oneDNN) and half precision on CUDA (tensor cores)."""
    half = dtype in (torch.float16, torch.bfloat16)
    if device.type == "cpu" or (device.type == "cuda" and half):
        return torch.channels_last
    return torch.contiguous_format


def in_preferred_format(x: Tensor) -> Tensor:
    """[B, C, H, W] -> same values in the format the following convolutions like best."""
    return x.contiguous(memory_format=preferred_format(x.device, x.dtype))
