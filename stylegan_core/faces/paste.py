"""Put aligned crops back into their photo: inverse warp, soft mask, optional colour match."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import kornia
import torch
from torch import Tensor
from torch.nn import functional

from ..errors import InvalidInput
from .align import FaceTransform
from .resample import lanczos

MaskShape = Literal["face", "square"]

FACE_CENTER, FACE_RADII, FACE_POWER = (0.0, 0.0), (0.80, 0.94), 2.6
"""The default mask, a rounded ellipse in the crop's frame (-1 to 1 across): hair line to chin, ear to ear and a little
more; power 2 is an ellipse, larger is squarer."""
FINER = 1.25
"""How much finer than the photo a crop may be when it is sampled: more would alias, less blurs the photo's own detail."""
SKIN_CENTER, SKIN_RADII = (0.0, 0.22), (0.42, 0.5)
"""An ellipse from brow to chin: colours are compared there, so that hair and background don't tint the skin."""
SPREAD_GAIN = (0.8, 1.25)
"""Bounds of the change of spread: what suits the skin would throw dark hair far off."""
MATCH_SIZE = 128
"""Pixels a side at which colours are compared."""
Region = tuple[int, int, int, int]


def paste_face(
    image: Tensor,
    crop: Tensor,
    transform: FaceTransform,
    mask: Tensor | None = None,
    feather: float = 0.12,
    color_match: float = 0.0,
    shape: MaskShape = "face",
) -> tuple[Tensor, Tensor]:
    """A crop back where it came from -> the new image (of the given shape) and the mask it was blended with.

    image: [3, H, W] or [1, 3, H, W] in [-1, 1]. crop: [(1,) 3, S, S], any S; it needn't be the size it was cut at.
    mask: [h, w], [1, h, w] or [1, 1, h, w], 0 to 1, in the crop's frame, in place of `shape`, with its own soft edge.
    feather: width of the soft edge as a share of the crop side, 0 to 0.5.
    color_match: 0 keeps the crop's colours, 1 gives it the photo's mean and spread in CIE Lab.
    Returned mask: [1, H, W], or [1, 1, H, W] for a batch of one. Only the face's neighbourhood is computed.
    """
    if image.ndim == 4 and image.shape[0] == 1:
        out, used = paste_face(image[0], crop, transform, mask, feather, color_match, shape)
        return out[None], used[None]
    crop = crop[0] if crop.ndim == 4 and crop.shape[0] == 1 else crop
    _check(image, crop, feather, color_match, shape)
    crop = crop.to(image)
    soft = _mask_in_crop(mask, crop, feather, shape)
    out, used = image.clone(), image.new_zeros(1, *image.shape[1:])
    region = _region(transform, image)
    if region is None:
        return out, used
    if color_match > 0:
        crop = _match_color(crop, soft, image, transform, color_match)
    x0, y0, x1, y1 = region
    grid = _crop_grid(transform, region).to(image)
    alpha = _mask_at(mask, soft, grid, feather, shape)
    patch = _sample(_fit_to(crop, transform.side), grid, "bicubic")
    old = image[:, y0:y1, x0:x1]
    out[:, y0:y1, x0:x1] = old + alpha * (patch.clamp(-1, 1) - old)
    used[:, y0:y1, x0:x1] = alpha
    return out, used


