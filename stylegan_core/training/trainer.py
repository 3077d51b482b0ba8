"""One training step, phase by phase (Karras et al. 2020, 1912.04958, section 3 and appendix B).

A phase is a loss of one network: Gmain, Greg (path length), Dmain, Dreg (R1). Random numbers come in with its inputs, so that
a step is a function of them; a batch may come in parts (gradient accumulation, several processes) and gives what it
would whole: losses are summed with the parts' shares, means that enter a loss are taken over all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from ..engine import move_average, rate_groups
from ..engine.guard import CLEANED
from ..errors import InvalidInput
from ..losses.adversarial import discriminator_loss, generator_loss, path_lengths, r1_penalty
from ..networks.generators.base import Generator, NoiseMode
from ..networks.generators.stylegan3 import following_magnitudes
from .ada import AdaController
from .augmentation import apply_augmentations
from .files import get_adam, read_training_file, set_adam, write_training_file
from .options import TrainOptions

Phase = Literal["Gmain", "Greg", "Dmain", "Dreg"]
Reduce = Callable[[Tensor], Tensor]
Term = Callable[[Generator, Tensor, "PhaseInputs"], Tensor]
"""(generator in training, ws, inputs) -> scalar, a mean over the images."""


@dataclass(frozen=True)
class PhaseInputs:
    """What a phase depends on beside the weights. All optional; rows are images."""

    z: Tensor | None = None
    """[B, z_dim]; for Greg already of the path batch's size."""
    z_mix: Tensor | None = None
    cutoff: int | None = None
    """Rows of ws from here on come from z_mix; None: no mixing."""
    noise: list[Tensor] | None = None
    """Maps [B, 1, h, w] in layer order; None: fresh ones are drawn."""
    c: Tensor | None = None
    """[B, c_dim] one-hot labels of generated images."""
    reals: Tensor | None = None
    """[B, C, R, R] in [-1, 1]."""
    real_c: Tensor | None = None
    path_noise: Tensor | None = None
    """[B, C, R, R] standard normal."""
    between: Tensor | None = None
    """[B] in 0..1, where between a real and a generated picture WGAN-GP takes the slope."""
    fake_augmentation: Mapping[str, Tensor] | None = None
    """Parameters of apply_augmentations for generated images."""
    real_augmentation: Mapping[str, Tensor] | None = None

    def __len__(self) -> int:
        return next(len(x) for x in (getattr(self, f.name) for f in fields(self)) if isinstance(x, Tensor))

    def take(self, rows: Tensor) -> PhaseInputs:
        """Some rows of all."""

        def pick(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value[rows.to(value.device)]
            if isinstance(value, list):
                return [pick(v) for v in value]
            return {k: pick(v) for k, v in value.items()} if isinstance(value, Mapping) else value

        return replace(self, **{f.name: pick(getattr(self, f.name)) for f in fields(self)})


def split_rows(batch: int, parts: int, group: int | None = 1) -> list[Tensor]:
    """Rows of a batch in at most `parts` parts of whole groups of the minibatch deviation, in each as in the batch.

    Sample i belongs to group i modulo batch / group (see minibatch_stddev).
    """
    size = min(group or batch, batch)
    if batch % size:
        raise InvalidInput(f"A batch of {batch} does not divide into groups of {size}, which the discriminator compares; "
                           f"use a multiple of {size}.")
    columns = torch.arange(batch).view(size, batch // size)
    return [part.flatten() for part in columns.tensor_split(min(parts, batch // size), dim=1)]


class Trainer:
    """The networks in training, their optimizers, and what a step needs to remember."""

    def __init__(self, generator: Generator, discriminator: nn.Module, ema_generator: Generator | None, options: TrainOptions,
                 trainable: Callable[[str, str], bool] = lambda network, name: True, ada: AdaController | None = None,
                 reduce: Reduce = lambda total: total) -> None:
        """The networks are trained in place. trainable("G" or "D", parameter name) says what may change.

        reduce: sums a tensor over all processes.
        """
        self.G, self.D, self.E, self.options = generator, discriminator, ema_generator, options
        self.ada, self.reduce = ada, reduce
        self.lod: float | None = None
        """StyleGAN1's level of detail; None for networks that do not grow."""
        self.pl_mean = torch.zeros((), dtype=_like(generator).dtype, device=_like(generator).device)
        self.iteration = 0
        self.file_args: dict[str, Any] = {}
        """Settings of the training file it was resumed from."""
        self.noise_mode: NoiseMode = "random"
        """Of images whose inputs bring no maps."""
        self.terms: list[Term] = []
        """Further losses of Gmain."""
        self.bad = {name: torch.zeros((), dtype=torch.bool, device=_like(generator).device) for name in _LOSSES}
        """Phase -> whether a gradient was no number since this was last cleared; stays on the device."""
        generator.w_avg = generator.w_avg.clone()
        for network, tag in ((generator, "G"), (discriminator, "D")):
            for name, parameter in network.named_parameters():
                parameter.requires_grad_(trainable(tag, name))
        self.bfloat16 = False
        """Whether the generator draws in 16 bits where no regularization differentiates twice."""
        self.optimizers = {tag: self._adam(tag) for tag in "GD"}

    def _adam(self, tag: str) -> torch.optim.Adam:
        settings = self.options.adam(tag)
        named = {name: p for name, p in self.network(tag).named_parameters() if p.requires_grad}
        relative = {n: p for n, p in named.items() if tag == "G" and not self.G.equalized and n.startswith("synthesis.")}
        groups = rate_groups({n: p for n, p in named.items() if n not in relative}, False) + rate_groups(relative, True)
        return torch.optim.Adam([{**g, "lr": settings["lr"] * g["share"]} for g in groups if g["params"]], **settings)

    def set_rate(self, share: float) -> None:
        """Go on at a share of the options' rates."""
        for tag, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = self.options.adam(tag)["lr"] * group["share"] * share

    def network(self, tag: str) -> nn.Module:
        return self.G if tag == "G" else self.D

    def parameters(self, tag: str) -> list[nn.Parameter]:
        """Those of "G" or "D" that are trained."""
        return [p for p in self.network(tag).parameters() if p.requires_grad]

    def run_phase(self, name: Phase, inputs: PhaseInputs | Sequence[PhaseInputs], step: bool = True,
                  total: int | None = None) -> Tensor:
        """One phase -> the loss that was backpropagated, with the phase's gain (this process' share of it).

        inputs: a batch or this process' parts of one of `total` images. step False leaves the gradients in `.grad` and changes
        no weight. Raises InvalidInput for an unknown phase.
        """
        if name not in _LOSSES:
            raise InvalidInput(f'"{name}" is no phase of training; use {", ".join(_LOSSES)}.')
        parts = [inputs] if isinstance(inputs, PhaseInputs) else list(inputs)
        total = sum(map(len, parts)) if total is None else total
        for parameter in self.parameters(name[0]):
            parameter.grad = None
        self._w: list[Tensor] = []
        loss = _LOSSES[name](self, parts, total)
        self._move_w_avg(total)
        if step:
            self.step(name)
        return loss

    def step(self, phase: Phase) -> None:
        """Adam on what the parts left in `.grad`, summed over processes. An untouched tensor has gradient zero, not none."""
        tag = phase[0]
        parameters = self.parameters(tag)
        if not parameters:
            return
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])
        flat = self.reduce(flat)
        self.bad[phase] = self.bad[phase] | ~flat.abs().amax().isfinite()
        flat = torch.nan_to_num(flat, nan=0.0, posinf=CLEANED, neginf=-CLEANED)
        for parameter, gradient in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
            parameter.grad = gradient.view_as(parameter)
        self.optimizers[tag].step()

    def update_ema(self, images_before: int) -> float:
        """Move the averaged generator; images_before: shown before this iteration. -> beta (0: a plain copy)."""
        beta = self.options.ema_beta(images_before)
        if self.E is not None:
            move_average(self.E, self.G, beta, buffers=self.options.ema_decay is None)
        return beta

    # what a phase is made of

    @property
    def adversarial(self) -> float:
        """Weight of the adversarial losses."""
        return 1.0

    def image_losses(self, images: Tensor, x: PhaseInputs) -> Tensor | float:
        """Further losses of Gmain on what was drawn."""
        return 0.0

    def fooled(self, scores: Tensor) -> Tensor:
        """The generator's loss."""
        return generator_loss(scores)

    def told_apart(self, x: PhaseInputs, fakes: Tensor) -> Tensor:
        """The discriminator's loss."""
        assert x.reals is not None
        real_scores = self.score(x.reals, x.real_c, x.real_augmentation)
        self._observe(real_scores)
        return discriminator_loss(real_scores, self.score(fakes, x.c, x.fake_augmentation))

    def styles(self, x: PhaseInputs) -> Tensor:
        """ws [B, num_ws, w_dim] of z, mixed with those of z_mix from the cutoff on; remembers w for the moving average."""
        assert x.z is not None
        ws = self.G.mapping(x.z, x.c)
        self._w.append(ws.detach()[:, 0])
        if x.cutoff is None or x.z_mix is None:
            return ws
        return torch.cat([ws[:, : x.cutoff], self.G.mapping(x.z_mix, x.c)[:, x.cutoff :]], dim=1)

    def draw(self, ws: Tensor, x: PhaseInputs) -> Tensor:
        return self.G.synthesis(ws, noise_mode=self.noise_mode, noise=x.noise, **self.level())

    def draw_fast(self, ws: Tensor, x: PhaseInputs) -> Tensor:
        """As draw, in 16 bits where that was asked for."""
        with torch.autocast(ws.device.type, torch.bfloat16, enabled=self.bfloat16):
            return self.draw(ws, x).to(ws.dtype)

    def score(self, images: Tensor, c: Tensor | None, augmentation: Mapping[str, Tensor] | None) -> Tensor:
        side: int = self.D.img_resolution  # type: ignore[assignment]
        if images.shape[-1] > side:
            images = adaptive_avg_pool2d(images, side)
        if augmentation:
            images = apply_augmentations(images, augmentation)
        return self.D(images, **({} if c is None else {"c": c}), **self.level())

    def level(self) -> dict[str, Any]:
        """What tells networks that grow how far they have."""
        return {} if self.lod is None else {"lod": self.lod}

    def _backward(self, tag: str, loss: Tensor) -> Tensor:
        if parameters := self.parameters(tag):
            loss.backward(inputs=parameters)
        return loss.detach()

    def _generator_main(self, parts: list[PhaseInputs], total: int) -> Tensor:
        losses = []
        for x in parts:
            ws = self.styles(x)
            images = self.draw_fast(ws, x)
            loss = self.adversarial * self.fooled(self.score(images, x.c, x.fake_augmentation))
            loss = loss + self.image_losses(images, x)
            for term in self.terms:
                loss = loss + term(self.G, ws, x)
            losses.append(self._backward("G", loss * (len(x) / total)))
        return torch.stack(losses).sum()

    def _discriminator_main(self, parts: list[PhaseInputs], total: int) -> Tensor:
        losses = []
        for x in parts:
            with torch.no_grad(), following_magnitudes(self.G.synthesis, len(x)):
                fakes = self.draw_fast(self.styles(x), x)
            loss = self.adversarial * self.told_apart(x, fakes)
            losses.append(self._backward("D", loss * (len(x) / total)))
        return torch.stack(losses).sum()

    def _discriminator_reg(self, parts: list[PhaseInputs], total: int) -> Tensor:
        gain, losses = self.options.gain("D"), []
        for x in parts:
            assert x.reals is not None
            reals = x.reals.detach().requires_grad_(True)
            scores = self.score(reals, x.real_c, x.real_augmentation)
            if self.ada is not None and self.ada.convention == "nvidia":
                self._observe(scores)
            loss = r1_penalty(scores, reals).mean() * (self.options.r1_gamma / 2)
            losses.append(self._backward("D", loss * (gain * len(x) / total)))
        return torch.stack(losses).sum()

    def _observe(self, real_scores: Tensor) -> None:
        if self.ada is not None:
            self.ada.observe(real_scores)

    def _generator_reg(self, parts: list[PhaseInputs], total: int) -> Tensor:
        """weight * mean (length - a)^2 with a = the moved path mean, which depends on every length of the batch.

        Its gradient is linear in the lengths' gradients, with factors that need the batch's mean length only: so that is
        summed first, then each part adds factor * length.
        """
        options, known = self.options, len(parts) == 1
        lengths = [] if known else [self._lengths(x).detach() for x in parts]
        self._w = self._w if known else []
        losses: list[Tensor] = []
        first = self._lengths(parts[0]) if known else None
        here = torch.cat(lengths) if first is None else first.detach()
        mean = self.reduce(here.sum()) / total
        a = self.pl_mean.to(mean) + options.pl_decay * (mean - self.pl_mean.to(mean))
        scale = options.gain("G") * options.pl_weight / total
        for x in parts:
            length = self._lengths(x) if first is None else first
            rest = length.detach() - a
            factor = 2 * scale * (rest - options.pl_decay * (mean - a))
            self._backward("G", (factor * length).sum())
            losses.append(scale * rest.square().sum())
        self.pl_mean = a
        return torch.stack(losses).sum()

    def _lengths(self, x: PhaseInputs) -> Tensor:
        ws = self.styles(x)
        ws = ws if ws.requires_grad else ws.detach().requires_grad_(True)
        images = self.draw(ws, x)
        noise = torch.randn_like(images) if x.path_noise is None else x.path_noise
        return path_lengths(images, ws, noise)

    @torch.no_grad()
    def _move_w_avg(self, total: int) -> None:
        if not self._w or self.options.w_avg_beta == 1:
            return
        mean = self.reduce(torch.cat(self._w).sum(dim=0)) / total
        self.G.w_avg = mean.lerp(self.G.w_avg.to(mean), self.options.w_avg_beta)

    # files

    @classmethod
    def resume(cls, path: str | Path, options: TrainOptions, dtype: torch.dtype | None = None) -> Trainer:
        """Go on from a training file of rosinality's (its optimizers included) or NVIDIA's (which has none)."""
        found = read_training_file(path, dtype)
        trainer = cls(found.G, found.D, found.E, options, ada=AdaController(convention="rosinality", p=found.state.ada_p))
        trainer.iteration, trainer.file_args = found.state.iteration, found.state.args
        for tag, adam in found.state.adam.items():
            if adam is not None:
                set_adam(trainer.optimizers[tag], trainer.network(tag), adam)
        return trainer

    @property
    def ada_p(self) -> Tensor:
        return torch.zeros(()) if self.ada is None else self.ada.p

    def save(self, path: str | Path, layout: str = "rosinality") -> Path:
        """Write a training file that rosinality's code continues."""
        networks = {"G": self.G, "D": self.D, "E": self.E or self.G}
        adam = {tag: get_adam(self.optimizers[tag], self.network(tag)) for tag in "GD"}
        return write_training_file(path, networks, adam, self.options, self.file_args, float(self.ada_p), layout)


def _like(network: nn.Module) -> Tensor:
    return next(network.parameters())


_LOSSES: dict[str, Callable[[Trainer, list[PhaseInputs], int], Tensor]] = {
    "Gmain": Trainer._generator_main, "Greg": Trainer._generator_reg,
    "Dmain": Trainer._discriminator_main, "Dreg": Trainer._discriminator_reg,
}
