"""DualStyleGAN's stages II and III as one run (Yang et al. 2022, 2203.13248, section 3.3).

Structure in the source domain at ever finer crossovers, then the drawings' domain, by one trainer. What a step draws is a
function of the seed and the iteration, so a resumed run is the one that never stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..checkpoints.saving import lineage
from ..engine import Optimization, RunFolder
from ..errors import InvalidInput
from ..latents import Latents, mix
from ..losses.features import SIDE, Features
from ..losses.identity import IdentityLoss
from ..networks.dualstylegan import DualStyleGAN
from ..networks.info import ModelInfo
from ..networks.style_weights import STRUCTURE_PLACES
from ..pictures.sheets import contact_sheet
from ..runtime import private_copy
from .draws import generator_for
from .dual import DUAL_TRAINING, ITERATIONS, STAGE_2, STAGE_3, DualInputs, DualTrainer, DualWeights
from .options import TrainOptions
from .states import restore_trainer, trainer_tensors
from .trainer import Phase, split_rows

JITTER = 0.1
"""Standard deviation of what is added to the drawings' extrinsic codes."""
KEPT_ROWS = 8
"""Rows of a drawing's intrinsic code that are its own; the others are drawn anew."""
ENCODED_EVERY = 4
"""Every so many iterations of stage II the extrinsic codes come from the encoder."""
PREVIEWED = 4


@dataclass(frozen=True)
class Stage:
    """A stretch of iterations. Raises InvalidInput."""

    name: str
    iterations: int
    weights: DualWeights
    crossover: int | None = None
    """Stage II: rows of the target from here on come from the style's code. None: stage III, on drawings."""

    def __post_init__(self) -> None:
        if self.iterations < 0 or (self.crossover is not None and self.crossover < 1):
            raise InvalidInput(f"Stage {self.name} has {self.iterations} iterations and a crossover of {self.crossover}; use 0 "
                               f"or more, and rows from 1 on.")


@dataclass(frozen=True)
class StagePlan:
    """Stages in order and what shapes a step. Raises InvalidInput."""

    stages: tuple[Stage, ...]
    seed: int = 0
    batch_size: int = 4
    micro_batch: int | None = None
    """Images that are drawn at once; the rest of the batch is accumulated."""
    preview_every: int = 100
    save_every: int = 100
    training: TrainOptions = field(default=DUAL_TRAINING)

    def __post_init__(self) -> None:
        if min(self.batch_size, self.preview_every, self.save_every, self.micro_batch or 1) < 1:
            raise InvalidInput(f"A batch of {self.batch_size}, parts of {self.micro_batch}, previews every "
                               f"{self.preview_every} and states every {self.save_every} iterations can't be; use numbers "
                               f"from 1 on.")

    @property
    def total(self) -> int:
        return sum(stage.iterations for stage in self.stages)

    def at(self, iteration: int) -> tuple[Stage, int]:
        """(stage, iteration within it) of an iteration of the run."""
        for stage in self.stages:
            if iteration < stage.iterations:
                return stage, iteration
            iteration -= stage.iterations
        raise InvalidInput("The run is over; give more iterations to go on.")

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def published_plan(kind: str = "cartoon", structure: int = 3000, share: float = 1.0, **more: Any) -> StagePlan:
    """The paper's stages: crossovers 7, 6, 5 for a tenth, a tenth and all of `structure` iterations, then the drawings with the
    weights and iterations of their kind. share: of every count, for small machines. Raises InvalidInput."""
    if kind not in STAGE_3:
        raise InvalidInput(f'Drawings of kind "{kind}" have no preset; use {", ".join(STAGE_3)}.')

    def some(count: float) -> int:
        return max(1, round(count * share))

    counts = {7: structure / 10, 6: structure / 10, 5: structure}
    stages = [Stage(f"structure {row}", some(count), STAGE_2, row) for row, count in counts.items()]
    return StagePlan((*stages, Stage(kind, some(ITERATIONS[kind]), STAGE_3[kind])), **more)


@dataclass(frozen=True, eq=False)
class StyleExamples:
    """Drawings and their codes, row by row. Raises InvalidInput unless all are of one length."""

    images: Callable[[Sequence[int]], Tensor]
    """Indices -> drawings [n, 3, S, S] in [-1, 1]."""
    intrinsic: Latents
    """z+ of the plain face behind each."""
    extrinsic: Latents
    """z+ of each one's style."""

    def __post_init__(self) -> None:
        if len(self.intrinsic) != len(self.extrinsic) or self.intrinsic.space != "z+" or self.extrinsic.space != "z+":
            raise InvalidInput(f"{len(self.intrinsic)} faces in {self.intrinsic.space} and {len(self.extrinsic)} styles in "
                               f"{self.extrinsic.space} are no pairs; destylize the drawings, which gives both in z+.")

    def __len__(self) -> int:
        return len(self.extrinsic)