def paste_faces(
    image: Tensor,
    crops: Sequence[Tensor] | Tensor,
    transforms: Sequence[FaceTransform],
    feather: float = 0.12,
    color_match: float = 0.0,
    shape: MaskShape = "face",
    masks: Sequence[Tensor] | Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Several crops into one image, smallest face first so that the nearer one ends on top; masks are united."""
    if len(crops) != len(transforms):
        raise InvalidInput(f"Pasting got {len(crops)} crops but {len(transforms)} transforms; give one for each crop.")
    united = image.new_zeros(*image.shape[:-3], 1, *image.shape[-2:])
    for k in sorted(range(len(transforms)), key=lambda k: transforms[k].side):
        own = None if masks is None else masks[k]
        image, used = paste_face(image, crops[k], transforms[k], own, feather, color_match, shape)
        united = torch.maximum(united, used)
    return image, united


def face_mask(size: int, feather: float = 0.12, shape: MaskShape = "face") -> Tensor:
    """[1, size, size], 0 to 1: the mask paste_face uses, in the crop's frame."""
    return _shape_at(place_grid(size), feather, shape)


def place_grid(size: int) -> Tensor:
    """[size, size, 2]: the places of a crop's pixels in its own frame, -1 to 1."""
    at = (torch.arange(size, dtype=torch.float32) + 0.5) / size * 2 - 1
    return torch.stack(torch.broadcast_tensors(at[None], at[:, None]), -1)


def reach(place: Tensor, center: tuple[float, float], radii: tuple[float, float], power: float) -> Tensor:
    """[h, w]: below 1 inside the rounded ellipse."""
    return ((place - place.new_tensor(center)) / place.new_tensor(radii)).abs().pow(power).sum(-1).pow(1 / power)


def _check(image: Tensor, crop: Tensor, feather: float, color_match: float, shape: str) -> None:
    if image.ndim != 3 or crop.ndim != 3 or image.shape[0] != 3 or crop.shape[0] != 3 or crop.shape[1] != crop.shape[2]:
        raise InvalidInput(
            f"Pasting got an image of shape {tuple(image.shape)} and a crop of shape {tuple(crop.shape)} "
            "but needs [3, H, W] and a square [3, S, S]."
        )
    if not (0 <= feather <= 0.5 and 0 <= color_match <= 1):
        raise InvalidInput(f"Pasting got feather {feather} and color_match {color_match}; use 0 to 0.5 and 0 to 1.")
    if shape not in ("face", "square"):
        raise InvalidInput(f'Mask shape "{shape}" is unknown; use "face" or "square".')


def _shape_at(place: Tensor, feather: float, shape: MaskShape) -> Tensor:
    """Mask [1, h, w] at places [h, w, 2] of the crop's frame (-1 to 1)."""
    if shape == "square":
        depth = 1 - place.abs().amax(-1)
    else:
        depth = (1 - reach(place, FACE_CENTER, FACE_RADII, FACE_POWER)) * min(FACE_RADII)
    # the frame is 2 wide; a hard edge still takes a pixel or so
    t = (depth / max(2 * feather, 1e-3)).clamp(0, 1)
    return (t * t * (3 - 2 * t))[None]


def _mask_in_crop(mask: Tensor | None, crop: Tensor, feather: float, shape: MaskShape) -> Tensor:
    """[1, h, w] in the crop's frame."""
    if mask is None:
        return face_mask(crop.shape[-1], feather, shape).to(crop)
    if mask.ndim < 2 or mask.shape[:-2].numel() != 1:
        raise InvalidInput(f"Pasting got a mask of shape {tuple(mask.shape)} but needs one [h, w] in the crop's frame.")
    return mask.to(crop).clamp(0, 1).reshape(1, *mask.shape[-2:])


def _mask_at(given: Tensor | None, soft: Tensor, grid: Tensor, feather: float, shape: MaskShape) -> Tensor:
    """The shape is evaluated at the photo's own pixels; a given mask is sampled."""
    return _shape_at(grid, feather, shape) if given is None else _sample(soft, grid, "bilinear", "zeros")


def _region(transform: FaceTransform, image: Tensor) -> Region | None:
    """Pixels of the photo the crop covers: x0, y0, x1, y1; None where it lies outside."""
    low, high = transform.sampled.amin(0), transform.sampled.amax(0)
    x0, y0 = (max(0, math.floor(v)) for v in low.tolist())
    x1, y1 = (min(side, math.ceil(v)) for v, side in zip(high.tolist(), (image.shape[2], image.shape[1]), strict=True))
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _crop_grid(transform: FaceTransform, region: Region) -> Tensor:
    """[h, w, 2]: where in the crop's frame (-1 to 1) each pixel of the region lies."""
    corners = transform.sampled
    axes = torch.stack([corners[3] - corners[0], corners[1] - corners[0]])
    x0, y0, x1, y1 = region
    x, y = (torch.arange(a, b, dtype=torch.float64) + 0.5 for a, b in ((x0, x1), (y0, y1)))
    inverse = 2 * torch.linalg.inv(axes)
    # the sum of a row's and a column's share: no [h, w, 2] of float64 products
    return ((x - corners[0, 0])[None, :, None] * inverse[0] + (y - corners[0, 1])[:, None, None] * inverse[1]) - 1


def _fit_to(crop: Tensor, side: float) -> Tensor:
    """A crop finer than the photo is shrunk first, so that the warp doesn't alias."""
    target = max(1, math.ceil(side * FINER))
    if crop.shape[-1] <= target:
        return crop
    return lanczos(crop, (target, target), (0, 0, target, target))


def _sample(picture: Tensor, grid: Tensor, mode: str, outside: str = "border") -> Tensor:
    return functional.grid_sample(picture[None], grid[None], mode=mode, padding_mode=outside, align_corners=False)[0]


def _match_color(crop: Tensor, soft: Tensor, image: Tensor, transform: FaceTransform, amount: float) -> Tensor:
    """Mean and spread of the photo's skin, in CIE Lab (Reinhard et al. 2001, there in another colour space)."""
    place = _photo_grid(MATCH_SIZE, transform, image)
    inside = ((place.abs() <= 1).all(-1)).to(crop)[None]
    photo = _sample(image, place, "bilinear")
    small, under = (_small(x) for x in (crop, soft))
    skin = (reach(place_grid(MATCH_SIZE), SKIN_CENTER, SKIN_RADII, 2.0) < 1).to(crop)
    # a mask of one's own may leave the skin out, a photo may end before it: then everything pasted counts
    weight = next((w for w in (under * inside * skin, under * inside) if w.sum() >= 1), None)
    if weight is None:
        return crop
    (mean, spread), (goal, goal_spread) = (_moments(_to_lab(x), weight) for x in (small, photo))
    gain = (goal_spread / spread.clamp(min=1e-3)).clamp(*SPREAD_GAIN)
    matched = (_to_lab(crop) - mean) * gain + goal
    rgb = kornia.color.lab_to_rgb(matched[None])[0] * 2 - 1
    return crop + amount * (rgb - crop)


def _photo_grid(size: int, transform: FaceTransform, image: Tensor) -> Tensor:
    """[size, size, 2]: where in the photo (-1 to 1) each pixel of a crop of that size lies."""
    corners = transform.sampled
    steps = (torch.arange(size, dtype=torch.float64) + 0.5)[:, None] / size
    at = corners[0] + (corners[3] - corners[0]) * steps + ((corners[1] - corners[0]) * steps)[:, None]
    return (at / at.new_tensor([image.shape[2], image.shape[1]]) * 2 - 1).to(image)


def _small(x: Tensor) -> Tensor:
    return functional.interpolate(x[None], size=(MATCH_SIZE, MATCH_SIZE), mode="bilinear", antialias=True)[0]


def _to_lab(image: Tensor) -> Tensor:
    return kornia.color.rgb_to_lab(((image + 1) / 2).clamp(0, 1)[None])[0]


def _moments(lab: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    mean = (lab * weight).sum((1, 2), keepdim=True) / weight.sum()
    return mean, (((lab - mean).square() * weight).sum((1, 2), keepdim=True) / weight.sum()).sqrt()
