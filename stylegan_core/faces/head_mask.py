"""A soft mask of face and hair, so that hats, hands and backgrounds of the photograph survive a paste.

There is no segmentation network here. Three pieces of evidence add up as log odds: an egg about the five points (where
heads are), the colors inside it against those outside (hair against background), and how well a face model's
reconstruction agrees with the photograph (the model draws heads, so hats come out wrong). A guided filter (He et al. 2010)
then moves the mask's edge onto the picture's. From brow to chin all is face, but for what the reconstruction shows to lie
before it (see occlusion).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import InvalidInput
from .align import face_quad
from .checks import check_finite
from .color import to_lab
from .frame import FRAME_POINTS, crop_points
from .geometry import dilated, place_grid, superellipse
from .occlusion import FACE_CENTER, FACE_RADII, before_face

WORK_SIZE = 256
"""Pixels a side at which the mask is found."""
HEAD_CENTER, HEAD_RADII, HEAD_POWER = (0.0, -0.08), (0.86, 0.97), 2.3
"""The egg, in FFHQ's frame (-1 to 1 across): hair included, shoulders not."""
TAPER = 0.28
"""How much narrower the egg is at the chin."""
SHARPNESS = 14.0
"""Log odds of the egg over one radius."""
SURE = 1.5
"""Log odds of egg and reconstruction together at most: in the egg's middle colors decide, but for the face."""
COLOR_BINS, COLOR_ODDS = 14, 2.0
COLOR_MOST = 5.0
"""Log odds of a color for the head at most; against it, MOST."""
ROUNDS = 7
DIFFERENCE_BLUR, DIFFERENCE_ODDS = 4.0, 3.5
LIMIT = 2.2
"""Difference from the reconstruction, in typical differences of the face itself, at which the evidence turns."""
FLOOR = 5.0
"""CIE Lab steps that count as typical at least, however good the reconstruction."""
MOST = 6.0
"""Log odds that one piece of evidence has at most."""
FINE, SMOOTH = 1.5, 3.0
HOLE_STEP = 4
"""Pixels between the places at which holes are looked for."""
SPUR = 13
"""Pixels; ears are wider."""
GUIDE_WINDOW, GUIDE_EPS = 17, 2e-3


@torch.no_grad()
def head_mask(photo: Tensor, reconstruction: Tensor | None = None, points: Sequence[Tensor | None] | Tensor | None = None,
              grow: float = 0.0) -> Tensor:
    """Aligned crops [B, 3, S, S] in [-1, 1] -> masks [B, 1, S, S], 0 to 1: 1 on face and hair, soft at the edge.

    reconstruction: what a face model made of the photographs (an inversion), [1|B, 3, s, s] of any size; where the two
    disagree, the photograph is kept. None: egg and colors alone. points: five points [B, 5, 2] as shares of the side;
    None finds them, and takes the average face's where it finds none. grow: part by which the egg is larger (or
    smaller, below 0). Raises InvalidInput.
    """
    return head_and_face(photo, reconstruction, points, grow)[0]


@torch.no_grad()
def head_and_covering(photo: Tensor, reconstruction: Tensor | None = None,
                      points: Sequence[Tensor | None] | Tensor | None = None) -> tuple[Tensor, Tensor]:
    """As head_mask, but with what lies before the face, and where that is, [B, 1, S, S], 0 to 1."""
    head, _, covering = _masks(photo, reconstruction, points, 0.0)
    return head, covering


@torch.no_grad()
def head_and_face(photo: Tensor, reconstruction: Tensor | None = None, points: Sequence[Tensor | None] | Tensor | None = None,
                  grow: float = 0.0) -> tuple[Tensor, Tensor]:
    """As head_mask, and the mask of the face alone, [B, 1, S, S]: brow to chin, soft at the edge. Raises InvalidInput."""
    head, face, covering = _masks(photo, reconstruction, points, grow)
    return head * (1 - covering), face * (1 - covering)


def _masks(photo: Tensor, reconstruction: Tensor | None, points: Sequence[Tensor | None] | Tensor | None,
           grow: float) -> tuple[Tensor, ...]:
    """Of head, face and what lies before it, [B, 1, S, S] each."""
    _check(photo, reconstruction, grow)
    small = _resized(photo, WORK_SIZE)
    found = [FRAME_POINTS if p is None else p for p in (crop_points(small) if points is None else points)]
    others = [None] * len(small) if reconstruction is None else _resized(reconstruction.to(photo), WORK_SIZE)
    masks = [_one(image, others[i % len(others)], found[i], grow) for i, image in enumerate(small)]
    return _resized(torch.stack(masks), photo.shape[-1]).clamp(0, 1).to(photo).split(1, dim=1)


