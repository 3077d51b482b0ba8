"""A photograph to a 1024 px toon, from the start of the process to the file: `python -m benchmarks.toon`."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time

import stylegan_core as sg

STEPS = (0, 30)
"""The encoder alone, and the command's usual polish."""


def spent(arguments: list[str], threads: int) -> tuple[float, float]:
    """CPU and wall seconds of a Python process. Raises CalledProcessError."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True,
                   env={**os.environ, "OMP_NUM_THREADS": str(threads)})
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def command(threads: int, repeats: int = 1) -> dict[str, float]:
    """CPU seconds beyond importing torch and wall seconds, by name; the fastest of the repeats. Wall seconds mean something on
    an idle machine only."""
    photo = sg.builtin("base").parent / "astronaut.jpg"
    torch = min(spent(["-c", "import torch"], threads) for _ in range(repeats))[0]
    found = {"torch": torch}
    with tempfile.TemporaryDirectory() as folder:
        for steps in STEPS:
            words = ["-m", "stylegan_core", "toonify", str(photo), "--steps", str(steps), "--out", folder, "--overwrite"]
            cpu, wall = min(spent(words, threads) for _ in range(repeats))
            found |= {f"cpu {steps}": cpu - torch, f"wall {steps}": wall}
    return found


def line(threads: int, repeats: int = 1) -> str:
    found = command(threads, repeats)
    told = (f"{steps} steps {found[f'cpu {steps}']:.1f} CPU s beyond importing torch ({found['torch']:.1f}), "
            f"{found[f'wall {steps}']:.1f} s on the clock" for steps in STEPS)
    return f"Photograph to a 1024 px toon in its photograph, process start to file: {'; '.join(told)}"


if __name__ == "__main__":
    print(line(os.cpu_count() or 1))
