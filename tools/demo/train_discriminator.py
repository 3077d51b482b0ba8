"""The built-in discriminator of base-256: what tells a face of the base from one of a damaged base.

    python -m tools.demo.train_discriminator WORK_FOLDER [--steps 1500]

A training from few pictures starts with a judge that knows faces. Real are samples of base-256, drawn once into WORK_FOLDER;
generated are samples of copies whose weights were shaken, of codes off the beaten track, and pictures torn apart, at random
strength: each fault that a generator in training shows. Logistic loss and R1. Goes on where it stopped, then writes
discriminator.safetensors and its card into the assets.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

import stylegan_core as sg
from stylegan_core.checkpoints import sha256_of
from stylegan_core.engine import FitOptions, Fitting, RunFolder, frozen
from stylegan_core.latents import mapping_hash
from stylegan_core.losses.adversarial import discriminator_loss, r1_penalty
from stylegan_core.networks.generators.base import Generator
from stylegan_core.networks.info import ModelInfo
from stylegan_core.training.judges import fresh_discriminator
from tools.demo.cards import ASSETS, CHAIN, asset_parent
from tools.demo.fitting import learn, to_model_range
from tools.demo.recipe import HELD_OUT, student_ws

NAME, SIDE, BATCH = "discriminator", 256, 4
R1_EVERY, R1_GAMMA = 16, 1.0
UNSEEN = 64
CARD = """# discriminator
Judges pictures of 256 px: a start for trainings of base-256's children, which otherwise teach a judge first.

