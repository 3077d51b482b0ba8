"""A still picture made a clip: a window that wanders and zooms over it, there and back, so that the clip can repeat."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import InvalidInput
from ..runtime import OnStep

BREATH = 0.12
"""How much the window grows and shrinks, as a share of its mean side."""
FINER = 2
"""Samples a pixel and axis: fine lines must not flicker as the window moves."""


def moving_crop(image: Tensor, frames: int = 48, size: int = 320, zoom: float = 1.5, sway: float = 0.15, x: float = 0.4,
                y: float = 0.1, on_step: OnStep | None = None) -> Tensor:
    """[C, H, W] or [1, C, H, W] -> [frames, C, size, size], one round of a square window of side min(H, W) / zoom.

    x, y: its mean place, 0 (left, top) to 1 (right, bottom). sway: how far it wanders from there, in the same measure; it
    stops at the picture's edge. Raises InvalidInput.
    """
    picture = image[0] if image.ndim == 4 and len(image) == 1 else image
    if picture.ndim != 3 or 0 in picture.shape:
        raise InvalidInput(f"A moving crop got a picture of shape {list(image.shape)}; give one [channels, height, width].")
    if frames < 1 or size < 1 or not (zoom >= 1 + BREATH and 0 <= sway <= 1 and 0 <= x <= 1 and 0 <= y <= 1):
        raise InvalidInput(f"A moving crop got {frames} frames of {size} px at zoom {zoom}, sway {sway}, place {x}, {y}; use "
                           f"at least 1 frame and pixel, zoom from {1 + BREATH} on, and 0 to 1 for the others.")
    picture = _shrunk(picture, FINER * size * zoom / (1 - BREATH))
    height, width = picture.shape[1:]
    clip = picture.new_empty(frames, len(picture), size, size)
    for t in range(frames):
        turn = 2 * math.pi * t / frames
        side = min(height, width) / zoom * (1 + BREATH * math.cos(turn))
        left = min(max(x + sway * math.sin(turn), 0), 1) * (width - side)
        top = min(max(y + sway * math.sin(2 * turn) / 2, 0), 1) * (height - side)
        clip[t] = _window(picture, left, top, side, size)
        if on_step is not None:
            on_step(t + 1, frames, None)
    return clip


def _shrunk(picture: Tensor, side: float) -> Tensor:
    """No finer than the windows need it."""
    scale = side / min(picture.shape[1:])
    if scale >= 1:
        return picture
    smaller = [max(1, round(n * scale)) for n in picture.shape[1:]]
    return functional.interpolate(picture[None], size=smaller, mode="bilinear", antialias=True)[0]


def _window(picture: Tensor, left: float, top: float, side: float, size: int) -> Tensor:
    """The square at (left, top) in pixel edges, [C, size, size]."""
    steps = (torch.arange(size * FINER, dtype=torch.float64) + 0.5) / (size * FINER) * side
    across, down = ((start + steps) / length * 2 - 1 for start, length in ((left, picture.shape[2]), (top, picture.shape[1])))
    grid = torch.stack(torch.meshgrid(across, down, indexing="xy"), -1).to(picture)
    fine = functional.grid_sample(picture[None], grid[None], padding_mode="border", align_corners=False)
    return functional.avg_pool2d(fine, FINER)[0]
