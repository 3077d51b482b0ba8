"""A new head in the place of the old one: which of a crop is pasted, and what lies where the old head stood out.

A toon's jaw is narrower than the photograph's. Pasted alone it leaves the old jaw beside it, a second contour. So the
paste covers both outlines, and between them the crop's own surroundings (neck, hair, what its model drew behind the head)
take the colors of the photograph's: their difference, known all around, is carried inwards smoothly (as Perez et al. 2003
do for a whole patch, here for the surroundings alone, so that nothing bleeds into the face).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .frame import crop_points
from .head_mask import head_mask
from .resample import gaussian_blur

WORK_SIZE = 256
"""Pixels a side at which outlines are found and colors carried."""
SLACK = 0.03
"""How far the new head may stand out beyond the old one, as a share of the side: more would cover hands, hats, collars."""
RIM = 0.012
"""Of the old head's outline, which the soft edge would leave as a line."""
UNCOVERED = 0.14
"""How far from the new head the old one may have stood out: what lies farther off, such as an arm, was no head."""
UNSURE = (0.3, 0.8)
"""A head mask between these is the soft edge of what is pasted: what is less sure stays the photograph's."""
EDGE = 3.0
DOUBT = 2.0
"""The mask of a head is generous: what it is unsure of by half is taken for surroundings where colors are carried."""
SOLID = 0.5
"""A head mask of more counts as head where colors are carried around it."""


@dataclass(eq=False)
class KnownHead:
    """The photograph's own head, found once for all that is pasted over it, and again where the photograph is another."""

    digest: bytes = b""
    points: Tensor | None = None
    """[5, 2] as shares of the crop's side; None where no face is seen."""
    mask: Tensor | None = None
    """[1, 256, 256]."""

    def of(self, photo: Tensor, seen: Tensor | None) -> tuple[Tensor | None, Tensor]:
        """photo and seen, [3, 256, 256] each -> points and mask."""
        digest = hashlib.blake2b(b"".join(x.cpu().numpy().tobytes() for x in (photo, seen) if x is not None)).digest()
        if self.mask is None or digest != self.digest:
            (self.points,), self.digest = crop_points(photo[None]), digest
            self.mask = head_mask(photo[None], None if seen is None else seen[None], [self.points])[0]
        return self.points, self.mask.to(photo)


@torch.no_grad()
def replace_head(crop: Tensor, photo: Tensor, seen: Tensor | None = None,
                 known: KnownHead | None = None) -> tuple[Tensor, Tensor]:
    """crop [3, S, S], the new face; photo [3, s, s], what it replaces -> the crop with the photograph's colors around its
    head, and the mask [1, 256, 256] (0 to 1) of what to paste.

    seen: what a face model made of the photograph, [3, s', s']; with it hands, hats and glasses before the head are kept.
    known: remembers the photograph's head for the next crop.
    """
    small, new = _at(photo, WORK_SIZE), _at(crop, WORK_SIZE)
    found, old_head = (known or KnownHead()).of(small, None if seen is None else _at(seen, WORK_SIZE))
    points = [found]
    new_head = head_mask(new[None], None, points)[0] * _grown(old_head, SLACK)
    near = gaussian_blur(_grown(new_head, UNCOVERED), EDGE)
    both = ((torch.maximum(_grown(old_head, RIM) * near, new_head) - UNSURE[0]) / (UNSURE[1] - UNSURE[0])).clamp(0, 1)
    outside = (_grown(both, SLACK / 3) < SOLID).to(small)
    tint = carried_in(gaussian_blur(small - new, 2.0), outside) * (DOUBT * (1 - new_head)).clamp(max=1)
    crop = crop + functional.interpolate(tint[None], size=crop.shape[-2:], mode="bilinear", align_corners=False)[0]
    return crop.clamp(-1, 1), both


def carried_in(values: Tensor, known: Tensor) -> Tensor:
    """values [C, s, s] where known [1, s, s] is 1, carried smoothly into the rest (pull-push, Gortler et al. 1996)."""
    levels = [(values * known, known)]
    while min(levels[-1][0].shape[1:]) > 1:
        total, weight = (functional.avg_pool2d(x[None], 2, ceil_mode=True)[0] for x in levels[-1])
        levels.append((total, weight))
    total, weight = levels.pop()
    filled = total / weight.clamp(min=1e-6)
    for total, weight in reversed(levels):
        wide = functional.interpolate(filled[None], size=total.shape[1:], mode="bilinear", align_corners=False)[0]
        sure = (weight * 4).clamp(max=1.0)
        filled = sure * total / weight.clamp(min=1e-6) + (1 - sure) * wide
    return torch.where(known > 0, values, filled)


def _at(image: Tensor, size: int) -> Tensor:
    if image.shape[-1] == size:
        return image.float()
    resized = functional.interpolate(image[None].float(), size=(size, size), mode="bilinear", antialias=True)
    return resized[0]


def _grown(mask: Tensor, share: float) -> Tensor:
    """The mask dilated by a share of its side, soft as before."""
    reach = max(1, round(share * mask.shape[-1]))
    return functional.max_pool2d(mask[None], 2 * reach + 1, 1, reach)[0]
