"""Faces of a batch of photographs: choose and cut, outline, put back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional

from ..errors import FaceNotFound, InvalidInput
from ..networks.detector import MTCNN
from ..options import parse_indices
from ..pictures.files import from_uint8, to_uint8
from ..pictures.finish import redrawn
from .align import FaceTransform, align_face, cut_again, face_quad, fine_enough
from .checks import check_finite, check_side
from .color import match_color
from .detection import Face, find_faces
from .grain import match_grain
from .paste import FEATHER, check_amounts, face_mask, paste_faces, place_mask
from .surroundings import WORK_SIZE, KnownHead, replace_head

WhenNone = Literal["error", "skip", "whole image"]
Which = str | Sequence[int]
"""Faces of a photograph: "largest", "all", or their numbers, largest first from 0: "0, 2" or (0, 2)."""
Outline = Literal["head", "oval", "square"]
PROFILE = 0.3
"""A face whose eyes lie closer than this, in distances from eyes to mouth, is seen from the side (from the front: 0.9 on)."""
TAKEN, LEFT = (255, 200, 0), (150, 150, 150)


@dataclass(frozen=True, eq=False)
class FacePlace:
    """Which photograph of the batch a crop was cut from, and where."""

    image: int
    transform: FaceTransform
    number: int | None = None
    """Of the face among those of its photograph, largest first from 0; None for a central square."""
    head: KnownHead = field(default_factory=KnownHead, init=False, repr=False)
    """The photograph's own head in the crop, once something was pasted there."""


def check_which(which: Which) -> list[int] | None:
    """The numbers asked for; None for "all". Raises InvalidInput."""
    if isinstance(which, str) and which.strip().lower() in ("largest", "all"):
        return None if which.strip().lower() == "all" else [0]
    numbers = parse_indices(which) if isinstance(which, str) else list(which)
    if not numbers or min(numbers) < 0:
        raise InvalidInput(f'Faces were chosen by "{which}"; use largest, all, or numbers from 0 (the largest) such as "0, 2".')
    return list(dict.fromkeys(numbers))


def take_faces(images: Tensor | Sequence[Tensor], size: int, which: Which = "largest", when_none: WhenNone = "error",
               min_size: float | None = None, detector: MTCNN | None = None,
               found: Sequence[Sequence[Face]] | None = None) -> tuple[Tensor, list[FacePlace]]:
    """Photographs [C, H, W] in [-1, 1] -> crops [N, C, size, size] and their places: by photograph, in the order chosen.

    A photograph that lies on a side or stands on its head is noticed (see find_faces); its faces are cut out upright.
    which: see Which; numbers count the faces that can be used. when_none: what becomes of a photograph without a wanted
    face: FaceNotFound, left out, or its central square. found: of find_faces, where that was done already. Raises
    FaceNotFound also when nothing at all is left, InvalidInput.
    """
    wanted = check_which(which)
    if len(images) == 0:
        raise InvalidInput("A batch without photographs was given; give at least one.")
    check_finite(images, "Photograph") if isinstance(images, Tensor) else [check_finite(x, "A photograph") for x in images]
    found = find_faces(images, min_size, detector) if found is None else found
    crops, places = [], []
    for index, (image, faces) in enumerate(zip(images, found, strict=True)):
        usable = [face for face in faces if not is_profile(face)]
        chosen = [n for n in (range(len(usable)) if wanted is None else wanted) if n < len(usable)]
        if when_none == "error" and (not usable or len(chosen) < len(wanted or ())):
            raise FaceNotFound(_nothing(image, index, faces, len(usable), which))
        for number in chosen:
            crop, transform = align_face(image, usable[number].points, size, supersample=fine_enough(size))
            crops.append(crop)
            places.append(FacePlace(index, transform, number))
        if not chosen and when_none == "whole image":
            check_side(image, f"Photograph {index + 1}")
            crop, transform = central_square(image, size)
            crops.append(crop)
            places.append(FacePlace(index, transform))
    if not crops:
        raise FaceNotFound(f"None of {len(images)} photographs shows a face that can be used; give others, or take "
                           f"the whole image.")
    return torch.stack(crops), places


