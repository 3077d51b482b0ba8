"""python -m tools.fuzz --count 10000: damage every small checkpoint, read it in a watched process, judge what happened.

No variant may run code, write, hang, take much memory, end in anything but this package's typed errors, or load as a
broken model: what loads must equal the original or carry a warning, which every file has whose container holds no checksums
(pickles, the older torch container, safetensors of other programs). Only damage that came with right checksums (rezip) may
load as another model.

Attacks are files made to hang a reader or to fill the memory (see attacks.py): every reader meets --attacks of each kind.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .attacks import KINDS, Kind, attack
from .mutations import mutate

ROOT = Path(__file__).resolve().parents[2]
GOLDENS = ROOT / "tests" / "goldens"
WATCH = ROOT / "tests" / "core" / "checkpoints" / "watch.py"
SUFFIXES = (".pt", ".pkl", ".pth", ".model", ".safetensors", ".npy")
MAX_BYTES = 1 << 20
MAX_SECONDS = 5.0
MAX_MEGABYTES = 500
BATCH = 250
REFUSALS = ("LoadError", "UnsafeCheckpoint", "UnsupportedCheckpoint")
CHANGES_CHECKSUMS = ("rezip",)


@dataclass(frozen=True)
class Finding:
    """One broken promise."""

    file: str
    mutation: str
    seed: int
    why: str


def sources(folder: Path) -> list[Path]:
    """Every small checkpoint of the tests that is meant to load; some again as this project's own; discriminators apart."""
    import torch

    from stylegan_core import checkpoints

    found = [p for p in sorted(GOLDENS.glob("*/*")) if p.suffix in SUFFIXES and p.stat().st_size < MAX_BYTES
             and p.parent.name != "hostile" and "hostile" not in p.name]
    again = [p for p in found if p.parent.name in ("tf_sg2_gray", "swap_ros2_tiny") and p.name != "model_B.pt"]
    own = [checkpoints.save(checkpoints.load(p), folder / p.parent.name) for p in again]
    for p in found:
        if p.parent.name in ("ada_sg2_cond", "ros2_train_tiny"):
            judge = checkpoints.load(p, which="discriminator")
            own.append(checkpoints.save(judge, folder / f"{p.parent.name}_discriminator"))
            torch.save({"D": judge.state_dict()}, folder / f"{p.parent.name}_discriminator.pt")
            own.append(folder / f"{p.parent.name}_discriminator.pt")
    return [*found, *own]


def watch(files: list[Path], warm_up: list[Path], here: Path) -> list[dict]:
    """The reports of one watched process."""
    done = subprocess.run([sys.executable, str(WATCH), *map(str, warm_up)], input="\n".join(map(str, files)), text=True,
                          capture_output=True, cwd=here, timeout=120 + MAX_SECONDS * len(files), check=False)
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    if len(reports) < len(files):
        died = files[len(reports)]
        reports.append({"path": str(died), "outcome": "CRASH", "message": f"the process ended: {done.stderr[-500:]}",
                        "seconds": 0, "megabytes": 0, "events": []})
    return reports


def judge(report: dict, original: dict, mutation: str) -> str:
    """What a report breaks, or nothing."""
    if report["events"]:
        return f"did {report['events'][0]}"
    if report["seconds"] > MAX_SECONDS or report["megabytes"] > MAX_MEGABYTES:
        return f"took {report['seconds']:.1f} s and {report['megabytes']} MB"
    if report["outcome"] in REFUSALS:
        return "" if report["message"] and "\n" not in report["message"] else "said nothing, or several lines"
    if report["outcome"] != "loaded":
        return report["message"]
    if not report["finite"]:
        return "loaded with numbers that are not finite"
    same = report["digest"] == original["digest"] or report["warnings"] or report["unverified"]
    return "" if same or mutation in CHANGES_CHECKSUMS else "loaded another model without a word"


def variants(count: int, seed: int, files: list[Path]) -> Iterator[tuple[int, Path, str, bytes]]:
    data = {path: path.read_bytes() for path in files}
    for i in range(seed, seed + count):
        path = files[i % len(files)]
        yield i, path, *mutate(data[path], i)


