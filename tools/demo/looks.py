"""The three looks as picture-to-picture programs: what the family's fine layers learn.

Figurine and ink begin with the x4 clean-line network, which takes a picture's grain away and draws its edges anew. Needs OpenCV
and scikit-image (the extra `tools`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from kornia.color import lab_to_rgb, rgb_to_lab
from kornia.filters import gaussian_blur2d, spatial_gradient
from skimage.morphology import remove_small_objects, skeletonize
from torch import Tensor

from stylegan_core.networks.line_network import LineNetwork
from tools.demo.strokes import Brush, painted

Look = Callable[[Tensor], Tensor]
NETWORK = LineNetwork.embedded()
OIL = (Brush(34, 0, 5, 11, 3, 2.5), Brush(20, 12, 6, 9, 4, 3), Brush(10, 15, 7, 6, 4, 3.5), Brush(5, 19, 8, 4, 3, 3),
       Brush(2.5, 24, 8, 2, 2, 2))
"""Brushes for 1024 px, the error of the first without meaning: it covers everything."""


@torch.no_grad()
def redraw(images: Tensor, times: int = 1, small: int = 256, size: int = 1024) -> Tensor:
    """images [B, 3, S, S] in [0, 1] -> [B, 3, size, size]: reduced to `small` px and enlarged by the network, `times` times."""
    for _ in range(times):
        with torch.autocast("cpu", torch.bfloat16):
            images = NETWORK(F.interpolate(images, (small, small), mode="area")).float().clamp(0, 1)
    return F.interpolate(images, (size, size), mode="area") if images.shape[-1] != size else images


def graded(images: Tensor, lift: float, contrast: float, chroma: float, warmth: float = 0.0) -> Tensor:
    """Lightness around the middle, chroma and warmth (towards yellow and red), in Lab; images in [0, 1]."""
    lab = rgb_to_lab(images)
    light = 50 + (lab[:, :1] - 50) * contrast + lift * torch.sin(math.pi * (lab[:, :1] / 100).clamp(0, 1))
    tint = torch.tensor([0.4, 1.0]).view(1, 2, 1, 1) * warmth * torch.sin(math.pi * (lab[:, :1] / 100).clamp(0, 1))
    return lab_to_rgb(torch.cat([light.clamp(0, 100), lab[:, 1:] * chroma + tint], 1)).clamp(0, 1)


def stepped(images: Tensor, levels: float, softness: float, share: float = 1.0) -> Tensor:
    """Lightness in `levels` steps, their edges the sharper the larger `softness`; `share` of the way there. In [0, 1]."""
    lab = rgb_to_lab(images)
    at = lab[:, :1] / 100 * levels
    steps = (at.floor() + torch.sigmoid((at - at.floor() - 0.5) * softness)) / levels * 100
    return lab_to_rgb(torch.cat([torch.lerp(lab[:, :1], steps, share), lab[:, 1:]], 1)).clamp(0, 1)


def figurine(images: Tensor) -> Tensor:
    """Animation film: smooth warm skin, soft shading, clean highlights."""
    return graded(redraw(images, 2), lift=6.0, contrast=1.03, chroma=1.18, warmth=2.0)


def flow(images: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """images [B, 3, H, W] -> angle of the strokes [B, 1, H, W] (along edges), and how sure it is, 0..1 (structure tensor)."""
    d = spatial_gradient(images)
    products = torch.stack([(d[:, :, a] * d[:, :, b]).sum(1) for a, b in ((0, 0), (0, 1), (1, 1))], 1)
    size = int(6 * sigma) | 1
    xx, xy, yy = gaussian_blur2d(products, (size, size), (sigma, sigma)).split(1, 1)
    spread = ((xx - yy).square() + 4 * xy.square()).sqrt()
    return 0.5 * torch.atan2(2 * xy, xx - yy) + math.pi / 2, spread / (xx + yy + 1e-6)


def along_flow(x: Tensor, angle: Tensor, reach: int) -> Tensor:
    """x [B, C, H, W] averaged along the strokes, `reach` px to each side."""
    h, w = x.shape[-2:]
    rows, columns = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
    start = torch.stack([columns, rows], -1)[None].expand(len(x), -1, -1, -1)
    scale = torch.tensor([2 / w, 2 / h])
    doubled = torch.cat([(2 * angle).cos(), (2 * angle).sin()], 1)  # an angle and its opposite are one stroke
    total, count = x.clone(), 1
    for sign in (-1.0, 1.0):
        at, heading = start, None
        for _ in range(reach):
            found = F.grid_sample(doubled, at * scale - 1, align_corners=False, padding_mode="border")
            theta = 0.5 * torch.atan2(found[:, 1], found[:, 0])
            step = torch.stack([theta.cos(), theta.sin()], -1)
            step = sign * step if heading is None else step * torch.sign((step * heading).sum(-1, keepdim=True) + 1e-9)
            heading, at = step, at + step
            total, count = total + F.grid_sample(x, at * scale - 1, align_corners=False, padding_mode="border"), count + 1
    return total / count


@torch.no_grad()
def painting(images: Tensor) -> Tensor:
    """Oil: strokes along the flow, broad ones first, their relief lit."""
    vivid = graded(images, lift=5.0, contrast=1.05, chroma=1.3)
    layers = [painted((x * 255).round().byte().permute(1, 2, 0).numpy(), OIL, relief=7.0) for x in vivid]
    return torch.stack([torch.from_numpy(x).permute(2, 0, 1).float() / 255 for x in layers])


@torch.no_grad()
def ink(images: Tensor, width: float = 2.0) -> Tensor:
    """Flat colors and closed lines of one width (in px of 512)."""
    clean = F.interpolate(redraw(images, 2), (512, 512), mode="area")
    return redraw(torch.stack([_ink(x[None], width)[0] for x in clean]), small=512)


def _ink(clean: Tensor, width: float) -> Tensor:
    flat = _flat(clean)
    angle, _ = flow(clean, 2.0)
    light = rgb_to_lab(clean)[:, :1] / 100
    edges = gaussian_blur2d(light, (9, 9), (1.2, 1.2)) - 0.985 * gaussian_blur2d(light, (15, 15), (2.2, 2.2))
    response = along_flow(edges, angle, 8)
    mask = (response[0, 0] < -0.0035).numpy()
    skeleton = skeletonize(remove_small_objects(mask, max_size=80))
    skeleton = remove_small_objects(skeleton, max_size=26, connectivity=2)
    distance = cv2.distanceTransform((~skeleton).astype(np.uint8), cv2.DIST_L2, 5)
    line = torch.from_numpy(1 - np.clip(distance - width / 2 + 0.5, 0, 1))[None, None].float()
    color = torch.tensor([0.13, 0.08, 0.10]).view(1, 3, 1, 1)
    return torch.lerp(flat, color.expand_as(flat), line)


def _flat(clean: Tensor, levels: float = 5.0) -> Tensor:
    """Regions of one color: mean shift, then soft steps of lightness."""
    rgb = (clean[0].permute(1, 2, 0) * 255).byte().numpy()
    rgb = cv2.pyrMeanShiftFiltering(rgb, 10, 22)
    plain = torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255
    return graded(stepped(plain, levels, 16.0, 0.75), lift=5.0, contrast=1.0, chroma=1.2)


LOOKS: dict[str, Look] = {"figurine": figurine, "ink": ink, "painting": painting}
