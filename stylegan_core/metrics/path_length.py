"""Perceptual path length (Karras et al. 2019, 1812.04948, section 4.1): how evenly a generator's pictures change."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..errors import InvalidInput
from ..latents import lerp, slerp
from ..networks.generators.base import Generator

EPSILON = 1e-4
PERCEPTUAL_SIZE = 256
"""Larger pictures are averaged down to this before the perceptual network."""

Space = Literal["z", "w"]


def perceptual_path_length(distances: Tensor) -> float:
    """distances [n], already divided by epsilon^2 -> their mean without those beyond the 1st and 99th percentiles."""
    d = np.asarray(distances.detach().cpu(), np.float64).reshape(-1)
    if not d.size:
        raise InvalidInput("A path length needs distances and got none; sample at least one pair.")
    low, high = np.percentile(d, 1, method="lower"), np.percentile(d, 99, method="higher")
    return float(d[(d >= low) & (d <= high)].mean())


def ppl_endpoints(generator: Generator, z0: Tensor, z1: Tensor, t: Tensor, epsilon: float = EPSILON, space: Space = "w",
                  c: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """z0, z1 [B, z_dim], t [B] -> the ws [B, num_ws, w_dim] at t and t + epsilon of the paths from z0 to z1.

    space "w": straight lines between the mapped codes; "z": great circles of the normalised codes, mapped afterwards.
    t uniform in 0..1 for full paths, 0 for "end". Nothing is truncated and w_avg does not move.
    """
    if space == "w":
        w0, w1 = generator.mapping(torch.cat([z0, z1]), None if c is None else torch.cat([c, c])).chunk(2)
        at = t.to(w0).view(-1, 1, 1)
        return lerp(w0, w1, at), lerp(w0, w1, at + epsilon)
    if space != "z":
        raise InvalidInput(f'Paths can\'t be taken in space "{space}"; use "z" or "w".')
    z0, z1, at = functional.normalize(z0, dim=1), functional.normalize(z1, dim=1), t.to(z0).view(-1, 1)
    first, second = (functional.normalize(slerp(z0, z1, at + step), dim=1) for step in (0.0, epsilon))
    return generator.mapping(first, c), generator.mapping(second, c)


def ppl_images(images: Tensor, crop: bool) -> Tensor:
    """images [B, C, H, W] in about [-1, 1] -> what the perceptual network sees, in 0..255, unclamped, 256 px at most.

    crop: rows 3/8..7/8 and columns 2/8..6/8, the face of an FFHQ frame. The side after cropping is what is averaged down to
    256 px, as StyleGAN1's code has it (StyleGAN2-ADA's divides by the side before it, so that a 1024 px face ends at 128 px).
    """
    if crop:
        eighth = images.shape[-1] // 8
        images = images[..., 3 * eighth : 7 * eighth, 2 * eighth : 6 * eighth]
    factor = images.shape[-1] // PERCEPTUAL_SIZE
    if factor > 1:
        images = functional.avg_pool2d(images, factor)
    return (images + 1) * 127.5
