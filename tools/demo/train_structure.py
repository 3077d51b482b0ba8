"""The looks' structure: layers of 8 to 32 px that draw large eyes with open lids, a small nose, mouth and chin.

    python -m tools.demo.train_structure WORK_FOLDER

Learnt in the 256 px base, whose finer layers stay: the target of a sample is the sample itself, moved around its five
points. Drawn by the 1024 px base's finer layers the same layers give the same shapes. Resumes where it stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from tqdm import tqdm

import stylegan_core as sg
from stylegan_core.training.pairs import PairsTrainer
from stylegan_core.training.pairs_options import PairsOptions
from tools.demo.family import Pictures, family_ws, save_picture, train
from tools.demo.stylize import Shape, face_points, move

SHAPE = Shape(eyes=0.35, lids=0.11, brows=0.06, nose=-0.34, jaw=0.30, chin=0.14, cranium=0.14, mouth=-0.12)
OPTIONS = PairsOptions(steps=330, batch=4, lr=5e-4, resolutions="8-32", reduced=0.0, lpips=0.8, held_out=0.05)


@torch.no_grad()
def make_targets(base: torch.nn.Module, latents: sg.Latents, folder: Path) -> Pictures:
    paths = [folder / f"{i:04d}.npy" for i in range(len(latents))]
    for i, path in enumerate(tqdm(paths, desc="targets")):
        if not path.exists():
            drawn = sg.render(base, latents.pick(i)).clamp(-1, 1)  # type: ignore[arg-type]
            points = torch.from_numpy(face_points(drawn))
            save_picture(move((drawn + 1) / 2, points, SHAPE)[0] * 2 - 1, path)
    return Pictures(paths)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--count", type=int, default=320)
    parser.add_argument("--base", default="base-256")
    args = parser.parse_args()
    base = sg.load(sg.builtin(args.base))
    latents = sg.Latents(torch.cat([family_ws(base.mapping, i, base.num_ws) for i in range(args.count)]), "w+", base)  # type: ignore[arg-type]
    targets = make_targets(base, latents, args.work / "moved")
    train(PairsTrainer(base, OPTIONS), latents, targets, args.work / "structure", range(args.count - 8, args.count))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
