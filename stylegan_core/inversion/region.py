"""Where an inversion looks: a mask, and more weight around the points of the face."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import InvalidInput
from ..faces.detection import detect_faces

RADIUS = 0.05
"""Standard deviation of the bell around each face point, as a share of the side: about an eye's half width."""


def region_weight(targets: Tensor, size: int, mask: Tensor | None, landmarks: float) -> tuple[Tensor | None, list[str]]:
    """How much each pixel of targets [B, 3, H, H] counts -> [B, 1, size, size] (None: all alike), and notes to the user.

    mask: [1|B, h, h] in [0, 1]; 1 counts, 0 does not. landmarks: what a pixel at one of the five face points counts on top
    of 1. Raises InvalidInput.
    """
    if mask is None and not landmarks:
        return None, []
    weight = targets.new_ones(len(targets), 1, size, size) if mask is None else _shrunk(mask, len(targets), size).to(targets)
    if not landmarks:
        return weight, []
    bells, without = _bells(targets, size)
    notes = [f"No face was found in image {i + 1}; its landmarks weigh nothing extra." for i in without]
    return weight * (1 + landmarks * bells), notes


def _shrunk(mask: Tensor, batch: int, size: int) -> Tensor:
    """-> [B, 1, size, size]."""
    if mask.ndim != 3 or len(mask) not in (1, batch) or mask.shape[1] != mask.shape[2] or not mask.numel():
        raise InvalidInput(f"The mask has shape {list(mask.shape)} for {batch} square images; give [1 or {batch}, size, size], "
                           f"cut out as the images are.")
    if not torch.isfinite(mask).all() or mask.min() < 0 or mask.max() > 1:
        raise InvalidInput("The mask holds values outside 0 to 1; give 1 where the picture counts and 0 elsewhere.")
    empty = [i + 1 for i, one in enumerate(mask) if not one.any()]
    if empty:
        raise InvalidInput(f"Mask {empty[0]} is empty, so nothing counts; paint what does, or leave the mask out.")
    return functional.interpolate(mask[:, None].float(), (size, size), mode="area").expand(batch, -1, -1, -1)


def _bells(targets: Tensor, size: int) -> tuple[Tensor, list[int]]:
    """The largest of five Gaussians at each pixel, [B, 1, size, size], and the images that show no face."""
    grid = (torch.arange(size, device=targets.device) + 0.5) / size
    bells, without = targets.new_zeros(len(targets), 1, size, size), []
    for i, found in enumerate(detect_faces(targets.nan_to_num())):
        if not found:
            without.append(i)
            continue
        x, y = ((found[0].points.to(targets) + 0.5) / targets.shape[-1]).unbind(1)
        apart = (grid - x[:, None]).square()[:, None, :] + (grid - y[:, None]).square()[:, :, None]
        bells[i, 0] = (-apart / (2 * RADIUS**2)).exp().amax(0)
    return bells, without
