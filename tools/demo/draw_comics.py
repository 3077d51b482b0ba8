"""Drawings to try a training on pictures with: `python -m tools.demo.draw_comics FOLDER [--count 300]`.

Faces of base-256, drawn flat in violet and cream with larger eyes and a narrower jaw; without their photographs, and from seeds
that nothing else uses.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from tqdm import tqdm

import stylegan_core as sg
from stylegan_core.assets import asset_path
from stylegan_core.pictures.files import write_image

from .palettes import SHAPES
from .stylize import Rendering, face_points, lines, move, paint, smoothed

SEED, PSI, SHAPE = 700_000, 0.8, "doll"
RENDERING = Rendering(levels=4, flatness=0.95, duotone=0.85, shadow=(0.16, 0.05, 0.36), light=(1.0, 0.86, 0.62), line=0.985)


@torch.no_grad()
def draw_comics(folder: Path, count: int) -> None:
    base = sg.load(asset_path("base-256"))
    folder.mkdir(parents=True, exist_ok=True)
    for number in tqdm(range(count)):
        ws = base.mapping(sg.sample_z([SEED + number], base.z_dim), truncation_psi=PSI)
        face = base.synthesis(ws).clamp(-1, 1)
        light = (face + 1) / 2
        drawn = paint(smoothed(light), lines(light, RENDERING.line), RENDERING)
        moved = move(drawn, torch.as_tensor(face_points(face)), SHAPES[SHAPE])
        write_image(moved * 2 - 1, folder / f"{number:04}.png", overwrite=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=300)
    args = parser.parse_args()
    draw_comics(args.folder, args.count)


if __name__ == "__main__":
    main()
