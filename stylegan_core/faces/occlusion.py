"""What lies before a face: a hand, a sleeve, a microphone.

A face model draws faces, so its reconstruction of a photograph has no hand before the mouth. Skin before skin differs little in
color; what tells them apart is structure: where the features of a perceptual network (LPIPS) disagree far more than on the rest
of the face. They are coarse; the photograph's edges say where the thing ends (a random walk from what is sure, Grady 2006).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..losses.perceptual import LPIPS
from .color import to_lab
from .geometry import superellipse
from .resample import gaussian_blur

FACE_CENTER, FACE_RADII = (0.0, 0.24), (0.43, 0.56)
"""Brow to chin, in FFHQ's frame (-1 to 1 across)."""
REACH_CENTER, REACH_RADII = (0.0, 0.45), (0.75, 0.75)
"""Where what lies before a face is kept: brows to collar, ear to ear; beyond, the head's mask decides."""
REACH_FADE = 8.0
INNER, OUTER, BELOW = 0.9, 1.15, 0.35
"""Hands come from beyond OUTER radii of the face, below the nose, to within INNER; sunglasses don't."""
FINEST_TAP = 1
"""The perceptual network's first tap is left out: it sees grain."""
FEATURE_BLUR, COLOR_BLUR = 2.5, 3.0
"""Pixels of 256."""
EXPLAINED, TIMES, BOUNDS = 0.25, 2.2, (0.2, 0.28)
"""At least that share of the face is free. Features that disagree TIMES as much as there, within BOUNDS, are another thing's:
plain faces stay below, hands lie at 0.27 to 0.4."""
FEATURE_ODDS, COLOR_ODDS = 3.0, 0.7
COLOR_TIMES, COLOR_LEAST = 2.2, 5.0
"""The same for colors, in CIE Lab steps, in typical differences of the face."""
COLOR_BOUNDS = (-1.0, 3.0)
"""Log odds of a color, over COLOR_ODDS, at most."""
SURE, UNSURE, SURENESS = 0.02, 1e-4, 3.0
"""How strongly the walk is held to the evidence: where that is clear, and where it says nothing."""
EDGE, BARRIER = 4.0, 1e-3
"""CIE Lab steps between neighbors that a walk hardly crosses, and how hardly."""
WALK = 200
"""Steps of the walk."""
SHARPENING = 4.0
"""How much steeper than the walk's the edge of what is kept is."""
STEP = 4
"""Pixels between the places at which is looked whether a thing reaches the face and its surroundings."""


@torch.no_grad()
def before_face(photo: Tensor, reconstruction: Tensor, place: Tensor, lpips: LPIPS | None = None) -> Tensor:
    """Two pictures of one face [3, s, s] in [-1, 1]; place [s, s, 2], each pixel's in FFHQ's frame -> [s, s], 0 to 1: 1 on
    what lies before the face and isn't in the reconstruction.

    Only what comes from beside the face counts: glasses, eyes and teeth that the model drew badly are the face's own.
    """
    face = superellipse(place, FACE_CENTER, FACE_RADII, 2.0)
    reach = superellipse(place, REACH_CENTER, REACH_RADII, 2.0)
    lab = to_lab(photo[None])[0]
    evidence = _evidence(photo, reconstruction, lab, face < 1, lpips or LPIPS.embedded().to(photo.device))
    covered = ((_walked(lab, evidence.sigmoid()) - 0.5) * SHARPENING + 0.5).clamp(0, 1)
    thing = (covered > 0.5).float()
    entry = (face > OUTER) & (place[..., 1] > BELOW)
    whole = _connected(thing, thing * (face < INNER)) * _connected(thing, thing * entry)
    covered = covered * ((1 - reach) * REACH_FADE + 1).clamp(0, 1)
    return covered * functional.max_pool2d(whole[None, None], 2 * STEP + 1, 1, STEP)[0, 0]


def _evidence(photo: Tensor, other: Tensor, lab: Tensor, face: Tensor, lpips: LPIPS) -> Tensor:
    """[s, s] log odds that the photograph shows another thing than the reconstruction."""
    maps = lpips.maps(photo[None], other[None])[FINEST_TAP:]
    features = torch.stack([functional.interpolate(m[None], size=face.shape, mode="bilinear")[0] for m in maps]).sum(0)
    features = gaussian_blur(features, FEATURE_BLUR)[0]
    color = (gaussian_blur(lab, COLOR_BLUR) - gaussian_blur(to_lab(other[None])[0], COLOR_BLUR)).norm(dim=0)
    limit = (TIMES * features[face].quantile(EXPLAINED)).clamp(*BOUNDS)
    typical = max(float(color[face].median()), COLOR_LEAST)
    return FEATURE_ODDS * (features / limit - 1) + COLOR_ODDS * (color / typical - COLOR_TIMES).clamp(*COLOR_BOUNDS)


def _walked(lab: Tensor, likely: Tensor) -> Tensor:
    """likely [s, s], 0 to 1, smoothed within the edges of lab [3, s, s] and held where it is sure, by Jacobi's iteration."""
    across, down = (torch.exp(-lab.diff(dim=dim).square().sum(0) / EDGE**2) + BARRIER for dim in (2, 1))
    left, right = functional.pad(across, (1, 0)), functional.pad(across, (0, 1))
    above, below = functional.pad(down, (0, 0, 1, 0)), functional.pad(down, (0, 0, 0, 1))
    held = SURE * (2 * likely - 1).abs() ** SURENESS + UNSURE
    total, x = left + right + above + below + held, likely
    for _ in range(WALK):
        x = (left * x.roll(1, 1) + right * x.roll(-1, 1) + above * x.roll(1, 0) + below * x.roll(-1, 0) + held * likely) / total
    return x


def _connected(free: Tensor, start: Tensor) -> Tensor:
    """free, start [s, s], 0 or 1 -> [s, s]: what of free is reached from start, looking every STEP pixels."""
    free, found = (functional.avg_pool2d(x[None, None], STEP) for x in (free, start))
    free, found = (free > 0.5).float(), (found > 0.5).float()
    while not torch.equal(found, grown := functional.max_pool2d(found, 3, 1, 1) * free):
        found = grown
    return functional.interpolate(found, scale_factor=STEP)[0, 0]
