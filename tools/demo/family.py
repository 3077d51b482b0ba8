"""The built-in family: which codes its looks learn from, where pictures and runs lie, and pictures read one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

import stylegan_core as sg
from stylegan_core.latents.codes import truncate
from stylegan_core.networks.generators.base import Generator
from stylegan_core.networks.mapping import MappingNetwork
from stylegan_core.training.pairs import PairsTrainer

FIRST = 2_000_000
"""Number of the family's first sample."""
MIX_PROBABILITY = 0.3


@torch.no_grad()
def family_ws(mapping: MappingNetwork, number: int, rows: int) -> Tensor:
    """[1, rows, 512] of sample 0, 1, ...: psi from 0.5 to 0.9, in three of ten cases mixed with a second face."""
    seed = FIRST + number
    rng = np.random.RandomState(seed)
    psi, mixed, crossover = rng.uniform(0.5, 0.9), rng.rand() < MIX_PROBABILITY, rng.randint(1, rows)
    w = mapping.to_w(sg.sample_z([seed, seed + 500_000], mapping.config.z_dim))
    ws = truncate(w[:, None].expand(-1, rows, -1), mapping.center(), float(psi))
    return torch.cat([ws[:1, :crossover], ws[1:, crossover:]], dim=1) if mixed else ws[:1].clone()


class Pictures(Sequence[Tensor]):
    """uint8 arrays [S, S, 3], one NumPy file each, as pictures [3, S, S] in [-1, 1]."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> Tensor:  # type: ignore[override]
        return torch.from_numpy(np.load(self.paths[i])).permute(2, 0, 1).float() / 127.5 - 1


def to_uint8(image: Tensor) -> np.ndarray:
    """[3, S, S] in [-1, 1] -> uint8 [S, S, 3]."""
    return ((image.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()


def save_picture(image: Tensor, path: Path) -> None:
    """[3, S, S] in [-1, 1] -> a file that Pictures reads, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.npy")
    np.save(part, to_uint8(image))
    part.replace(path)


def sheet(rows: Sequence[Sequence[Tensor]], path: Path, px: int = 256) -> None:
    """Rows of pictures [3, S, S] in [-1, 1] -> one picture, each reduced to px."""
    grid = np.concatenate([np.concatenate([np.asarray(Image.fromarray(to_uint8(x)).resize((px, px), Image.Resampling.BOX))
                                           for x in row], 1) for row in rows], 0)
    Image.fromarray(grid).save(path)


def train(trainer: PairsTrainer, latents: sg.Latents, targets: Sequence[Tensor], run: Path, show: Sequence[int],
          every: int = 50) -> Generator:
    """Train to the end with a bar; state in RUN.safetensors every `every` steps (resumed from), progress in RUN.png, the
    result in RUN_final.safetensors."""
    state = run.with_suffix(".safetensors")
    if state.exists():
        trainer.resume(state)
    bar = tqdm(total=trainer.options.steps, initial=trainer.step, desc=run.name)

    def on_step(i: int, n: int, losses: dict[str, float]) -> None:
        bar.update(1)
        bar.set_postfix({k: f"{v:.4f}" for k, v in losses.items()})
        if i % every == 0 or i == n:
            trainer.save(state)
            child = trainer.result()
            drawn = [sg.render(child, latents.pick(k))[0] for k in show]
            sheet([[targets[k] for k in show], drawn], run.with_suffix(".png"))

    child = trainer.run(latents, targets, on_step)
    score = trainer.score(latents, targets)
    sg.save(trainer.result(), run.with_name(f"{run.name}_final"), overwrite=True)
    print(f"{run.name}: {score}", flush=True)
    return child
