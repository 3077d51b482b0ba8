"""Which memory format feature maps should have: one place."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def preferred_format(device: torch.device, dtype: torch.dtype) -> torch.memory_format:
    """channels_last where convolutions run on it natively: CPU (oneDNN) and half precision on CUDA (tensor cores)."""
    half = dtype in (torch.float16, torch.bfloat16)
    if device.type == "cpu" or (device.type == "cuda" and half):
        return torch.channels_last
    return torch.contiguous_format


def in_preferred_format(x: Tensor) -> Tensor:
    """[B, C, H, W] -> same values in the format the following convolutions like best."""
    return x.contiguous(memory_format=preferred_format(x.device, x.dtype))


def arrange(network: nn.Module, device: torch.device | str = "cpu") -> nn.Module:
    """The network with the weights of its plain convolutions (nn.Conv2d) in the format preferred on `device`, values
    unchanged; else they would be rearranged at every call."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1):
            weight = module.weight
            wanted = preferred_format(torch.device(device), weight.dtype)
            module.weight = nn.Parameter(weight.detach().contiguous(memory_format=wanted), weight.requires_grad)
    return network
