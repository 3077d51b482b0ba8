"""Faces of a batch of photographs: choose and cut, outline, put back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional

from ..errors import FaceNotFound, InvalidInput
from ..networks.detector import MTCNN
from ..pictures.files import from_uint8, to_uint8
from .align import FaceTransform, align_face
from .detection import Face, detect_faces
from .paste import face_mask, paste_faces

WhenNone = Literal["error", "skip", "whole image"]
PROFILE = 0.3
"""A face whose eyes lie closer than this, in distances from eyes to mouth, is seen from the side (from the front: 0.9 on)."""
OUTLINE = (255, 200, 0)


@dataclass(frozen=True, eq=False)
class FacePlace:
    """Which photograph of the batch a crop was cut from, and where."""

    image: int
    transform: FaceTransform


def take_faces(images: Tensor | Sequence[Tensor], size: int, every: bool = False, when_none: WhenNone = "error",
               min_size: float | None = None, detector: MTCNN | None = None) -> tuple[Tensor, list[FacePlace]]:
    """Photographs [C, H, W] in [-1, 1] -> crops [N, C, size, size] and their places: by photograph, largest first.

    every: all faces of a photograph instead of its largest. when_none: what becomes of one without a usable face:
    FaceNotFound, left out, or its central square. Raises FaceNotFound also when nothing at all is left.
    """
    crops, places = [], []
    for index, (image, found) in enumerate(zip(images, detect_faces(images, min_size, detector=detector), strict=True)):
        usable = [face for face in found if not is_profile(face)]
        for face in usable if every else usable[:1]:
            crop, transform = align_face(image, face.points, size, supersample=4)
            crops.append(crop)
            places.append(FacePlace(index, transform))
        if not usable and when_none == "error":
            raise FaceNotFound(_nothing(image, index, found))
        if not usable and when_none == "whole image":
            crop, transform = central_square(image, size)
            crops.append(crop)
            places.append(FacePlace(index, transform))
    if not crops:
        raise FaceNotFound(f"None of {len(images)} photographs shows a face that can be used; give others, or take "
                           f"the whole image.")
    return torch.stack(crops), places


def _nothing(image: Tensor, index: int, found: list[Face]) -> str:
    height, width = image.shape[1:]
    if found:
        return (f"The face in photograph {index + 1} is seen from the side; use one in which both eyes are visible, "
                f"or take the whole image.")
    return (f"No face was found in photograph {index + 1} ({width} x {height} px); use one with a face that is well "
            f"lit and "
            f"larger than a 22nd of the picture, ask for smaller faces, or take the whole image.")


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
    return crop, FaceTransform(corners - 0.5, size, corners)


def return_faces(images: Tensor, crops: Tensor, places: Sequence[FacePlace], feather: float = 0.1,
                 color_match: float = 0.0, masks: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Photographs [B, C, H, W], crops [N, C, s, s] -> photographs with the crops in them, masks [B, 1, H, W] (0 to 1).

    masks: [1|N, 1, s', s'], 0 to 1, what of each crop is pasted (see head_mask); the crop's own edge stays soft. None
    pastes an oval. Raises InvalidInput.
    """
    if len(crops) != len(places):
        raise InvalidInput(f"{len(crops)} crops came for {len(places)} faces; give one crop a face, in the order of "
                           f"Align Faces.")
    if places and max(place.image for place in places) >= len(images):
        raise InvalidInput(f"The faces come from {max(p.image for p in places) + 1} photographs but {len(images)} "
                           f"were given; "
                           f"give the photographs in which they were found.")
    edged = None if masks is None else _edged(masks, len(crops), feather)
    done = []
    for index, image in enumerate(images):
        mine = [i for i, place in enumerate(places) if place.image == index]
        done.append(paste_faces(image, crops[mine], [places[i].transform for i in mine], feather, color_match,
                                masks=None if edged is None else edged[mine]))
    return torch.stack([image for image, _ in done]), torch.stack([mask for _, mask in done])


def _edged(masks: Tensor, count: int, feather: float) -> Tensor:
    """One mask a crop, faded out towards the crop's edge."""
    if masks.ndim != 4 or masks.shape[1] != 1 or masks.shape[2] != masks.shape[3] or len(masks) not in (1, count):
        raise InvalidInput(f"Pasting {count} crops got masks of shape {tuple(masks.shape)} but needs a square one each, in the "
                           f"crops' frame; Head Mask makes them.")
    return masks.expand(count, -1, -1, -1) * face_mask(masks.shape[-1], feather, "square").to(masks)


def outline_faces(images: Tensor, places: Sequence[FacePlace]) -> Tensor:
    """Photographs [B, 3, H, W] in [-1, 1] with each crop's square drawn and numbered; on the CPU."""
    drawn = [Image.fromarray(to_uint8(image)) for image in images]
    for number, place in enumerate(places):
        pen, width = ImageDraw.Draw(drawn[place.image]), max(2, round(drawn[place.image].width / 250))
        corners = [tuple(corner) for corner in place.transform.quad.tolist()]
        pen.line([*corners, corners[0]], fill=OUTLINE, width=width, joint="curve")
        pen.text((corners[0][0] + 2 * width, corners[0][1] + 2 * width), str(number), fill=OUTLINE)
    return torch.cat([from_uint8(np.array(picture)) for picture in drawn])
