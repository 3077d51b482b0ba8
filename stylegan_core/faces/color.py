"""A pasted crop in the photograph's colors: mean and spread of the skin, in CIE Lab (Reinhard et al. 2001, there in
another color space), and never more colorful than the photograph around it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .align import FaceTransform
from .geometry import photo_grid, place_grid, sample, superellipse

SKIN_CENTER, SKIN_RADII = (0.0, 0.22), (0.42, 0.5)
"""An ellipse from brow to chin: colors are compared there, so that hair and background don't tint the skin."""
SKIN_LIKE = 25.0
"""CIE Lab steps of a and b from the skin's mean over which the shift of hue fades: what is not skin keeps its own."""
SPREAD_GAIN = (0.8, 1.25)
"""Bounds of the change of spread: what suits the skin would throw dark hair far off."""
COLORFUL, VIVID = 0.99, 1.25
"""Share of the pixels that are less colorful than the limit; how far beyond the photograph's limit the crop's may be."""
MATCH_SIZE = 128
"""Pixels a side at which colors are compared."""
CALM = 8
"""Pixels of that size over which the limit's colors are means: a sensor's colored noise is no color."""


def match_color(crop: Tensor, soft: Tensor, image: Tensor, transform: FaceTransform, amount: float) -> Tensor:
    """crop [3, S, S] in the colors of image [3, H, W], as far as `amount` says (0 to 1); soft [1, s, s]: what is pasted."""
    place = photo_grid(MATCH_SIZE, transform, image)
    inside = ((place.abs() <= 1).all(-1)).to(crop)[None]
    photo = to_lab(sample(image, place, "bilinear")[None])[0]
    small, under = to_lab(_small(crop)[None])[0], _small(soft)
    skin = (superellipse(place_grid(MATCH_SIZE), SKIN_CENTER, SKIN_RADII, 2.0) < 1).to(crop)
    # a mask of one's own may leave the skin out, a photo may end before it: then everything pasted counts
    weight = next((w for w in (under * inside * skin, under * inside) if w.sum() >= 1), None)
    if weight is None:
        return crop
    (mean, spread), (goal, goal_spread) = (_moments(x, weight) for x in (small, photo))
    gain = (goal_spread / spread.clamp(min=1e-3)).clamp(*SPREAD_GAIN)

    def shifted(lab: Tensor) -> Tensor:
        matched = (lab - mean) * gain + goal
        like = torch.exp(-((lab - mean)[1:].norm(dim=0, keepdim=True) / SKIN_LIKE).square() / 2)
        return torch.cat([matched[:1], lab[1:] + like * (matched - lab)[1:]])

    tone = _tone(photo[:, inside[0] > 0])
    most, found = (_colorfulness(_calm(x, inside), tone) for x in (photo, shifted(small)))
    matched = shifted(to_lab(crop[None])[0])
    plain = _toned(matched[:1], tone)
    matched = torch.cat([matched[:1], plain + (matched[1:] - plain) * (VIVID * most / found.clamp(min=1e-3)).clamp(max=1.0)])
    from kornia.color import lab_to_rgb  # late: see to_lab

    rgb = lab_to_rgb(matched[None])[0] * 2 - 1
    return crop + amount * (rgb - crop)


def _tone(lab: Tensor) -> Tensor:
    """Lab [3, n] -> [2, 2]: a and b as straight lines over the lightness, all that a gray, blue or sepia picture has."""
    mean = lab.mean(1, keepdim=True)
    light, away = (lab - mean)[:1], (lab - mean)[1:]
    slope = (light * away).mean(1) / (light.square().mean() + 1e-3)
    return torch.stack([mean[1:, 0] - slope * mean[0, 0], slope])


def _toned(lightness: Tensor, tone: Tensor) -> Tensor:
    """[1, ...] -> [2, ...]: a and b of that tone."""
    return torch.cat([at + by * lightness for at, by in tone.T])


def _calm(lab: Tensor, inside: Tensor) -> Tensor:
    """Lab [3, s, s], inside [1, s, s] -> [3, n]: means over squares of CALM pixels, of what is inside."""
    share = functional.avg_pool2d(inside, CALM)
    means = functional.avg_pool2d(lab * inside, CALM) / share.clamp(min=1e-6)
    return means[:, share[0] > 0]


def _colorfulness(lab: Tensor, tone: Tensor) -> Tensor:
    """How far a and b of [3, n] lie from the tone's at most, but for the most colorful hundredth."""
    return (lab[1:] - _toned(lab[:1], tone)).norm(dim=0).quantile(COLORFUL)


def _small(x: Tensor) -> Tensor:
    return functional.interpolate(x[None], size=(MATCH_SIZE, MATCH_SIZE), mode="bilinear", antialias=True)[0]


def to_lab(images: Tensor) -> Tensor:
    """[B, 3, H, W] in [-1, 1] -> CIE Lab, lightness from 0 to 100."""
    from kornia.color import rgb_to_lab  # late: a fifth of a second, which most commands need not wait

    return rgb_to_lab(((images + 1) / 2).clamp(0, 1))


def _moments(lab: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    mean = (lab * weight).sum((1, 2), keepdim=True) / weight.sum()
    return mean, (((lab - mean).square() * weight).sum((1, 2), keepdim=True) / weight.sum()).sqrt()
