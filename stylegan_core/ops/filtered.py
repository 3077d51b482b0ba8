"""Alias-free layers: filter design and filtered leaky ReLU (Karras et al. 2021, 2106.12423, section 3 and appendix C).

Upsample, leaky ReLU, downsample, in plain PyTorch. The upsampling is a transposed convolution (polyphase: nothing is
multiplied by an inserted zero), the downsampling a strided one, and the work goes tile by tile, so that the
signal at the raised rate, four to sixteen times the layer, never exists as a whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .activation import activate

LANES = 16
"""Planes a tile is made of at least: the widest vector of the CPUs at hand."""
TILE_BYTES = {"cpu": 16 << 20}
"""Size of one tile at the raised rate; on the CPU it stays in cache and below malloc's mmap threshold (32 MB)."""
TILE_BYTES_ELSEWHERE = 256 << 20


def kaiser_beta(taps: int, width: float, rate: float) -> float:
    """Kaiser's window parameter for a transition of `width` at sampling rate `rate` (same units), after Kaiser 1974."""
    attenuation = 2.285 * (taps - 1) * math.pi * width / (rate / 2) + 7.95
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    return 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21) if attenuation > 21 else 0.0


def bessel_j1(x: np.ndarray) -> np.ndarray:
    """Bessel function J1 in float64 by Bessel's integral: on a periodic integrand the trapezoid rule is exact."""
    points = 64 + 2 * int(np.max(np.abs(x), initial=0.0))
    theta = 2 * math.pi * np.arange(points) / points
    return np.cos(theta - np.multiply.outer(x, np.sin(theta))).mean(axis=-1)


def lowpass_filter(taps: int, cutoff: float, half_width: float, rate: float, radial: bool = False) -> Tensor | None:
    """Kaiser-windowed low-pass FIR with unit DC gain: [taps], or [taps, taps] when radial; None for one tap (identity).

    cutoff, half_width (half the transition band) and rate share a unit. Designed in float64, returned as float32.
    Radial: jinc, the 2-D ideal low-pass, under a separable window (appendix C.3); taps must be even there.
    """
    if taps == 1:
        return None
    window = np.kaiser(taps, kaiser_beta(taps, 2 * half_width, rate))
    position = (np.arange(taps) - (taps - 1) / 2) / rate
    if radial:
        r = np.hypot(*np.meshgrid(position, position))
        f = bessel_j1(2 * cutoff * math.pi * r) / (math.pi * r) * np.outer(window, window)
    else:
        f = np.sinc(2 * cutoff * position) * window
    return torch.from_numpy((f / f.sum()).astype(np.float32))


@dataclass(frozen=True)
class Resampling:
    """Rates and padding of one filtered leaky ReLU; both axes are treated alike."""

    up: int
    down: int
    pad: tuple[int, int]
    """Samples before and after, at the raised rate; negative ones crop."""

    def out_size(self, size: int, up_taps: int, down_taps: int) -> int:
        return (size * self.up + sum(self.pad) - up_taps - down_taps + 2 + self.down - 1) // self.down


def filtered_lrelu(x: Tensor, bias: Tensor, up_filter: Tensor | None, down_filter: Tensor | None,
                   rates: Resampling, clamp: float | None = None, activation: str = "lrelu",
                   tile_bytes: int | None = None) -> Tensor:
    """x [B, C, h, w] -> [B, C, h', w']: add bias [C], up, activate (lrelu: gain sqrt(2)), clamp, down; differentiable.

    up_filter [taps] is separable; down_filter [taps] or, not separable, [taps, taps]. FIRs are true convolutions and
    the upsampling keeps the mean (gain `up` per axis). None stands for the identity and needs rate 1 and no padding.
    tile_bytes bounds the raised-rate temporary; memory beside the result is about three times that.
    """
    if up_filter is None or down_filter is None:
        return activate(x + bias.to(x.dtype)[:, None, None], activation, clamp=clamp)
    b, c, height, width = x.shape
    planes = rearrange(x, "b c h w -> 1 (b c) h w")
    filters = _Filters.prepare(up_filter.to(x.dtype), down_filter.to(x.dtype), rates, activation, clamp)
    offsets = bias.to(x.dtype).repeat(b)
    out_h, out_w = (rates.out_size(n, len(up_filter), len(down_filter)) for n in (height, width))
    budget = tile_bytes or TILE_BYTES.get(x.device.type, TILE_BYTES_ELSEWHERE)
    lanes, rows = _tile_shape(b * c, out_h, out_w * rates.down * x.element_size(), rates.down, len(down_filter), budget)
    groups = _split(b * c, lanes)
    if torch.is_grad_enabled() and (x.requires_grad or bias.requires_grad):
        # Recomputing a tile in backward costs one more forward and saves keeping every raised-rate signal.
        parts = [checkpoint(_tile, _biased(planes[:, g], offsets[g]), slice(0, out_h), out_w, filters,
                            use_reentrant=False) for g in groups]
        return rearrange(torch.cat(parts, dim=1), "1 (b c) h w -> b c h w", b=b)
    out = x.new_empty(1, b * c, out_h, out_w)
    for g in groups:
        chunk = _biased(planes[:, g], offsets[g])
        for r in _split(out_h, rows):
            out[:, g, r] = _tile(chunk, r, out_w, filters)
    return rearrange(out, "1 (b c) h w -> b c h w", b=b)


