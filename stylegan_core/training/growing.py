"""StyleGAN1 from nothing, as the paper trains it (Karras et al. 2019, 1812.04948, appendix C; growing: 1710.10196).

From 8 px on, each level learns for a while and then fades the next one in; batch and rates go by the level, optimizers begin
anew with it, the discriminator's step comes before the generator's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ..engine import RunFolder
from ..errors import InvalidInput
from ..losses.adversarial import (
    discriminator_loss,
    generator_loss,
    r1_penalty,
    wgan_generator_loss,
    wgan_gp_discriminator_loss,
)
from ..networks import StyleGAN1Discriminator, StyleGAN1DiscriminatorConfig
from ..networks.generators.base import Generator
from ..networks.generators.stylegan1 import StyleGAN1, StyleGAN1Config
from ..networks.mapping import MappingConfig
from ..ops.resize import resize_area
from .data import PictureSet
from .draws import generator_for
from .judges import draw_weights
from .options import TrainOptions
from .progressive import LRATE_DICT, ProgressiveSchedule, Stage, process_reals
from .rounds import Rounds
from .trainer import Phase, PhaseInputs, Trainer
from .transfer import Transfer
from .transfer_options import MAY_CHANGE, TransferOptions

C = TypeVar("C")
M = TypeVar("M", bound=nn.Module)
Adversary = Literal["logistic", "wgan-gp"]
BATCHES: dict[int, tuple[int, Mapping[int, int]]] = {
    1: (4, {4: 128, 8: 128, 16: 128, 32: 64, 64: 32, 128: 16, 256: 8, 512: 4}),
    8: (32, {4: 512, 8: 256, 16: 128, 32: 64, 64: 32})}
"""The paper's batches by device count: usual, and where a level has its own."""
GROWTH = ("kimg", "first_resolution", "phase_kimg", "adversary", "devices", "micro_batch", "r1_gamma", "mixing", "mirror",
          "ema_kimg", "seed", "tick_kimg", "score_pictures", "patience", "checkpoint_minutes")
"""Settings that apply."""
AREA, MOST = 8192, 512
"""Channels times pixels of a level, and channels at most."""


@dataclass(frozen=True)
class GrowthOptions(TransferOptions):
    """Of one run; what a transfer has beside it does not apply. Raises InvalidInput when a field is out of range."""

    kimg: float = 25_000
    first_resolution: int = 8
    phase_kimg: float = 600
    """Thousands of pictures a level is trained, and as many in which the next fades in."""
    adversary: Adversary = "logistic"
    """logistic with R1 (the paper's B and on), or wgan-gp (its A)."""
    devices: int = 1
    """Whose batches: the paper's for one device, or for eight."""
    r1_gamma: float | None = 10.0
    augment: str = "none"
    train_mapping: bool = True
    ema_kimg: float | None = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.adversary not in CRITICS or self.devices not in BATCHES:
            raise InvalidInput(f'Growing got the adversary "{self.adversary}" and batches of {self.devices} devices; use '
                               f"{' or '.join(CRITICS)}, and {' or '.join(map(str, BATCHES))}.")

    def schedule(self, resolution: int) -> ProgressiveSchedule:
        usual, batches = BATCHES[self.devices]
        return ProgressiveSchedule(
            resolution, lod_initial_resolution=min(self.first_resolution, resolution), lod_training_kimg=self.phase_kimg,
            lod_transition_kimg=self.phase_kimg, minibatch_base=usual, minibatch_dict=batches, G_lrate_dict=LRATE_DICT,
            D_lrate_dict=LRATE_DICT)

    def stage_options(self, stage: Stage) -> TrainOptions:
        """What a step needs at this moment; R1 comes every time, and with the loss."""
        return TrainOptions(stage.G_lrate, D_lr=stage.D_lrate, r1_gamma=self.r1_gamma or 0.0, batch_size=stage.minibatch,
                            G_reg_interval=None, D_reg_interval=None, ema_kimg=self.ema_kimg or 0.0)


class Logistic(Trainer):
    """Non-saturating loss; R1 in the same step."""

    def fooled(self, scores: Tensor) -> Tensor:
        return generator_loss(scores)

    def told_apart(self, x: PhaseInputs, fakes: Tensor) -> Tensor:
        assert x.reals is not None
        reals = x.reals.detach().requires_grad_(True)
        scores = self.score(reals, x.real_c, None)
        penalty = r1_penalty(scores, reals).mean() * (self.options.r1_gamma / 2)
        return discriminator_loss(scores, self.score(fakes, x.c, None)) + penalty


class Wasserstein(Trainer):
    """The paper's configuration A."""

    def fooled(self, scores: Tensor) -> Tensor:
        return wgan_generator_loss(scores)

    def told_apart(self, x: PhaseInputs, fakes: Tensor) -> Tensor:
        assert x.reals is not None and x.between is not None
        return wgan_gp_discriminator_loss(lambda images: self.score(images, x.real_c, None), x.reals, fakes, x.between)


CRITICS: dict[str, type[Trainer]] = {"logistic": Logistic, "wgan-gp": Wasserstein}


