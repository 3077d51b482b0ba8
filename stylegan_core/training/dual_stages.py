"""DualStyleGAN's stages II and III as one run (Yang et al. 2022, 2203.13248, section 3.3).

Structure in the source domain at ever finer crossovers, then the drawings' domain, by one trainer. What a step draws is a
function of the seed and the iteration, so a resumed run is the one that never stopped, and processes share its batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..checkpoints.saving import lineage
from ..engine import Optimization, RunFolder, first_bad_layer
from ..errors import InvalidInput, TrainingStopped
from ..latents import Latents, mix
from ..losses.features import SIDE, Features
from ..losses.identity import IdentityLoss
from ..networks.dualstylegan import DualStyleGAN, color_rows
from ..networks.info import ModelInfo, joined_licences
from ..pictures.sheets import contact_sheet
from ..runtime import OnStep, private_copy
from ..stylization.destylize import SKIPPED_COLOR_ROWS
from .draws import draw_maps, generator_for
from .dual import DualInputs, DualTrainer
from .dual_plan import Stage, StagePlan
from .dual_start import DualStart
from .files import set_adam
from .processes import Processes
from .rounds import Rounds
from .states import restore_trainer, trainer_tensors
from .trainer import Phase, split_rows

JITTER = 0.1
"""Standard deviation of what is added to the drawings' extrinsic codes."""
ENCODED_EVERY = 4
"""Every so many iterations of stage II the extrinsic codes come from the encoder."""
PREVIEWED = 4
LOWERED = 0.5
"""What the rate is multiplied by when a run goes back after a number that was none."""


@dataclass(frozen=True, eq=False)
class StyleExamples:
    """Drawings and their codes, row by row. Raises InvalidInput unless all are of one length."""

    images: Callable[[Sequence[int]], Tensor]
    """Indices -> drawings [n, 3, S, S] in [-1, 1]."""
    intrinsic: Latents
    """z+ or w+ of the plain face behind each."""
    extrinsic: Latents
    """z+ or w+ of each one's style."""

    def __post_init__(self) -> None:
        spaces = {self.intrinsic.space, self.extrinsic.space}
        if len(self.intrinsic) != len(self.extrinsic) or spaces - {"z+", "w+"}:
            raise InvalidInput(f"{len(self.intrinsic)} faces in {self.intrinsic.space} and {len(self.extrinsic)} styles in "
                               f"{self.extrinsic.space} are no pairs; destylize the drawings, which gives both in z+ or w+.")

    def __len__(self) -> int:
        return len(self.extrinsic)


