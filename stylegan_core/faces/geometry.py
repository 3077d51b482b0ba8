"""Places of a crop and of its photograph: which pixel lies where in the other."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .align import FaceTransform

Region = tuple[int, int, int, int]
"""x0, y0, x1, y1 in whole pixels."""


def place_grid(size: int) -> Tensor:
    """[size, size, 2]: the places of a crop's pixels in its own frame, -1 to 1."""
    at = (torch.arange(size, dtype=torch.float32) + 0.5) / size * 2 - 1
    return torch.stack(torch.broadcast_tensors(at[None], at[:, None]), -1)


def superellipse(place: Tensor, center: tuple[float, float], radii: tuple[float, float], power: float) -> Tensor:
    """[h, w]: below 1 inside the rounded ellipse."""
    return ((place - place.new_tensor(center)) / place.new_tensor(radii)).abs().pow(power).sum(-1).pow(1 / power)


def dilated(masks: Tensor, reach: int) -> Tensor:
    """[B, C, h, w] -> the same: each pixel the largest of the square of `reach` pixels about it, rows first, then columns."""
    size = 2 * reach + 1
    across = functional.max_pool2d(masks, (1, size), 1, (0, reach))
    return functional.max_pool2d(across, (size, 1), 1, (reach, 0))


def crop_grid(transform: FaceTransform, region: Region) -> Tensor:
    """[h, w, 2]: where in the crop's frame (-1 to 1) each pixel of the region lies."""
    corners = transform.sampled
    axes = torch.stack([corners[3] - corners[0], corners[1] - corners[0]])
    x0, y0, x1, y1 = region
    x, y = (torch.arange(a, b, dtype=torch.float64) + 0.5 for a, b in ((x0, x1), (y0, y1)))
    inverse = 2 * torch.linalg.inv(axes)
    # the sum of a row's and a column's share: no [h, w, 2] of float64 products
    return ((x - corners[0, 0])[None, :, None] * inverse[0] + (y - corners[0, 1])[:, None, None] * inverse[1]) - 1


def photo_grid(size: int, transform: FaceTransform, image: Tensor) -> Tensor:
    """[size, size, 2]: where in the photo (-1 to 1) each pixel of a crop of that size lies."""
    corners = transform.sampled
    steps = (torch.arange(size, dtype=torch.float64) + 0.5)[:, None] / size
    at = corners[0] + (corners[3] - corners[0]) * steps + ((corners[1] - corners[0]) * steps)[:, None]
    return (at / at.new_tensor([image.shape[2], image.shape[1]]) * 2 - 1).to(image)


def sample(picture: Tensor, grid: Tensor, mode: str, outside: str = "border") -> Tensor:
    """[C, H, W] at places [h, w, 2] (-1 to 1) -> [C, h, w]."""
    return functional.grid_sample(picture[None], grid[None], mode=mode, padding_mode=outside, align_corners=False)[0]
