"""A picture laid on in brush strokes, broad ones first, finer ones where the paint is still wrong (Hertzmann 1998,
"Painterly rendering with curved brush strokes of multiple sizes"). Needs OpenCV (the extra `tools`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from einops import rearrange
from numpy.typing import NDArray

Floats = NDArray[np.float32]
COARSER = 4
"""By how much smaller the picture is in which the flow is found."""
SMOOTH = 6.0
"""px over which the flow of the finest brush is smoothed; a broader one adds its radius."""
UNEVEN = 0.6
"""How far bristles begin before or behind the stroke's start, in steps."""


@dataclass(frozen=True)
class Brush:
    """One layer of paint."""

    radius: float
    """px."""
    error: float
    """A stroke is set where the paint is off by this much (mean distance in Lab)."""
    steps: int
    """Longest stroke, in steps of a radius."""
    bristles: int
    tint: float
    """Spread of a stroke's color, in Lab."""
    spread: float
    """Spread of lightness among the bristles of one stroke, in Lab."""


def directions(lab: Floats, sigma: float) -> Floats:
    """Lab picture [H, W, 3] -> unit vectors along its edges [H, W, 2] (x, y), smoothed over `sigma` px."""
    h, w = lab.shape[:2]
    lab = cv2.resize(lab, (w // COARSER, h // COARSER), interpolation=cv2.INTER_AREA)
    dx, dy = cv2.Sobel(lab, cv2.CV_32F, 1, 0), cv2.Sobel(lab, cv2.CV_32F, 0, 1)
    xx, xy, yy = (cv2.GaussianBlur((a * b).sum(2), (0, 0), sigma / COARSER) for a, b in ((dx, dx), (dx, dy), (dy, dy)))
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2
    return cv2.resize(np.stack([np.cos(angle), np.sin(angle)], -1).astype(np.float32), (w, h), interpolation=cv2.INTER_NEAREST)


def starts(off: Floats, brush: Brush, rng: np.random.RandomState) -> NDArray[np.int64]:
    """Where strokes begin [N, 2] (x, y): in each cell of the brush's grid that is wrong, where it is most wrong."""
    cell = max(int(brush.radius), 2)
    rows, columns = off.shape[0] // cell, off.shape[1] // cell
    cells = rearrange(off[: rows * cell, : columns * cell], "(i h) (j w) -> i j (h w)", h=cell, w=cell)
    row, column = np.nonzero(cells.mean(2) > brush.error)
    at = cells[row, column].argmax(1)
    points = np.stack([column * cell + at % cell, row * cell + at // cell], 1)
    return points[rng.permutation(len(points))]


def traced(points: NDArray[np.int64], lab: Floats, paint: Floats, flow: Floats, brush: Brush
           ) -> tuple[Floats, NDArray[np.int64]]:
    """Strokes [N, steps + 1, 2] along the flow, and how many of their points hold: a stroke ends where the paint already
    is nearer the picture than the stroke's own color."""
    h, w = lab.shape[:2]
    color = lab[points[:, 1], points[:, 0]]
    path, alive = [points.astype(np.float32)], np.ones(len(points), bool)
    heading, counts = np.zeros((len(points), 2), np.float32), np.ones(len(points), np.int64)
    for step in range(brush.steps):
        x, y = path[-1].round().astype(int).T
        ahead = flow[y.clip(0, h - 1), x.clip(0, w - 1)]
        ahead = ahead * np.where((ahead * heading).sum(1, keepdims=True) < 0, -1, 1)
        heading = 0.5 * heading + 0.5 * ahead if step else ahead
        heading /= np.linalg.norm(heading, axis=1, keepdims=True) + 1e-6
        path.append(path[-1] + heading * brush.radius)
        x, y = path[-1].round().astype(int).T
        inside = (x >= 0) & (y >= 0) & (x < w) & (y < h)
        at = y.clip(0, h - 1), x.clip(0, w - 1)
        better = np.linalg.norm(lab[at] - color, axis=1) <= np.linalg.norm(lab[at] - paint[at], axis=1)
        alive &= inside & (better | (step < 2))
        counts += alive
    return np.stack(path, 1), counts


def bristles(paths: Floats, brush: Brush, rng: np.random.RandomState) -> Floats:
    """Strokes [N, P, 2] -> the paths of their bristles [N, bristles, P, 2], side by side, with uneven ends."""
    along = np.gradient(paths, axis=1)
    across = np.stack([-along[..., 1], along[..., 0]], -1)
    across /= np.linalg.norm(across, axis=-1, keepdims=True) + 1e-6
    sides = np.linspace(-1, 1, brush.bristles)[:, None, None] * brush.radius
    ends = rng.uniform(-UNEVEN, UNEVEN, (len(paths), brush.bristles, 1, 1))
    return paths[:, None] + across[:, None] * sides + along[:, None] * ends


def lay(canvas: NDArray[np.uint8], wanted: NDArray[np.uint8], brush: Brush, ground: bool, rng: np.random.RandomState) -> None:
    """One layer of strokes on canvas [H, W, 4] (Lab as OpenCV has it in bytes, and height); ground: everywhere."""
    lab, paint = cv2.GaussianBlur(wanted, (0, 0), brush.radius * 0.5).astype(np.float32), canvas[..., :3].astype(np.float32)
    off = np.full(lab.shape[:2], 255, np.float32) if ground else np.linalg.norm(lab - paint, axis=2)
    points = starts(off, brush, rng)
    if not len(points):
        return
    paths, counts = traced(points, lab, paint + 255 if ground else paint, directions(lab, SMOOTH + brush.radius), brush)
    many = (len(points), brush.bristles)
    colors = np.empty((*many, 4), np.float32)
    colors[..., :3] = (lab[points[:, 1], points[:, 0]] + rng.randn(len(points), 3) * brush.tint * (1, 0.7, 0.7))[:, None]
    colors[..., 0] += rng.randn(*many) * brush.spread
    colors[..., 3] = rng.randint(90, 220, many)
    lines = np.round(bristles(paths, brush, rng) * 16).astype(np.int32)
    thickness = max(1, round(2.2 * brush.radius / brush.bristles))
    for stroke, shades, count in zip(lines, colors.clip(0, 255).tolist(), counts, strict=True):
        for line, shade in zip(stroke, shades, strict=True):
            cv2.polylines(canvas, [line[:count]], False, shade, thickness, cv2.LINE_AA, 4)


def painted(image: NDArray[np.uint8], brushes: Sequence[Brush], relief: float, seed: int = 0) -> NDArray[np.uint8]:
    """RGB bytes [H, W, 3] -> the same in strokes, the paint's relief lit from the upper left by `relief` (in Lab)."""
    rng = np.random.RandomState(seed)
    wanted = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    canvas = np.zeros((*image.shape[:2], 4), np.uint8)
    for number, brush in enumerate(brushes):
        lay(canvas, wanted, brush, number == 0, rng)
    height = cv2.GaussianBlur(canvas[..., 3].astype(np.float32), (0, 0), 0.8)
    slope = cv2.Sobel(height, cv2.CV_32F, 1, 0) + cv2.Sobel(height, cv2.CV_32F, 0, 1)
    lab = canvas[..., :3].astype(np.float32)
    lab[..., 0] += relief * np.clip(slope / 100, -2, 2)
    return cv2.cvtColor(lab.clip(0, 255).round().astype(np.uint8), cv2.COLOR_LAB2RGB)
