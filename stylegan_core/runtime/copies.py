"""Copies of networks: sharing what they can, or private and fit for gradients."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


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
    return nn.Parameter(tensor.detach(), role.requires_grad) if isinstance(role, nn.Parameter) else tensor.detach()


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
