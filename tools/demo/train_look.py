"""A look's rendering: the finer layers of the 1024 px base, taught to draw as a picture-to-picture program does.

    python -m tools.demo.train_look LOOK WORK_FOLDER [--start LOOK_OR_FILE] [--bolder]

Half of the pairs are drawn by the base, half with the structure that train_structure.py made: so the strokes hold on
either shape. Resumes where it stopped; progress in WORK_FOLDER/LOOK.png (targets above results).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
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
STROKES = replace(OPTIONS, lr=8e-4, steps=400, differences=0.0, reduced=12.0, reduced_size=64, lpips=0.5, style=0.6)
BOLDER = replace(STROKES, lr=6e-4, steps=160, l1=0.6, style=1.6, style_tiles=3)
"""For brush strokes, whose color and direction can be learnt, but not the place of each: first the one, then, from its
result, the other."""
RUNS = {"figurine": OPTIONS, "ink": OPTIONS, "painting": STROKES}
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
    parser.add_argument("--start", default=None, help="built-in look or file whose finer layers it begins with")
    parser.add_argument("--bolder", action="store_true", help="the second run of painting, whose first one is --start")
    args = parser.parse_args()
    base: Generator = sg.load(args.base or sg.builtin("base"))  # type: ignore[assignment]
    shaped = sg.blend(base, sg.load(args.work / "structure_final.safetensors"), 32)  # type: ignore[arg-type]
    latents = sg.Latents(torch.cat([family_ws(base.mapping, i, base.num_ws) for i in range(COUNT)]), "w+", base)
    samples = sampled([base, shaped], latents, args.work / "sampled")
    targets = stylized(args.look, samples, args.work / args.look)
    if args.start:
        start: Generator = sg.load(args.start if Path(args.start).exists() else sg.builtin(args.start))  # type: ignore[assignment]
        base, shaped = (sg.blend(model, start, 32, coarse="base") for model in (base, shaped))
    options, run = (BOLDER, f"{args.look}-bolder") if args.bolder else (RUNS[args.look], args.look)
    train(PairsTrainer(base, options, [shaped]), latents, targets, args.work / run, range(COUNT - 6, COUNT), 60)


if __name__ == "__main__":
    main()
