"""How near each way of inverting comes, on photographs of your own.

    python -m benchmarks.photos PHOTO ... [--steps 30] [--tuned] [--textbook 500] [--sheet out.png]

Built-in base at 1024 px and encoder: the encoder alone, and with N steps of optimization (30 is what `toonify` does); with
--tuned the last of these and tuning, with --textbook the textbook projector in w from the mean face in N steps. Prints LPIPS
(Alex) at 256 and at 1024 px, identity distance (below 0.6: one person) and seconds a photograph. The sheet has a row a
photograph and a column a way.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import stylegan_core as sg
from stylegan_core.inversion.encode import whitened
from stylegan_core.losses.perceptual import LPIPS
from stylegan_core.ops.resize import resize_area


@dataclass(frozen=True)
class Row:
    """One way of inverting, over all photographs."""

    name: str
    images: Tensor
    seconds: float
    """In all."""


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def invert_all(crops: Tensor, steps: list[int], tuned: bool, textbook: int) -> Iterator[Row]:
    base: Any = sg.load(sg.builtin("base"))
    encoder: Any = sg.load(sg.builtin("encoder"))
    codes, spent = timed(lambda: sg.encode(encoder, crops, base))
    yield Row("encoder", sg.render(base, codes, chunk=1), spent)
    latents, before, system = codes, spent, whitened(encoder)
    for count in steps:
        options = replace(sg.PRESETS["quick"], steps=count)
        found, spent = timed(lambda: sg.Inverter(base, crops, "w+", options, codes, system=system).run())  # noqa: B023
        latents, before = found.latents, spent
        yield Row(f"encoder + {count}", found.images, spent)
    if tuned:
        pieces, spent = timed(lambda: [sg.tune(base, latents.pick(i), crops[i : i + 1]).images for i in range(len(crops))])
        yield Row("tuned", torch.cat(pieces), before + spent)
    if textbook:
        options = replace(sg.PRESETS["textbook"], steps=textbook)
        found, spent = timed(lambda: sg.invert(base, crops, "w", options=options))
        yield Row(f"textbook w, {textbook}", found.images, spent)


@torch.no_grad()
def distances(crops: Tensor, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """LPIPS at 256 px, LPIPS at 1024 px, identity: [B] each."""
    lpips, images = LPIPS.embedded(), images.clamp(-1, 1)
    numbers = sg.report(crops, images).numbers
    large = torch.cat([lpips(a[None], b[None]) for a, b in zip(crops, images, strict=True)])
    return numbers["lpips"], large, numbers["identity"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--steps", type=int, nargs="+", default=[30])
    parser.add_argument("--tuned", action="store_true", help="tune to each photograph after the last of these")
    parser.add_argument("--textbook", type=int, default=0, help="steps of the textbook projector")
    parser.add_argument("--sheet", type=Path, help="picture of all inversions")
    args = parser.parse_args()
    crops = torch.cat([sg.take_faces(sg.read_image(path), 1024)[0][:1] for path in args.photos])
    columns, names = [crops], ["photograph"]
    print("| way | LPIPS at 256 px | at 1024 px | identity | worst | seconds a photograph |\n|---|---|---|---|---|---|")
    for row in invert_all(crops, args.steps, args.tuned, args.textbook):
        small, large, identity = distances(crops, row.images)
        print(f"| {row.name} | {small.mean():.2f} | {large.mean():.2f} | {identity.mean():.2f} | {identity.max():.2f} "
              f"| {row.seconds / len(crops):.1f} |", flush=True)
        columns.append(row.images.clamp(-1, 1))
        names.append(row.name)
    if args.sheet:
        images = resize_area(torch.stack(columns, 1).flatten(0, 1), 256)
        sg.write_image(sg.contact_sheet(images, len(columns), names), args.sheet, True)


if __name__ == "__main__":
    main()
