"""A face's video into latents: one short inversion a frame, begun where the last one ended, smoothed over time.

Memory does not grow with the number of frames: each frame is inverted alone, and only its code is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from ..engine import Optimization, Series
from ..errors import InvalidInput
from ..faces.smoothing import smooth_over_time
from ..latents import Latents, ModelSignature
from ..losses.reconstruction import EMBEDDED
from ..networks.generators.base import Generator, plain_generator
from ..options import check_numbers, of_preset
from ..runtime import OnStep
from .encode import PortraitEncoder
from .loss_files import loss_networks
from .optimize import Inverter
from .options import PRESETS, InversionOptions
from .small import small_variant
from .spaces import Coordinates
from .state import InversionResult

AHEAD = 8
"""Frames that an encoder sees at once on an accelerator."""


@dataclass(frozen=True)
class VideoOptions:
    """How a video is inverted."""

    first: InversionOptions | str = "standard"
    """The first frame's options; noise maps it optimizes stay fixed from then on."""
    steps: int = 12
    """Of each following frame. 0: take the encoder's motion as it is (only with an encoder)."""
    lr: float = 0.01
    """Peak learning rate of the following frames. They begin near their goal and Adam's first steps are as long in
    directions that don't matter: at 0.01 the loss falls from the first step on, at 0.03 it rises for ten steps first."""
    smoothing: float = 1.0
    """Standard deviation in frames of the smoothing of the codes; 0: none."""

    def __post_init__(self) -> None:
        check_numbers(self, "A video's inversion")
        of_preset(self.first, PRESETS, "Inversion")
        if not self.lr:
            raise InvalidInput("A video's inversion got lr = 0, at which nothing moves; use a rate above 0, such as 0.01.")


class Followed(Optimization[Latents]):
    """A frame whose code is the encoder's motion alone: one step, nothing drawn."""

    steps = 1

    def __init__(self, code: Latents) -> None:
        self.code, self._done = code, 0

    @property
    def steps_done(self) -> int:
        return self._done

    def advance(self) -> None:
        self._done = 1

    def result(self) -> Latents:
        return self.code


