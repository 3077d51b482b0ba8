"""Settings of a whole DualStyleGAN run, their presets, and what a preset gives up."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from ..errors import InvalidInput
from ..runtime import fast_type
from .dual import STAGE_3

AUTO = "auto"
MAY_CHANGE = ("micro_batch", "preview_every", "save_every", "bfloat16")
"""A run may be fitted to another device, and shown and saved more often."""


@dataclass(frozen=True)
class DualOptions:
    """Of one run; the defaults are the published ones. Raises InvalidInput when a field is out of range."""

    kind: str = AUTO
    """cartoon, caricature or anime, whose weights and iterations stage III takes; auto: by how far the drawings are from
    faces."""
    finetune_kimg: float = 19.2
    """Thousands of drawings shown to the g' of destylization; 0: the base itself stands in."""
    destylize_steps: int = 300
    truncation_psi: float = 0.7
    """Of the faces behind the drawings; 0.5 suits styles far from faces."""
    structure: float = 1.0
    """Share of stage II's 300, 300 and 3000 iterations; 0 skips it."""
    style: float = 1.0
    """Share of stage III's iterations; 0 skips it."""
    batch_size: int = 32
    micro_batch: int | None = 4
    hidden: int | None = None
    """Channels inside the residual blocks; None: as many as outside."""
    judge_resolution: int | None = None
    """Side at which the discriminator looks; None: the generator's."""
    refine_steps: int = 100
    """Steps of latent optimization a style; 0 keeps the encoder's codes."""
    lr_color: float = 0.01
    lr_structure: float = 0.005
    sampler_epochs: int | None = None
    """None: 500 000 rows in all, as published; 0: no sampler."""
    align: bool = True
    """Turn and crop the drawings' faces as FFHQ does."""
    faces: bool = True
    """Drawings without a face, and faces behind drawings that are none, are left out; off for a base of other things."""
    seed: int = 0
    preview_every: int = 100
    save_every: int = 100
    bfloat16: bool = False
    """Stages II and III draw in 16 bits where no regularization differentiates twice; see TransferOptions."""

    def __post_init__(self) -> None:
        if self.kind != AUTO and self.kind not in STAGE_3:
            raise InvalidInput(f'Drawings of kind "{self.kind}" have no preset; use {", ".join([AUTO, *STAGE_3])}.')
        shares = (self.finetune_kimg, self.structure, self.style, self.lr_color, self.lr_structure)
        counts = (self.destylize_steps, self.refine_steps, self.sampler_epochs or 0)
        if not all(math.isfinite(n) and n >= 0 for n in (*shares, *counts)) or not 0 < self.truncation_psi <= 2:
            raise InvalidInput(f"A DualStyleGAN run got shares {shares}, counts {counts} and truncation {self.truncation_psi}; "
                               f"use numbers from 0 on, and a truncation above 0, up to 2.")
        if min(self.batch_size, self.micro_batch or 1, self.hidden or 1, self.preview_every, self.save_every) < 1:
            raise InvalidInput(f"A batch of {self.batch_size} in parts of {self.micro_batch} with {self.hidden} channels can't "
                               f"be; use numbers from 1 on.")

    def scaled(self, length: float) -> DualOptions:
        """Every stage `length` times as long, at least one step of what is not skipped. Raises InvalidInput."""
        if not math.isfinite(length) or length <= 0:
            raise InvalidInput(f"A run {length} times as long as its preset can't be; use a number above 0.")
        steps = {name: max(1, round(getattr(self, name) * length)) if getattr(self, name) else getattr(self, name)
                 for name in ("destylize_steps", "refine_steps", "sampler_epochs")}
        shares = {name: getattr(self, name) * length for name in ("finetune_kimg", "structure", "style")}
        return self if length == 1 else replace(self, **steps, **shares)

    def on(self, device: str | torch.device) -> DualOptions:
        """In 16 bits where the device computes in them."""
        return replace(self, bfloat16=fast_type(device) is torch.bfloat16)

    def plain(self) -> dict[str, Any]:
        return asdict(self)


PUBLISHED = DualOptions()
PRESETS = {
    "published": PUBLISHED,
    "small": DualOptions(finetune_kimg=1.0, destylize_steps=80, structure=0.04, style=0.1, batch_size=8, micro_batch=2,
                         hidden=48, judge_resolution=128, refine_steps=40, lr_color=0.03, lr_structure=0.015,
                         sampler_epochs=200, preview_every=25, save_every=10),
    "draft": DualOptions(finetune_kimg=0.2, destylize_steps=20, structure=0.005, style=0.02, batch_size=4, micro_batch=2,
                         hidden=48, judge_resolution=64, refine_steps=10, lr_color=0.05, lr_structure=0.025, sampler_epochs=60,
                         preview_every=10, save_every=5),
}
"""published: the paper's, for a GPU. small: a night on a CPU at 256 px. draft: to see the whole way once."""

GIVEN_UP = {
    "finetune_kimg": "g' sees {now:g} thousand drawings in place of {full:g}, so the faces behind the drawings keep more of "
                     "the style",
    "destylize_steps": "destylization takes {now} steps a drawing in place of {full}, so those faces are less sure",
    "structure": "stage II runs {now:.1%} of its iterations, so structure moves less and less cleanly",
    "style": "stage III runs {now:.1%} of its iterations, so shapes and strokes stay nearer to photographs",
    "batch_size": "batches hold {now} pictures in place of {full}, and small ones may collapse",
    "hidden": "the residual blocks have {now} channels inside in place of as many as outside, a tenth of the weights",
    "judge_resolution": "the discriminator looks at {now} px and leaves finer strokes alone",
    "refine_steps": "styles are refined in {now} steps in place of {full}, at higher rates",
    "sampler_epochs": "the sampler learns for {now} epochs in place of some {full}",
}


def gave_up(options: DualOptions) -> list[str]:
    """What these settings save on against the published ones, a sentence each; empty for those."""
    full = {**PUBLISHED.plain(), "sampler_epochs": 500}
    found = []
    for name, sentence in GIVEN_UP.items():
        now, most = getattr(options, name), full[name]
        if now is not None and (most is None or now < most):
            found.append(sentence.format(now=now, full=most))
    return found


NEAR, FAR = 0.6, 0.9
"""Mean identity distance of drawings from the faces behind them: below, they draw the very person; above, hardly a face."""


def choose_kind(distance: float) -> str:
    """The kind of drawings by how far they are from faces: caricatures keep the person and move shapes, anime keeps neither.

    distance: mean of IdentityLoss between each drawing and the face behind it.
    """
    return "caricature" if distance < NEAR else "cartoon" if distance < FAR else "anime"


