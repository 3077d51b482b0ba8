"""One face through the frames of a video: tracked, its short gaps bridged, its path smoothed before it is cut out.

A detector's points tremble by a pixel or so from frame to frame; cut by them, the crops tremble too, and an inversion
takes that for motion. All frames are there, so the filter needs no lag (as one-euro filters for live video have): a
parabola fitted by least squares around each frame (Savitzky & Golay 1964), here with Gaussian weights. It keeps steady
and accelerated motion as it is, at the ends too, where a Gaussian mean would pull the face back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby, pairwise

import torch
from torch import Tensor

from ..errors import FaceNotFound, InvalidInput
from ..networks.detector import MTCNN
from ..runtime import OnStep
from .align import align_face, fine_enough
from .batch import FacePlace, is_profile
from .checks import check_finite
from .detection import Face, detect_faces, find_faces, look_again, turned_back

DEGREE, REACH = 2, 3
"""Of the fitted polynomial; frames on each side that count, in standard deviations of the weights."""
SEARCH_EVERY = 4
"""Frames from one search of the whole picture to the next; between them the face is looked for where it was."""
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


def bridge_gaps(points: Sequence[Tensor | None], longest: int) -> list[Tensor | None]:
    """Points [k, 2] a frame, None where they are missing -> float64, with straight lines across gaps of at most `longest`
    frames. Longer gaps, and what is missing before the first and after the last sight, stay missing."""
    found = [None if p is None else p.double() for p in points]
    known = [t for t, p in enumerate(found) if p is not None]
    for before, after in pairwise(known):
        if 0 < after - before - 1 <= longest:
            first, last = found[before], found[after]
            assert first is not None and last is not None
            for t in range(before + 1, after):
                found[t] = torch.lerp(first, last, (t - before) / (after - before))
    return found


def smooth_sights(points: Sequence[Tensor | None], sigma: float) -> list[Tensor | None]:
    """Points [n, 2] a frame, None where no face is seen -> the same, every stretch of frames with a face smoothed for itself;
    see smooth_over_time."""
    smoothed: list[Tensor | None] = []
    for seen, stretch in groupby(points, lambda p: p is not None):
        values = list(stretch)
        smoothed += smooth_over_time(torch.stack(values), sigma) if seen else values  # type: ignore[arg-type]
    return smoothed


def track_face(frames: Tensor | Sequence[Tensor], min_size: float | None = None, detector: MTCNN | None = None,
               on_step: OnStep | None = None, search_every: int = SEARCH_EVERY) -> list[Tensor | None]:
    """Five points [5, 2] float64 of one face in each frame [C, H, W], None where it is lost.

    Begins with the largest face of the first frame that has one, in whatever turn the video was taken; goes on with the one
    nearest to the last place. The whole frame is searched every search_every frames, and where the face is not found near its
    last place. One frame is held at a time, so `frames` may read them as they are asked for. Raises InvalidInput for frames
    of two sizes.
    """
    if search_every < 1:
        raise InvalidInput(f"A face was to be searched every {search_every} frames; use 1 (each) or more.")
    tracker: _Tracker | None = None
    found: list[Tensor | None] = []
    shape = frames[0].shape
    for t in range(len(frames)):
        frame = frames[t]
        if frame.shape != shape:
            raise InvalidInput(f"Frame {t + 1} has shape {list(frame.shape)} but the first has {list(shape)}; give frames of "
                               f"one size.")
        check_finite(frame, f"Frame {t + 1}")
        tracker = tracker or _Tracker(detector or MTCNN.embedded(frame.device), min_size, search_every)
        face = tracker.next(frame)
        found.append(None if face is None else face.points.double().cpu())
        if on_step is not None:
            on_step(t + 1, len(frames), None)
    return found


class _Tracker:
    """One face, from frame to frame."""

    def __init__(self, detector: MTCNN, min_size: float | None, search_every: int) -> None:
        self.detector, self.min_size, self.search_every = detector, min_size, search_every
        self.last: Face | None = None
        self.unseen, self.count = 0, 0

    def next(self, frame: Tensor) -> Face | None:
        """The face in this frame, in the frame's pixels; None where it is lost."""
        search = self.count % self.search_every == 0 or self.unseen > 0
        self.count += 1
        self.unseen += 1
        upright = frame if self.last is None else torch.rot90(frame, self.last.turn, (-2, -1))
        faces = [] if search or self.last is None else look_again(upright, self.last, self.detector)
        face = self._usable(faces)
        if face is None:
            face = self._usable(self._search(frame, upright))
        if face is None:
            return None
        # the last sight is kept in the upright frame's pixels
        self.last, self.unseen = (face if self.last is None else replace(face, turn=self.last.turn)), 0
        return turned_back(self.last, self.last.turn, frame)

    def _search(self, frame: Tensor, upright: Tensor) -> list[Face]:
        if self.last is not None or (self.count - 1) % self.search_every:
            return detect_faces([upright], self.min_size, detector=self.detector)[0]
        # which way up the video is, its first face says
        found = find_faces([frame], self.min_size, self.detector)[0]
        return [_in_turn(face, frame) for face in found]

    def _usable(self, faces: list[Face]) -> Face | None:
        return _follow([face for face in faces if not is_profile(face)], self.last, self.unseen)