class DualStages(Optimization[DualStyleGAN]):
    """One run through a plan. `result` is the averaged model."""

    def __init__(self, start: DualStart, examples: StyleExamples, plan: StagePlan,
                 encode: Callable[[Tensor], Tensor] | None = None,
                 reals: Callable[[torch.Generator, int], Tensor] | None = None, features: Features | None = None,
                 identity: Callable[[Tensor, Tensor], Tensor] | None = None, folder: RunFolder | None = None,
                 processes: Processes | None = None, data_licence: str = "unknown") -> None:
        """What start holds stays as it is.

        encode: faces [B, 3, 256, 256] -> extrinsic ws [B, num_ws, w_dim], for a quarter of stage II; None: drawn codes only.
        reals: (source of random numbers, count) -> pictures of the source domain; None: the generator's own.
        features, identity: None for the networks that travel with the package. folder: keeps the run, and is gone on from;
        of the leading process alone. Raises InvalidInput.
        """
        self.plan, self.examples, self.encode, self.reals, self.folder = plan, examples, encode, reals, folder
        self.source, self.steps, self.done, self.data_licence = start.average, plan.total, 0, data_licence
        self.processes = processes or Processes(device=str(next(start.raw.parameters()).device))
        self._check(start)
        self.rounds, self.rate, self._whole = Rounds(self.processes, plan.batch_size, plan.micro_batch), 1.0, True
        with torch.inference_mode(False):
            self._build(start, features, identity)
            if (state := self._stored()) is not None:
                self._restore(*state)

    def _check(self, start: DualStart) -> None:
        plan, group = self.plan, getattr(start.discriminator.config, "group_size", None)  # type: ignore[union-attr]
        if not plan.stages or len(self.examples) < 1:
            raise InvalidInput("There is nothing to train: the plan has no stage, or there are no drawings.")
        least = min(len(split_rows(plan.batch_size, plan.batch_size, group)), max(1, plan.batch_size // 2))
        if least < self.processes.count:
            raise InvalidInput(f"A batch of {plan.batch_size} can't be shared by {self.processes.count} processes; use a "
                               f"larger one.")
        for codes in (self.examples.extrinsic, self.examples.intrinsic):
            codes.check(start.raw.base)

    def _build(self, start: DualStart, features: Features | None, identity: Any) -> None:
        device = torch.device(self.processes.device)
        own, average, judge = (private_copy(net).to(device) for net in (start.raw, start.average, start.discriminator))
        trainer = self.trainer = DualTrainer(own, judge, average.requires_grad_(False), self.plan.training,  # type: ignore[arg-type]
                                             self.plan.stages[0].weights, (features or Features.embedded()).to(device),
                                             identity or IdentityLoss.embedded().to(device), reduce=self.processes.sum)
        trainer.noise_mode, trainer.bfloat16 = "const", self.plan.bfloat16
        for tag, adam in start.adam.items():
            if adam is not None:
                set_adam(trainer.optimizers[tag], trainer.network(tag), adam)
        with torch.no_grad():
            self.codes, self.faces = (codes.ws(trainer.G.base).to(self._like).clone()
                                      for codes in (self.examples.extrinsic, self.examples.intrinsic))
        self.kept = (*color_rows(start.raw.layers)[SKIPPED_COLOR_ROWS:], start.raw.num_ws)[0]
        """Rows of a drawing's face before this one are its own; the others are drawn anew."""

    @property
    def _like(self) -> Tensor:
        return next(self.trainer.G.parameters())

    @property
    def steps_done(self) -> int:
        return self.done

    def run(self, on_step: OnStep | None = None) -> DualStyleGAN:
        """See Optimization.run. Whatever ends the run early, a state is kept. Raises TrainingStopped: numbers that are none
        for the second time, a full disk."""
        try:
            return super().run(on_step)
        except TrainingStopped:
            raise
        except BaseException:
            if self.done and self._whole:
                self.save()
            raise

    def advance(self) -> Tensor | None:
        """One iteration: D, R1, G, path length, average."""
        with torch.inference_mode(False), torch.enable_grad():
            stage, i = self.plan.at(self.done)
            self.trainer.weights, self._whole = stage.weights, False
            losses = {name: self._phase(stage, i, name) for name in self._due(i)}
            if self.processes.any(any(bool(flag) for flag in self.trainer.bad.values())):
                self._fall_back(stage, i)
                return None
            self.trainer.update_ema(0)
            self.done, self._whole = self.done + 1, True
            return self._after(stage, losses)

    def _due(self, i: int) -> list[Phase]:
        options = self.plan.training
        path = bool(options.G_reg_interval) and i % (options.G_reg_interval or 1) == 0
        due: dict[Phase, bool] = {"Dmain": True, "Dreg": i % (options.D_reg_interval or 1) == 0, "Gmain": True, "Greg": path}
        return [name for name, now in due.items() if now]

    def _phase(self, stage: Stage, i: int, name: Phase, step: bool = True) -> Tensor:
        batch = max(1, self.plan.batch_size // 2) if name == "Greg" else self.plan.batch_size
        group = 1 if name == "Greg" else getattr(self.trainer.D.config, "group_size", None)
        return self.rounds.run(self.trainer, name, batch, group, lambda rows: self._inputs(stage, i, name, batch, rows), step)

    @torch.no_grad()
    def _inputs(self, stage: Stage, i: int, name: Phase, batch: int, rows: Tensor) -> DualInputs:
        """What images `rows` of the whole batch of a phase depend on."""
        shared = stage.crossover is not None and name[1:] == "main"  # one draw serves both networks' steps
        draw = generator_for(self.plan.seed, self.done, "data" if shared else name)
        make = self._of_drawings if stage.crossover is None else self._of_faces
        inputs = make(stage, i, name, batch, draw, rows)
        if name == "Greg":
            shape = (self.trainer.G.img_channels, self.trainer.G.img_resolution, self.trainer.G.img_resolution)
            noise = draw_maps((shape,), rows, self.plan.seed, self.done, name, self._like.device)[0]
            return DualInputs(intrinsic=inputs.intrinsic, extrinsic=inputs.extrinsic, path_noise=noise.to(self._like))
        return inputs

    def _of_faces(self, stage: Stage, i: int, name: Phase, batch: int, draw: torch.Generator, rows: Tensor) -> DualInputs:
        """Stage II: what a mixture of two codes gives, from the one as content and the other as style."""
        base = self.trainer.G.base
        content, style = (self._w(batch, draw)[rows] for _ in range(2))
        mixed = mix(content, style, range(stage.first_row(self.trainer.G), base.num_ws))
        if name == "Greg":
            return DualInputs(intrinsic=mixed, extrinsic=self._w(batch, draw)[rows])
        extrinsic, target = style, None
        if self.encode is not None and i % ENCODED_EVERY == 0:
            extrinsic = self.encode(nn.functional.adaptive_avg_pool2d(base.synthesis(style, "const"), SIDE)).to(style)
        if name == "Gmain":
            target = self.trainer.draw_plain(mixed)
        return DualInputs(intrinsic=content, extrinsic=extrinsic, target=target, reals=self._reals(name, batch, rows))

    def _of_drawings(self, stage: Stage, i: int, name: Phase, batch: int, draw: torch.Generator, rows: Tensor) -> DualInputs:
        """Stage III: by turns random faces, and the drawings' own under their own style."""
        chosen = torch.randint(len(self.examples), (batch,), generator=draw)
        mine, paired = chosen[rows].tolist(), i % 2 == 1
        jitter = JITTER * torch.randn((batch, *self.codes.shape[1:]), generator=draw)
        extrinsic = self.codes[mine] + self._here(jitter[rows])
        if paired:
            fresh = torch.randn(batch, self.faces.shape[1] - self.kept, self.trainer.G.z_dim, generator=draw)
            intrinsic = self.faces[mine].clone()
            intrinsic[:, self.kept :] = self.trainer.G.mapping.to_w(self._here(fresh[rows]))
        else:
            intrinsic = self._mixed(batch, draw)[rows]
        drawings = None if name == "Greg" else self._here(self.examples.images(mine))
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

    def _reals(self, name: Phase, batch: int, rows: Tensor) -> Tensor | None:
        if name[0] != "D":
            return None
        draw = generator_for(self.plan.seed, self.done, "score")
        if self.reals is not None:
            return self._here(self.reals(draw, batch)[rows])
        return self.trainer.draw_plain(self._w(batch, draw)[rows])

    def _here(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._like)

    def _after(self, stage: Stage, losses: dict[str, Tensor]) -> Tensor | None:
        """What is logged, shown and kept of a step."""
        plan, last = self.plan, self.done == self.steps
        shows = self.done % plan.preview_every == 0 or last
        if shows:
            parts = {k: float(self.processes.sum(v.detach())) for k, v in losses.items()}
            parts |= {k: float(v) for k, v in self.trainer.losses.items()}
            if self.folder is not None:
                self.folder.log({"iteration": self.done, "stage": stage.name,
                                 "loss": {k: round(v, 6) for k, v in parts.items()}})
        if self.done % plan.save_every == 0 or last:
            self.save()
        return self.preview() if shows and self.processes.leads else None

    # numbers that go wrong, states

    def _fall_back(self, stage: Stage, i: int) -> None:
        """Back to the last good state at a lower rate, once. Raises TrainingStopped."""
        phase: Phase = next((name for name, flag in self.trainer.bad.items() if bool(flag)), "Gmain")  # type: ignore[assignment]
        networks: dict[str, nn.Module] = {"DualStyleGAN": self.trainer.G, "discriminator": self.trainer.D}
        where = first_bad_layer(networks, lambda: self._phase(stage, i, phase, step=False))
        said = f"A number in the gradients was none at iteration {self.done} ({stage.name}), {where}"
        state = self._stored()
        if self.rate < 1 or state is None:
            raise TrainingStopped(f"{said}; the run stopped and what was saved before is whole: look at the drawings, or begin "
                                  f"another run at a lower rate.")
        self._restore(*state)
        self._set_rate(LOWERED)
        self._whole = True
        if self.folder is not None:
            self.folder.log({"iteration": self.done,
                             "note": f"{said}; went back to iteration {self.done} at {self.rate:g} of the rate."})

    def _set_rate(self, rate: float) -> None:
        self.rate = rate
        self.trainer.set_rate(rate)

    def _stored(self) -> tuple[int, dict[str, Tensor], dict[str, Any]] | None:
        """The leading process' last state, in all of them."""
        return self.processes.from_leader(None if self.folder is None else self.folder.read_state())

    def _restore(self, iteration: int, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        restore_trainer(self.trainer, tensors)
        for flag in self.trainer.bad.values():
            flag.zero_()
        self.done, self.rounds.count = iteration, max(self.rounds.count, int(facts.get("rounds", 1)))
        self._set_rate(float(facts.get("rate", 1.0)))
        if self.folder is not None:
            self.folder.cut_log(self.done)

    def save(self) -> None:
        """A state to go on from."""
        if self.folder is not None:
            facts = {"stage": self.plan.at(self.done - 1)[0].name, "rate": self.rate, "rounds": self.rounds.count}
            self.folder.write_state(self.done, trainer_tensors(self.trainer), facts)

    # what is shown and given away

    def preview(self) -> Tensor:
        """The averaged model on the same faces and styles all through a run; see style_preview."""
        return style_preview(self.trainer.E, self.codes, self.plan.seed)  # type: ignore[arg-type]

    def result(self) -> DualStyleGAN:
        """The averaged model with its licence chain, without gradients."""
        dual = private_copy(self.trainer.E).requires_grad_(False).eval()  # type: ignore[arg-type]
        notes = {"training": {"recipe": "dual", "drawings": len(self.examples), "iterations": self.done,
                              "stages": {stage.name: stage.iterations for stage in self.plan.stages}}}
        dual.info = info_of(self.source, self.data_licence, notes)  # type: ignore[assignment]
        return dual  # type: ignore[return-value]


def info_of(source: DualStyleGAN, data_licence: str, notes: dict[str, Any]) -> ModelInfo:
    """Licence chain of what is made from a DualStyleGAN's file, or over a generator, and from drawings."""
    base, own = source.base.info, source.info
    known = own.licence if own.licence != "unknown" else base.licence
    parents = (lineage(source) if own.source else lineage(source.base),)
    return ModelInfo(family=source.kind, parents=parents, notes=notes, licence=joined_licences((known, data_licence)))


@torch.no_grad()
def style_preview(dual: DualStyleGAN, codes: Tensor, seed: int = 0) -> Tensor:
    """Four faces of the seed (rows) under four of the styles codes [N, num_ws, w_dim] (columns), the plain faces first ->
    [1, 3, h, w]."""
    like = next(dual.parameters())
    z = torch.randn(PREVIEWED, dual.z_dim, generator=generator_for(seed, 0, "score")).to(like)
    chosen, cells = previewed(len(codes)), []
    for face in dual.mapping(z).split(1):
        cells.append(dual.base.synthesis(face, "const"))
        for code in codes[chosen].to(like).split(1):
            cells.append(dual.render(face, dual.exemplar_from_ws(code), (1.0,) * dual.num_weights, "const"))
    return contact_sheet(torch.cat(cells).clamp(-1, 1).float().cpu(), len(chosen) + 1)


def previewed(count: int) -> list[int]:
    """Which of so many styles a preview shows: four from the first to the last."""
    return np.linspace(0, count - 1, min(PREVIEWED, count)).round().astype(int).tolist()
