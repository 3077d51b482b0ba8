"""Pictures brought to the size and channels that a network or a loss takes."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def resize_area(images: Tensor, size: int) -> Tensor:
    """[B, C, H, W] -> [B, C, size, size]: area means when shrinking (exact for whole factors), else bicubic."""
    if images.shape[-2:] == (size, size):
        return images
    if images.shape[-1] > size:
        return F.interpolate(images, (size, size), mode="area")
    return F.interpolate(images, (size, size), mode="bicubic", align_corners=False)


def to_rgb(images: Tensor) -> Tensor:
    """[B, 1|3|4, H, W] -> [B, 3, H, W]: gray repeats, alpha is left out."""
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images[:, :3]
