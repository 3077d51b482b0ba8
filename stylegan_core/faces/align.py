"""FFHQ's oriented face crop (Karras et al. 2019, appendix A) from 5 or 68 points.

The default arithmetic is the one face encoders and DualStyleGAN expect: Lanczos shrink by a whole factor, reflected,
blurred and faded padding, one bilinear warp, each kept in 8 bits, the last one truncated. `supersample=4` is how FFHQ
itself was cut: smoother, and kept in floating point here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..errors import InvalidInput
from .checks import check_finite
from .detection import Face
from .resample import gaussian_blur, lanczos, mirror

LEFT_EYE, RIGHT_EYE, MOUTH_CORNERS = slice(36, 42), slice(42, 48), (48, 54)
"""Rows of the 68 points (iBUG order)."""
LARGE_CROP = 512
"""Pixels a side up to which a crop is cut with FFHQ's own supersampling."""
SAME_ASPECT = 0.01
"""Difference of aspects that rounding a resized photograph's sides to whole pixels, or to eights, explains."""


@dataclass(frozen=True, eq=False)
class FaceTransform:
    """Where a crop came from."""

    quad: Tensor
    """[4, 2] float64: the crop's corners (top-left, bottom-left, bottom-right, top-right) in pixels of the photo."""
    size: int
    """Side of the crop in pixels."""
    sampled: Tensor
    """[4, 2] float64: the corners really sampled, pixel i spanning i to i + 1; differs from quad + 0.5 where the photo
    was shrunk, because the shrunk size is rounded. Pasting back uses these."""
    photo: tuple[int, int] | None = None
    """Height and width of the photo in pixels; None where unknown."""

    def for_photo(self, image: Tensor, strict: bool = True) -> FaceTransform:
        """The same place in an enlarged or shrunk copy [C, H, W] of the photograph.

        Where its aspect is another it is no copy of that photograph: InvalidInput if strict, else the place as it is.
        """
        height, width = image.shape[-2:]
        if self.photo is None or self.photo == (height, width):
            return self
        scale = torch.tensor([width / self.photo[1], height / self.photo[0]], dtype=torch.float64)
        if abs(float(scale[0] / scale[1]) - 1) <= SAME_ASPECT:
            return FaceTransform((self.quad + 0.5) * scale - 0.5, self.size, self.sampled * scale, (height, width))
        if not strict:
            return self
        raise InvalidInput(f"The face was found in a photograph of {self.photo[1]} x {self.photo[0]} px but is to be pasted "
                           f"into one of {width} x {height} px, which is no enlarged or shrunk copy of it; give the "
                           f"photograph in which it was found, resized as a whole at most.")

    @property
    def side(self) -> float:
        """Side of the crop square in pixels of the photo."""
        return float(torch.linalg.vector_norm(self.quad[3] - self.quad[0]))


def face_quad(landmarks: Tensor | np.ndarray | Sequence[Sequence[float]]) -> Tensor:
    """[5, 2] or [68, 2] points (x, y) -> [4, 2] float64, the crop square: top-left, then counterclockwise.

    Five points: two eyes, nose (unused), two mouth corners, image left before right. Sixty-eight: iBUG order.
    """
    points = torch.as_tensor(landmarks, dtype=torch.float64).detach().cpu()
    if points.shape == (68, 2):
        eyes, mouth = (points[LEFT_EYE].mean(0), points[RIGHT_EYE].mean(0)), points[list(MOUTH_CORNERS)].mean(0)
    elif points.shape == (5, 2):
        eyes, mouth = (points[0], points[1]), points[3:].mean(0)
    else:
        raise InvalidInput(f"Alignment got landmarks of shape {tuple(points.shape)} but needs [5, 2] or [68, 2].")
    if not points.isfinite().all():
        raise InvalidInput("Alignment got landmarks that are not finite numbers; detect the face again.")
    eye, across = (eyes[0] + eyes[1]) / 2, eyes[1] - eyes[0]
    down = mouth - eye
    x = across - _quarter_turn(down)
    length = torch.linalg.vector_norm(x)
    if length < 1e-6:
        raise InvalidInput("Alignment got landmarks that all lie in one point; detect the face again.")
    x = x / length * torch.maximum(2 * across.norm(), 1.8 * down.norm())
    y, center = _quarter_turn(x), eye + 0.1 * down
    return torch.stack([center - x - y, center - x + y, center + x + y, center + x - y])


