"""The demo's drawing style, made by hand: geometry moved around five face points, then cel shading with ink.

Geometry (`move`) is what the coarse layers learn, rendering (`draw`) what the fine layers learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from kornia.color import lab_to_rgb, rgb_to_grayscale, rgb_to_lab
from kornia.filters import bilateral_blur, gaussian_blur2d
from torch import Tensor

from stylegan_core.faces.detection import detect_faces

MEAN_POINTS = np.float32([[98, 123], [158, 123], [128, 157], [103, 188], [153, 188]])
"""Where FFHQ alignment puts the five points at 256 px; stands in where the detector finds none."""


@dataclass(frozen=True)
class Shape:
    """Displacements in units of the eye distance; 0 leaves the part alone, negative shrinks it."""

    eyes: float = 0.42
    lids: float = 0.0
    """Added to `eyes` upwards and downwards only: opens the lids, where magnifying alike makes slits of half-closed eyes."""
    brows: float = 0.0
    """How far the brows rise."""
    nose: float = -0.26
    jaw: float = 0.30
    chin: float = 0.12
    cranium: float = 0.12
    mouth: float = 0.0


@dataclass(frozen=True)
class Rendering:
    """How a face is drawn."""

    levels: float = 6.0
    """Steps of lightness between black and white."""
    flatness: float = 0.75
    """0 keeps the smoothed lightness, 1 shows nothing but the steps."""
    chroma: float = 1.35
    chroma_limit: float = 46.0
    lift: float = 7.0
    ink: tuple[float, float, float] = (0.16, 0.09, 0.10)
    line: float = 0.975
    """Weight of the wider Gaussian in the difference of Gaussians; nearer 1 draws more lines."""
    duotone: float = 0.0
    """How far the colors give way to the ramp from `shadow` to `light`."""
    shadow: tuple[float, float, float] = (0.0, 0.0, 0.0)
    light: tuple[float, float, float] = (1.0, 1.0, 1.0)


def face_points(images: Tensor) -> np.ndarray:
    """[B, 5, 2] pixels of the largest face of each image in [-1, 1]."""
    found = detect_faces(images, min_size=80)
    return np.stack([np.asarray(f[0].points, np.float32) if f else MEAN_POINTS for f in found])


def pixel_grid(size: int) -> Tensor:
    """[size, size, 2]: centre (x, y) of each pixel."""
    axis = torch.arange(size) + 0.5
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y], dim=-1)


def move(images: Tensor, points: Tensor, shape: Shape = Shape()) -> Tensor:  # noqa: B008 (frozen)
    """images [B, 3, S, S] in [0, 1], points [B, 5, 2] pixels (eyes, nose, mouth corners) -> moved images."""
    size, b = images.shape[-1], len(images)
    at = pixel_grid(size)[None]
    left, right, nose = points[:, 0], points[:, 1], points[:, 2]
    eyes, mouth = (left + right) / 2, (points[:, 3] + points[:, 4]) / 2
    unit = (right - left).norm(dim=-1).view(b, 1, 1)

    def around(center: Tensor, radius: float) -> tuple[Tensor, Tensor]:
        away = at - center.view(b, 1, 1, 2)
        return away, ((1 - (away.norm(dim=-1) / (radius * unit)).clamp(max=1) ** 2) ** 2)[..., None]

    def magnify(center: Tensor, radius: float, gain: float, upright: float = 0.0) -> Tensor:
        away, falloff = around(center, radius)
        return -away * falloff * torch.tensor([gain, gain + upright])

    offset = magnify(left, 0.60, shape.eyes, shape.lids) + magnify(right, 0.60, shape.eyes, shape.lids)
    offset = offset + magnify(nose, 0.5, shape.nose) + magnify(mouth, 0.8, shape.mouth)
    offset = offset + magnify(eyes - 0.75 * (mouth - eyes), 1.5, shape.cranium)
    up = (eyes - mouth) / (eyes - mouth).norm(dim=-1, keepdim=True)
    for eye in (left, right):
        at_brow = around(eye + 0.38 * up * unit.view(b, 1), 0.55)[1]
        offset = offset - at_brow * (shape.brows * unit[..., None] * up.view(b, 1, 1, 2))
    chin_y = (mouth + 0.55 * (mouth - eyes))[:, 1]
    down = (at[..., 1] - nose[:, 1].view(b, 1, 1)) / (chin_y - nose[:, 1]).view(b, 1, 1)
    inward = at[..., 0] - ((eyes + mouth) / 2)[:, 0].view(b, 1, 1)
    jaw = torch.sigmoid((down - 0.55) * 6) * torch.sigmoid((1.9 - down) * 5) * torch.exp(-((inward / unit / 1.25) ** 4))
    offset = offset + torch.stack([inward * jaw * shape.jaw, unit * jaw * shape.chin], dim=-1)
    where = (at + offset) * (2 / size) - 1
    return F.grid_sample(images, where, mode="bicubic", padding_mode="reflection", align_corners=False).clamp(0, 1)


def draw(images: Tensor, style: Rendering = Rendering()) -> Tensor:  # noqa: B008 (frozen)
    """images [B, 3, S, S] in [0, 1] -> the same drawn: flat steps of lightness, limited chroma, ink lines (XDoG)."""
    return paint(smoothed(images), lines(images, style.line), style)


def smoothed(images: Tensor) -> Tensor:
    """images [B, 3, S, S] in [0, 1] without small texture, edges kept."""
    for _ in range(4):
        images = bilateral_blur(images, (7, 7), 0.08, (3.0, 3.0))
    return images


def lines(images: Tensor, weight: float = Rendering.line) -> Tensor:
    """images [B, 3, S, S] in [0, 1] -> [B, 1, S, S]: 1 is paper, 0 is ink (XDoG, Winnemoeller et al. 2012)."""
    gray = rgb_to_grayscale(bilateral_blur(images, (7, 7), 0.1, (2.0, 2.0)))
    edges = gaussian_blur2d(gray, (9, 9), (1.0, 1.0)) - weight * gaussian_blur2d(gray, (13, 13), (1.8, 1.8))
    return ((torch.sigmoid(edges * 160) - 0.15) / 0.5).clamp(0, 1)


def paint(smooth: Tensor, paper: Tensor, style: Rendering) -> Tensor:
    """What smoothed and lines gave of a picture -> the drawing [B, 3, S, S] in [0, 1]."""
    lab = rgb_to_lab(smooth)
    steps = lab[:, :1] / 100 * style.levels
    stepped = (steps.floor() + torch.sigmoid((steps - steps.floor() - 0.5) * 14)) / style.levels * 100
    lightness = (1 - style.flatness) * lab[:, :1] + style.flatness * stepped
    chroma = lab[:, 1:].norm(dim=1, keepdim=True) + 1e-4
    limited = lab[:, 1:] / chroma * style.chroma_limit * torch.tanh(chroma * style.chroma / style.chroma_limit)
    flat = lab_to_rgb(torch.cat([(lightness - 50) * 1.1 + 50 + style.lift, limited], dim=1)).clamp(0, 1)
    if style.duotone:
        shadow, light = (torch.tensor(c).view(1, 3, 1, 1) for c in (style.shadow, style.light))
        tone = ((rgb_to_lab(flat)[:, :1] - 8) / 84).clamp(0, 1)
        flat = torch.lerp(flat, torch.lerp(shadow, light, tone), style.duotone)
    return flat * paper + torch.tensor(style.ink).view(1, 3, 1, 1) * (1 - paper)