def _split(n: int, most: int) -> list[slice]:
    """0..n in as few even pieces as keep each at or below `most`."""
    pieces = max(1, math.ceil(n / most))
    edges = [n * i // pieces for i in range(pieces + 1)]
    return [slice(a, b) for a, b in zip(edges, edges[1:], strict=False)]


def _tile_shape(planes: int, out_rows: int, row_bytes: int, down: int, taps: int, budget: int) -> tuple[int, int]:
    """(planes, output rows) of a tile within `budget` bytes at the raised rate; a tile is never under LANES planes."""
    plane_bytes = row_bytes * (out_rows * down + taps)
    if planes * plane_bytes <= budget or plane_bytes * LANES <= budget:
        return min(planes, max(LANES, budget // plane_bytes // LANES * LANES)), out_rows
    raised = budget // (row_bytes * min(LANES, planes))
    return LANES, max(8, (raised - taps) // down)


@dataclass(frozen=True)
class _Filters:
    """Kernels in the orientation the convolutions want, and what happens between them."""

    up: Tensor
    down: Tensor
    rates: Resampling
    activation: str
    clamp: float | None

    @classmethod
    def prepare(cls, up: Tensor, down: Tensor, rates: Resampling, activation: str, clamp: float | None) -> _Filters:
        # conv_transpose2d convolves, conv2d correlates: only the second kernel is flipped.
        return cls(up * rates.up, down.flip(tuple(range(down.ndim))), rates, activation, clamp)

    def upsample(self, x: Tensor, axis: int, start: int, stop: int) -> Tensor:
        """Polyphase FIR along axis 2 or 3, samples start..stop of the padded raised-rate signal."""
        up, taps = self.rates.up, len(self.up)
        # Sample t of the padded, filtered signal is sample t - pad + taps - 1 of the full convolution.
        first, last = start + taps - 1 - self.rates.pad[0], stop + taps - 1 - self.rates.pad[0]
        begin = min(max(0, -((taps - 1 - first) // up)), x.shape[axis] - 1)
        end = max(min(x.shape[axis], (last - 1) // up + 1), begin + 1)
        low, high = first - begin * up, last - begin * up
        full = (end - begin - 1) * up + taps
        crop = max(0, min(low, full - high))
        y = F.conv_transpose2d(x.narrow(axis, begin, end - begin), _along(self.up, axis, x.shape[1]),
                               stride=_pair(up, axis, 1), padding=_pair(crop, axis, 0), groups=x.shape[1])
        if low < 0 or high > full:
            y = F.pad(y, (*((0, 0) if axis == 2 else ()), max(0, -low), max(0, high - full)))
        return y.narrow(axis, max(0, low) - crop, stop - start)

    def downsample(self, x: Tensor) -> Tensor:
        down, c = self.rates.down, x.shape[1]
        if self.down.ndim == 2:
            return F.conv2d(x, self.down.expand(c, 1, -1, -1).contiguous(), stride=down, groups=c)
        for axis in (3, 2):
            x = F.conv2d(x, _along(self.down, axis, c), stride=_pair(down, axis, 1), groups=c)
        return x


def _along(kernel: Tensor, axis: int, channels: int) -> Tensor:
    shape = (-1, 1) if axis == 2 else (1, -1)
    return kernel.reshape(1, 1, *shape).expand(channels, -1, -1, -1).contiguous()


def _pair(value: int, axis: int, other: int) -> tuple[int, int]:
    return (value, other) if axis == 2 else (other, value)


def _biased(x: Tensor, bias: Tensor) -> Tensor:
    """x [1, P, h, w] + bias [P], in the layout the depthwise convolutions of the device are fast in."""
    x = x + bias[:, None, None]
    return x.contiguous(memory_format=torch.channels_last) if x.device.type == "cpu" else x


def _tile(x: Tensor, rows: slice, out_w: int, filters: _Filters) -> Tensor:
    """Output rows of some planes: [1, P, h, w] -> [1, P, len(rows), out_w]."""
    down, taps = filters.rates.down, len(filters.down)
    y = filters.upsample(x, 2, rows.start * down, (rows.stop - 1) * down + taps)
    y = filters.upsample(y, 3, 0, (out_w - 1) * down + taps)
    return filters.downsample(activate(y, filters.activation, clamp=filters.clamp))
