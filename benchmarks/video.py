"""A film to toons: does a frame cost the same from first to last, and does memory stay flat?

    python -m benchmarks.video [--frames 48] [--steps 2]

A window that wanders over the example portrait is followed, cut out, inverted and drawn. CPU seconds a frame of each stage, in
the first and in the second half, and the peak memory after each half.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, cast

import torch

import stylegan_core as sg

from .measure import clock, peak_mb


class Halves:
    """An on_step that notes the clock and the memory in the middle and at the end."""

    def __init__(self) -> None:
        self.start, self.marks = clock(), []

    def __call__(self, done: int, total: int, _: object = None) -> None:
        if done in (total // 2, total):
            self.marks.append((clock(), peak_mb()))

    def told(self, frames: int) -> str:
        (middle, half), (end, whole) = self.marks
        first, second = (middle - self.start) / (frames // 2), (end - middle) / (frames - frames // 2)
        return f"{first * 1e3:.0f} ms a frame, then {second * 1e3:.0f}; {half:.0f} MB, then {whole:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--steps", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    base, toon, encoder = (cast(Any, sg.load(sg.builtin(name))) for name in ("base", "toon", "encoder"))
    clip = sg.moving_crop(sg.read_image(sg.builtin("base").parent / "astronaut.jpg"), options.frames, 320)

    def stage(name: str, work: Callable[[Halves], Any]) -> Any:
        watch = Halves()
        found = work(watch)
        print(f"{name}: {watch.told(options.frames)}", flush=True)
        return found

    crops, _ = stage("followed and cut out", lambda watch: sg.take_video_faces(clip, 256, on_step=watch))
    video = sg.VideoOptions(sg.InversionOptions(steps=options.steps, patience=0), steps=options.steps)
    codes = stage("inverted", lambda watch: sg.VideoInverter(base, crops, encoder, video).run(watch))
    stage("drawn", lambda watch: sg.render(sg.blend(base, toon, 1024), codes, chunk=1, on_step=watch))


if __name__ == "__main__":
    main()