def _quarter_turn(v: Tensor) -> Tensor:
    return torch.stack([-v[1], v[0]])


def align_face(
    image: Tensor,
    landmarks: Tensor | np.ndarray | Sequence[Sequence[float]],
    size: int = 256,
    supersample: int = 1,
) -> tuple[Tensor, FaceTransform]:
    """image [C, H, W] or [1, C, H, W] in [-1, 1] and points in its pixels -> crop [(1,) C, size, size], its transform.

    Only the neighbourhood of the face is read, so memory follows `size`, not the photo.
    supersample: warp at this many times the size, then shrink with Lanczos.
    """
    if image.ndim == 4 and image.shape[0] == 1:
        crop, transform = align_face(image[0], landmarks, size, supersample)
        return crop[None], transform
    if image.ndim != 3 or 0 in image.shape:
        raise InvalidInput(f"Alignment got an image of shape {tuple(image.shape)} but needs [channels, height, width].")
    if size < 1 or supersample < 1:
        raise InvalidInput(f"Alignment got size {size} and supersample {supersample}; both must be at least 1.")
    check_finite(image, "The photograph to align")
    quad = face_quad(landmarks)
    crop, sampled = _cut(image.float(), quad, size, supersample, in_8_bits=supersample == 1)
    return crop, FaceTransform(quad, size, sampled, (image.shape[1], image.shape[2]))


def fine_enough(size: int) -> int:
    """The supersampling of a crop for eyes and models: 4 as FFHQ itself was cut, 2 where the crop is large, as it costs a
    quarter there and differs by less than a level."""
    return 4 if size <= LARGE_CROP else 2


def cut_again(image: Tensor, transform: FaceTransform, size: int) -> Tensor:
    """[C, H, W], finite, and a transform for_photo(image) -> its crop [C, size, size] of the photograph as it is now."""
    quad = transform.quad
    fine = 1 if torch.linalg.vector_norm(quad[3] - quad[0]) <= size else 2  # what is enlarged has nothing finer to average
    return _cut(image.float(), quad, size, fine, in_8_bits=False)[0]


def _cut(image: Tensor, quad: Tensor, size: int, supersample: int, in_8_bits: bool) -> tuple[Tensor, Tensor]:
    """The square `quad` as a crop [C, size, size], and the corners really sampled."""
    rounding, truncation = (torch.round, _truncate) if in_8_bits else (None, None)
    piece, corners, sampled = _prepare(image, quad, size * supersample, rounding)
    crop = _warp(piece, corners + 0.5, size * supersample)
    if supersample > 1:
        crop = lanczos(crop, (size, size), (0, 0, size, size)).clamp(-1, 1)
    return _in_8_bits(crop, truncation), sampled


def align_faces(
    images: Tensor | Sequence[Tensor], faces: Sequence[Sequence[Face]], size: int = 256, supersample: int = 1
) -> tuple[Tensor, list[FaceTransform], list[int]]:
    """Every face of every image -> crops [N, C, size, size], their transforms, and the image each came from."""
    jobs = [(index, face) for index, found in enumerate(faces) for face in found]
    if not jobs:
        channels = images[0].shape[0] if len(images) else 3
        return torch.zeros(0, channels, size, size), [], []
    made = [align_face(images[index], face.points, size, supersample) for index, face in jobs]
    return torch.stack([crop for crop, _ in made]), [transform for _, transform in made], [index for index, _ in jobs]


Rounding = Callable[[Tensor], Tensor]


def _in_8_bits(x: Tensor, rounding: Rounding | None) -> Tensor:
    """Values on 256 levels of [-1, 1], as a file or an 8-bit image library would hold them; None: untouched."""
    return x if rounding is None else rounding((x + 1) * 127.5).clamp(0, 255) / 127.5 - 1


def _truncate(levels: Tensor) -> Tensor:
    # a whole level must not fall to the next one below by float rounding
    return (levels + 1e-3).floor()


