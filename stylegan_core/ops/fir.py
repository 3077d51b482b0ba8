"""FIR resampling (1912.04958, appendix B): depthwise convolutions, no zero insertion.

Filters are applied as true convolutions (flipped taps), which matters only for an asymmetric resample kernel.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InvalidInput

DEFAULT_TAPS = (1.0, 3.0, 3.0, 1.0)
MAX_TAPS = 64
"""Known networks have four; the square of a file's million would fill the memory."""


def resample_kernel(taps: Sequence[float] | Sequence[Sequence[float]] | Tensor = DEFAULT_TAPS) -> Tensor:
    """[T] taps (their outer product) or [T, T] -> [T, T] float32 of sum 1."""
    kernel = torch.as_tensor(taps, dtype=torch.float32, device="cpu")  # real even where a network is built on "meta"
    if not 1 <= kernel.ndim <= 2 or max(kernel.shape) > MAX_TAPS:
        raise InvalidInput(f"A resample kernel is {list(kernel.shape)}; use 1-D or square 2-D taps, {MAX_TAPS} at most.")
    kernel = torch.outer(kernel, kernel) if kernel.ndim == 1 else kernel
    if kernel.shape[0] != kernel.shape[1] or not kernel.isfinite().all() or float(kernel.sum()) == 0:
        raise InvalidInput(f"A resample kernel has shape {list(kernel.shape)}; give finite 1-D or square 2-D taps, sum not 0.")
    return kernel / kernel.sum()


def _depthwise(kernel: Tensor, x: Tensor, gain: float) -> Tensor:
    return (kernel.to(x) * gain).expand(x.shape[1], 1, -1, -1)


def filter2d(x: Tensor, kernel: Tensor, padding: tuple[int, int], stride: int = 1, gain: float = 1.0,
             bias: Tensor | None = None) -> Tensor:
    """[B, C, H, W] -> filtered by [T, T], zero-padded (before, after) on both axes; a negative padding crops.

    Output size is (H + before + after - T) // stride + 1. bias [C] is added in the same pass.
    """
    before, after = padding
    if before != after or before < 0:
        x, before = F.pad(x, (before, after, before, after)), 0
    return F.conv2d(x, _depthwise(kernel.flip((0, 1)), x, gain), bias, stride=stride, padding=before, groups=x.shape[1])


def upsample2d(x: Tensor, kernel: Tensor, factor: int = 2) -> Tensor:
    """[B, C, H, W] -> [B, C, factor H, factor W]; gain factor**2 keeps the mean of a constant image.

    A transposed depthwise convolution is zero insertion and true convolution in one; its border is then cropped.
    """
    taps = kernel.shape[-1]
    before = taps - 1 - (taps + factor - 1) // 2
    after = taps - factor - before
    padding = max(min(before, after), 0)
    weight = _depthwise(kernel, x, float(factor**2))
    out = F.conv_transpose2d(x, weight, stride=factor, padding=padding, groups=x.shape[1])
    left, right = padding - before, padding - after
    return out if left == right == 0 else F.pad(out, (left, right, left, right))


def downsample2d(x: Tensor, kernel: Tensor, factor: int = 2) -> Tensor:
    """[B, C, H, W] -> [B, C, H / factor, W / factor], low-passed first."""
    taps = kernel.shape[-1]
    return filter2d(x, kernel, ((taps - factor + 1) // 2, (taps - factor) // 2), stride=factor)


def conv_transpose_up2d(x: Tensor, weight: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    """x [B, I, H, W], weight [O, I, 3, 3] -> [B, O, 2H, 2W]: zero insertion, "same" convolution and FIR.

    Transposed convolution (9 multiplies an input pixel) to 2H + 1, then the FIR crops to 2H and adds the bias.
    """
    taps = kernel.shape[-1]
    x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
    return filter2d(x, kernel, ((taps + 1) // 2 - 1, (taps - 2) // 2), gain=4.0, bias=bias)


def conv_down2d(x: Tensor, weight: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    """x [B, I, H, W], weight [O, I, k, k], k odd -> [B, O, H / 2, W / 2]: FIR, then the convolution at stride 2.

    A 1x1 convolution reads only every other filtered sample, so the FIR makes no others.
    """
    if weight.shape[-1] == 1:
        return F.conv2d(downsample2d(x, kernel), weight, bias)
    taps, pad = kernel.shape[-1], weight.shape[-1] // 2
    return F.conv2d(filter2d(x, kernel, ((taps - 1) // 2 + pad, (taps - 2) // 2 + pad)), weight, bias, stride=2)
