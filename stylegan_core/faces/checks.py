"""What no later step may meet: pixels that are no numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InvalidInput


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
