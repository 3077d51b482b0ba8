"""One command that proves a card: does it draw what the CPU draws, how fast, in how much memory.

    python -m benchmarks.gpu [--device cuda] [--json card.json] [--only stylegan2 ...] [--no-compile]
    python -m benchmarks.gpu --device cpu --tiny        # the command itself, in seconds, on any machine

Every family at its published size and widths with seeded weights, in float32 and in the card's half precision, beside the
picture that the CPU draws in float32; eager, as recorded graphs, and compiled; one picture and eight. Then inversion steps,
training, a card that is nearly full, and what is given back. Prints a table, writes a JSON, ends with 1 on disagreement.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch

from stylegan_core.runtime import Drawing, fast_type

from .cards import drawing, families, work

COLUMNS = ("family", "px", "type", "drawing", "off by", "ms N=1", "ms an image N=8", "launches", "peak MB")


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="such as cuda, cuda:1, xpu, mps, cpu (default cuda)")
    parser.add_argument("--json", type=Path, help="where the numbers go, too")
    parser.add_argument("--only", nargs="*", default=list(families.FAMILIES), choices=families.FAMILIES)
    parser.add_argument("--tiny", action="store_true", help="32 px networks and one repeat: shows that the command runs")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out, which takes minutes")
    return parser.parse_args(argv)


def describe(device: torch.device) -> dict[str, str]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {"device": str(device), "name": name, "torch": torch.__version__, "half": str(fast_type(device)),
            "cuda": str(torch.version.cuda or torch.version.hip)}


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.stderr.write("There is no CUDA card here; name another --device, or see that the command runs with "
                         "--device cpu --tiny.\n")
        return 2
    start, facts = time.perf_counter(), describe(device)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False  # float32 means float32 here
    print(" | ".join(f"{k} {v}" for k, v in facts.items()), f"\n\n| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    size = work.Size.tiny() if options.tiny else work.Size()
    modes: list[Drawing] = ["eager", "graphs"] if options.no_compile or options.tiny else ["eager", "graphs", "compiled"]
    rows = []
    for name in options.only:
        for row in drawing.measure(name, device, modes, options.tiny):
            print(row.line(), flush=True)
            rows.append(row)
    print()
    found = [job(device, size) for job in work.JOBS]
    for result in found:
        print(result.line(), flush=True)
    wrong = [f"{row.family} {row.dtype} {row.drawing}" for row in rows if not row.agrees]
    wrong += [result.what for result in found if not result.sound]
    seconds = time.perf_counter() - start
    print(f"\n{seconds:.0f} s. Disagreements: {', '.join(wrong) or 'none'}.")
    if options.json is not None:
        told = {"machine": facts, "seconds": seconds, "disagreements": wrong, "drawing": [asdict(r) for r in rows],
                "work": [asdict(r) for r in found]}
        options.json.write_text(json.dumps(told, indent=1, default=str), encoding="utf-8")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
