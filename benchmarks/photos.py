"""How near each way of inverting comes, on photographs of your own.

    python -m benchmarks.photos PHOTO ... [--steps 100 500] [--textbook 500] [--sheet out.png]

Built-in base and encoder. Prints LPIPS-Alex, identity distance (below 0.6: one person) and seconds a photograph for the
encoder alone, the encoder and N steps of optimization, the last of these and tuning, and the textbook projector in w from
the mean face. The sheet has a row a photograph and a column a way.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

import stylegan_core as sg


@dataclass(frozen=True)
class Row:
    """One way of inverting, over all photographs."""

    name: str
    images: Tensor
    seconds: float
    """In all."""


def timed(work: Callable[[], object]) -> tuple[object, float]:
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def invert_all(crops: Tensor, steps: list[int], textbook: int) -> list[Row]:
    base, encoder = sg.load(sg.builtin("base-256")), sg.load(sg.builtin("encoder"))
    codes, spent = timed(lambda: sg.encode(encoder, crops, base))  # type: ignore[arg-type]
    rows = [Row("encoder", sg.render(base, codes), spent)]  # type: ignore[arg-type]
    latents, before = codes, spent
    for count in steps:
        options = replace(sg.PRESETS["standard"], steps=count, perturbation=0.0)
        found, spent = timed(lambda: sg.invert(base, crops, options=options, start=codes))  # type: ignore[arg-type] # noqa: B023
        latents, before = found.latents, spent  # type: ignore[attr-defined]
        rows.append(Row(f"encoder + {count}", found.images, spent))  # type: ignore[attr-defined]
    pieces, spent = timed(lambda: [sg.tune(base, latents.pick(i), crops[i : i + 1]).images for i in range(len(crops))])
    rows.append(Row("tuned", torch.cat(pieces), before + spent))  # type: ignore[arg-type]
    if textbook:
        options = replace(sg.PRESETS["textbook"], steps=textbook)
        found, spent = timed(lambda: sg.invert(base, crops, "w", options=options))  # type: ignore[arg-type]
        rows.append(Row(f"textbook w, {textbook}", found.images, spent))  # type: ignore[attr-defined]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--steps", type=int, nargs="+", default=[100, 500])
    parser.add_argument("--textbook", type=int, default=500, help="steps of the textbook projector; 0 leaves it out")
    parser.add_argument("--sheet", type=Path, help="picture of all inversions")
    args = parser.parse_args()
    crops = torch.cat([sg.take_faces(sg.read_image(path), 256)[0][:1] for path in args.photos])
    rows = invert_all(crops, args.steps, args.textbook)
    print("| way | LPIPS | identity | LPIPS of each | seconds a photograph |\n|---|---|---|---|---|")
    for row in rows:
        numbers = sg.report(crops, row.images).numbers
        each = " ".join(f"{v:.3f}" for v in numbers["lpips"].tolist())
        print(f"| {row.name} | {numbers['lpips'].mean():.3f} | {numbers['identity'].mean():.2f} | {each} "
              f"| {row.seconds / len(crops):.1f} |", flush=True)
    if args.sheet:
        columns = [crops, *(row.images.clamp(-1, 1) for row in rows)]
        images = torch.stack(columns, 1).flatten(0, 1)
        sg.write_image(sg.contact_sheet(images, len(columns), ["photograph", *(row.name for row in rows)]), args.sheet, True)


if __name__ == "__main__":
    main()
