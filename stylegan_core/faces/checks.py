"""What no later step may meet: pixels that are no numbers or of another range, pictures in which nothing can be seen."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import InvalidInput

MOST = 1.5
"""Of pixels in [-1, 1]: filters overshoot, other ranges ([0, 255]) go far beyond."""
SMALLEST = 8
"""Pixels of a side; below, not even a face's light and dark places are apart."""


def check_finite(images: Tensor, what: str) -> None:
    """Raise InvalidInput if images [B, C, H, W], or one of fewer dimensions, hold NaN or infinite pixels.

    what: begins the sentence.
    """
    if images.numel() == 0 or torch.isfinite(images.sum()):  # one pass without a copy; a sum can also overflow
        return
    batch = images if images.ndim == 4 else images[None]
    broken = [i + 1 for i, image in enumerate(batch) if not torch.isfinite(image).all()]
    if broken:
        number = f" {broken[0]}" if images.ndim == 4 else ""
        raise InvalidInput(f"{what}{number} holds NaN or infinite pixels; leave it out, or make it again.")


def check_range(images: Tensor, what: str) -> None:
    """Raise InvalidInput if finite pixels lie outside about [-1, 1]; others are passed over.

    what: begins the sentence, which tells the range in ComfyUI's numbers too.
    """
    if images.numel() == 0:
        return
    low, high = map(float, images.aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):  # the copy is made for such alone
        low, high = map(float, images.nan_to_num(0, 0, 0).aminmax())
    if max(-low, high) > MOST:
        raise InvalidInput(f"{what} holds pixels from {low:.4g} to {high:.4g} and [-1, 1] is expected (as an IMAGE: from "
                           f"{(low + 1) / 2:.4g} to {(high + 1) / 2:.4g}, [0, 1] expected); bring it into this range, bytes by "
                           f"dividing by 255.")


def check_side(images: Tensor, what: str) -> None:
    """Raise InvalidInput unless pictures [..., H, W] are SMALLEST px on either side. what: begins the sentence."""
    height, width = images.shape[-2:]
    if min(height, width) < SMALLEST:
        raise InvalidInput(f"{what} of {width} x {height} px shows nothing to go by; give pictures of {SMALLEST} px or more on "
                           f"either side.")