def _one(photo: Tensor, other: Tensor | None, points: Tensor, grow: float) -> Tensor:
    """[3, s, s] -> masks of head, face and what lies before it, [3, s, s]."""
    place = frame_of(points).to(photo)
    narrowed = torch.stack([place[..., 0] / (1 - TAPER * place[..., 1].clamp(0, 1)), place[..., 1]], -1)
    radii = HEAD_RADII[0] * (1 + grow), HEAD_RADII[1] * (1 + grow)
    egg = SHARPNESS * (1 - superellipse(narrowed, HEAD_CENTER, radii, HEAD_POWER))
    face = superellipse(place, FACE_CENTER, FACE_RADII, 2.0)
    lab = to_lab(photo[None])[0]
    fit = torch.zeros_like(egg) if other is None else _agreement(lab, to_lab(other[None])[0], face < 1)
    inner = ((1.3 - face) / 0.4).clamp(0, 1)
    mask = (egg + fit).sigmoid()
    for sigma in (*(FINE,) * (ROUNDS - 1), SMOOTH):  # what is inside tells its colors, and they tell what is inside (GrabCut)
        odds = (egg + fit).clamp(max=SURE) + _color_odds(lab, torch.maximum(mask, inner), 1 - torch.maximum(mask, inner))
        mask = _blurred(odds.sigmoid()[None], sigma)[0]
    mask = without_holes(torch.maximum(mask, inner))
    mask = torch.where(place[..., 1] > 0, torch.minimum(mask, without_spurs(mask)), mask)
    guide = ((photo + 1) / 2).clamp(0, 1)[None]
    from kornia.filters import guided_blur  # late: see to_lab

    snapped = guided_blur(guide, mask[None, None], GUIDE_WINDOW, GUIDE_EPS)[0, 0]
    covering = torch.zeros_like(inner) if other is None else before_face(photo, other, place)
    return torch.stack([(snapped * 1.1 - 0.05).clamp(0, 1) * (egg / 2 + 2).clamp(0, 1), inner, covering])


def _check(photo: Tensor, reconstruction: Tensor | None, grow: float) -> None:
    for images in (photo, reconstruction):
        if images is not None and (images.ndim != 4 or images.shape[1] != 3 or images.shape[2] != images.shape[3]
                                   or not len(images)):
            raise InvalidInput(f"A head mask needs aligned crops [batch, 3, size, size] but got shape {tuple(images.shape)}; "
                               f"cut the faces out with Align Faces first.")
    if reconstruction is not None and len(reconstruction) not in (1, len(photo)):
        raise InvalidInput(f"{len(reconstruction)} reconstructions came for {len(photo)} photographs; give one each.")
    for what, images in (("Photograph", photo), ("Reconstruction", reconstruction)):
        if images is not None:
            check_finite(images, what)
    if not -0.5 <= grow <= 1:
        raise InvalidInput(f"The head was to grow by {grow}; use -0.5 to 1.")


def _resized(images: Tensor, size: int) -> Tensor:
    if images.shape[-1] == size:
        return images.float()
    return functional.interpolate(images.float(), size=(size, size), mode="bilinear", antialias=True, align_corners=False)


def frame_of(points: Tensor) -> Tensor:
    """[s, s, 2]: where in FFHQ's frame about these points (-1 to 1) each pixel of the crop lies."""
    quad = face_quad(points)
    axes = torch.stack([quad[3] - quad[0], quad[1] - quad[0]]) / 2
    at = (place_grid(WORK_SIZE).double() + 1) / 2 - quad.mean(0)
    return (at @ torch.linalg.inv(axes)).float()


def _blurred(x: Tensor, sigma: float) -> Tensor:
    from kornia.filters import gaussian_blur2d

    size = 2 * int(3 * sigma) + 1
    return gaussian_blur2d(x[None], (size, size), (sigma, sigma))[0]


def _agreement(lab: Tensor, other: Tensor, face: Tensor) -> Tensor:
    """[s, s] log odds that both show the same, measured by how well the face itself fits."""
    difference = (_blurred(lab, DIFFERENCE_BLUR) - _blurred(other, DIFFERENCE_BLUR)).norm(dim=0)
    typical = max(float(difference[face].median()), FLOOR) if face.any() else FLOOR
    return (DIFFERENCE_ODDS * (LIMIT - difference / typical)).clamp(-MOST, 1.0)


def _color_odds(lab: Tensor, inside: Tensor, outside: Tensor) -> Tensor:
    """[s, s] log odds that a pixel's color is the head's, from two color histograms weighted by `inside` and `outside`."""
    low, high = lab.new_tensor([0.0, -60.0, -60.0]), lab.new_tensor([100.0, 60.0, 60.0])
    steps = ((lab.flatten(1).T - low) / (high - low) * COLOR_BINS).long().clamp(0, COLOR_BINS - 1)
    index = (steps[:, 0] * COLOR_BINS + steps[:, 1]) * COLOR_BINS + steps[:, 2]
    counts = []
    for weight in (inside, outside):
        histogram = lab.new_zeros(COLOR_BINS**3).index_add_(0, index, weight.flatten())
        cube = functional.avg_pool3d(histogram.view(1, 1, *[COLOR_BINS] * 3), 3, 1, 1).flatten()
        counts.append(cube / cube.sum().clamp(min=1e-6) + 1e-4)
    odds = COLOR_ODDS * (counts[0] / counts[1]).log()
    return odds[index].view(lab.shape[1:]).clamp(-MOST, COLOR_MOST)


def without_spurs(mask: Tensor) -> Tensor:
    """[s, s] opened: what is thinner than SPUR goes. Below the brows those are leaks into the background, not hair."""
    return dilated(-dilated(-mask[None, None], SPUR // 2), SPUR // 2 + 1)[0, 0]


def without_holes(mask: Tensor) -> Tensor:
    """mask [s, s] with what it encloses, such as the gaps between fingers, taken in: half a hand would be worse than none."""
    low = functional.avg_pool2d(mask[None, None], HOLE_STEP)
    free = (low < 0.6).float()
    outside = functional.pad(torch.zeros_like(free)[..., 1:-1, 1:-1], (1, 1, 1, 1), value=1.0) * free
    while not torch.equal(outside, grown := functional.max_pool2d(outside, 3, 1, 1) * free):
        outside = grown
    holes = functional.max_pool2d(free - outside, 3, 1, 1) * (1 - outside)
    return torch.maximum(mask, functional.interpolate(holes, size=mask.shape, mode="bilinear", align_corners=False)[0, 0])
