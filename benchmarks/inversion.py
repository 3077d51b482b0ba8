"""Inversion by optimization beside the textbook's loop: steps of a batch in w+, LPIPS and L2, noise fixed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch

from stylegan_core.inversion import InversionOptions, Inverter
from stylegan_core.losses.perceptual import LPIPS

from .measure import make, peak_mb

WARM_UP = 1


def steps_per_second(threads: int, resolution: int, batch: int, textbook: bool, steps: int) -> dict[str, float]:
    """Of the loop alone, beside the peak memory above the loaded model's."""
    torch.set_num_threads(threads)
    model, lpips = make(resolution), LPIPS.embedded()
    targets = torch.rand(batch, 3, resolution, resolution) * 2 - 1
    idle, clock = peak_mb(), time.process_time if threads == 1 else time.perf_counter
    loop = (_textbook if textbook else _ours)(model, targets, lpips, WARM_UP + steps)
    ticks = [clock() for _ in loop]
    return {"rate": steps / (ticks[-1] - ticks[WARM_UP - 1]), "peak": peak_mb() - idle}


def _ours(model: torch.nn.Module, targets: torch.Tensor, lpips: LPIPS, steps: int) -> Iterator[object]:
    options = InversionOptions(steps=steps, identity=0.0, patience=0)
    inverter = Inverter(model, targets, "w+", options, distances={"lpips": lpips})  # type: ignore[arg-type]
    for i in range(steps):
        yield inverter.step(i / steps)


def _textbook(model: torch.nn.Module, targets: torch.Tensor, lpips: LPIPS, steps: int) -> Iterator[object]:
    from .twins.textbook import project

    loop: Callable[..., Iterator[object]] = project
    return loop(model, targets, lpips, steps)
