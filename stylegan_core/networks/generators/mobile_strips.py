"""MobileStyleGAN on a CPU, without gradients: one picture, its maps made a few rows at a time in memory used again and again.

A CPU's caches hold no large map, and fresh memory costs more than the arithmetic on it. So rows go down the network as soon
as they are there; a depthwise convolution keeps the two that its next ones need, and nothing is computed twice. A map's rows
are [rows, width, channels]: a 1x1 convolution is one matrix product, the bands of the wavelet lie side by side.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .mobile_layers import MobileBlock, MobileConv, MobileHead, inverse_haar

STRIP_BYTES = 2 << 20
"""Of the rows of one map that are worked on at once."""
SLICE_BYTES = 512 << 10
"""Of what a matrix product and the passes before and after it share."""


def draw_in_strips(first: Tensor, blocks: Sequence[MobileBlock], head: MobileHead, ws: Sequence[Tensor],
                   noise: Sequence[Tensor | None]) -> Tensor:
    """The 4 px map [1, C, 4, 4] of a picture -> the picture [1, img_channels, H, W].

    ws: the rows [1, w_dim] of blocks and head; noise: the maps of the blocks' convolutions, [h, w] or [1, 1, h, w].
    """
    levels = [_Level(block, ws[3 * i : 3 * i + 3], noise[2 * i : 2 * i + 2], first.dtype, i + 1 < len(blocks))
              for i, block in enumerate(blocks)]
    canvas = _Canvas(head, ws[-1], 2 * (blocks[-1].resolution if blocks else first.shape[-1]), first.dtype)

    rows = first[0].permute(1, 2, 0).contiguous()
    _feed(levels, canvas, rows[..., _bands_apart(rows.shape[-1])] if levels else rows, True)
    return canvas.picture


def _feed(levels: Sequence[_Level], canvas: _Canvas, rows: Tensor, last: bool) -> None:
    """Rows of a map through all that follows. No closure: one that calls itself would keep its memory until a collection."""
    if not levels:
        return canvas.paint(rows)
    step = levels[0].most // 2
    for start in range(0, len(rows), step):
        ends = last and start + step >= len(rows)
        made = levels[0].push(rows[start : start + step], ends)
        if len(made):
            _feed(levels[1:], canvas, made, ends)
    return None


def _bands_apart(channels: int) -> Tensor:
    """Where the channels of the wavelet's four bands, one band after the other, lie in the network's order."""
    c = channels // 4
    return torch.cat([torch.arange(c), c + torch.arange(3 * c).view(c, 3).t().flatten()])


def _as_maps(rows: Tensor) -> Tensor:
    """[h, w, C] -> [1, C, h, w], which its strides tell to be in channels_last."""
    return rows[None].permute(0, 3, 1, 2)


class _Window:
    """A map passing by row by row, each to be seen with its neighbours; beyond the map they are zero."""

    def __init__(self, most: int, width: int, channels: int, dtype: torch.dtype) -> None:
        self.memory = torch.empty(most + 3, width, channels, dtype=dtype)
        self.memory[0] = 0
        self.kept = 1

    def room(self, rows: int) -> Tensor:
        """Where the next rows are to be written."""
        return self.memory[self.kept : self.kept + rows]

    def filter(self, kernel: Tensor, rows: int, last: bool) -> Tensor:
        """After `rows` were written: the depthwise 3x3 convolution of all rows whose neighbours are there by now."""
        end = self.kept + rows
        if last:
            self.memory[end] = 0
        x = _as_maps(self.memory[: end + last])
        found = self.memory[:0]
        if x.shape[2] > 2:
            found = F.conv2d(x, kernel, padding=(0, 1), groups=len(kernel))[0].permute(1, 2, 0)
        self.memory[:2] = self.memory[end - 2 : end].clone()
        self.kept = 2
        return found


class _Conv:
    """A MobileConv for one style: a window before it, everything that depends on w worked out."""

    def __init__(self, layer: MobileConv, w: Tensor, noise: Tensor | None, most: int, dtype: torch.dtype,
                 apart: bool = False) -> None:
        """apart: its channels are put in the order of _bands_apart."""
        weight, bias = layer.weight.flatten(1), layer.bias
        if apart:
            order = _bands_apart(len(bias))
            weight, bias = weight.index_select(0, order), bias[order]
        self.kernel = (layer.depthwise * layer.affine(w).view(-1, 1, 1, 1)).to(dtype)
        self.weight, self.bias, self.done = weight.to(dtype), bias.to(dtype), 0
        self.noise = None if noise is None else noise.reshape(layer.resolution, layer.resolution, 1).to(dtype)
        self.window = _Window(most, layer.resolution, len(self.kernel), dtype)

    def apply(self, rows: int, last: bool, out: Tensor) -> int:
        """After `rows` were written into the window: the next rows of the result into `out` -> how many."""
        x = self.window.filter(self.kernel, rows, last)
        step = max(SLICE_BYTES // (out[0].numel() * out.element_size()), 1)
        for i in range(0, len(x), step):
            some = x[i : i + step]
            noise = None if self.noise is None else self.noise[self.done : self.done + len(some)]
            _pointwise(some, self.weight, self.bias, noise, out[i : i + len(some)])
            self.done += len(some)
        return len(x)


def _pointwise(x: Tensor, weight: Tensor, bias: Tensor, noise: Tensor | None, out: Tensor) -> None:
    """x [n, w, I] -> out [n, w, O]: the 1x1 convolution [O, I] plus bias [O] and noise [n, w, 1], leaky ReLU."""
    if x.dtype not in (torch.float32, torch.float64):
        made = F.conv2d(_as_maps(x), weight[:, :, None, None], bias)[0].permute(1, 2, 0)
        out.copy_(made) if noise is None else torch.add(made, noise, out=out)
    else:
        out.copy_(bias) if noise is None else torch.add(noise, bias, out=out)
        out.view(-1, len(weight)).addmm_(x.reshape(-1, weight.shape[1]), weight.t())
    F.leaky_relu_(out, 0.2)


class _Level:
    """A MobileBlock that takes rows as they come."""

    def __init__(self, block: MobileBlock, ws: Sequence[Tensor], noise: Sequence[Tensor | None], dtype: torch.dtype,
                 apart: bool) -> None:
        side, width = block.resolution, len(block.conv2.bias)
        row = side * max(width, len(block.conv1.depthwise)) * dtype.itemsize
        self.most = min(max(STRIP_BYTES // row // 2 * 2, 4), side)
        style = block.up.affine(ws[0]).flatten() * 0.5
        self.style = style[_bands_apart(len(style))].to(dtype)
        self.conv1 = _Conv(block.conv1, ws[1], noise[0], self.most, dtype)
        self.conv2 = _Conv(block.conv2, ws[2], noise[1], self.most + 1, dtype, apart)
        self.made = torch.empty(self.most + 2, side, width, dtype=dtype)

    def push(self, rows: Tensor, last: bool) -> Tensor:
        """The next rows [n, w, C] of the map before, bands apart, which are overwritten -> as many rows as are complete of
        this one. They lie in memory that the next call uses again."""
        count = 2 * len(rows)
        _unwave(rows.mul_(self.style), self.conv1.window.room(count))
        count = self.conv1.apply(count, last, self.conv2.window.room(self.most + 1))
        return self.made[: self.conv2.apply(count, last, self.made) if count else 0]


def _unwave(x: Tensor, out: Tensor) -> None:
    """Twice the inverse Haar transform of [n, w, 4C], bands apart, into [2n, 2w, C]."""
    n, w, c4 = x.shape
    first, second = x.view(n, w, 2, 2, c4 // 4).unbind(3)
    out = out.view(n, 2, w, 2, c4 // 4)
    for i, both in enumerate((first + second, first - second)):
        torch.add(both[:, :, 0], both[:, :, 1], out=out[:, i, :, 0])
        torch.sub(both[:, :, 0], both[:, :, 1], out=out[:, i, :, 1])


class _Canvas:
    """A MobileHead and the picture. Its bands' transform is linear: it goes into the weight."""

    def __init__(self, head: MobileHead, w: Tensor, side: int, dtype: torch.dtype) -> None:
        kind = torch.float64 if dtype == torch.float64 else torch.float32
        count, width = len(head.bias), head.weight.shape[1]
        weight = head.weight.flatten(1) * head.affine(w).flatten()
        both = torch.cat([weight, head.bias[:, None]], dim=1).view(1, count, 1, -1).permute(3, 1, 2, 0)
        phases = inverse_haar(both).permute(2, 3, 1, 0).reshape(count, width + 1)  # of 2 x 2 pixels, then img_channels
        self.weight, self.bias = phases[:, :width].to(dtype), phases[:, width].to(dtype)
        self.picture = torch.empty(1, count // 4, side, side, dtype=kind)
        self.done = 0

    def paint(self, rows: Tensor) -> None:
        """The next rows [n, w, C] of the last map."""
        n, w, c = rows.shape
        flat = rows.view(-1, c)
        made = F.linear(flat, self.weight, self.bias).t() if flat.dtype.itemsize == 2 else torch.addmm(
            self.bias[:, None], self.weight, flat.t())
        _, channels, side, _ = self.picture.shape
        place = self.picture.view(channels, side // 2, 2, side // 2, 2)[:, self.done : self.done + n]
        place.copy_(made.reshape(2, 2, channels, n, w).permute(2, 3, 0, 4, 1))
        self.done += n
