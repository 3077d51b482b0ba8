"""What else a card does here: inversion, training, pictures sent home, too little memory, memory given back."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from stylegan_core.inversion import InversionOptions, Inverter
from stylegan_core.losses.perceptual import LPIPS
from stylegan_core.networks.judges.discriminator import Discriminator, DiscriminatorConfig
from stylegan_core.runtime import at_drawing, release, run_chunked
from stylegan_core.training import PhaseInputs, Trainer, TrainOptions

from ..measure import WIDTHS, make
from .drawing import called_again, wait
from .families import make as make_family
from .residency import UNUSABLE

NEAR = 0.02
"""Share by which the losses of a first step may differ from the CPU's."""


@dataclass(frozen=True)
class Size:
    px: int = 256
    steps: int = 30
    batch: int = 16
    small: bool = False

    @classmethod
    def tiny(cls) -> Size:
        return cls(32, 2, 4, True)


@dataclass(frozen=True)
class Result:
    what: str
    said: str
    sound: bool = True
    numbers: dict[str, float] = field(default_factory=dict)

    def line(self) -> str:
        return f"{self.what}: {self.said}{'' if self.sound else ' (WRONG)'}"


def network(size: Size) -> Any:
    return make_family("stylegan2", True).network if size.small else make(size.px)


def inversion(device: torch.device, size: Size) -> Result:
    """Steps a second in w+ with LPIPS and L2; the first step's loss beside the CPU's."""
    targets = torch.rand(4, 3, size.px, size.px, generator=torch.Generator().manual_seed(1)) * 2 - 1
    options = InversionOptions(steps=size.steps + 1, identity=0.0, patience=0)

    def begun(where: torch.device, count: int) -> tuple[Inverter, float]:
        inverter = Inverter(network(size).to(where), targets[:count].to(where), "w+", options,
                            distances={"lpips": LPIPS.embedded().to(where)})
        return inverter, float(inverter.step(0.5)["total"].mean())

    numbers, wanted = {}, begun(torch.device("cpu"), 1)[1]
    for count in (1, 4):
        inverter, loss = begun(device, count)
        wait(device)
        start = time.perf_counter()
        for i in range(size.steps):
            inverter.step((i + 1) / size.steps)
        wait(device)
        numbers[f"steps/s of {count}"] = size.steps / (time.perf_counter() - start)
        numbers.setdefault("first loss", loss)
    sound = abs(numbers["first loss"] - wanted) <= NEAR * abs(wanted)
    said = ", ".join(f"{value:.3f} {name}" for name, value in numbers.items())
    return Result(f"Inversion, {size.px} px", f"{said} (CPU {wanted:.3f})", sound, numbers | {"first loss, CPU": wanted})


