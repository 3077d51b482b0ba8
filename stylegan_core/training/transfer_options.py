"""Settings of a transfer run, their presets, and which may change when it goes on."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..engine import RunFolder
from ..errors import InvalidInput
from ..latents.mixing import px_spans
from ..networks.generators.base import Generator
from ..options import check_numbers
from ..runtime import fast_type
from .ada import SETS
from .data import PictureSet
from .options import TrainOptions

RATE = 0.002
MAY_CHANGE = ("kimg", "tick_kimg", "checkpoint_minutes", "micro_batch", "patience", "bfloat16")
"""A run may be made longer, saved more often, fitted to another device."""


@dataclass(frozen=True)
class TransferOptions:
    """Of one run. Raises InvalidInput when a field is out of range."""

    kimg: float = 20.0
    """Thousands of training pictures to show, over all sittings."""
    batch_size: int = 8
    micro_batch: int | None = None
    """Pictures in one pass; None: the whole batch, halved when memory runs out."""
    lr: float = RATE
    """Of the generator; relative to each tensor's size where weights are not equalized (see engine/rates.py)."""
    D_lr: float | None = None
    """Of the discriminator; None: 0.002, whatever the generator's."""
    D_first_kimg: float | None = None
    """Thousands of pictures that teach the discriminator alone; None: a tenth of the run, 1 at most, for one that starts from
    random numbers and would lead the generator astray, and none otherwise."""
    r1_gamma: float | None = None
    """None: 0.0002 R^2 / batch, StyleGAN2-ADA's rule."""
    pl_weight: float = 2.0
    G_reg_interval: int | None = None
    """Iterations between path length phases; None: none, as is usual for short transfers."""
    D_reg_interval: int = 16
    mixing: float = 0.9
    augment: str = "bgc"
    """Set of ADA's transforms, "none" for none."""
    augment_p: float | None = None
    """A fixed probability; None: ADA steers it."""
    ada_target: float = 0.6
    ada_kimg: float = 100.0
    """Thousands of pictures in which p can go from 0 to 1."""
    freeze_d: int = 0
    """Layers of the discriminator, counted from the picture, that stay as they are (Mo et al. 2020, 2002.10964); those of a
    fresh one learn."""
    layers: str = "all"
    """Which layers of the generator learn: all, coarse, middle, fine, or pixels such as "4-32"."""
    train_mapping: bool = False
    """Off: the child shares its parent's mapping, so latents and directions of either fit the other."""
    pull_weights: float = 0.0
    """How strongly each weight is drawn to the parent's."""
    pull_features: float = 0.0
    """How strongly the coarse features of a latent are drawn to the parent's."""
    mirror: bool = True
    judge_resolution: int | None = None
    """Side at which the discriminator looks; None: the generator's. Smaller is faster and leaves fine detail alone."""
    ema_kimg: float | None = None
    """Half-life of the averaged generator; None: 10 B / 32, at most a tenth of the run."""
    seed: int = 0
    tick_kimg: float = 1.0
    """Pictures between log entries, scores and sample grids, in thousands."""
    score_pictures: int = 200
    """Generated pictures a score is taken over; 0: none."""
    patience: int = 0
    """Stop after so many ticks without a better score; 0: never."""
    checkpoint_minutes: float = 10.0
    bfloat16: bool = False
    """The generator draws for the losses in 16 bits; its weights, the discriminator and both regularizations stay in 32. Twice
    as fast on a CPU with AVX512-BF16."""

    def __post_init__(self) -> None:
        check_numbers(self, "Training", signed=("ada_target",))
        px_spans(self.layers)
        if min(self.lr, self.D_lr or RATE) <= 0 or (self.D_first_kimg or 0) < 0:
            raise InvalidInput(f"Rates of {self.lr} and {self.D_lr} can't be; use numbers above 0, and 0 or more for a head "
                               f"start.")
        if self.kimg <= 0 or self.tick_kimg <= 0 or self.checkpoint_minutes < 0 or self.batch_size < 1:
            raise InvalidInput(f"A run of {self.kimg} thousand pictures in batches of {self.batch_size} can't be; use numbers "
                               f"above 0.")
        if self.augment not in SETS:
            raise InvalidInput(f'"{self.augment}" is no set of augmentations; use {", ".join(SETS)}.')
        if not 0 <= self.mixing <= 1 or not -1 <= self.ada_target <= 1 or (self.augment_p or 0) < 0:
            raise InvalidInput("Mixing is a probability in 0..1, ADA's target lies in -1..1 (usually 0.6) and its p is not "
                               "negative; correct the settings.")
        if min(self.freeze_d, self.pull_weights, self.pull_features, self.patience, self.score_pictures) < 0:
            raise InvalidInput("freeze_d, the pulls, patience and score_pictures are counts and weights of 0 or more.")
        side = self.judge_resolution
        if side is not None and (side < 4 or side & side - 1):
            raise InvalidInput(f"The discriminator can't look at {self.judge_resolution} px; use a power of two from 4 up.")
        if self.micro_batch is not None and self.micro_batch < 1:
            raise InvalidInput("micro_batch is a number of pictures; use 1 or more.")

    def head_start(self, fresh: bool) -> float:
        """Pictures shown before the generator learns as well; fresh: whether the discriminator's weights are random."""
        own = min(self.kimg / 10, 1.0) if fresh else 0.0
        return 1000 * (own if self.D_first_kimg is None else self.D_first_kimg)

    def step_options(self, resolution: int, **more: Any) -> TrainOptions:
        """What each step needs; resolution: that the discriminator sees."""
        gamma = 0.0002 * resolution**2 / self.batch_size if self.r1_gamma is None else self.r1_gamma
        ema = min(self.batch_size * 10 / 32, self.kimg / 10) if self.ema_kimg is None else self.ema_kimg
        return TrainOptions(lr=self.lr, D_lr=self.D_lr or RATE, r1_gamma=gamma, pl_weight=self.pl_weight,
                            batch_size=self.batch_size, G_reg_interval=self.G_reg_interval,
                            D_reg_interval=self.D_reg_interval, ema_kimg=ema,
                            w_avg_beta=0.995 if self.train_mapping else 1.0, **more)

    def plain(self) -> dict[str, Any]:
        return asdict(self)


