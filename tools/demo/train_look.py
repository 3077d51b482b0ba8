"""A look's rendering: the finer layers of the 1024 px base, taught to draw as a picture-to-picture program does.

    python -m tools.demo.train_look LOOK WORK_FOLDER

Half of the pairs are drawn by the base, half with the structure that train_structure.py made: so the strokes hold on
either shape. Resumes where it stopped; progress in WORK_FOLDER/LOOK.png (targets above results).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from tqdm import tqdm

import stylegan_core as sg
from stylegan_core.networks.generators.base import Generator
from stylegan_core.training.pairs import PairsTrainer
from stylegan_core.training.pairs_options import PairsOptions
from tools.demo.family import Pictures, family_ws, save_picture, train

OPTIONS = PairsOptions(steps=480, batch=2, lr=4e-4, resolutions="64-", lpips=0.4, lpips_size=512, crop=512, held_out=0.1,
                       bfloat16=True)
COUNT = 64


def sampled(models: list[Generator], latents: sg.Latents, folder: Path) -> Pictures:
    """Sample i of model i % 2, drawn once for all looks."""
    paths = [folder / f"{i:04d}.npy" for i in range(len(latents))]
    for i, path in enumerate(tqdm(paths, desc="samples")):
        if not path.exists():
            save_picture(sg.render(models[i % len(models)], latents.pick(i))[0], path)
    return Pictures(paths)


def stylized(look: str, samples: Pictures, folder: Path) -> Pictures:
    paths = [folder / path.name for path in samples.paths]
    for i, path in enumerate(tqdm(paths, desc=look)):
        if not path.exists():
            from tools.demo.looks import LOOKS

            save_picture(LOOKS[look]((samples[i][None] + 1) / 2)[0] * 2 - 1, path)
    return Pictures(paths)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("look")
    parser.add_argument("work", type=Path)
    parser.add_argument("--base", type=Path, default=None, help="the 1024 px base, when it isn't the built-in one")
    parser.add_argument("--start", default=None, help="a look whose finer layers it begins with")
    args = parser.parse_args()
    base: Generator = sg.load(args.base or sg.builtin("base"))  # type: ignore[assignment]
    shaped = sg.blend(base, sg.load(args.work / "structure_final.safetensors"), 32)  # type: ignore[arg-type]
    latents = sg.Latents(torch.cat([family_ws(base.mapping, i, base.num_ws) for i in range(COUNT)]), "w+", base)
    samples = sampled([base, shaped], latents, args.work / "sampled")
    targets = stylized(args.look, samples, args.work / args.look)
    if args.start:
        base, shaped = (sg.blend(model, sg.load(sg.builtin(args.start)), 32, coarse="base") for model in (base, shaped))  # type: ignore[arg-type, assignment]
    train(PairsTrainer(base, OPTIONS, [shaped]), latents, targets, args.work / args.look, range(COUNT - 6, COUNT), 60)


if __name__ == "__main__":
    main()