def fresh_stylegan1(resolution: int, c_dim: int = 0, img_channels: int = 3, seed: int = 0) -> StyleGAN1:
    """Random weights in the paper's shape. Raises InvalidInput for a side that is no power of two from 8 up."""
    if resolution < 8 or resolution & resolution - 1:
        raise InvalidInput(f"A StyleGAN1 of {resolution} px can't be; use a power of two from 8 up.")
    channels = tuple(min(MOST, AREA * 2 // (4 << i)) for i in range(resolution.bit_length() - 2))
    mapping = MappingConfig(c_dim=c_dim, num_ws=2 * len(channels), num_layers=8)
    return untrained(StyleGAN1, StyleGAN1Config(mapping, channels, img_channels), seed)


def untrained(kind: Callable[[C], M], config: C, seed: int) -> M:
    """A network of that kind and shape at full size, with seeded random weights."""
    with torch.random.fork_rng(devices=[]):
        return draw_weights(kind(replace(config, lod=0.0)), seed)  # type: ignore[type-var]


class Growing(Transfer):
    """Transfer's run, from random weights and level by level. Of `base` only the shape is taken."""

    options: GrowthOptions

    def __init__(self, base: Generator, data: PictureSet, options: GrowthOptions, folder: RunFolder | None = None,
                 **more: Any) -> None:
        """See Transfer. Raises InvalidInput for a base that is no StyleGAN1, or pictures of another side."""
        if not isinstance(base, StyleGAN1):
            raise InvalidInput(f"Growing trains a StyleGAN1 and the model is a {base.kind}; give a StyleGAN1, of which the "
                               f"shape is taken, or a resolution.")
        if data.resolution != base.img_resolution:
            raise InvalidInput(f"The pictures were prepared at {data.resolution} px and the model draws {base.img_resolution} "
                               f"px; prepare them anew.")
        self.schedule = options.schedule(base.img_resolution)
        dtype = next(base.parameters()).dtype
        config = StyleGAN1DiscriminatorConfig(base.config.channels, base.img_channels, base.c_dim)
        super().__init__(untrained(StyleGAN1, base.config, options.seed).to(dtype), data, options, folder,
                         untrained(StyleGAN1Discriminator, config, options.seed).to(dtype), **more)
        self._enter(self.stage)
        self.note = f"A StyleGAN1 of {data.resolution} px, from random weights."

    def _trainer(self) -> Trainer:
        self.ada, self.fixed_p = None, True
        trainer = CRITICS[self.options.adversary](self.G, self.D, self.E, self.options.stage_options(self.schedule.at(0)),
                                                  reduce=self.processes.sum)
        trainer.bfloat16 = False
        return trainer

    @property
    def images_shown(self) -> int:
        return self.facts.get("shown", 0) if hasattr(self, "facts") else 0

    @property
    def stage(self) -> Stage:
        return self.schedule.at(self.images_shown)

    def _enter(self, stage: Stage) -> None:
        """What holds from here on; at a change of level the optimizers begin anew."""
        trainer = self.trainer
        if self.facts.setdefault("levels", list(stage.levels)) != list(stage.levels):
            for optimizer in trainer.optimizers.values():
                optimizer.state.clear()
            self.facts["levels"] = list(stage.levels)
        trainer.lod, trainer.options = stage.lod, self.options.stage_options(stage)
        trainer.set_rate(self.facts["rate"])
        if self.options.micro_batch is not None:
            self.rounds = Rounds(self.processes, stage.minibatch, self.options.micro_batch)

    def step(self) -> dict[str, Tensor]:
        stage = self.stage
        self._enter(stage)
        losses = {"Dmain": self.processes.sum(self._phase("Dmain"))}
        self.trainer.update_ema(self.images_shown)
        losses["Gmain"] = self.processes.sum(self._phase("Gmain"))
        self.facts |= {"shown": self.images_shown + stage.minibatch, "before": self.images_shown}
        self.iteration += 1
        return losses

    def _batch(self, name: Phase) -> int:
        return self.stage.minibatch

    @property
    def _levels(self) -> int:
        return self.G.num_ws - 2 * math.floor(self.stage.lod)

    def _reals(self, rows: np.ndarray, flips: np.ndarray) -> Tensor:
        """As the level shows them: small pictures, faded, enlarged by repeating pixels."""
        stage = self.stage
        small = resize_area(self.data.take(rows, flips), stage.resolution)
        return process_reals(((small + 1) * 127.5).round(), stage.lod, next(self.G.parameters()).dtype)

    def _inputs(self, name: Phase, batch: int, rows: Tensor) -> PhaseInputs:
        given = super()._inputs(name, batch, rows)
        between = torch.rand(batch, generator=generator_for(self.options.seed, self.iteration, "Dreg"))
        return replace(given, between=between[rows].to(given.z) if given.z is not None else None)

    def _replayed(self, phase: Phase, at: int) -> list[PhaseInputs]:
        now = self.facts["shown"]
        try:
            self.facts["shown"] = self.facts.get("before", now)
            return super()._replayed(phase, at)
        finally:
            self.facts["shown"] = now

    def child(self) -> StyleGAN1:
        """The averaged generator as far as it has grown; it has no parent."""
        child: StyleGAN1 = super().child()  # type: ignore[assignment]
        child.config = child.synthesis.config = replace(child.config, lod=self.stage.lod)  # type: ignore[assignment]
        child.info = replace(child.info, parents=(), licence=self.data_licence)
        return child


def open_growth(folder: str | Path, base: Generator, data: PictureSet, options: GrowthOptions,
                resume: bool = False) -> RunFolder:
    """The folder of such a run; see RunFolder for what is refused."""
    settings = {**options.plain(), "recipe": "grow", "shape": list(base.config.channels), "pictures": data.sha256,
                "resolution": data.resolution}
    return RunFolder(folder, settings, resume, MAY_CHANGE)