class DualStages(Optimization[DualStyleGAN]):
    """One run through a plan. `result` is the averaged model."""

    def __init__(self, dual: DualStyleGAN, discriminator: nn.Module, examples: StyleExamples, plan: StagePlan,
                 encode: Callable[[Tensor], Tensor] | None = None,
                 reals: Callable[[torch.Generator, int], Tensor] | None = None, features: Features | None = None,
                 identity: Callable[[Tensor, Tensor], Tensor] | None = None, folder: RunFolder | None = None) -> None:
        """dual and discriminator stay as they are.

        encode: faces [B, 3, 256, 256] -> extrinsic ws [B, num_ws, w_dim], for a quarter of stage II; None: drawn codes only.
        reals: (source of random numbers, count) -> pictures of the source domain; None: the generator's own.
        features, identity: None for the networks that travel with the package. folder: keeps the run, and is gone on from.
        Raises InvalidInput.
        """
        self.plan, self.examples, self.encode, self.reals, self.folder = plan, examples, encode, reals, folder
        self.source, self.steps, self.done = dual, plan.total, 0
        if not plan.stages or len(examples) < 1:
            raise InvalidInput("There is nothing to train: the plan has no stage, or there are no drawings.")
        examples.extrinsic.check(dual.base)
        with torch.inference_mode(False):
            own, average, judge = private_copy(dual), private_copy(dual).requires_grad_(False), private_copy(discriminator)
            identity = identity or IdentityLoss.embedded()
            self.trainer = DualTrainer(own, judge, average, plan.training, plan.stages[0].weights,
                                       features or Features.embedded(), identity)
            self.trainer.noise_mode = "const"
            with torch.no_grad():
                self.codes = own.mapping.to_w(examples.extrinsic.tensor.to(next(own.parameters()))).clone()
            if folder is not None and (state := folder.read_state()) is not None:
                self.done = state[0]
                restore_trainer(self.trainer, state[1])
                folder.cut_log(self.done)

    @property
    def steps_done(self) -> int:
        return self.done

    def advance(self) -> Tensor | None:
        """One iteration: D, R1, G, path length, average."""
        with torch.inference_mode(False), torch.enable_grad():
            stage, i = self.plan.at(self.done)
            trainer, options = self.trainer, self.plan.training
            trainer.weights = stage.weights
            phases: list[tuple[Phase, bool]] = [
                ("Dmain", True), ("Dreg", i % (options.D_reg_interval or 1) == 0), ("Gmain", True),
                ("Greg", bool(options.G_reg_interval) and i % (options.G_reg_interval or 1) == 0)]
            losses = {name: self._phase(stage, i, name) for name, due in phases if due}
            trainer.update_ema(0)
            self.done += 1
            return self._after(stage, losses)

    def _phase(self, stage: Stage, i: int, name: Phase) -> Tensor:
        batch = max(1, self.plan.batch_size // 2) if name == "Greg" else self.plan.batch_size
        inputs = self._inputs(stage, i, name, batch)
        group = 1 if name == "Greg" else getattr(self.trainer.D.config, "group_size", None)
        parts = -(-batch // (self.plan.micro_batch or batch))
        return self.trainer.run_phase(name, [inputs.take(rows) for rows in split_rows(batch, parts, group)], total=batch)

    @torch.no_grad()
    def _inputs(self, stage: Stage, i: int, name: Phase, batch: int) -> Any:
        draw = generator_for(self.plan.seed, self.done, "data" if stage.crossover is not None and name[1:] == "main" else name)
        make = self._of_drawings if stage.crossover is None else self._of_faces
        inputs = make(stage, i, name, batch, draw)
        if name == "Greg":
            side = self.trainer.G.img_resolution
            noise = torch.randn(batch, self.trainer.G.img_channels, side, side, generator=draw)
            return DualInputs(intrinsic=inputs.intrinsic, extrinsic=inputs.extrinsic, path_noise=self._here(noise))
        return inputs

    def _of_faces(self, stage: Stage, i: int, name: Phase, batch: int, draw: torch.Generator) -> DualInputs:
        """Stage II: what a mixture of two codes gives, from the one as content and the other as style."""
        base, crossover = self.trainer.G.base, stage.crossover or 1
        content, style = (self._w(batch, draw) for _ in range(2))
        rows = range(crossover, base.num_ws)
        if name == "Greg":
            return DualInputs(intrinsic=mix(content, style, rows), extrinsic=self._w(batch, draw))
        extrinsic, target = style, None
        if self.encode is not None and i % ENCODED_EVERY == 0:
            extrinsic = self.encode(nn.functional.adaptive_avg_pool2d(base.synthesis(style, "const"), SIDE)).to(style)
        if name == "Gmain":
            target = base.synthesis(mix(content, style, rows), "const")
        return DualInputs(intrinsic=content, extrinsic=extrinsic, target=target, reals=self._reals(name, batch))

    def _of_drawings(self, stage: Stage, i: int, name: Phase, batch: int, draw: torch.Generator) -> DualInputs:
        """Stage III: by turns random faces, and the drawings' own under their own style."""
        chosen = torch.randint(len(self.examples), (batch,), generator=draw).tolist()
        paired = i % 2 == 1
        jitter = JITTER * torch.randn(self.codes[chosen].shape, generator=draw)
        extrinsic = self.codes[chosen] + self._here(jitter)
        if paired:
            z = self.examples.intrinsic.tensor[chosen].clone()
            z[:, KEPT_ROWS:] = torch.randn(z[:, KEPT_ROWS:].shape, generator=draw).to(z)
            intrinsic = self.trainer.G.mapping.to_w(self._here(z))
        else:
            intrinsic = self._mixed(batch, draw)
        drawings = None if name == "Greg" else self._here(self.examples.images(chosen))
        reals = drawings if name[0] == "D" else None
        style = drawings if name == "Gmain" else None
        return DualInputs(intrinsic=intrinsic, extrinsic=extrinsic, reals=reals, style=style, target=style if paired else None)

    def _mixed(self, batch: int, draw: torch.Generator) -> Tensor:
        """ws of random faces, nine times in ten mixed of two."""
        first, second = (self._w(batch, draw) for _ in range(2))
        cutoff = int(torch.randint(1, first.shape[1], (), generator=draw))
        return mix(first, second, range(cutoff, first.shape[1])) if float(torch.rand((), generator=draw)) < 0.9 else first

    def _w(self, batch: int, draw: torch.Generator) -> Tensor:
        return self.trainer.G.mapping(self._here(torch.randn(batch, self.trainer.G.z_dim, generator=draw)))

    def _reals(self, name: Phase, batch: int) -> Tensor | None:
        if name[0] != "D":
            return None
        draw = generator_for(self.plan.seed, self.done, "score")
        if self.reals is not None:
            return self._here(self.reals(draw, batch))
        return self.trainer.G.base.synthesis(self._w(batch, draw), "const")

    def _here(self, tensor: Tensor) -> Tensor:
        return tensor.to(next(self.trainer.G.parameters()))

    def _after(self, stage: Stage, losses: dict[str, Tensor]) -> Tensor | None:
        """What is logged, shown and kept of a step."""
        plan, last = self.plan, self.done == self.steps
        shown = self.preview() if self.done % plan.preview_every == 0 or last else None
        if self.folder is None:
            return shown
        if shown is not None:
            parts = {**{k: v.detach() for k, v in losses.items()}, **self.trainer.losses}
            self.folder.log({"iteration": self.done, "stage": stage.name,
                             "loss": {k: round(float(v), 6) for k, v in parts.items()}})
        if self.done % plan.save_every == 0 or last:
            self.save()
        return shown

    def save(self) -> None:
        """A state to go on from."""
        if self.folder is not None:
            self.folder.write_state(self.done, trainer_tensors(self.trainer), {"stage": self.plan.at(self.done - 1)[0].name})

    @torch.no_grad()
    def preview(self) -> Tensor:
        """The same faces (rows) under the same styles (columns) all through a run, plain faces first -> [1, 3, h, w]."""
        average: Any = self.trainer.E
        ws = self._w(PREVIEWED, generator_for(self.plan.seed, 0, "score"))
        count = min(PREVIEWED, len(self.examples))
        chosen = np.linspace(0, len(self.examples) - 1, count).round().astype(int).tolist()
        cells = []
        for face in ws.split(1):
            cells.append(average.base.synthesis(face, "const"))
            for code in self.codes[chosen].split(1):
                exemplar = average.exemplar_from_ws(code)
                cells.append(average.render(face, exemplar, (1.0,) * average.num_weights, "const"))
        return contact_sheet(torch.cat(cells).clamp(-1, 1).float().cpu(), count + 1)

    def result(self) -> DualStyleGAN:
        """The averaged model with its licence chain, without gradients."""
        source = self.source.info
        dual = private_copy(self.trainer.E).requires_grad_(False).eval()  # type: ignore[arg-type]
        notes = {"training": {"recipe": "dual", "drawings": len(self.examples), "iterations": self.done,
                              "stages": {stage.name: stage.iterations for stage in self.plan.stages}}}
        dual.info = ModelInfo(family=dual.kind, parents=(lineage(self.source.base),), licence=source.licence  # type: ignore[assignment]
                              if source.licence != "unknown" else self.source.base.info.licence, notes=notes)
        return dual  # type: ignore[return-value]


def same_face(dual: DualStyleGAN, ws: Tensor, exemplar_ws: Tensor) -> tuple[Tensor, Tensor]:
    """Stage I seen: (plain faces, the same under styles at structure weight 1 and color weight 0), which a fresh extrinsic path
    leaves nearly alone. ws, exemplar_ws [B, num_ws, w_dim]."""
    weights = (1.0,) * STRUCTURE_PLACES + (0.0,) * (dual.num_weights - STRUCTURE_PLACES)
    return dual.base.synthesis(ws, "const"), dual.render(ws, dual.exemplar_from_ws(exemplar_ws), weights, "const")
