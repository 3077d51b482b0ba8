"""A face inside FFHQ's frame: its five points, what they say of shape and pose, and whether a crop is aligned at all."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InvalidInput
from ..networks.detector import MTCNN
from .align import face_quad
from .checks import check_side
from .detection import detect_faces, roll

FRAME_POINTS = torch.tensor([[0.385, 0.475], [0.615, 0.475], [0.5, 0.615], [0.405, 0.735], [0.595, 0.735]])
"""The five points of an average face in FFHQ's frame, as shares of the side."""
FRONTAL_NOSE = 0.55
"""Where the nose tip of a face seen from the front lies between eyes (0) and mouth (1)."""
MAX_SHIFT, MAX_ZOOM, MAX_TURN = 0.2, 1.7, 0.5
"""A crop is aligned while FFHQ's frame around its face is nearly the crop: shares of the side, a factor, radians."""


def crop_points(crops: Tensor, detector: MTCNN | None = None) -> list[Tensor | None]:
    """Aligned crops [B, 3, S, S] in [-1, 1] -> five points [5, 2] as shares of the side, or None where no face is seen."""
    found = [faces[0] if faces else None for faces in detect_faces(crops, min_size=crops.shape[-1] / 5, detector=detector)]
    return [None if face is None else ((face.points + 0.5) / crops.shape[-1]).float().cpu() for face in found]


@dataclass(frozen=True)
class FaceMeasures:
    """Numbers that turning, moving and scaling the picture leave alone, but for roll."""

    width: float
    """Mouth over eye distance."""
    length: float
    """Eyes to mouth over eye distance."""
    yaw: float
    """How far the nose tip lies beside the middle of the face, in eye distances; 0 from the front."""
    pitch: float
    """How far the nose tip lies below its frontal place, in distances from eyes to mouth."""
    roll: float
    """Turn of the eye line, radians."""

    @classmethod
    def of(cls, points: Tensor) -> FaceMeasures:
        """Five points [5, 2] of any scale."""
        eyes, mouth = points[:2].mean(0), points[3:].mean(0)
        across, down = points[1] - points[0], mouth - eyes
        width, length = across.norm().clamp(min=1e-6), down.norm().clamp(min=1e-6)
        nose = points[2] - eyes
        along = (nose @ down) / length.square()
        side = (nose - along * down) @ across / width.square()
        return cls(float((points[4] - points[3]).norm() / width), float(length / width), float(side),
                   float(along) - FRONTAL_NOSE, roll(points))

    def shape_distance(self, other: FaceMeasures) -> float:
        """0 for equal proportions; 1 is as far as a caricature goes."""
        return 2 * (abs(self.width - other.width) + abs(self.length - other.length))

    def pose_distance(self, other: FaceMeasures) -> float:
        """0 for equal poses; 1 is about 45 degrees of turning."""
        return (2 * abs(self.yaw - other.yaw)) + abs(self.pitch - other.pitch) * 2 + abs(self.roll - other.roll)


def check_aligned(crops: Tensor, detector: MTCNN | None = None) -> None:
    """Raise InvalidInput unless crops [B, 3, S, S] are square and every face seen in them sits in FFHQ's frame.

    A crop in which no face is seen passes: the detector knows photographs, and misses many a drawing.
    """
    if crops.ndim != 4 or crops.shape[1] != 3 or crops.shape[2] != crops.shape[3] or not len(crops):
        raise InvalidInput(f"Aligned faces [batch, 3, size, size] are needed but pictures of shape {tuple(crops.shape)} came; "
                           f"cut the faces out with Align Faces first.")
    check_side(crops, "A picture")
    for number, points in enumerate(crop_points(crops, detector)):
        if points is not None and not _in_frame(points):
            raise InvalidInput(f"The face of picture {number + 1} is not where an aligned face has it; cut the faces out with "
                               f"Align Faces first.")


def alignment_notes(images: Tensor, detector: MTCNN | None = None) -> tuple[str, ...]:
    """A sentence when faces in square pictures [B, 3, S, S] do not lie where aligned ones do; none where no face is seen."""
    points = crop_points(images.nan_to_num(), detector)
    off = [str(i + 1) for i, found in enumerate(points) if found is not None and not _in_frame(found)]
    if not off:
        return ()
    which = f"picture {off[0]}" if len(off) == 1 else f"{len(off)} pictures ({', '.join(off[:8])})"
    return (f"The face of {which} is not where an aligned face has it, so the result will be less alike; cut the faces out "
            f"with Align Faces first.",)


def _in_frame(points: Tensor) -> bool:
    quad = face_quad(points)
    x, middle = quad[3] - quad[0], quad.mean(0)
    zoom, turn = float(x.norm()), abs(float(torch.atan2(x[1], x[0])))
    return float((middle - 0.5).norm()) < MAX_SHIFT and 1 / MAX_ZOOM < zoom < MAX_ZOOM and turn < MAX_TURN
