"""Supervised fitting of a generator to pictures of known codes: L1 + LPIPS, resumable, with a bar and previews."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import trange

from stylegan_core.losses.perceptual import LPIPS
from stylegan_core.networks.generators.mobilestylegan import MobileStyleGAN

from .recipe import student_ws

SIZE = 256


@dataclass(frozen=True)
class Fit:
    """One run: name of its files, folder, how long and how fast."""

    name: str
    work: Path
    steps: int
    batch: int
    lr: float
    lpips_weight: float = 0.8
    warmup: int = 20
    save_every: int = 25
    seed: int = 0


def load_pairs(work: Path, name: str) -> np.ndarray:
    """The drawn part of WORK/name.u8: uint8 [N, 256, 256, 3]."""
    store = np.memmap(work / f"{name}.u8", dtype=np.uint8, mode="r").reshape(-1, SIZE, SIZE, 3)
    drawn = int(np.searchsorted([not row[::64, ::64].any() for row in store], True))
    return store[:drawn]


def to_model_range(images: np.ndarray) -> Tensor:
    """uint8 [B, H, W, 3] -> float32 [B, 3, H, W] in [-1, 1]."""
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


def sheet(rows: list[Tensor], path: Path) -> None:
    """Rows of images [B, 3, H, W] in [-1, 1] -> one picture."""
    grid = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)
    Image.fromarray(((grid.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()).save(path)


def fit(
    run: Fit,
    student: MobileStyleGAN,
    trained: list[nn.Parameter],
    count: int,
    pairs: Callable[[int, list[int], Tensor], tuple[Tensor, Tensor]],
) -> MobileStyleGAN:
    """Fit `trained` so that pairs(step, numbers, ws) = (got, want) agree over samples < count.

    Cosine decay, average of weights. Saves WORK/name.pt (all it needs to resume) and WORK/name.png (targets above results).
    """
    student.requires_grad_(False)
    for p in trained:
        p.requires_grad_(True)
    optimizer = torch.optim.Adam(trained, lr=run.lr, betas=(0.9, 0.99))
    average = [p.detach().clone() for p in trained]
    lpips, path = LPIPS.embedded().eval(), run.work / f"{run.name}.pt"
    start = _resume(path, student, optimizer, average) if path.exists() else 0
    bar = trange(start, run.steps, initial=start, total=run.steps, desc=run.name)
    smooth: dict[str, float] = {}
    for step in bar:
        rng = np.random.RandomState(run.seed * 100_003 + step)
        numbers = rng.randint(count, size=run.batch).tolist()
        ws = torch.cat([student_ws(student.mapping, i) for i in numbers])
        got, want = pairs(step, numbers, ws)
        y, x = rng.randint(4, size=2)  # every phase of AlexNet's stride: LPIPS from one place leaves a fine grid
        terms = {"l1": (got - want).abs().mean(), "lpips": lpips(got[..., y:, x:], want[..., y:, x:]).mean()}
        loss = terms["l1"] + run.lpips_weight * terms["lpips"]
        for group in optimizer.param_groups:
            group["lr"] = run.lr * min(1, (step + 1) / run.warmup) * (0.5 + 0.5 * math.cos(math.pi * step / run.steps))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        for mean, p in zip(average, trained, strict=True):
            mean.lerp_(p.detach(), 1 - min(0.98, (step + 1) / (step + 10)))
        smooth = {k: 0.95 * smooth.get(k, float(v)) + 0.05 * float(v) for k, v in terms.items()}
        bar.set_postfix({k: f"{v:.3f}" for k, v in smooth.items()})
        if (step + 1) % run.save_every == 0 or step + 1 == run.steps:
            torch.save({"step": step + 1, "model": student.state_dict(), "optimizer": optimizer.state_dict(),
                        "average": average}, path)
            sheet([want.detach(), got.detach()], path.with_suffix(".png"))
    with torch.no_grad():
        for mean, p in zip(average, trained, strict=True):
            p.copy_(mean)
    torch.save(student.state_dict(), run.work / f"{run.name}_final.pt")
    return student


def _resume(path: Path, student: MobileStyleGAN, optimizer: torch.optim.Optimizer, average: list[Tensor]) -> int:
    saved = torch.load(path, weights_only=True)
    student.load_state_dict({k: v for k, v in saved["model"].items() if k != "mapping.w_avg"}, strict=False)
    optimizer.load_state_dict(saved["optimizer"])
    for mean, value in zip(average, saved["average"], strict=True):
        mean.copy_(value)
    return saved["step"]