- kind: StyleGAN2's discriminator, residual, 256 px, 1.5 M parameters, stored in fp16
- source: made from samples of base-256.safetensors alone
- licence chain: {chain}
- made by: `python -m tools.demo.train_discriminator`, seed 0, torch {torch}; {facts}
- sha256 of discriminator.safetensors: `{sha256}`
- limits: knows faces in FFHQ's framing and the faults it was shown; it has not played against a generator that learnt
"""


def samples(base: Generator, work: Path, count: int) -> np.ndarray:
    """The real pictures, uint8 [count, 256, 256, 3]; drawn where the file lacks them."""
    file = work / "judged.u8"
    drawn = file.stat().st_size // SIDE**2 // 3 if file.exists() else 0
    with file.open("ab") as out, torch.no_grad():
        for i in tqdm(range(drawn, count), desc="samples"):
            picture = base.synthesis(student_ws(base.mapping, i))[0]
            out.write(((picture.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy().tobytes())
    return np.memmap(file, np.uint8, "r").reshape(-1, SIDE, SIDE, 3)


@torch.no_grad()
def damaged(base: Generator, shaken: Generator, number: int) -> Tensor:
    """Four pictures [4, 3, 256, 256] with faults; a function of the number."""
    rng = np.random.RandomState([number, 5])
    draw = torch.Generator().manual_seed(int(rng.randint(2**31)))
    ws = torch.cat([student_ws(base.mapping, 2_000_000 + BATCH * number + i) for i in range(BATCH)])
    strength = float(2.0 ** rng.uniform(-2.5, 0))
    kind = rng.randint(4)
    if kind in (0, 1):
        sides = rng.choice([4, 8, 16, 32, 64, 128, 256], rng.randint(1, 4), replace=False)
        shake(base, shaken, {int(s) for s in sides}, strength * 0.08, draw)
        return shaken.synthesis(ws)
    if kind == 2:  # rows that do not belong together, and codes where no face is
        push = torch.randn(ws.shape, generator=draw) * ws.std() * strength * 3
        return base.synthesis(ws + push * (torch.rand(1, ws.shape[1], 1, generator=draw) < rng.uniform(0.2, 1)))
    return torn(base.synthesis(ws), strength, rng, draw)


def shake(base: Generator, shaken: Generator, sides: set[int], strength: float, draw: torch.Generator) -> None:
    """shaken = base, its weights at some resolutions moved by a share of their size, in few directions as a training moves
    them."""
    own = dict(shaken.synthesis.named_parameters())
    moved = tuple(f"{x.name}." for x in base.layers if x.resolution in sides)
    for name, p in base.synthesis.named_parameters():
        own[name].copy_(p)
        if name.startswith(moved) and p.ndim > 1:
            flat = p.flatten(1)
            u, v = torch.randn(len(flat), 4, generator=draw), torch.randn(4, flat.shape[1], generator=draw)
            own[name].add_((u @ v).view_as(p) / 2 * p.std() * strength)


def torn(x: Tensor, strength: float, rng: np.random.RandomState, draw: torch.Generator) -> Tensor:
    """Bent, blurred, put together from two faces, or speckled."""
    kind = rng.randint(4)
    if kind == 0:
        bend = F.interpolate(torch.randn(len(x), 2, 5, 5, generator=draw), (SIDE, SIDE), mode="bicubic") * 0.2 * strength
        grid = F.affine_grid(torch.eye(2, 3).expand(len(x), -1, -1), list(x.shape), align_corners=False)
        return F.grid_sample(x, grid + bend.permute(0, 2, 3, 1), padding_mode="reflection", align_corners=False)
    if kind == 1:
        small = max(int(SIDE / 2 ** (0.5 + 3 * strength)), 8)
        return F.interpolate(F.interpolate(x, (small, small), mode="area"), (SIDE, SIDE), mode="bilinear")
    if kind == 2:
        cells = int(rng.choice([2, 4, 8]))
        mask = (torch.rand(len(x), 1, cells, cells, generator=draw) < 0.3).float()
        mask = F.interpolate(mask, (SIDE, SIDE), mode="nearest" if rng.rand() < 0.3 else "bilinear")
        return x.lerp(x.roll(1, 0), mask)
    speckle = torch.randn(len(x), 3, SIDE // 2, SIDE // 2, generator=draw) * 0.3 * strength
    return x + F.interpolate(speckle, (SIDE, SIDE), mode="nearest" if rng.rand() < 0.5 else "bilinear")


def told_apart(judge: torch.nn.Module, reals: Tensor, fakes: Tensor) -> float:
    """Share of (real, damaged) pairs in which the real one scores higher."""
    with torch.no_grad():
        a, b = (torch.cat([judge(part).flatten() for part in x.split(BATCH)]) for x in (reals, fakes))
    return float((a[:, None] > b[None]).float().mean())


def train(work: Path, steps: int, count: int, lr: float) -> None:
    base: Generator = frozen(sg.load(ASSETS / "base-256.safetensors"))  # type: ignore[assignment]
    shaken, judge = frozen(base), fresh_discriminator(base, SIDE, "small")
    reals = samples(base, work, count)

    def step(number: int) -> dict[str, Tensor]:
        rng = np.random.RandomState([number, 9])
        x = to_model_range(reals[rng.randint(len(reals), size=BATCH)])
        x = torch.where(torch.from_numpy(rng.rand(BATCH, 1, 1, 1) < 0.5), x.flip(3), x)
        regularized = number % R1_EVERY == 0
        x.requires_grad_(regularized)
        real, fake = judge(x), judge(damaged(base, shaken, number))
        loss = discriminator_loss(real, fake)
        told = {"loss": loss.detach(), "right": ((real > 0).float().mean() + (fake < 0).float().mean()).detach() / 2}
        if regularized:
            loss = loss + r1_penalty(real, x).mean() * (R1_GAMMA / 2 * R1_EVERY)
        loss.backward()
        return told

    unseen = torch.cat([base.synthesis(student_ws(base.mapping, HELD_OUT + i)) for i in range(UNSEEN)]).detach()
    unseen_damaged = torch.cat([damaged(base, shaken, 50_000 + i) for i in range(UNSEEN // BATCH)])
    settings = {"count": count, "lr": lr, "batch": BATCH, "r1": R1_GAMMA, "recipe": 1}
    options = FitOptions(steps, lr, betas=(0.0, 0.99), warm_up=10, floor=0.1, average=0.995, save_every=25)
    with RunFolder(work / NAME, settings, resume=True, may_change=("steps",)) as folder:
        fitting = Fitting(dict(judge.named_parameters()), step, options, folder=folder, networks={NAME: judge},
                          on_save=lambda: tqdm.write(f"unseen told apart {told_apart(judge, unseen, unseen_damaged):.4f}"))
        learn(fitting, NAME).average.apply()
    write(judge.eval().requires_grad_(False), base, steps, count, told_apart(judge, unseen, unseen_damaged))


def write(judge: Any, base: Generator, steps: int, count: int, right: float) -> None:
    judge.info = ModelInfo(family="discriminator", layout="demo", source=f"StyleGAN Atelier demo {NAME}",
                              parents=(asset_parent("base-256"),), licence=CHAIN,
                              notes={"torch": torch.__version__, "seed": 0, "told_apart": round(right, 4),
                                     "mapping_hash": mapping_hash(base.mapping)})
    path = sg.save(judge, ASSETS / f"{NAME}.safetensors", dtype=torch.float16, overwrite=True)
    facts = (f"{steps} steps of {BATCH} real and {BATCH} damaged pictures, {count} samples of base-256 as the real ones; an "
             f"unseen sample scores above an unseen damaged one in {right:.1%} of pairs")
    text = CARD.format(chain=CHAIN, torch=torch.__version__, facts=facts, sha256=sha256_of(path))
    (ASSETS / f"{NAME}.md").write_text(text, encoding="utf-8")
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, told apart {right:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--count", type=int, default=1200)
    parser.add_argument("--lr", type=float, default=2e-3)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    train(args.work, args.steps, args.count, args.lr)


if __name__ == "__main__":
    main()