def _nothing(image: Tensor, index: int, found: Sequence[Face], usable: int, which: Which) -> str:
    height, width = image.shape[1:]
    if usable:
        return (f"Photograph {index + 1} shows {usable} {'face' if usable == 1 else 'faces'} that can be used, numbered from 0 "
                f"(the largest) to {usable - 1}, but {which} was asked for; choose among these, or ask for smaller faces.")
    if found:
        return (f"The face in photograph {index + 1} is seen from the side; use one in which both eyes are visible, "
                f"or take the whole image.")
    return (f"No face was found in photograph {index + 1} ({width} x {height} px), upright or turned; use one with a face that "
            f"is well lit and larger than a 22nd of the picture, ask for smaller faces (smallest), or take the whole image "
            f"(when_none; of a drawing, cut a square around the head first).")


def is_profile(face: Face) -> bool:
    """Whether the face is seen from the side, where FFHQ's frame means nothing."""
    eyes, mouth = face.points[:2], face.points[3:].mean(0)
    return bool((eyes[1] - eyes[0]).norm() < PROFILE * (eyes.mean(0) - mouth).norm())


def central_square(image: Tensor, size: int) -> tuple[Tensor, FaceTransform]:
    """[C, H, W] -> its largest central square as a crop [C, size, size], and the transform that puts it back."""
    height, width = image.shape[1:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[None, :, top : top + side, left : left + side]
    crop = functional.interpolate(square, size=(size, size), mode="bilinear", antialias=True, align_corners=False)[0]
    corners = torch.tensor([[0, 0], [0, side], [side, side], [side, 0]], dtype=torch.float64)
    corners = corners + torch.tensor([left, top], dtype=torch.float64)
    return crop, FaceTransform(corners - 0.5, size, corners, (height, width))


def return_faces(images: Tensor, crops: Tensor, places: Sequence[FacePlace], feather: float = FEATHER,
                 color_match: float = 0.0, masks: Tensor | None = None, outline: Outline = "head",
                 seen: Tensor | None = None, grain: float = 0.0, whole: bool = False) -> tuple[Tensor, Tensor]:
    """Photographs [B, C, H, W], crops [N, C, s, s] -> photographs with the crops in them, masks [B, 1, H, W] (0 to 1).

    The photographs may have been enlarged or shrunk since the faces were taken from them. outline: what of each crop is
    pasted: the head (old and new outline covered, hands, hats and collars kept; see replace_head), an oval, or all of it.
    seen: what a face model made of the photographs' crops, [N, C, s', s'], for the head's outline. masks: [1|N, 1, s', s'],
    0 to 1, in place of an outline (see head_mask); the crop's own edge stays soft. grain: how much of the photograph's grain,
    which the crops lack, they are given, 0 to 1. whole: what surrounds the crops is drawn too, by the clean-line network (see
    redrawn); outlines and colors are still the photograph's. Raises InvalidInput.
    """
    check_amounts(feather, color_match, grain)
    _check_return(images, crops, places, masks, outline, seen)
    done = []
    for index, image in enumerate(images):
        mine = [i for i, place in enumerate(places) if place.image == index]
        transforms = [places[i].transform.for_photo(image) for i in mine]
        own, used = [], []
        for i, transform in zip(mine, transforms, strict=True):
            given = None if masks is None else masks[i % len(masks)]
            face = None if seen is None else seen[i]
            crop, mask = _fitted(crops[i].to(image), image, transform, given, outline, face, feather, color_match,
                                 places[i].head)
            own.append(crop)
            used.append(mask)
        ground = redrawn(image[None])[0] if whole else image
        pasted, mask = paste_faces(ground, own, transforms, feather, masks=used)
        done.append((match_grain(ground, pasted, mask, grain), mask))
    return torch.stack([image for image, _ in done]), torch.stack([mask for _, mask in done])


def return_masks(masks: Tensor, images: Tensor, places: Sequence[FacePlace]) -> Tensor:
    """Masks [N, 1, s, s] in the crops' frames, 0 to 1 -> [B, 1, H, W] over the photographs [B, C, H, W]; several unite.

    As what is pasted, they end softly at the crops' edges. Raises InvalidInput.
    """
    _check_return(images, masks.expand(-1, 3, -1, -1), places, masks, "head", None)
    placed, frame = images.new_zeros(len(images), 1, *images.shape[2:]), face_mask(masks.shape[-1], shape="square").to(masks)
    for mask, place in zip(masks * frame, places, strict=True):
        at = place.image
        placed[at] = torch.maximum(placed[at], place_mask(mask, place.transform, images[at]))
    return placed


def _fitted(crop: Tensor, image: Tensor, transform: FaceTransform, mask: Tensor | None, outline: Outline, seen: Tensor | None,
            feather: float, color_match: float, known: KnownHead) -> tuple[Tensor, Tensor]:
    """The crop in the photograph's colors, and its mask [1, h, w]."""
    frame = face_mask(WORK_SIZE if mask is None else mask.shape[-1], feather, "square").to(image)
    if mask is None and outline != "head":
        mask = face_mask(crop.shape[-1], feather, "square" if outline == "square" else "face").to(image)
        frame = torch.ones_like(mask)
    if color_match > 0:
        crop = match_color(crop, frame if mask is None else mask.to(image), image, transform, color_match)
    if mask is None:
        old = cut_again(image, transform, crop.shape[-1])
        crop, mask = replace_head(crop, old, None if seen is None else seen.to(image), known)
    return crop, mask.to(image) * frame


def _check_return(images: Tensor, crops: Tensor, places: Sequence[FacePlace], masks: Tensor | None, outline: str,
                  seen: Tensor | None) -> None:
    if outline not in ("head", "oval", "square"):
        raise InvalidInput(f'Pasting got the outline "{outline}"; use head, oval or square.')
    if crops.ndim != 4 or crops.shape[2] != crops.shape[3] or 0 in crops.shape[1:]:
        raise InvalidInput(f"Pasting needs square crops [N, C, size, size] and got {tuple(crops.shape)}; give what Align Faces "
                           f"cut out, or what was made of it.")
    if len(crops) != len(places):
        raise InvalidInput(f"{_count(len(crops), 'crop')} came for {_count(len(places), 'face')}; give one crop a face, in the "
                           f"order of Align Faces.")
    if places and max(place.image for place in places) >= len(images):
        raise InvalidInput(f"The faces come from {_count(max(p.image for p in places) + 1, 'photograph')} but {len(images)} "
                           f"were given; give the photographs in which they were found.")
    if seen is not None and len(seen) != len(crops):
        raise InvalidInput(f"{_count(len(seen), 'reconstruction')} came for {_count(len(crops), 'crop')}; give one each.")
    if masks is not None and (masks.ndim != 4 or masks.shape[1] != 1 or masks.shape[2] != masks.shape[3]
                              or len(masks) not in (1, len(crops)) or not masks.numel()):
        raise InvalidInput(f"Pasting {_count(len(crops), 'crop')} got masks of shape {tuple(masks.shape)} but needs a square "
                           f"one each, in the crops' frame; Head Mask makes them.")
    for what, pixels in (("Photograph", images), ("Crop", crops), ("Mask", masks), ("Reconstruction", seen)):
        if pixels is not None:
            check_finite(pixels, what)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def pasting_notes(masks: Tensor, places: Sequence[FacePlace]) -> tuple[str, ...]:
    """Sentences on photographs that return_faces left as they were: masks [B, 1, H, W] are its second result."""
    empty = sorted({p.image for p in places if not masks[p.image].any()})
    if not empty:
        return ()
    numbers = ", ".join(str(i + 1) for i in empty[:8]) + (" ..." if len(empty) > 8 else "")
    return (f"Nothing was pasted into photograph {numbers}: the mask is empty there, or the face lies outside.",)


def outline_faces(images: Tensor, places: Sequence[FacePlace], found: Sequence[Sequence[Face]] = ()) -> Tensor:
    """Photographs [B, 3, H, W] in [-1, 1] with the squares of the crops drawn, numbered as take_faces counts; on the CPU.

    found: of find_faces; the faces that were not taken are drawn too, in gray.
    """
    drawn = [Image.fromarray(to_uint8(image)) for image in images]
    taken = {(place.image, place.number) for place in places}
    for index, faces in enumerate(found):
        for number, face in enumerate(f for f in faces if not is_profile(f)):
            if (index, number) not in taken:
                _draw(drawn[index], face_quad(face.points), str(number), LEFT)
    for count, place in enumerate(places):
        _draw(drawn[place.image], place.transform.quad, str(count if place.number is None else place.number), TAKEN)
    return torch.cat([from_uint8(np.array(picture)) for picture in drawn])


def _draw(picture: Image.Image, quad: Tensor, text: str, color: tuple[int, int, int]) -> None:
    pen, width = ImageDraw.Draw(picture), max(2, round(max(picture.size) / 300))
    corners = [(x, y) for x, y in quad.tolist()]
    pen.line([*corners, corners[0]], fill=color, width=width, joint="curve")
    font = ImageFont.load_default(size=max(10, 8 * width))
    x, y = (min(max(v, 0), side - 10 * width) + 2 * width for v, side in zip(corners[0], picture.size, strict=True))
    pen.text((x, y), text, fill=color, font=font, stroke_width=max(1, width // 2), stroke_fill=(0, 0, 0))
