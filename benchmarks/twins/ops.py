"""Plain twins: each formula as the paper states it, with no care for speed. The tests hold the fast paths to them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def upfirdn(x: Tensor, kernel: Tensor, up: int = 1, down: int = 1, pad: tuple[int, int] = (0, 0), gain: float = 1.0) -> Tensor:
    """Insert zeros, pad (or crop), true convolution, decimate; one channel at a time."""
    b, c, h, w = x.shape
    wide = torch.zeros(b, c, h * up, w * up, dtype=x.dtype)
    wide[:, :, ::up, ::up] = x
    wide = F.pad(wide, (pad[0], pad[1], pad[0], pad[1])).reshape(b * c, 1, *[n * up + sum(pad) for n in (h, w)])
    out = F.conv2d(wide, kernel.to(x).flip((0, 1))[None, None] * gain)
    return out.reshape(b, c, *out.shape[2:])[:, :, ::down, ::down]


def modulated_conv(x: Tensor, weight: Tensor, style: Tensor, bias: Tensor | None = None, demodulate: bool = True,
                   eps: float = 1e-8, gain: float = 1.0, kernel: Tensor | None = None) -> Tensor:
    """One sample at a time: build its weight, convolve. Upsampling: zeros inserted, FIR, then a dense convolution."""
    rows = []
    for i in range(x.shape[0]):
        w = weight * style[i % style.shape[0]][None, :, None, None]
        if demodulate:
            w = w / (w.square().sum(dim=(1, 2, 3), keepdim=True) + eps).sqrt()
        y = x[i : i + 1]
        if kernel is None:
            y = F.conv2d(y, w, padding=w.shape[-1] // 2)
        else:  # a transposed convolution is a dense one with flipped taps on the zero-inserted input
            taps = kernel.shape[0]
            y = upfirdn(y, kernel, up=2, pad=((taps + 1) // 2 + 1, (taps - 2) // 2 + 1), gain=4.0)
            y = F.conv2d(y, w.flip((2, 3)))
        rows.append(y)
    y = torch.cat(rows)
    return gain * (y if bias is None else y + bias[None, :, None, None])


def grouped_filtered_lrelu(x: Tensor, bias: Tensor, up_filter: Tensor | None, down_filter: Tensor | None, rates,
                           clamp: float | None = None, activation: str = "lrelu") -> Tensor:
    """Filtered leaky ReLU on grouped convolutions over inserted zeros: what frameworks without a custom kernel run."""
    c, up = x.shape[1], rates.up
    wide = x.new_zeros(len(x), c, x.shape[2] * up, x.shape[3] * up)
    wide[:, :, ::up, ::up] = x + bias.to(x.dtype)[:, None, None]
    wide = F.pad(wide, (*rates.pad, *rates.pad))
    for shape in ((1, 1, 1, -1), (1, 1, -1, 1)) if up_filter is not None else ():
        wide = F.conv2d(wide, (up_filter.flip(0) * up).reshape(shape).expand(c, -1, -1, -1), groups=c)
    function, gain = ACTIVATIONS[activation]
    wide = function(wide) * gain
    wide = wide if clamp is None else wide.clamp(-clamp, clamp)
    if down_filter is not None and down_filter.ndim == 2:
        wide = F.conv2d(wide, down_filter.flip((0, 1)).expand(c, 1, -1, -1), groups=c)
    elif down_filter is not None:
        for shape in ((1, 1, 1, -1), (1, 1, -1, 1)):
            wide = F.conv2d(wide, down_filter.flip(0).reshape(shape).expand(c, -1, -1, -1), groups=c)
    return wide[:, :, :: rates.down, :: rates.down]


ACTIVATIONS = {
    "linear": (lambda x: x, 1.0),
    "relu": (lambda x: x.clamp(min=0), math.sqrt(2)),
    "lrelu": (lambda x: torch.maximum(x, 0.2 * x), math.sqrt(2)),
    "tanh": (torch.tanh, 1.0),
    "sigmoid": (lambda x: 1 / (1 + torch.exp(-x)), 1.0),
    "elu": (lambda x: torch.where(x > 0, x, torch.exp(x) - 1), 1.0),
    "selu": (torch.nn.SELU(), 1.0),
    "softplus": (lambda x: torch.log1p(torch.exp(x)), 1.0),
    "swish": (lambda x: x / (1 + torch.exp(-x)), math.sqrt(2)),
}
