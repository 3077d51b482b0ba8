"""One face through the frames of a video: tracked, its gaps filled, its path smoothed before it is cut out.

A detector's points tremble by a pixel or so from frame to frame; cut by them, the crops tremble too, and an inversion
takes that for motion. All frames are there, so the filter needs no lag (as one-euro filters for live video have): a
parabola fitted by least squares around each frame (Savitzky & Golay 1964), here with Gaussian weights. It keeps steady
and accelerated motion as it is, at the ends too, where a Gaussian mean would pull the face back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..errors import FaceNotFound, InvalidInput
from ..networks.detector import MTCNN
from ..runtime import OnStep
from .align import align_face
from .batch import FacePlace, is_profile
from .detection import Face, detect_faces

DEGREE, REACH = 2, 3
"""Of the fitted polynomial; frames on each side that count, in standard deviations of the weights."""
JUMP, DRIFT = 0.75, 0.1
"""A face farther from the last place than this share of its size is another person's; what is added per frame unseen."""


def smooth_over_time(path: Tensor, sigma: float) -> Tensor:
    """[N, ...], a value a frame -> same, smoothed with weights of standard deviation `sigma` frames; 0: as it is."""
    if not math.isfinite(sigma) or sigma < 0:
        raise InvalidInput(f"Smoothing got {sigma} frames; use a number from 0 (none) on.")
    if sigma == 0 or len(path) < 3:
        return path
    reach, smoothed = math.ceil(REACH * sigma), []
    for t in range(len(path)):
        first, last = max(0, t - reach), min(len(path), t + reach + 1)
        offset = torch.arange(first - t, last - t, dtype=torch.float64) / sigma
        root = torch.exp(-offset.square() / 4)
        basis = root[:, None] * offset[:, None] ** torch.arange(DEGREE + 1)
        weights = torch.linalg.pinv(basis)[0] * root
        smoothed.append(torch.tensordot(weights.to(path), path[first:last], 1))
    return torch.stack(smoothed)


def fill_gaps(points: Sequence[Tensor | None]) -> Tensor:
    """Points [k, 2] a frame, None where they are missing -> [N, k, 2] float64: straight lines across gaps, the ends held.

    Raises FaceNotFound when all are missing.
    """
    known = {t: p for t, p in enumerate(points) if p is not None}
    if not known:
        raise FaceNotFound(f"None of {len(points)} frames shows a face that can be used; give frames with one face from the "
                           f"front, or ask for smaller faces.")
    values = torch.stack(list(known.values())).double()
    columns = [np.interp(range(len(points)), list(known), column) for column in values.flatten(1).T.numpy()]
    return torch.from_numpy(np.stack(columns, axis=1)).reshape(len(points), *values.shape[1:])


def track_face(frames: Tensor | Sequence[Tensor], min_size: float | None = None, detector: MTCNN | None = None,
               on_step: OnStep | None = None) -> list[Tensor | None]:
    """Five points [5, 2] float64 of one face in each frame [C, H, W], None where it is lost.

    Begins with the largest face of the first frame that has one; goes on with the one nearest to the last place. One
    frame is held at a time, so `frames` may read them as they are asked for. Raises InvalidInput for frames of two sizes.
    """
    found: list[Tensor | None] = []
    last: Face | None = None
    unseen, shape = 0, frames[0].shape
    for t in range(len(frames)):
        frame = frames[t]
        if frame.shape != shape:
            raise InvalidInput(f"Frame {t + 1} has shape {list(frame.shape)} but the first has {list(shape)}; give frames of "
                               f"one size.")
        detector = detector or MTCNN.embedded(frame.device)
        faces = [face for face in detect_faces([frame], min_size, detector=detector)[0] if not is_profile(face)]
        unseen += 1
        face = _follow(faces, last, unseen)
        if face is not None:
            last, unseen = face, 0
        found.append(None if face is None else face.points.double().cpu())
        if on_step is not None:
            on_step(t + 1, len(frames), None)
    return found


def _follow(faces: list[Face], last: Face | None, frames: int) -> Face | None:
    """The face nearest to `last`, seen `frames` ago, or the largest to begin with; None if none can be the same."""
    if last is None or not faces:
        return faces[0] if faces else None
    apart = [float((face.points.mean(0) - last.points.mean(0)).norm()) for face in faces]
    nearest = min(range(len(faces)), key=apart.__getitem__)
    return faces[nearest] if apart[nearest] <= (JUMP + DRIFT * (frames - 1)) * last.size else None


def take_video_faces(frames: Tensor | Sequence[Tensor], size: int, smoothing: float = 3.0, min_size: float | None = None,
                     detector: MTCNN | None = None, on_step: OnStep | None = None) -> tuple[Tensor, list[FacePlace]]:
    """Frames [C, H, W] in [-1, 1] of one size -> crops [N, C, size, size] of one face, and the place of each.

    smoothing: standard deviation in frames over which the five points are smoothed before FFHQ's frame is laid around
    them; 0: none. Frames in which the face is lost get the place between their neighbours'. Places go to return_faces.
    on_step(done, N, None) while searching, by far the longest part. Raises FaceNotFound, InvalidInput.
    """
    if len(frames) == 0:
        raise InvalidInput("A video without frames was given; give at least one.")
    points = smooth_over_time(fill_gaps(track_face(frames, min_size, detector, on_step)), smoothing)
    crops, places = [], []
    for t in range(len(frames)):
        crop, transform = align_face(frames[t], points[t], size, supersample=4)
        crops.append(crop)
        places.append(FacePlace(t, transform))
    return torch.stack(crops), places
