"""Device, dtype, memory format, chunking and private copies: one place."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from .errors import InvalidInput
from .networks.mapping import FullyConnected, MappingNetwork
from .ops.layout import preferred_format
from .ops.modulated import share_squares

HALF = (torch.float16, torch.bfloat16)
Module = TypeVar("Module", bound=nn.Module)
OnStep = Callable[[int, int, Tensor | None], None]


def rebuild(module: Module, replace: Callable[[str, Tensor], Tensor]) -> Module:
    """A structural copy of module whose parameters and buffers are replace(name, tensor); the original is untouched.

    Return the tensor itself (or an alias) to share memory: nothing is copied then but the module objects.
    """
    memo: dict[int, object] = {}
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        memo[id(tensor)] = replace(name, tensor)
    return copy.deepcopy(module, memo)


def alias(tensor: Tensor, role: Tensor) -> Tensor:
    """A tensor object of its own (so that moving the child moves no parent) on tensor's memory, to stand for role."""
    found = nn.Parameter(tensor.detach(), role.requires_grad) if isinstance(role, nn.Parameter) else tensor.detach()
    share_squares(tensor, found)
    return found


def private_copy(module: Module) -> Module:
    """A deep copy that autograd can use even when module was loaded under torch.inference_mode."""

    def clone(_: str, tensor: Tensor) -> Tensor:
        fresh = torch.empty_like(tensor, requires_grad=False).copy_(tensor.detach())
        return nn.Parameter(fresh, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else fresh

    with torch.inference_mode(False), torch.no_grad():
        return rebuild(module, clone)


@contextmanager
def trainable(module: Module, weights: bool = True) -> Iterator[Module]:
    """A private copy of module, with gradients on, whatever mode the caller runs under.

    weights False freezes the copy's parameters: gradients then flow through it to latents and noise only. Tensors made
    under inference mode must be cloned inside the context before they take part in a backward pass.
    """
    with torch.inference_mode(False), torch.enable_grad():
        yield private_copy(module).requires_grad_(weights)


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


def is_out_of_memory(error: BaseException) -> bool:
    """True for any backend's way of saying that memory ran out."""
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)


def rows_at_once(most: int, device: torch.device, resolution: int) -> int:
    """Images in one pass with gradients. A CPU's caches hold one large picture's features, not a batch's: up to twice as
    fast one by one, in a batch's share of the memory."""
    return 1 if device.type == "cpu" and resolution >= 128 else most


def run_chunked(fn: Callable[..., Tensor], batch_inputs: Tensor | Sequence[Tensor | None], chunk: int,
                out_device: torch.device | str | None = None, on_step: OnStep | None = None) -> Tensor:
    """fn over slices of at most `chunk` rows, outputs concatenated; halves the chunk when memory runs out and goes on.

    batch_inputs: one tensor or several of the same length B > 0 (None is passed on as it is). out_device moves each
    part away at once, e.g. "cpu". on_step(done, B, None) after each part; what it raises flies through. Raises the
    out-of-memory error when a single row does not fit.
    """
    inputs = [batch_inputs] if isinstance(batch_inputs, Tensor) else list(batch_inputs)
    lengths = {len(x) for x in inputs if x is not None}
    if len(lengths) != 1 or chunk < 1 or 0 in lengths:
        raise InvalidInput(f"Chunked work got inputs of {sorted(lengths)} rows and a chunk of {chunk}; "
                           f"give equally many rows, at least one, and a chunk above 0.")
    total, done, parts = lengths.pop(), 0, []
    while done < total:
        rows = min(chunk, total - done)
        part = None
        try:
            part = fn(*(None if x is None else x[done : done + rows] for x in inputs))
            parts.append(part if out_device is None else part.to(out_device))
        except (RuntimeError, MemoryError) as error:
            if rows == 1 or not is_out_of_memory(error):
                raise
        if part is None:  # outside the except block, where the traceback no longer holds the failed tensors
            chunk = rows // 2
            _release_cached()
            continue
        done += rows
        if on_step is not None:
            on_step(done, total, None)
    return torch.cat(parts)


def _release_cached() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