class VideoInverter(Series["Inverter | Followed", Latents | InversionResult]):
    """One video's inversion as an object: `run` it, and take `result` at any time, also after `on_step` raised to cancel."""

    def __init__(self, model: Generator, crops: Tensor | Sequence[Tensor], encoder: PortraitEncoder | None = None,
                 options: VideoOptions | None = None, distances: dict[str, nn.Module] | None = None,
                 folders: Sequence[str | Path] = (), moments: Sequence[int] | None = None) -> None:
        """crops: [N, 3, S, S] or a sequence of [3, S, S] (read as they are needed), aligned, in [-1, 1].

        moments: the number of the frame that each crop comes from; where some are missing between two, nothing is smoothed
        across. None: one after another.
        encoder: one for this model; then each frame begins at its code, plus what optimization added to the last frame's.
        distances, folders: as for Inverter; the networks are loaded once. Raises InvalidInput, LatentMismatch.
        """
        self.options = options or VideoOptions()
        if len(crops) == 0:
            raise InvalidInput("A video without frames was given; give at least one aligned face.")
        if self.options.steps == 0 and encoder is None:
            raise InvalidInput("A video was to be inverted in 0 steps a frame without an encoder, so nothing would move; use "
                               "at least 1 step, or give an encoder.")
        self.moments = list(range(len(crops)) if moments is None else moments)
        if len(self.moments) != len(crops) or any(a >= b for a, b in pairwise(self.moments)):
            raise InvalidInput(f"{len(crops)} crops came with the places of {len(self.moments)} frames; give the faces of the "
                               f"same Align Video Faces, one a crop, in the order of the video.")
        self.crops, self.encoder, self._shape = crops, encoder, crops[0].shape
        self.model = small_variant(plain_generator(model))
        self.count = len(crops)
        self._first = replace(of_preset(self.options.first, PRESETS, "Inversion"), start_step=0)
        self._next = replace(self._first, steps=max(1, self.options.steps), start_step=0, lr=self.options.lr, ramp_up=0.0,
                             perturbation=0.0, optimize_noise=False, patience=0)
        with torch.inference_mode(False):
            filed, self.notes = loss_networks(self._first, folders, distances or ())
            known = filed | (distances or {})
            self._distances = {name: known.get(name) or make() for name, make in EMBEDDED.items() if getattr(self._first, name)}
        self._system: Coordinates | None = None
        self._codes: list[Tensor] = []
        self._encoded: Tensor | None = None
        self.ahead = 1 if self.model.w_avg.device.type == "cpu" else AHEAD
        self._ahead: dict[int, Tensor] = {}
        self._seen: Tensor | None = None
        self._noise: tuple[Tensor, ...] | None = None

    @property
    def done(self) -> int:
        return len(self._codes)

    @property
    def frames_done(self) -> int:
        return self.done

    def run(self, on_step: OnStep | None = None) -> Latents:
        """All frames that are left. on_step(i, n, picture of the frame) after every step; what it raises flies through."""
        self.run_all(on_step)
        return self.result()

    def result(self) -> Latents:
        """The frames finished so far [frames_done, num_ws, w_dim] in w+, each stretch without a gap smoothed over time for
        itself. Raises InvalidInput for none."""
        if not self._codes:
            raise InvalidInput("No frame of the video is inverted yet; let it run longer.")
        done = len(self._codes)
        starts = [i for i in range(done) if not i or self.moments[i] > self.moments[i - 1] + 1]
        parts = [smooth_over_time(torch.cat(self._codes[i:j]), self.options.smoothing) for i, j in pairwise([*starts, done])]
        codes = torch.cat(parts) if len(parts) > 1 else parts[0]
        return Latents(codes, "w+", ModelSignature.of(self.model), self._noise)

    def begin(self, first: int) -> Inverter | Followed:
        self._seen = self._encode(first)
        start = self._start(self._seen)
        if first and not self.options.steps and start is not None:
            return Followed(start)
        options = self._next if first else self._first
        return Inverter(self.model, self._crop(first)[None], "w+", options, start, self._distances, system=self._system)

    def keep(self, work: Inverter | Followed, found: Latents | InversionResult) -> None:
        latents = found if isinstance(found, Latents) else found.latents
        if isinstance(work, Inverter):
            self._noise, self._system = latents.noise, work.coordinates
            self.notes += [f"Frame {self.done + 1}: {note}" for note in work.notes if note not in self.notes]
        self._codes.append(latents.tensor.cpu())
        self._encoded = self._seen

    def steps_before(self, item: int) -> int:
        """A frame that stops early jumps to its end."""
        return self._first.steps + (item - 1) * self._next.steps if item else 0

    def _crop(self, number: int) -> Tensor:
        crop = self.crops[number]
        if crop.shape != self._shape:
            raise InvalidInput(f"Frame {number + 1} has shape {list(crop.shape)} but the first has {list(self._shape)}; "
                               f"give crops of one size.")
        return crop

    @torch.no_grad()
    def _encode(self, number: int) -> Tensor | None:
        """The encoder's code of a frame [1, num_ws, w_dim]; None without an encoder. An accelerator sees a few at once."""
        if self.encoder is None:
            return None
        if number not in self._ahead:
            numbers = range(number, min(number + self.ahead, self.count))
            codes = self.encoder.encode(torch.stack([self._crop(n) for n in numbers]), self.model).ws(self.model).cpu()
            self._ahead = dict(zip(numbers, codes.split(1), strict=True))
        return self._ahead[number]

    def _start(self, seen: Tensor | None) -> Latents | None:
        """Where this frame begins: the last frame's code, moved as the encoder saw the face move."""
        code = seen
        if self._codes:
            code = self._codes[-1] if seen is None or self._encoded is None else self._codes[-1] + seen - self._encoded
        return None if code is None else Latents(code, "w+", ModelSignature.of(self.model), self._noise)


def invert_video(model: Generator, crops: Tensor | Sequence[Tensor], encoder: PortraitEncoder | None = None,
                 options: VideoOptions | None = None, smoothing: float | None = None, on_step: OnStep | None = None,
                 distances: dict[str, nn.Module] | None = None, folders: Sequence[str | Path] = (),
                 moments: Sequence[int] | None = None) -> Latents:
    """Aligned frames [N, 3, S, S] in [-1, 1] -> N latents in w+; see VideoInverter, which also keeps what a cancelled run had
    finished. smoothing: replaces the options'. Raises InvalidInput, LatentMismatch.
    """
    options = options or VideoOptions()
    options = options if smoothing is None else replace(options, smoothing=smoothing)
    return VideoInverter(model, crops, encoder, options, distances, folders, moments).run(on_step)