def _prepare(image: Tensor, quad: Tensor, size: int, bits: Rounding | None) -> tuple[Tensor, Tensor, Tensor]:
    """Shrink, cut and pad -> the piece to warp, the quad in its pixels, the quad it means in the photo (edges)."""
    height, width = image.shape[1:]
    side = torch.linalg.vector_norm(quad[3] - quad[0]).item()
    shrink = max(1, math.floor(side / size * 0.5))
    # numpy rounds half to even and so does round(): the sizes must agree with the reference to the pixel
    small = (max(1, round(height / shrink)), max(1, round(width / shrink))) if shrink > 1 else (height, width)
    corners, side = quad / shrink, side / shrink
    sampled = (corners + 0.5) * torch.tensor([width / small[1], height / small[0]], dtype=torch.float64)
    border = max(round(side * 0.1), 3)
    x0, y0, x1, y1 = _bounds(corners)
    region = (max(x0 - border, 0), max(y0 - border, 0), min(x1 + border, small[1]), min(y1 + border, small[0]))
    if region[0] >= region[2] or region[1] >= region[3]:
        raise InvalidInput("The face to align lies outside the image; check that the landmarks belong to this image.")
    piece = _in_8_bits(lanczos(image, small, region).clamp(-1, 1), bits)
    corners = corners - torch.tensor(region[:2], dtype=torch.float64)
    x0, y0, x1, y1 = _bounds(corners)
    pad = [border - x0, border - y0, x1 - piece.shape[2] + border, y1 - piece.shape[1] + border]
    if max(pad) > border - 4:
        pad = [max(p, 0, round(side * 0.3)) for p in pad]
        piece = _in_8_bits(_pad(piece, pad, side * 0.02), bits)
        corners = corners + torch.tensor(pad[:2], dtype=torch.float64)
    return piece, corners, sampled


def _bounds(corners: Tensor) -> list[int]:
    """x0, y0, x1, y1 of the whole pixels around the corners."""
    return [*corners.amin(0).floor().int().tolist(), *corners.amax(0).ceil().int().tolist()]


def _pad(piece: Tensor, pad: list[int], sigma: float) -> Tensor:
    """Reflect by pad (left, top, right, bottom), blur the new margin and fade it towards the median colour."""
    left, top, right, bottom = pad
    piece = piece.index_select(1, mirror(piece.shape[1], top, bottom).to(piece.device))
    piece = piece.index_select(2, mirror(piece.shape[2], left, right).to(piece.device))
    y, x = (torch.arange(n, dtype=torch.float32, device=piece.device) for n in piece.shape[1:])
    across = 1 - torch.minimum(x / left, (len(x) - 1 - x) / right)
    along = 1 - torch.minimum(y / top, (len(y) - 1 - y) / bottom)
    depth = torch.maximum(across, along[:, None])
    piece = piece + (gaussian_blur(piece, sigma) - piece) * (depth * 3 + 1).clamp(0, 1)
    return piece + (_median(piece) - piece) * depth.clamp(0, 1)


def _median(piece: Tensor) -> Tensor:
    """[C, 1, 1]; the mean of the two middle values where their number is even."""
    flat = piece.flatten(1).cpu()
    count = flat.shape[1]
    middle = flat.kthvalue((count + 1) // 2, dim=1).values + flat.kthvalue(count // 2 + 1, dim=1).values
    return (middle / 2)[:, None, None].to(piece)


def _warp(piece: Tensor, corners: Tensor, size: int) -> Tensor:
    """Bilinear sampling of the square `corners` (edge coordinates) onto size x size pixels."""
    steps = ((torch.arange(size, dtype=torch.float64) + 0.5) / size)[:, None]
    across, down = (corners[3] - corners[0]) * steps, (corners[1] - corners[0]) * steps
    at = corners[0] + across + down[:, None]
    scale = torch.tensor([piece.shape[2], piece.shape[1]], dtype=torch.float64)
    grid = (at / scale * 2 - 1).to(piece)
    return functional.grid_sample(piece[None], grid[None], padding_mode="border", align_corners=False)[0]
