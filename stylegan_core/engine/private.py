"""Networks and tensors of one's own, fit for gradients whatever mode the caller runs under (ComfyUI: inference mode)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..runtime import private_copy

Module = TypeVar("Module", bound=nn.Module)


@contextmanager
def gradients() -> Iterator[None]:
    """Tensors made in here can carry gradients even if the caller runs under torch.inference_mode."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def frozen(network: Module, like: Tensor | None = None) -> Module:
    """A private copy in eval mode through which gradients flow and that none changes; on the device, in the dtype of `like`.

    A network loaded under inference_mode holds tensors autograd refuses, hence the copy.
    """
    copy = private_copy(network).eval().requires_grad_(False)
    return copy if like is None else copy.to(like)


def exact(network: Module) -> Module:
    """`frozen`, in float32 unless it is float64: half precision loses small gradients."""
    copy = frozen(network)
    return copy if next(copy.parameters()).dtype == torch.float64 else copy.float()
