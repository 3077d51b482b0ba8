"""One place decides what lies on the GPU: every network is wrapped once in ComfyUI's ModelPatcher.

A blend shares its parents' weights. With a patcher over all of itself it would be moved beside them, and sharing would
end there. So a blend takes its parents' parameter objects wherever the memory is theirs, its own patcher covers only
what is new, and being resident means that parents and own part are.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import comfy.model_management as mm
import comfy.model_patcher
import torch
from comfy.cli_args import args
from torch import Tensor, nn

ACTIVATION_BYTES_PER_PIXEL = 1024
"""Peak memory of one image beside the weights, over its pixels: about four float32 maps of 64 channels."""
ENCODED_PIXELS = 256
"""Side of the picture inside a network that draws none: what an encoder sees."""


T = TypeVar("T")


class Resident:
    """A network of any kind on a wire. `core` is never mutated, only moved."""

    def __init__(self, core: Any, parents: tuple[Resident, ...] = ()) -> None:
        self.core = core.eval().requires_grad_(False)
        self.parents = parents
        own = _share(core, [p.core for p in parents]) if parents else core
        self._drawn: tuple[Hashable, Any] | None = None
        device, offload = mm.get_torch_device(), mm.unet_offload_device()
        self.patcher = comfy.model_patcher.ModelPatcher(own.to(offload), load_device=device, offload_device=offload)

    def drawn(self, of: Hashable, draw: Callable[[], T]) -> T:
        """What draw() gave for the same `of` the last time, else what it gives: pictures that outlive a moved slider."""
        if self._drawn is None or self._drawn[0] != of:
            self._drawn = of, draw()
        return self._drawn[1]

    def patchers(self) -> list[comfy.model_patcher.ModelPatcher]:
        """Parents' patchers and our own, each once, parents first."""
        found = [patcher for parent in self.parents for patcher in parent.patchers()]
        return list(dict.fromkeys([*found, self.patcher]))

    def activation_bytes(self, batch: int) -> int:
        """Memory to reserve for `batch` images at once; ReStyle also draws, with the generator inside."""
        inside = getattr(self.core, "decoder", None)
        side = max(getattr(self.core, "img_resolution", ENCODED_PIXELS), getattr(inside, "img_resolution", 0))
        return batch * side**2 * ACTIVATION_BYTES_PER_PIXEL


def on_device(*residents: Resident, batch: int = 1) -> torch.device:
    """Bring the networks to the device together, with room for `batch` images; returns the device."""
    patchers = list(dict.fromkeys(p for r in residents for p in r.patchers()))
    room = max(r.activation_bytes(batch) for r in residents)
    mm.load_models_gpu(patchers, memory_required=room, force_full_load=True)
    return residents[0].patcher.load_device


def precision_on(resident: Resident) -> str:
    """What ComfyUI was started with (--fp32-unet, --bf16-unet, --fp16-unet, --force-fp32); else, on an accelerator, auto."""
    flags = (("force_fp32", "float32"), ("fp32_unet", "float32"), ("bf16_unet", "bf16"), ("fp16_unet", "fp16"))
    for flag, precision in flags:
        if getattr(args, flag, False):
            return precision if getattr(resident.core.synthesis, "takes_half", False) else "float32"
    return "float32" if resident.patcher.load_device.type == "cpu" else "auto"


def _share(child: nn.Module, parents: list[nn.Module]) -> nn.Module:
    """Put the parents' parameter objects into `child` wherever the memory is theirs; returns what is new."""
    theirs = {_key(parameter): parameter for parent in parents for parameter in parent.parameters()}
    whole = {id(module) for parent in parents for module in parent.modules()}  # of a parent inside the child
    unshared = _Unshared()
    for module in (m for m in child.modules() if id(m) not in whole):
        for name, parameter in list(module.named_parameters(recurse=False)):
            shared = theirs.get(_key(parameter))
            module.register_parameter(name, parameter if shared is None else shared)
            if shared is None:
                unshared.fresh.append(parameter)
        unshared.slots += [(module, name) for name, _ in module.named_buffers(recurse=False)]
    return unshared


class _Unshared(nn.Module):
    """What a blend does not share: fresh parameters; and its buffers, which torch replaces when it moves them."""

    def __init__(self) -> None:
        super().__init__()
        self.fresh = nn.ParameterList()
        self.slots: list[tuple[nn.Module, str]] = []

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> _Unshared:
        super()._apply(fn, recurse)
        for module, name in self.slots:
            module.register_buffer(name, fn(module.get_buffer(name)))
        return self


def _key(tensor: Tensor) -> tuple:
    return tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype
