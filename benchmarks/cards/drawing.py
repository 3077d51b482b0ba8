"""A family's pictures on a card: the CPU's, in how many milliseconds, from how many kernels, in how much memory."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from stylegan_core.networks.generators.base import Generator
from stylegan_core.runtime import Drawing, Precision, Recorder, at_drawing, at_precision, fast_type, is_out_of_memory
from stylegan_core.runtime.drawing import record_on_cuda

from .families import Subject, make

EXACT, LEVELS = 1e-3, 1.0
"""Largest difference in float32, of the picture's range; mean one in half precision, in levels of 255 of that range."""
MANY = 8
LEAST_SECONDS, MOST_CALLS = 0.5, 200


@dataclass(frozen=True)
class Row:
    """One way to draw. Milliseconds are None where memory ran out."""

    family: str
    px: int
    dtype: str
    drawing: str
    off: float
    """See EXACT and LEVELS; NaN where a picture is not finite."""
    one: float | None
    many: float | None
    """An image, of a batch of eight."""
    kernels: int | None
    peak: float

    @property
    def agrees(self) -> bool:
        return self.off <= (EXACT if self.dtype == "float32" else LEVELS)

    def line(self) -> str:
        off = f"{self.off:.1e} of range" if self.dtype == "float32" else f"{self.off:.2f} of 255"
        times = ["no memory" if t is None else f"{t:.2f}" for t in (self.one, self.many)]
        cells = (self.family, str(self.px), self.dtype, self.drawing, off + ("" if self.agrees else " (WRONG)"), *times,
                 "" if self.kernels is None else str(self.kernels), f"{self.peak:.0f}")
        return f"| {' | '.join(cells)} |"


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type != "cpu":
        torch.ones(1, device=device).cpu()


def milliseconds(call: Callable[[], object], device: torch.device, tiny: bool) -> float | None:
    """Mean of many calls after a few to warm up; None when memory runs out."""
    try:
        for _ in range(1 if tiny else 5):
            call()
        wait(device)
        calls, start = 0, time.perf_counter()
        while calls < (1 if tiny else MOST_CALLS) and (calls < 10 or time.perf_counter() - start < LEAST_SECONDS):
            call()
            calls += 1
            if calls % 10 == 0:
                wait(device)
        wait(device)
        return (time.perf_counter() - start) / calls * 1e3
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return None


def kernels(call: Callable[[], object], device: torch.device) -> int:
    """Launched on the device by one call; on a CPU, operations called."""
    from torch.profiler import ProfilerActivity, profile

    on_cuda = device.type == "cuda"
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_cuda else [])]) as seen:
        call()
        wait(device)
    if on_cuda:
        return sum(str(e.device_type).endswith("CUDA") for e in seen.events() or ())
    return sum(e.name.startswith("aten::") and e.cpu_parent is None for e in seen.events() or ())


def peak_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def called_again(draw: Callable[[], Tensor], device: torch.device, pool: Any) -> Callable[[], Tensor]:
    """Stands for a graph where there are none: the work done anew."""
    return draw


def drawer(subject: Subject, view: Any, drawing: Drawing, device: torch.device) -> Callable[[Tensor], Tensor]:
    """ws -> pictures, in one of the ways to draw; DualStyleGAN's frames of one exemplar as a whole."""
    record = record_on_cuda if device.type == "cuda" else called_again
    if drawing == "eager":
        return subject.drawer(view)
    if isinstance(view, Generator):
        return subject.drawer(at_drawing(view, drawing, record))
    plain = subject.drawer(view)
    return Recorder(plain, view.parameters, record) if drawing == "graphs" else torch.compile(plain, dynamic=False)


def difference(found: Tensor, wanted: Tensor, exact: bool) -> float:
    """See EXACT and LEVELS."""
    found, span = found.float().cpu(), float(wanted.max() - wanted.min())
    if not found.isfinite().all():
        return float("nan")
    apart = (found - wanted).abs()
    return float(apart.max()) / span if exact else float(apart.mean()) / span * 255


@torch.inference_mode()
def measure(name: str, device: torch.device, modes: Sequence[Drawing], tiny: bool) -> Iterator[Row]:
    """A row for each type and way to draw. The CPU's picture is the measure of all."""
    subject = make(name, tiny)
    ws = subject.ws(MANY)
    wanted = subject.drawer()(ws[:1])
    subject, ws = subject.on(device), ws.to(device)
    half = fast_type(device)
    types: list[tuple[str, Precision]] = [("float32", "float32")]
    inner = getattr(subject.network, "base", subject.network)
    if half is not None and inner.synthesis.takes_half:
        types.append(("bf16", "bf16") if half == torch.bfloat16 else ("fp16", "fp16"))
    for dtype, precision in types:
        view = at_precision(subject.network, precision)
        for drawing in modes:
            yield one_way(name, subject, drawer(subject, view, drawing, device), ws, wanted, (dtype, drawing), tiny)


def one_way(name: str, subject: Subject, draw: Callable[[Tensor], Tensor], ws: Tensor, wanted: Tensor, way: tuple[str, str],
            tiny: bool) -> Row:
    device, (dtype, drawing) = ws.device, way
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    one = milliseconds(lambda: draw(ws[:1]), device, tiny)
    many = milliseconds(lambda: draw(ws), device, tiny)
    pictures = [draw(ws[:1])] + ([] if many is None else [draw(ws)[:1]])
    off = [difference(picture, wanted, dtype == "float32") for picture in pictures]
    worst = max(off) if all(x == x for x in off) else float("nan")
    count = kernels(lambda: draw(ws[:1]), device) if drawing == "eager" else None
    return Row(name, subject.network.img_resolution, dtype, drawing, worst, one, None if many is None else many / MANY, count,
               peak_mb(device))
