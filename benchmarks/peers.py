"""Beside the published arithmetic: rosinality's and NVIDIA's forms of StyleGAN2, DualStyleGAN's, and a blend tensor by tensor.

    python -m benchmarks.peers [--quick]

The twins are written from the papers (benchmarks/twins): no compiled operators, float32, one thread. Each row's contestants
run in turn in one process, so that a slow moment hits all alike; where the processor has no bf16 the row says so. Ends with 1
when a twin is faster.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import torch

import stylegan_core as sg
from stylegan_core.networks.dualstylegan import DualStyleGAN
from stylegan_core.runtime import fast_type

from .measure import in_turn, make
from .twins import dualstylegan
from .twins.textbook import blur, blur_by_planes, synthesize

FORMS = {"rosinality's form": blur_by_planes, "NVIDIA's form": blur}
STYLEGAN2 = [(256, 1), (256, 8), (1024, 1)]
HEADING = "| what | ms | beside | ms | faster | in bf16 |\n|---|---|---|---|---|---|"


@dataclass(frozen=True)
class Row:
    """One contest; seconds a picture, or a call."""

    what: str
    ours: float
    beside: str
    theirs: float
    half: float | None = None
    """Ours in bf16; None where that is none or the processor has none."""
    halved: bool = True
    """Whether bf16 is a choice here at all."""

    @property
    def faster(self) -> float:
        return self.theirs / self.ours

    def line(self) -> str:
        half = f"{self.theirs / self.half:.2f}x" if self.half else "none on this processor" if self.halved else ""
        cells = (self.what, f"{self.ours * 1e3:.1f}", self.beside, f"{self.theirs * 1e3:.1f}", f"{self.faster:.2f}x", half)
        return f"| {' | '.join(cells)} |"


@torch.inference_mode()
def stylegan2(threads: int, resolution: int, batch: int, repeats: int) -> list[Row]:
    """Config-f with seeded weights. Raises AssertionError where a twin's picture is another one."""
    torch.set_num_threads(threads)
    model = make(resolution)
    ws = torch.randn(batch, model.num_ws, model.w_dim)
    cases: dict[str, Callable[[], torch.Tensor]] = {name: partial(synthesize, model, ws, fir) for name, fir in FORMS.items()}
    cases["ours"] = lambda: model.synthesis(ws)
    if fast_type("cpu") is not None:
        half = sg.at_precision(model, "bf16")
        cases["half"] = lambda: half.synthesis(ws)
    same(cases["ours"](), *(cases[name]() for name in FORMS))
    times = in_turn(cases, repeats)
    what = f"StyleGAN2, {resolution} px, batch of {batch}"
    return [Row(what, times["ours"] / batch, form, times[form] / batch, times.get("half", 0) / batch or None) for form in FORMS]


@torch.inference_mode()
def dual(threads: int, resolution: int, repeats: int) -> list[Row]:
    """DualStyleGAN over config-f, a new exemplar for each picture."""
    torch.set_num_threads(threads)
    network = DualStyleGAN.over(make(resolution)).eval().requires_grad_(False)
    ws, style = torch.randn(2, 1, network.num_ws, network.w_dim)
    weights = [0.75] * 7 + [1.0] * (network.num_weights - 7)
    cases: dict[str, Callable[[], torch.Tensor]] = {
        "ours": lambda: network.render(ws, network.exemplar_from_ws(style), weights),
        "theirs": lambda: dualstylegan.draw(network, ws, style, weights)}
    if fast_type("cpu") is not None:
        half = sg.at_precision(network, "bf16")
        cases["half"] = lambda: half.render(ws, half.exemplar_from_ws(style), weights)
    same(cases["ours"](), cases["theirs"]())
    times = in_turn(cases, repeats)
    return [Row(f"DualStyleGAN, {resolution} px", times["ours"], "its published form", times["theirs"], times.get("half"))]


@torch.inference_mode()
def blends(threads: int, resolution: int, repeats: int) -> list[Row]:
    """Two models to a third, hard and smooth, beside a copy whose tensors are mixed one by one."""
    torch.set_num_threads(threads)
    base, other = make(resolution, 0), make(resolution, 1)

    def mixed(weight: Callable[[int], float]) -> object:
        child = deepcopy(base)
        theirs = dict(other.synthesis.named_parameters())
        for name, tensor in child.synthesis.named_parameters():
            tensor.copy_(torch.lerp(tensor, theirs[name], weight(int(name.split(".")[0][1:]))))
        return child

    rows = []
    for mode, weight in (("swap", lambda r: float(r <= 32)), ("smooth", lambda r: 1 / (1 + r / 32))):
        call = partial(sg.blend, base, other, 32, mode)
        times = in_turn({"ours": call, "theirs": partial(mixed, weight)}, repeats)
        rows.append(Row(f"blend, {resolution} px, {mode}", times["ours"], "every tensor", times["theirs"], halved=False))
    return rows


def same(ours: torch.Tensor, *theirs: torch.Tensor) -> None:
    """A contest between different pictures means nothing."""
    for image in theirs:
        assert float((image - ours).abs().max()) <= 1e-3 * float(ours.abs().max()), "a twin draws another picture"


def rows(threads: int, quick: bool) -> Iterator[Row]:
    """Each contest in a fresh process."""
    jobs: list[tuple[Callable[..., list[Row]], tuple[int, ...]]] = [
        (stylegan2, (*case, 1 if quick else 2)) for case in (STYLEGAN2[:1] if quick else STYLEGAN2)]
    jobs += [(dual, (256 if quick else 1024, 1)), (blends, (256 if quick else 1024, 3))]
    for job, arguments in jobs:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            yield from pool.submit(job, threads, *arguments).result()


def table(threads: int, quick: bool) -> list[Row]:
    """Print the rows as they come -> those in which the twin is faster."""
    print(HEADING)
    lost = []
    for row in rows(threads, quick):
        print(row.line(), flush=True)
        lost += [row] if row.faster < 1 else []
    print(f"\nSlower than the twin: {', '.join(row.what for row in lost) or 'none'}.")
    return lost


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="256 px, one picture, one repeat")
    options = parser.parse_args()
    return int(bool(table(options.threads, options.quick)))


if __name__ == "__main__":
    sys.exit(main())