def training(device: torch.device, size: Size) -> Result:
    """Seconds for a thousand images of transfer learning, lazy regularization included."""
    torch.manual_seed(0)
    generator, widths = network(size).to(device).train(), (16, 16, 16, 8) if size.small else WIDTHS[:7]
    judge = Discriminator(DiscriminatorConfig(size.px, widths)).to(device)
    options = TrainOptions(batch_size=size.batch)
    trainer, draw = Trainer(generator, judge, None, options), torch.Generator().manual_seed(2)
    z = torch.randn(size.batch, generator.z_dim, generator=draw).to(device)
    reals = (torch.rand(size.batch, 3, size.px, size.px, generator=draw) * 2 - 1).to(device)
    path = torch.randn(size.batch // 2, 3, size.px, size.px, generator=draw).to(device)
    inputs = {"Dmain": PhaseInputs(z=z, reals=reals), "Gmain": PhaseInputs(z=z), "Dreg": PhaseInputs(reals=reals),
              "Greg": PhaseInputs(z=z[: size.batch // 2], path_noise=path)}
    spent, losses = {}, []
    for name, given in inputs.items():
        trainer.run_phase(name, given)  # type: ignore[arg-type]
        wait(device)
        start = time.perf_counter()
        losses.append(float(trainer.run_phase(name, given)))  # type: ignore[arg-type]
        wait(device)
        spent[name] = time.perf_counter() - start
    iteration = spent["Dmain"] + spent["Gmain"] + spent["Dreg"] / options.gain("D") + spent["Greg"] / options.gain("G")
    kimg = iteration / size.batch * 1000
    sound = all(abs(loss) < 1e6 for loss in losses)  # False for NaN
    return Result(f"Training, {size.px} px, batch of {size.batch}", f"{kimg:.1f} s/kimg", sound, {"s/kimg": kimg})


@torch.inference_mode()
def sent_home(device: torch.device, size: Size) -> Result:
    """Chunks that travel while the next one is drawn arrive whole."""
    subject = make_family("stylegan2", size.small).on(device)
    ws, draw = subject.ws(8).to(device), subject.drawer()
    wanted = torch.cat([draw(w[None]).cpu() for w in ws])
    wait(device)
    start = time.perf_counter()
    found = run_chunked(draw, ws, 1, "cpu")
    seconds = time.perf_counter() - start
    off = float((found - wanted).abs().max() / (wanted.max() - wanted.min()))
    return Result("Eight pictures drawn one by one and sent to the CPU", f"{seconds * 125:.1f} ms each", off < 1e-5,
                  {"ms": seconds * 125, "off": off})


@torch.inference_mode()
def crowded(device: torch.device, size: Size) -> Result:
    """Eight pictures beside another big model that leaves room for two at most: smaller chunks, the same pictures."""
    what = "Eight pictures on a nearly full card"
    if device.type != "cuda":
        return Result(what, "not measured: no card")
    subject = make_family("stylegan2", size.small).on(device)
    ws, draw = subject.ws(8).to(device), subject.drawer()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    wanted = torch.cat([draw(w[None]).cpu() for w in ws])
    need = torch.cuda.max_memory_allocated(device) - before
    torch.cuda.empty_cache()
    free = torch.cuda.mem_get_info(device)[0]
    other = torch.empty(max(free - 3 * need, 0), dtype=torch.uint8, device=device)
    chunks: list[int] = []

    def watched(some: torch.Tensor) -> torch.Tensor:
        chunks.append(len(some))
        return draw(some)

    found = run_chunked(watched, ws, 8, "cpu")
    off = float((found - wanted).abs().max() / (wanted.max() - wanted.min()))
    del other
    torch.cuda.empty_cache()
    return Result(what, f"in chunks of {chunks}", off < 1e-3, {"off": off, "MB a picture": need / 2**20})


@torch.inference_mode()
def given_back(device: torch.device, size: Size) -> Result:
    """Graphs' memory after their release."""
    subject = make_family("stylegan2", size.small).on(device)
    on_cuda = device.type == "cuda"

    def held() -> int:
        return torch.cuda.memory_reserved(device) if on_cuda else 0

    if on_cuda:
        torch.cuda.empty_cache()
    before = held()
    view = at_drawing(subject.network, "graphs", *([] if on_cuda else [called_again]))
    for count in (1, 4):
        view.synthesis(subject.ws(count).to(device))
    full = held()
    release(view)
    left = held() - before
    numbers = {"MB": (full - before) / 2**20, "MB left": left / 2**20}
    return Result("Graphs of two batch sizes", f"{numbers['MB']:.0f} MB, {numbers['MB left']:.0f} MB left after their release",
                  left <= max((full - before) // 4, 64 << 20), numbers)


def residency(device: torch.device, size: Size) -> Result:
    """In ComfyUI's own memory management, as it is and under --lowvram, beside another big model."""
    what = "Residency in ComfyUI"
    if not os.environ.get("COMFYUI_PATH"):
        return Result(what, "not measured: set COMFYUI_PATH")
    said, sound = [], True
    for flags in (["--cpu"],) if device.type == "cpu" else ([], ["--lowvram"]):
        command = [sys.executable, "-m", "benchmarks.cards.residency", *flags]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        lines = (done.stdout.strip() or done.stderr.strip() or "nothing was said").splitlines()
        said.append(f"{' '.join(flags) or 'as it is'}: {lines[-1]}")
        sound = sound and done.returncode in (0, UNUSABLE)
    return Result(what, "; ".join(said), sound)


JOBS: tuple[Callable[[torch.device, Size], Result], ...] = (inversion, training, sent_home, crowded, given_back, residency)
