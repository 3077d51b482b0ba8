"""Transfer learning (Pinkney & Adler 2020, 2010.05334; Karras et al. 2020, 2006.06676): a child from pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..checkpoints import load
from ..checkpoints.saving import lineage, save
from ..engine import RunFolder, first_bad_layer
from ..errors import InvalidInput, TrainingStopped
from ..latents import rows_between
from ..metrics.distances import kernel_distance
from ..metrics.features import OpenFeatures, features_of, in_batches
from ..networks.generators.base import Generator
from ..networks.info import ModelInfo, joined_licences
from ..pictures.files import write_image
from ..pictures.sheets import contact_sheet
from ..runtime import private_copy
from .ada import SETS, AdaController, draw_augmentations
from .data import PictureSet, rows_of
from .draws import draw_latents, draw_maps, generator_for
from .judges import FRESH, find_discriminator, frozen_layers
from .processes import Processes
from .pulls import feature_pull, weight_pull
from .rounds import Rounds
from .states import restore_trainer, trainer_tensors
from .trainer import Phase, PhaseInputs, Trainer, split_rows
from .transfer_options import TransferOptions

OnStep = Callable[[int, int, Tensor | None], None]
GRID_PSI, GRID = 0.7, 16
PICTURES = "pictures"
LOWERED = 0.5
"""What the rate is multiplied by when a run goes back after a number that was none."""


@dataclass(frozen=True)
class TransferResult:
    model: Generator
    """The averaged child: the best by score where there was one, else the last."""
    grid: Tensor
    """Samples side by side [1, 3, h, w] in [-1, 1]."""
    report: str
    images_shown: int


class Transfer:
    """One run. Steps are functions of the settings and the iteration, so a resumed run is the one that never stopped."""

    facts: dict[str, Any]
    """What a state keeps beside tensors: the best score and where, ticks without a better one, the rate's share."""

    def __init__(self, base: Generator, data: PictureSet, options: TransferOptions, folder: RunFolder | None = None,
                 discriminator: nn.Module | None = None, processes: Processes | None = None,
                 data_licence: str = "unknown") -> None:
        """base stays as it is. folder: keeps the run, and is gone on from; the leading
        process' alone. Raises InvalidInput."""
        self.base, self.data, self.options, self.folder = base, data, options, folder
        self.processes = processes or Processes()
        self.data_licence = data_licence
        with torch.inference_mode(False):
            self._build(discriminator)
            self.iteration, self.facts, self.seconds = 0, {"best": None, "best_at": 0, "stale": 0, "rate": 1.0, "fell": 0}, 0.0
            if (state := self._stored()) is not None:
                self._restore(*state)
                if folder is not None:
                    folder.cut_log(self.iteration)

    def _stored(self) -> tuple[int, dict[str, Tensor], dict[str, Any]] | None:
        """The newest state; the leading process alone has the folder."""
        return self.processes.from_leader(None if self.folder is None else self.folder.read_state())

    def _build(self, discriminator: nn.Module | None) -> None:
        base, options = self.base, self.options
        device = torch.device(self.processes.device)
        self.G, self.E = (private_copy(base).to(device) for _ in range(2))
        self.E.w_avg = self.G.w_avg.clone()  # a base without one gets its own estimate, in both
        if self.data.c_dim != base.c_dim:
            raise InvalidInput(f"The model has {base.c_dim} classes and the pictures have {self.data.c_dim}; use pictures with "
                               f"that many classes in dataset.json, or a model without.")
        dtype = next(base.parameters()).dtype
        if discriminator is None:
            found, self.note = find_discriminator(base, self.data.resolution, dtype, options.seed)
        else:
            found, self.note = discriminator, "The discriminator was given."
        self.head_start = options.head_start(fresh=self.note == FRESH)
        self.D = private_copy(found).to(device)
        if self.D.img_resolution != self.data.resolution or self.data.resolution > base.img_resolution:
            raise InvalidInput(f"The pictures were prepared at {self.data.resolution} px, the discriminator looks at "
                               f"{self.D.img_resolution} px and the model draws {base.img_resolution} px; prepare them anew.")
        self.group = getattr(self.D.config, "group_size", None)
        batch = options.batch_size
        if len(split_rows(batch, batch, self.group)) < self.processes.count:
            raise InvalidInput(f"A batch of {batch} has fewer groups of the minibatch deviation than there are processes "
                               f"({self.processes.count}); use a larger batch.")
        self.trainer = self._trainer()
        self.rounds = Rounds(self.processes, batch, options.micro_batch)
        self.real_features: Tensor | None = None
        self.scorer: nn.Module | None = None

    def _trainer(self) -> Trainer:
        options = self.options
        rows = set(rows_between(self.base, options.layers))
        sides = {layer.resolution for layer in self.base.layers if layer.row in rows and layer.kind != "rgb"}
        learns = tuple(f"synthesis.{layer.name}" for layer in self.base.layers if layer.resolution in sides)
        frozen = set() if self.note == FRESH else frozen_layers(self.D, options.freeze_d)  # random layers know nothing

        def trainable(tag: str, name: str) -> bool:
            if tag == "D":
                return not any(name.startswith(f"{layer}.") for layer in frozen)
            return name.startswith(learns) if name.startswith("synthesis.") else options.train_mapping

        fixed = options.augment_p is not None
        ada = AdaController(options.ada_target, images_per_unit=1000 * options.ada_kimg, p=options.augment_p or 0.0,
                            reduce=self.processes.sum) if options.augment != "none" else None
        self.ada, self.fixed_p = ada, fixed
        trainer = Trainer(self.G, self.D, self.E, options.step_options(self.data.resolution), trainable, ada,
                          self.processes.sum)
        trainer.bfloat16 = options.bfloat16
        trainer.noise_mode = "const" if self.base.kind == "mobilestylegan" else "random"  # its noise has no learned strength
        for strength, make in ((options.pull_weights, weight_pull), (options.pull_features, feature_pull)):
            if strength:
                trainer.terms.append(make(private_copy(self.base).to(self.processes.device), strength))
        return trainer

    # the loop

    @property
    def images_shown(self) -> int:
        return self.iteration * self.options.batch_size

    @property
    def total_images(self) -> int:
        return max(int(self.options.kimg * 1000), self.options.batch_size)

    def run(self, on_step: OnStep | None = None) -> TransferResult:
        """To the end of the run, or until on_step(images shown, all, preview) raises: then the state is kept and it flies on.

        Raises TrainingStopped: numbers that are none for the second time, a full disk.
        """
        with torch.inference_mode(False), torch.enable_grad():
            last_saved, losses = time.monotonic(), {}
            tick = max(int(self.options.tick_kimg * 1000), self.options.batch_size)
            self._first(on_step)
            try:
                while self.images_shown < self.total_images:
                    started = time.monotonic()
                    before = self.images_shown
                    for name, value in self.step().items():
                        losses.setdefault(name, []).append(value)
                    self.seconds += time.monotonic() - started
                    if self._went_wrong():
                        self._fall_back()
                        losses = {}
                        continue
                    preview, last = None, self.images_shown >= self.total_images
                    if before // tick != self.images_shown // tick or last:
                        preview = self._tick({k: float(torch.stack(v).mean()) for k, v in losses.items()})
                        losses = {}
                        last = last or self._has_stopped_learning()
                    if last or time.monotonic() - last_saved >= 60 * self.options.checkpoint_minutes:
                        self.save()
                        last_saved = time.monotonic()
                    if on_step is not None and self.processes.leads:
                        on_step(self.images_shown, self.total_images, preview)
                    if last:
                        break
            except TrainingStopped:
                raise
            except BaseException:
                if self.iteration:
                    self.save()
                raise
            return self.result()

    def step(self) -> dict[str, Tensor]:
        """One iteration -> loss by phase."""
        i, options, losses = self.iteration, self.options, {}
        learns = self.images_shown >= self.head_start
        phases: list[tuple[Phase, bool]] = [
            ("Gmain", learns), ("Greg", learns and bool(options.G_reg_interval) and i % (options.G_reg_interval or 1) == 0),
            ("Dmain", True), ("Dreg", i % options.D_reg_interval == 0)]
        for name, due in phases:
            if due:
                losses[name] = self.processes.sum(self._phase(name))
        self.trainer.update_ema(self.images_shown)
        if self.ada is not None and not self.fixed_p:
            self.ada.advance(options.batch_size)
        self.iteration += 1
        return losses

    def _phase(self, name: Phase) -> Tensor:
        """A phase in as many rounds as memory allows; more of them when it runs out."""
        batch, group = self._batch(name), 1 if name == "Greg" else self.group
        return self.rounds.run(self.trainer, name, batch, group, lambda rows: self._inputs(name, batch, rows))

    def _batch(self, name: Phase) -> int:
        """Images of a phase."""
        return max(1, self.options.batch_size // 2) if name == "Greg" else self.options.batch_size

    @property
    def _levels(self) -> int:
        """Rows of ws that are in use."""
        return self.G.num_ws

    def _reals(self, rows: np.ndarray, flips: np.ndarray) -> Tensor:
        return self.data.take(rows, flips)

    def _inputs(self, name: Phase, batch: int, rows: Tensor) -> PhaseInputs:
        """What images `rows` of the whole batch of this phase depend on."""
        options, device = self.options, torch.device(self.processes.device)
        dtype = next(self.G.parameters()).dtype
        draw = generator_for(options.seed, self.iteration, name)
        z, z_mix, cutoff = draw_latents(self.G, batch, options.mixing, self._levels, draw)
        reals_at = rows_of(self.images_shown, batch, len(self.data), options.seed)
        labels = self.data.labels_of(np.random.default_rng([options.seed, self.iteration]).integers(len(self.data), size=batch))
        given: dict[str, Any] = {}
        if name[0] == "D":
            flips = np.random.default_rng([options.seed, self.iteration, 1]).random(batch) < (0.5 if options.mirror else 0)
            given["reals"] = self._reals(reals_at[rows.numpy()], flips[rows.numpy()]).to(device, dtype)
            mine = self.data.labels_of(reals_at[rows.numpy()])
            given["real_c"] = None if mine is None else mine.to(device, dtype)
        for key, wanted in (("fake_augmentation", name != "Greg" and name != "Dreg"), ("real_augmentation", name[0] == "D")):
            if wanted and (params := self._augmentation(batch, draw)):
                given[key] = {k: v[rows].to(device, dtype) for k, v in params.items()}
        if name != "Dreg":
            side = self.G.img_resolution
            shapes = [(1, *s) for s in self.G.synthesis.noise_shapes()] if self.trainer.noise_mode == "random" else []
            images = [(self.G.img_channels, side, side)] if name == "Greg" else []
            maps = [m.to(dtype) for m in draw_maps((*shapes, *images), rows, options.seed, self.iteration, name, device)]
            given["noise"], given["path_noise"] = maps[: len(shapes)] or None, maps[-1] if images else None
        return PhaseInputs(z=z[rows].to(device, dtype), z_mix=None if z_mix is None else z_mix[rows].to(device, dtype),
                           cutoff=cutoff, c=None if labels is None else labels[rows].to(device, dtype), **given)

    def _augmentation(self, batch: int, draw: torch.Generator) -> dict[str, Tensor]:
        if self.ada is None or (self.ada.p.device.type == "cpu" and float(self.ada.p) == 0):
            return {}
        names = SETS[self.options.augment]
        if self.G.img_channels == 1:
            names = tuple(n for n in names if n not in ("hue", "saturation"))
        side = self.data.resolution
        return draw_augmentations(batch, (side, side), self.ada.p.cpu(), names, draw)

    # numbers that go wrong

    def _went_wrong(self) -> bool:
        """Read the flags, on an accelerator only now and then."""
        if self.processes.device != "cpu" and self.iteration % 8:
            return False
        return self.processes.any(any(bool(flag) for flag in self.trainer.bad.values()))

    def _fall_back(self) -> None:
        """Back to the last good state at a lower rate, once."""
        phase: Phase = next((name for name, flag in self.trainer.bad.items() if bool(flag)), "Gmain")  # type: ignore[assignment]
        at = self.iteration - 1
        networks = {"generator": self.G, "discriminator": self.D}
        trained = {label: networks[label] for label in sorted(networks, key=lambda n: n[0].upper() != phase[0])}
        inputs = self._replayed(phase, at)
        where = first_bad_layer(trained, lambda: self.trainer.run_phase(phase, inputs, step=False))
        said = f"A number in the gradients was none at step {at} in phase {phase}, {where}"
        state = self._stored()
        if self.facts["fell"] or state is None:
            raise TrainingStopped(f"{said}; the run stopped and its last checkpoint is whole: lower the rate or look at the "
                                  f"pictures, and begin another run.")
        self._restore(*state)
        self.facts |= {"fell": 1, "rate": self.facts["rate"] * LOWERED}
        self.trainer.set_rate(self.facts["rate"])
        for flag in self.trainer.bad.values():
            flag.zero_()
        if self.folder is not None and self.processes.leads:
            self.folder.cut_log(self.iteration)
            self.folder.log({"iteration": self.iteration, "images": self.images_shown,
                             "note": f"{said}; went back to step {self.iteration} at {self.facts['rate']:g} of the rate."})

    def _replayed(self, phase: Phase, at: int) -> list[PhaseInputs]:
        now, self.iteration = self.iteration, at
        try:
            batch = self._batch(phase)
            rows = split_rows(batch, self.processes.count, 1 if phase == "Greg" else self.group)[self.processes.rank]
            return [self._inputs(phase, batch, rows)]
        finally:
            self.iteration = now

    # states

    def save(self) -> None:
        """A state to go on from, and the model as it is now."""
        if self.folder is None or not self.processes.leads:
            return
        facts = {**self.facts, "seconds": self.seconds, "rounds": self.rounds.count}
        self.folder.write_state(self.iteration, trainer_tensors(self.trainer), facts)
        self._write_model("last")

    def _restore(self, iteration: int, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        restore_trainer(self.trainer, tensors)
        self.iteration = iteration
        self.seconds, self.rounds.count = facts.pop("seconds"), max(self.rounds.count, facts.pop("rounds"))
        self.facts = facts
        self.trainer.set_rate(self.facts["rate"])

    # what is shown

    def _first(self, on_step: OnStep | None) -> None:
        """What there is before any step, to look at."""
        if not self.processes.leads or (on_step is None and (self.folder is None or self.iteration)):
            return
        grid = self.grid()
        if self.folder is not None and not self.iteration:
            (self.folder.path / PICTURES).mkdir(exist_ok=True)
            self._write_picture("reals.png", contact_sheet(self._some_reals(), 4))
            self._write_picture("fakes_init.png", grid)
        if on_step is not None:
            on_step(self.images_shown, self.total_images, grid)

    def _write_picture(self, name: str, picture: Tensor) -> None:
        folder = self.folder
        if folder is not None:
            folder.guard(lambda: write_image(picture, folder.path / PICTURES / name, overwrite=True))

    def _write_model(self, name: str) -> None:
        folder = self.folder
        if folder is not None:
            folder.guard(lambda: save(self.child(), folder.path / f"{name}.safetensors", overwrite=True))

    def _some_reals(self) -> Tensor:
        rows = np.random.default_rng(self.options.seed).permutation(len(self.data))[:GRID]
        return self.data.take(np.sort(rows))

    def _tick(self, losses: dict[str, float]) -> Tensor | None:
        """Log, score, sample grid, models; -> the grid."""
        score = self.score() if self.processes.leads else None
        entry: dict[str, Any] = {"iteration": self.iteration, "images": self.images_shown,
                                 "loss": {k: round(v, 6) for k, v in losses.items()}, "ada_p": float(self.trainer.ada_p),
                                 "s_per_kimg": round(self.seconds / self.images_shown * 1000, 2)}
        better = score is not None and (self.facts["best"] is None or score < self.facts["best"])
        if score is not None:
            entry |= {"score": score, "score_name": f"kernel distance, {OpenFeatures.name}"}
            self.facts["stale"] = 0 if better else self.facts["stale"] + 1
        if better:
            self.facts |= {"best": score, "best_at": self.images_shown}
        if not self.processes.leads:
            return None
        grid = self.grid()
        if self.folder is not None:
            self.folder.log(entry)
            self._write_picture(f"fakes{self.images_shown:08d}.png", grid)
            if better:
                self._write_model("best")
        return grid

    def _has_stopped_learning(self) -> bool:
        return self.processes.any(bool(self.options.patience) and self.facts["stale"] >= self.options.patience)

    @torch.no_grad()
    def samples(self, count: int, psi: float = 1.0, purpose: str = "score") -> Iterator[Tensor]:
        """Pictures of the averaged child at the discriminator's side, from latents that are the same all through a run."""
        draw = generator_for(self.options.seed, 0, purpose)
        z = torch.randn(count, self.E.z_dim, generator=draw).to(next(self.E.parameters()))
        labels = self.data.labels_of(np.random.default_rng(self.options.seed).integers(len(self.data), size=count))
        for rows in in_batches(count, 8):
            c = None if labels is None else labels[rows.start : rows.stop].to(z)
            ws = self.E.mapping(z[rows.start : rows.stop], c, truncation_psi=psi)
            yield self.E.synthesis(ws, noise_mode="const", **self.trainer.level()).clamp(-1, 1)

    def grid(self) -> Tensor:
        return contact_sheet(torch.cat([x.float().cpu() for x in self.samples(GRID, GRID_PSI, "data")]), 4)

    def score(self) -> float | None:
        """KID's formula over open features: unbiased however few the pictures are."""
        count = self.options.score_pictures
        if not count or len(self.data) < 2:
            return None
        if self.scorer is None:
            self.scorer = OpenFeatures().to(self.processes.device)
            most = min(len(self.data), 1000)
            batches = (self.data.take(np.arange(r.start, r.stop)) for r in in_batches(most))
            self.real_features = features_of(self.scorer, batches, most)
        fake = features_of(self.scorer, (x.float() for x in self.samples(count)), count)
        assert self.real_features is not None
        return kernel_distance(self.real_features, fake)

    def child(self) -> Generator:
        """The averaged generator with its licence chain, in eval mode and without gradients."""
        parent = self.base.info
        notes = {"training": {"pictures": len(self.data), "pictures_sha256": self.data.sha256, "images_seen": self.images_shown,
                              "settings": self.options.plain(), "best_score": self.facts["best"]}}
        child = private_copy(self.E).requires_grad_(False).eval()
        licence = joined_licences((parent.licence, self.data_licence))
        child.info = ModelInfo(family=parent.family, parents=(lineage(self.base),), licence=licence, notes=notes)
        return child

    def result(self) -> TransferResult:
        child = model = self.child()
        if self.folder is not None and (self.folder.path / "best.safetensors").is_file():
            model = load(self.folder.path / "best.safetensors", self.processes.device)
        lines = [self.note, *self.data.notes, f"{len(self.data)} pictures, {self.images_shown} shown."]
        if self.facts["best"] is not None:
            lines.append(f"Best kernel distance over {OpenFeatures.name} features: {self.facts['best']:.4g} after "
                         f"{self.facts['best_at']} pictures (lower is nearer; not a FID or KID).")
        lines.append(f"Licence inherited from the parent and the pictures: {child.info.licence}.")
        return TransferResult(model, self.grid(), "\n".join(lines), self.images_shown)  # type: ignore[arg-type]
