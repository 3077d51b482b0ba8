"""A new head in the place of the old one: which of a crop is pasted, and what lies where the old head stood out.

A toon's jaw is narrower than the photograph's. Pasted alone it leaves the old jaw beside it, a second contour. So the
paste covers both outlines, and what the new head uncovers is filled from the photograph: mirrored at the old outline, so that
it is as sharp as what it goes on from, and the same from frame to frame. Where the new outline is soft the crop's own
surroundings take the photograph's colors: their difference, known all around, is carried inwards smoothly (as Perez et al. 2003
do for a whole patch, here for the surroundings alone, so that nothing bleeds into the face).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .color import to_lab
from .frame import FRAME_POINTS, crop_points
from .geometry import dilated, superellipse
from .head_mask import FACE_CENTER, FACE_RADII, frame_of, head_and_covering, head_mask
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
BARE = 0.3
"""A new head's mask below this is no head."""
NECK, FADE = 0.6, 0.12
"""Where a neck may begin, down FFHQ's frame (-1 to 1), and how softly."""
COLLAR, COLLAR_DEPTH = (0.1, 0.5), 0.2
"""Down FFHQ's frame, where and how much the mirror grows less deep: the strip of a collar is narrow, and what lies beyond it, a
dark jacket say, would stand beside the chin."""
OTHER_COLOR, SHADOWED = 11.0, (0.3, 1.0, 1.0)
"""CIE Lab steps that part a neck from what lies beside it; a neck lies in shadow."""
MIRROR_SMOOTH, MIRROR_REACH = 1.5, 8
"""Pixels over which neighbors agree on where they are mirrored; beyond which none matters to another."""
SOLID = 0.5
"""A head mask of more counts as head where colors are carried around it."""


@dataclass(eq=False)
class KnownHead:
    """The photograph's own head, found once for all that is pasted over it, and again where the photograph is another."""

    digest: bytes = b""
    points: Tensor | None = None
    """[5, 2] as shares of the crop's side; None where no face is seen."""
    mask: Tensor | None = None
    """[1, 256, 256], with what lies before the face."""
    covering: Tensor | None = None
    """[1, 256, 256]: what lies before the face."""

    def of(self, photo: Tensor, seen: Tensor | None) -> tuple[Tensor | None, Tensor, Tensor]:
        """photo and seen, [3, 256, 256] each -> points, mask, covering."""
        digest = hashlib.blake2b(b"".join(x.cpu().numpy().tobytes() for x in (photo, seen) if x is not None)).digest()
        if self.mask is None or self.covering is None or digest != self.digest:
            (self.points,), self.digest = crop_points(photo[None]), digest
            masks = head_and_covering(photo[None], None if seen is None else seen[None], [self.points])
            self.mask, self.covering = (mask[0] for mask in masks)
        return self.points, self.mask.to(photo), self.covering.to(photo)


@torch.no_grad()
def replace_head(crop: Tensor, photo: Tensor, seen: Tensor | None = None,
                 known: KnownHead | None = None) -> tuple[Tensor, Tensor]:
    """crop [3, S, S], the new face; photo [3, s, s], what it replaces -> the crop with the photograph's colors around its
    head, and the mask [1, 256, 256] (0 to 1) of what to paste.

    seen: what a face model made of the photograph, [3, s', s']; with it hands, hats and glasses before the head are kept.
    known: remembers the photograph's head for the next crop.
    """
    small, new = _at(photo, WORK_SIZE), _at(crop, WORK_SIZE)
    found, old_head, covering = (known or KnownHead()).of(small, None if seen is None else _at(seen, WORK_SIZE))
    points = [found]
    new_head = head_mask(new[None], None, points)[0] * _grown(old_head, SLACK)
    near = gaussian_blur(_grown(new_head, UNCOVERED), EDGE)
    both = ((torch.maximum(_grown(old_head, RIM) * near, new_head) - UNSURE[0]) / (UNSURE[1] - UNSURE[0])).clamp(0, 1)
    outside = (torch.maximum(_grown(both, SLACK / 3), covering) < SOLID).to(small)
    tint = carried_in(gaussian_blur(small - new, 2.0), outside) * (DOUBT * (1 - new_head)).clamp(max=1)
    place = frame_of(FRAME_POINTS if found is None else found).to(new)
    bare = gaussian_blur(((BARE - new_head) / BARE).clamp(0, 1) * surely_background(new, place), 1.0)
    depth = 1 - (1 - COLLAR_DEPTH) * ((place[..., 1] - COLLAR[0]) / (COLLAR[1] - COLLAR[0])).clamp(0, 1)
    mirrored = mirrored_in(photo, outside, crop.shape[-1], depth, bare)
    tint, bare = (functional.interpolate(x[None], size=crop.shape[-2:], mode="bilinear", align_corners=False)[0]
                  for x in (tint, bare))
    crop = torch.lerp(crop + tint, mirrored, bare)
    return crop.clamp(-1, 1), both * (1 - covering)


def surely_background(crop: Tensor, place: Tensor) -> Tensor:
    """[3, s, s] and the pixels' places in FFHQ's frame [s, s, 2] -> [1, s, s]: 1 beside cheeks and jaw, and what isn't of the
    face's color beside the neck; 0 in the hair."""
    lab, face = to_lab(crop[None])[0], superellipse(place, FACE_CENTER, FACE_RADII, 2.0) < 1
    off = ((lab - lab[:, face].median(1).values[:, None, None]) * lab.new_tensor(SHADOWED)[:, None, None]).norm(dim=0)
    below, neck = ((place[..., 1] - start) / FADE for start in (0.0, NECK))
    return (below.clamp(0, 1) * (off / OTHER_COLOR - 1 + (1 - neck).clamp(0, 1)).clamp(0, 1))[None]


def mirrored_in(image: Tensor, known: Tensor, size: int, depth: Tensor | float = 1.0, shown: Tensor | None = None) -> Tensor:
    """image [C, S, S] -> [C, size, size]: what known [1, s, s] marks with 0 is mirrored at the nearest place that is known.

    depth, a number or [s, s]: how deep the mirror is; 1 shows things as wide as they are, less stretches what borders.
    shown [1, s, s]: above 0 where the result is looked at; elsewhere it may be anything. None: everywhere.
    """
    side = known.shape[-1]
    places = torch.stack(torch.meshgrid(torch.arange(side), torch.arange(side), indexing="xy"), -1).to(image)
    rim = (known > 0)[0] & (functional.max_pool2d(1 - known[None], 3, 1, 1)[0, 0] > 0)
    hidden = (known == 0)[0]
    if shown is not None:
        hidden &= dilated((shown > 0).to(image)[None], MIRROR_REACH)[0, 0] > 0
    shift = torch.zeros(2, side, side).to(image)
    if rim.any() and hidden.any():
        nearest = places[rim][torch.cdist(places[hidden], places[rim]).argmin(1)]
        shift[:, hidden] = (1 + torch.as_tensor(depth).expand(side, side)[hidden]) * (nearest - places[hidden]).T
    shift = gaussian_blur(shift, MIRROR_SMOOTH)
    at = functional.interpolate((places.permute(2, 0, 1) + 0.5 + shift)[None] / side * 2 - 1, (size, size), mode="bilinear",
                                align_corners=False)
    return functional.grid_sample(image[None], at.permute(0, 2, 3, 1), padding_mode="reflection", align_corners=False)[0]


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
    return dilated(mask[None], max(1, round(share * mask.shape[-1])))[0]
