"""Separable filters on images of any size: Lanczos shrinking and Gaussian blur, both computed only where asked.

Rows of the filter are applied in blocks as small dense matrices, so the cost grows with the picture, not its square.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

BLOCK = 64
"""Output rows a matrix product makes at a time."""


def lanczos(image: Tensor, size: tuple[int, int], region: tuple[int, int, int, int]) -> Tensor:
    """Shrink [C, H, W] to `size` (height, width) with the antialiased Lanczos-3 filter and cut out `region`.

    region: x0, y0, x1, y1 in pixels of the shrunk picture; only the part of the image it needs is read.
    """
    x0, y0, x1, y1 = region
    image = _lanczos_axis(image, 1, size[0], y0, y1)
    return _lanczos_axis(image, 2, size[1], x0, x1)


def _lanczos_axis(image: Tensor, dim: int, out: int, start: int, stop: int) -> Tensor:
    length = image.shape[dim]
    if out == length:
        return image.narrow(dim, start, stop - start)
    scale = length / out
    reach = 3 * max(scale, 1.0)
    blocks = []
    for first in range(start, stop, BLOCK):
        rows = torch.arange(first, min(first + BLOCK, stop), dtype=torch.float64)
        center = (rows + 0.5) * scale
        low, high = max(0, math.floor(center[0].item() - reach)), min(length, math.ceil(center[-1].item() + reach))
        x = (torch.arange(low, high, dtype=torch.float64) + 0.5 - center[:, None]) / max(scale, 1.0)
        weights = torch.where(x.abs() < 3, torch.sinc(x) * torch.sinc(x / 3), 0.0)
        blocks.append(_product(weights, image.narrow(dim, low, high - low), dim))
    return torch.cat(blocks, dim)


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """Blur [C, H, W]; the border is mirrored with the edge pixel repeated, the kernel cut at 4 sigma."""
    radius = int(4 * sigma + 0.5)
    if radius == 0:
        return image
    for dim in (1, 2):
        image = _blur_axis(image, dim, sigma, radius)
    return image


def _blur_axis(image: Tensor, dim: int, sigma: float, radius: int) -> Tensor:
    length = image.shape[dim]
    padded = image.index_select(dim, mirror(length, radius, radius, repeat_edge=True).to(image.device))
    blocks = []
    for first in range(0, length, BLOCK):
        last = min(first + BLOCK, length)
        x = torch.arange(first, last + 2 * radius) - radius - torch.arange(first, last)[:, None]
        weights = torch.where(x.abs() <= radius, torch.exp(-0.5 * (x.double() / sigma) ** 2), 0.0)
        blocks.append(_product(weights, padded.narrow(dim, first, last - first + 2 * radius), dim))
    return torch.cat(blocks, dim)


def _product(weights: Tensor, image: Tensor, dim: int) -> Tensor:
    weights = (weights / weights.sum(1, keepdim=True)).to(image)
    return weights @ image if dim == 1 else image @ weights.T


def mirror(length: int, before: int, after: int, repeat_edge: bool = False) -> Tensor:
    """Indices [before + length + after] that extend an axis by reflection as often as it takes; repeat_edge: the edge pixel
    counts twice."""
    at = torch.arange(-before, length + after)
    if length == 1:
        return torch.zeros_like(at)
    if repeat_edge:
        at = at % (2 * length)
        return torch.minimum(at, 2 * length - 1 - at)
    at = at % (2 * length - 2)
    return torch.minimum(at, 2 * length - 2 - at)
