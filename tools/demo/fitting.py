"""Supervised fitting of a generator to pictures of known codes: L1 + LPIPS, resumable, with a bar and previews."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from stylegan_core.engine import FitOptions, Fitting, RunFolder
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

    def settings(self) -> dict[str, object]:
        """What a run depends on; its steps may change when it goes on."""
        return {k: v for k, v in asdict(self).items() if k not in ("work", "save_every")}


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
    trained: Mapping[str, nn.Parameter],
    count: int,
    pairs: Callable[[int, list[int], Tensor], tuple[Tensor, Tensor]],
) -> MobileStyleGAN:
    """Fit `trained` so that pairs(step, numbers, ws) = (got, want) agree over samples < count.

    The run is the folder WORK/name, gone on with where it stopped; WORK/name.png shows targets above results, and
    WORK/name_final.pt are the averaged weights.
    """
    student.requires_grad_(False)
    lpips, shown = LPIPS.embedded().eval(), list[Tensor]()

    def step(number: int) -> dict[str, Tensor]:
        rng = np.random.RandomState(run.seed * 100_003 + number)
        numbers = rng.randint(count, size=run.batch).tolist()
        ws = torch.cat([student_ws(student.mapping, i) for i in numbers])
        got, want = pairs(number, numbers, ws)
        y, x = rng.randint(4, size=2)  # every phase of AlexNet's stride: LPIPS from one place leaves a fine grid
        terms = {"l1": (got - want).abs().mean(), "lpips": lpips(got[..., y:, x:], want[..., y:, x:]).mean()}
        (terms["l1"] + run.lpips_weight * terms["lpips"]).backward()
        shown[:] = want.detach(), got.detach()
        return {name: value.detach() for name, value in terms.items()}

    options = FitOptions(run.steps, run.lr, warm_up=run.warmup, save_every=run.save_every)
    with RunFolder(run.work / run.name, run.settings(), resume=True, may_change=("steps",)) as folder:
        learn(Fitting(trained, step, options, folder=folder, networks={run.name: student},
                      on_save=lambda: sheet(shown, run.work / f"{run.name}.png")), run.name).average.apply()
    torch.save(student.state_dict(), run.work / f"{run.name}_final.pt")
    return student


def learn(fitting: Fitting, name: str) -> Fitting:
    """All steps that are left, with a bar."""
    with tqdm(total=fitting.steps, initial=fitting.steps_done, desc=name) as bar:
        def tell(step: int, *_: object) -> None:
            fitting.losses()
            bar.n = step
            bar.set_postfix({k: f"{v:.3f}" for k, v in fitting.recent.items()})

        fitting.run(tell)
    return fitting