def _in_turn(face: Face, frame: Tensor) -> Face:
    """A face of a frame in the pixels of the frame set upright."""
    upright = torch.rot90(frame, face.turn, (-2, -1))
    return replace(turned_back(face, -face.turn % 4, upright), turn=face.turn)


def _follow(faces: list[Face], last: Face | None, frames: int) -> Face | None:
    """The face nearest to `last`, seen `frames` ago, or the largest to begin with; None if none can be the same."""
    if last is None or not faces:
        return faces[0] if faces else None
    apart = [float((face.points.mean(0) - last.points.mean(0)).norm()) for face in faces]
    nearest = min(range(len(faces)), key=apart.__getitem__)
    return faces[nearest] if apart[nearest] <= (JUMP + DRIFT * (frames - 1)) * last.size else None


def take_video_faces(frames: Tensor | Sequence[Tensor], size: int, smoothing: float = 3.0, min_size: float | None = None,
                     detector: MTCNN | None = None, on_step: OnStep | None = None, fps: float = 24.0, bridge: float = 0.5,
                     search_every: int = SEARCH_EVERY) -> tuple[Tensor, list[FacePlace]]:
    """Frames [C, H, W] in [-1, 1] of one size -> crops [M, C, size, size] of one face, and the place of each.

    smoothing: standard deviation in frames over which the five points are smoothed before FFHQ's frame is laid around
    them; 0: none. A face lost for at most `bridge` seconds, at fps frames a second, gets the place between its neighbours';
    frames without it otherwise give no crop and return_faces leaves them as they are (see video_notes). search_every: see
    track_face. on_step(done, N, None) while searching, by far the longest part. Raises FaceNotFound, InvalidInput.
    """
    if len(frames) == 0:
        raise InvalidInput("A video without frames was given; give at least one.")
    if not (0 < fps < math.inf and 0 <= bridge < math.inf):
        raise InvalidInput(f"A video got {fps} frames a second and gaps of {bridge} s to bridge; use numbers above 0, and from "
                           f"0 on.")
    sights = bridge_gaps(track_face(frames, min_size, detector, on_step, search_every),
                         round(min(bridge * fps, len(frames))))
    points = [(t, five) for t, five in enumerate(smooth_sights(sights, smoothing)) if five is not None]
    if not points:
        raise FaceNotFound(f"None of {len(frames)} frames shows a face that can be used; give frames with one face from the "
                           f"front, or ask for smaller faces.")
    crops, places = torch.empty(len(points), frames[0].shape[0], size, size), []
    for i, (t, five) in enumerate(points):
        crops[i], transform = align_face(frames[t], five, size, supersample=fine_enough(size))
        places.append(FacePlace(t, transform, 0))
    return crops, places


def video_notes(places: Sequence[FacePlace], frames: int) -> tuple[str, ...]:
    """A sentence when some of the frames show no face and stay as they are."""
    left = frames - len({place.image for place in places})
    return (f"{left} of {frames} frames show no face that can be followed and stay as they are.",) if left else ()