def fuzz(count: int, seed: int, folder: Path, minutes: float = math.inf) -> tuple[list[Finding], Counter[str]]:
    """Run `count` variants from `seed` on, no new batch after `minutes`; (broken promises, outcomes by number)."""
    end = time.monotonic() + 60 * minutes
    here, made = folder / "empty", folder / "made"
    here.mkdir()
    made.mkdir()
    files = sources(made)
    usable = [r for r in watch(files, [], here) if r["outcome"] == "loaded"]
    originals = {Path(r["path"]): r for r in usable}
    findings, outcomes = [], Counter()
    batch: list[tuple[int, Path, str, Path]] = []
    for number, (i, path, mutation, data) in enumerate(variants(count, seed, list(originals)), 1):
        target = folder / f"{i}{path.suffix}"
        target.write_bytes(data)
        batch.append((i, path, mutation, target))
        if len(batch) == BATCH or number == count:
            reports = watch([b[3] for b in batch], list(originals), here)
            for (i, path, mutation, target), report in zip(batch, reports, strict=False):
                outcomes[report["outcome"]] += 1
                if why := judge(report, originals[path], mutation):
                    findings.append(Finding(f"{path.parent.name}/{path.name}", mutation, i, why))
                target.unlink(missing_ok=True)
            batch = []
            if time.monotonic() > end:
                break
    left = [p.name for p in here.iterdir()]
    return findings + [Finding("?", "?", seed, f"left {name} behind") for name in left], outcomes


def meet(kinds: tuple[Kind, ...], seeds: range, folder: Path) -> dict[str, list[dict]]:
    """What every reader did with the attacks of each kind, in one process; a CRASH ends the list."""
    lines: list[Path] = []
    for kind in kinds:
        for seed in seeds:
            made, here = attack(kind, seed), folder / f"{kind.__name__}-{seed}"
            here.mkdir()
            path = here / (made.name or f"{kind.__name__}{made.suffix}")
            for name, data in ((path.name, made.data), *made.beside):
                (here / name).write_bytes(data)
            lines += [Path(f"{reader}\t{path}") for reader in made.readers]
    found: dict[str, list[dict]] = {kind.__name__: [] for kind in kinds}
    for report in watch(lines, [], folder):
        found[Path(report["path"].split("\t")[-1]).parent.name.split("-")[0]].append(report)
    return found


def judge_attack(report: dict) -> str:
    """What a report of an attack breaks, or nothing."""
    if report["events"]:
        return f"did {report['events'][0]}"
    size = Path(report["path"]).stat().st_size >> 20 if report["outcome"] != "CRASH" else 0
    if report["seconds"] > MAX_SECONDS or report["megabytes"] > MAX_MEGABYTES + size:
        return f"took {report['seconds']:.1f} s and {report['megabytes']} MB"
    if report["outcome"] == "loaded":
        return ""
    told = report["message"]
    return "" if report["outcome"] in REFUSALS and 0 < len(told) < 2000 and "\n" not in told else f"{report['outcome']}: {told}"


def besiege(count: int, seed: int, folder: Path) -> tuple[list[Finding], Counter[str]]:
    """`count` attacks of every kind from `seed` on; (broken promises, outcomes by number)."""
    findings, outcomes = [], Counter()
    for kind, reports in meet(KINDS, range(seed, seed + count), folder).items():
        for report in reports:
            outcomes[report["outcome"]] += 1
            if why := judge_attack(report):
                findings.append(Finding(report["path"], kind, seed, why))
    return findings, outcomes


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="number of variants")
    parser.add_argument("--seed", type=int, default=0, help="first seed; variant i uses seed + i")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no new batch after this time")
    parser.add_argument("--attacks", type=int, default=10, help="attacks of every kind")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        findings, outcomes = besiege(options.attacks, options.seed, Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        more, others = fuzz(options.count, options.seed, Path(folder), options.minutes) if options.count else ([], Counter())
    findings, outcomes = findings + more, outcomes + others
    print(", ".join(f"{name}: {n}" for name, n in outcomes.most_common()))
    for f in findings:
        print(f"seed {f.seed} {f.mutation} {f.file}: {f.why}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
