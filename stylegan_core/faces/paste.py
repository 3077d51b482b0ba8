"""Put aligned crops back into their photo: inverse warp, soft mask, optional color match."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ..errors import InvalidInput
from .align import FaceTransform
from .checks import check_finite
from .color import match_color
from .geometry import Region, crop_grid, place_grid, sample, superellipse
from .resample import lanczos

MaskShape = Literal["face", "square"]

FACE_CENTER, FACE_RADII, FACE_POWER = (0.0, 0.0), (0.80, 0.94), 2.6
"""The default mask, a rounded ellipse in the crop's frame (-1 to 1 across): hair line to chin, ear to ear and a little
more; power 2 is an ellipse, larger is squarer."""
FINER = 1.25
"""How much finer than the photo a crop may be when it is sampled: more would alias, less blurs the photo's own detail."""
FEATHER = 0.1
"""Width of the soft edge wherever none is asked for, as a share of the crop's side."""


def paste_face(
    image: Tensor,
    crop: Tensor,
    transform: FaceTransform,
    mask: Tensor | None = None,
    feather: float = FEATHER,
    color_match: float = 0.0,
    shape: MaskShape = "face",
) -> tuple[Tensor, Tensor]:
    """A crop back where it came from -> the new image (of the given shape) and the mask it was blended with.

    image: [3, H, W] or [1, 3, H, W] in [-1, 1]. crop: [(1,) 3, S, S], any S; it needn't be the size it was cut at.
    mask: [h, w], [1, h, w] or [1, 1, h, w], 0 to 1, in the crop's frame, in place of `shape`, with its own soft edge.
    feather: width of the soft edge as a share of the crop side, 0 to 0.5.
    color_match: 0 keeps the crop's colors, 1 gives it the photo's mean and spread in CIE Lab.
    Returned mask: [1, H, W], or [1, 1, H, W] for a batch of one. Only the face's neighbourhood is computed.
    """
    if image.ndim == 4 and image.shape[0] == 1:
        out, used = paste_face(image[0], crop, transform, mask, feather, color_match, shape)
        return out[None], used[None]
    crop = crop[0] if crop.ndim == 4 and crop.shape[0] == 1 else crop
    _check(image, crop, mask, feather, color_match, shape)
    transform = transform.for_photo(image, strict=False)
    crop = crop.to(image)
    soft = _mask_in_crop(mask, crop, feather, shape)
    out, used = image.clone(), image.new_zeros(1, *image.shape[1:])
    region = _region(transform, image)
    if region is None:
        return out, used
    if color_match > 0:
        crop = match_color(crop, soft, image, transform, color_match)
    x0, y0, x1, y1 = region
    grid = crop_grid(transform, region).to(image)
    alpha = _mask_at(mask, soft, grid, feather, shape)
    patch = sample(_fit_to(crop, transform.side), grid, "bicubic")
    old = image[:, y0:y1, x0:x1]
    out[:, y0:y1, x0:x1] = old + alpha * (patch.clamp(-1, 1) - old)
    used[:, y0:y1, x0:x1] = alpha
    return out, used


def paste_faces(
    image: Tensor,
    crops: Sequence[Tensor] | Tensor,
    transforms: Sequence[FaceTransform],
    feather: float = FEATHER,
    color_match: float = 0.0,
    shape: MaskShape = "face",
    masks: Sequence[Tensor] | Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Several crops [3, S, S] into one image, smallest face first so that the nearer one ends on top -> as of paste_face, the
    masks united."""
    if len(crops) != len(transforms):
        raise InvalidInput(f"Pasting got {len(crops)} crops but {len(transforms)} transforms; give one for each crop.")
    united = image.new_zeros(*image.shape[:-3], 1, *image.shape[-2:])
    for k in sorted(range(len(transforms)), key=lambda k: transforms[k].side):
        own = None if masks is None else masks[k]
        image, used = paste_face(image, crops[k], transforms[k], own, feather, color_match, shape)
        united = torch.maximum(united, used)
    return image, united


def place_mask(mask: Tensor, transform: FaceTransform, image: Tensor) -> Tensor:
    """A mask [1, s, s] in the crop's frame -> [1, H, W] over the photograph [C, H, W] or its enlarged or shrunk copy."""
    transform = transform.for_photo(image)
    placed = image.new_zeros(1, *image.shape[1:])
    if (region := _region(transform, image)) is not None:
        x0, y0, x1, y1 = region
        fitted = _fit_to(mask.to(image), transform.side).clamp(0, 1)
        placed[:, y0:y1, x0:x1] = sample(fitted, crop_grid(transform, region).to(image), "bilinear", "zeros")
    return placed


def face_mask(size: int, feather: float = FEATHER, shape: MaskShape = "face") -> Tensor:
    """[1, size, size], 0 to 1: the mask paste_face uses, in the crop's frame."""
    return _shape_at(place_grid(size), feather, shape)


def _check(image: Tensor, crop: Tensor, mask: Tensor | None, feather: float, color_match: float, shape: str) -> None:
    if image.ndim != 3 or crop.ndim != 3 or image.shape[0] != 3 or crop.shape[0] != 3 or crop.shape[1] != crop.shape[2]:
        raise InvalidInput(
            f"Pasting got an image of shape {tuple(image.shape)} and a crop of shape {tuple(crop.shape)} "
            "but needs [3, H, W] and a square [3, S, S]."
        )
    check_amounts(feather, color_match)
    if shape not in ("face", "square"):
        raise InvalidInput(f'Mask shape "{shape}" is unknown; use "face" or "square".')
    for what, pixels in (("The photograph to paste into", image), ("The crop to paste", crop), ("The mask of a paste", mask)):
        if pixels is not None:
            check_finite(pixels, what)


def check_amounts(feather: float, color_match: float, grain: float = 0.0) -> None:
    """Raise InvalidInput unless feather is 0 to 0.5, color_match and grain 0 to 1."""
    if not (0 <= feather <= 0.5 and 0 <= color_match <= 1 and 0 <= grain <= 1):
        raise InvalidInput(f"Pasting got feather {feather}, color_match {color_match} and grain {grain}; use 0 to 0.5, 0 to 1 "
                           f"and 0 to 1.")


def _shape_at(place: Tensor, feather: float, shape: MaskShape) -> Tensor:
    """Mask [1, h, w] at places [h, w, 2] of the crop's frame (-1 to 1)."""
    if shape == "square":
        depth = 1 - place.abs().amax(-1)
    else:
        depth = (1 - superellipse(place, FACE_CENTER, FACE_RADII, FACE_POWER)) * min(FACE_RADII)
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
    return _shape_at(grid, feather, shape) if given is None else sample(soft, grid, "bilinear", "zeros")


def _region(transform: FaceTransform, image: Tensor) -> Region | None:
    """Pixels of the photo the crop covers: x0, y0, x1, y1; None where it lies outside."""
    low, high = transform.sampled.amin(0), transform.sampled.amax(0)
    x0, y0 = (max(0, math.floor(v)) for v in low.tolist())
    x1, y1 = (min(side, math.ceil(v)) for v, side in zip(high.tolist(), (image.shape[2], image.shape[1]), strict=True))
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _fit_to(crop: Tensor, side: float) -> Tensor:
    """A crop finer than the photo is shrunk first, so that the warp doesn't alias."""
    target = max(1, math.ceil(side * FINER))
    if crop.shape[-1] <= target:
        return crop
    return lanczos(crop, (target, target), (0, 0, target, target))
