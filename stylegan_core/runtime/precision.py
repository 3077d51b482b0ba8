"""Device, dtype and memory format of a network: the one door for precision."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from ..networks.mapping import FullyConnected, MappingNetwork
from ..ops.memory_format import preferred_format

HALF = (torch.float16, torch.bfloat16)
Module = TypeVar("Module", bound=nn.Module)


def prepare(module: Module, device: torch.device | str = "cpu", dtype: torch.dtype | None = None) -> Module:
    """Move module in place and return it. dtype None keeps each tensor's.

    Mapping and style layers never go below float32 (they cost nothing and their weights span orders of magnitude), nor
    does anything on CPU (half precision is slower there). Convolution weights take the device's preferred format.
    """
    target = torch.device(device)
    if dtype is not None and not dtype.is_floating_point:
        raise InvalidInput(f"A network can't compute in {dtype}; use torch.float32, torch.bfloat16 or torch.float16.")
    exact = {id(t) for m in module.modules() if isinstance(m, (MappingNetwork, FullyConnected))
             for t in (*m.parameters(), *m.buffers())}

    def move(tensor: Tensor) -> Tensor:
        if not tensor.is_floating_point():
            return tensor.to(target)
        wanted = dtype or tensor.dtype
        if wanted in HALF and (target.type == "cpu" or id(tensor) in exact):
            wanted = torch.float32
        repack = tensor.ndim == 4 and target.type != "cpu"
        layout = preferred_format(target, wanted) if repack else torch.preserve_format
        return tensor.to(target, wanted, memory_format=layout)

    for owner in module.modules():
        for name, parameter in owner._parameters.items():
            if parameter is not None:
                owner._parameters[name] = nn.Parameter(move(parameter).detach(), parameter.requires_grad)
        for name, buffer in owner._buffers.items():
            if buffer is not None:
                owner._buffers[name] = move(buffer)
    return module