LENGTHS = {"quick": 2.0, "standard": 20.0, "long": 200.0}
"""Preset -> thousands of pictures on an accelerator at 256 px."""


def preset_options(name: str, pictures: int, resolution: int, device: str = "cpu", **changes: Any) -> TransferOptions:
    """quick, standard or long for so many training pictures: shorter on a CPU and where the pictures are few.

    Below a hundred the discriminator's first layers stay; below a thousand shapes are drawn to the parent's, without which a
    run of few steps ends in one face for all. The rate goes with the root of the batch. changes: fields set anyway.
    """
    if name not in LENGTHS:
        raise InvalidInput(f'Preset "{name}" is unknown; use {", ".join(LENGTHS)}.')
    on_cpu = device.startswith("cpu")
    kimg = changes.get("kimg") or LENGTHS[name] * (0.25 if on_cpu else 1.0) * min(max(pictures / 200, 0.25), 4.0)
    batch = 4 if on_cpu else max(4, min(32, 4096 // resolution))
    options = TransferOptions(
        kimg=kimg, batch_size=batch, lr=RATE * min(batch / 16, 1.0) ** 0.5, tick_kimg=kimg / 20,
        freeze_d=10 if pictures < 100 else 0, pull_features=1.0 if pictures < 1000 else 0.0,
        score_pictures=min(200, max(50, pictures)),
        bfloat16=fast_type(device) is torch.bfloat16,
        judge_resolution=min(resolution, 128) if on_cpu else None, patience=8 if name == "long" else 0)
    return replace(options, **changes)


def open_run(folder: str | Path, base: Generator, data: PictureSet, options: TransferOptions,
             resume: bool = False) -> RunFolder:
    """The folder of a transfer run; see RunFolder for what is refused."""
    settings = {**options.plain(), "recipe": "transfer", "base": base.info.known_as, "pictures": data.sha256,
                "resolution": data.resolution}
    return RunFolder(folder, settings, resume, MAY_CHANGE)
