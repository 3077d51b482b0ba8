"""Destylization against the truth: drawings whose photographs are known.

    python -m benchmarks.destylize 4 --steps 60 [--sheet out.png]

Faces of the demo base are drawn by the rule the toon model learned (tools/demo/stylize.py). How far from the true face is
the drawing itself, the encoder's face for it, and the destylized one? Identity distance (below 0.6: one person) and LPIPS.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

import stylegan_core as sg
from tools.demo.stylize import draw, face_points, move

FIRST_SEED, PSI = 900, 0.7


def drawings(faces: Tensor) -> Tensor:
    """[B, 3, 256, 256] in [-1, 1] -> the same moved and drawn."""
    return draw(move((faces + 1) / 2, torch.from_numpy(face_points(faces)))) * 2 - 1


@torch.no_grad()
def truth(count: int) -> tuple[Tensor, Tensor]:
    """Faces and their drawings, both [B, 3, 256, 256]."""
    base = sg.load(sg.builtin("base-256"))
    ws = base.mapping(sg.sample_z(list(range(FIRST_SEED, FIRST_SEED + count)), base.z_dim), truncation_psi=PSI)
    faces = torch.cat([base.synthesis(w[None]) for w in ws]).clamp(-1, 1)
    return faces, drawings(faces)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, nargs="?", default=4)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--truncation", type=float, default=0.7)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--deviation", type=float, default=1.0)
    parser.add_argument("--sheet", type=Path)
    args = parser.parse_args()
    faces, drawn = truth(args.count)
    base, toon, encoder = (sg.load(sg.builtin(name)) for name in ("base", "toon", "encoder"))
    options = sg.DestylizeOptions(args.steps, args.lr, deviation=args.deviation, truncation_psi=args.truncation)
    found = sg.destylize(base, toon, encoder, drawn, options)  # type: ignore[arg-type]
    ways = {"the drawing itself": drawn, "encoder alone": found.faces["encoded"], "stage II": found.faces["optimized"],
            "destylized": found.faces["destylized"]}
    print("| face | identity | LPIPS |\n|---|---|---|")
    for name, images in ways.items():
        numbers = sg.report(faces, images).numbers
        print(f"| {name} | {numbers['identity'].mean():.2f} | {numbers['lpips'].mean():.3f} |", flush=True)
    if args.sheet:
        images = torch.stack([faces, *(i.clamp(-1, 1) for i in ways.values())], 1).flatten(0, 1)
        sg.write_image(sg.contact_sheet(images, len(ways) + 1, ["truth", *ways]), args.sheet, True)


if __name__ == "__main__":
    main()
