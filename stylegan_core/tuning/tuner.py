"""Pivotal tuning (Roich et al. 2021, 2106.05744): freeze the latents, move the synthesis weights a little, until the
model draws the very photographs. The mapping stays, so the latents fit the tuned model, its parent and its blends.

What is trained is the delta itself: low-rank factors beside each weight matrix (Hu et al. 2021, 2106.09685), in units of
that weight's size. All images are tuned for together and share the one delta.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..engine import Adam, Best, Chunks, History, Optimization, exact, gradients
from ..errors import InvalidInput
from ..inversion.optimize import check_targets
from ..inversion.spaces import coordinates
from ..latents import Latents, class_label
from ..losses.reconstruction import ReconstructionLoss, judging_networks
from ..networks.generators.base import Generator
from ..ops.resize import to_rgb
from ..options import of_preset
from ..runtime import OnStep
from .delta import BaseModel, Delta, Part, apply_delta, cut, numbers, principal
from .options import TUNE_PRESETS, TuneOptions
from .variables import DeltaVariables

ENERGIES = (0.8, 0.9, 0.95, 0.98, 0.99, 0.997)
"""Shares of each weight's change that are tried in turn; the first that loses no likeness is stored."""
SLACK = 1e-4
"""LPIPS that nobody sees, for images that are met nearly exactly."""
LOCAL_PSI = 0.5
"""Truncation of the faces that locality looks at."""


@dataclass(frozen=True, eq=False)
class Tuned:
    """The best weights met, as a delta, and what they draw."""

    delta: Delta
    latents: Latents
    """The pivots, as they came, their noise maps included."""
    images: Tensor
    """[B, C, H, W] of the parent with the delta, rendered from `latents`."""
    losses: dict[str, Tensor]
    """Per image [B]: each loss of the best step, unweighted, and "total", their weighted sum but for "locality", which says
    nothing of these images."""
    history: dict[str, Tensor]
    """The same by step, [steps_done, B]."""
    steps_done: int


class Tuner(Optimization[Tuned]):
    """One tuning as an object: `run` it, and take `result` at any time, also after `on_step` raised to cancel; on_step gets the
    pictures so far."""

    def __init__(self, model: Generator, latents: Latents, images: Tensor, options: TuneOptions | str = "standard",
                 distances: Mapping[str, nn.Module] | None = None, c: Tensor | None = None) -> None:
        """latents: B pivots in any space. images: [B, 3, H, H] in [-1, 1], what they should show.

        options: TuneOptions or the name of a preset. distances: networks for "lpips" and "identity" in place of the
        embedded ones. c: one-hot labels [1|B, c_dim] for a model with classes. Raises InvalidInput, LatentMismatch.
        """
        _check_inputs(model, latents, images)
        self.options, self.latents = of_preset(options, TUNE_PRESETS, "Tuning"), latents
        self.steps = self.options.steps
        with gradients():
            self.model = exact(model)
            like = next(self.model.parameters())
            with torch.no_grad():
                self.ws = latents.ws(self.model, c=c).to(like, copy=True)
            self.noise = [m.to(like, copy=True).expand(len(images), -1, -1, -1) for m in latents.noise_for(self.model) or ()]
            self._draw = torch.Generator().manual_seed(self.options.seed)
            self.variables = DeltaVariables(self.model, self.options.rank, self.options.share, self._draw)
            size = min(self.options.loss_size, model.img_resolution)
            weights, targets = self.options.losses(), images.clone().to(like)
            self.loss = ReconstructionLoss(targets, size, weights, judging_networks(weights, distances or {}, targets))
            self.names = (*self.loss.names(False, False)[:-1], *(["locality"] if self.options.locality else []), "total")
            label = class_label(self.model, 0)
            self._spread = coordinates(self.model, "w", False, label).spread if self.options.locality else 0.0
            self._optimizer = Adam(self.variables.leaves)
            self.preview = torch.zeros(len(images), model.img_channels, *(model.img_resolution,) * 2)
            self._best = Best(self.variables.snapshot(), torch.full((len(images), len(self.names)), float("nan")))
        self._history = History(self.names, len(images))
        self._chunks = Chunks(self.options.chunk, like.device, model.img_resolution)

    @property
    def _all(self) -> list[int]:
        return list(range(len(self.ws)))

    @property
    def steps_done(self) -> int:
        return len(self._history)

    @property
    def close(self) -> bool:
        """Whether every image is as like as the options ask."""
        if not self._history.rows or not self.options.stop or "lpips" not in self.names:
            return False
        return bool((self._history.rows[-1][:, self.names.index("lpips")] <= self.options.stop).all())

    @property
    def converged(self) -> bool:
        return self.close

    def advance(self) -> Tensor:
        self.step((self.steps_done + 1) / self.steps)
        return self.preview

    def step(self, t: float) -> dict[str, Tensor]:
        """One step at progress t (0..1) of the schedule -> losses and "total" by name, [B]."""
        with gradients():
            self._optimizer.zero_grad()
            values = self._chunks.run(self._evaluate, self._all)
            if self.options.locality:
                values = self._with_locality(values)
            if not torch.isfinite(values).all():
                raise InvalidInput(f"Tuning's loss is no longer a number at step {self.steps_done + 1}; lower the learning "
                                   f"rate, or check the model for damaged weights.")
            self._best.offer(float(values[:, -1].mean()), values, self.variables.snapshot)
            self._optimizer.set_rate(self.options.learning_rate(t))
            self._optimizer.step()
        return self._history.add(values)

    def _evaluate(self, ids: list[int]) -> Tensor:
        """Losses and total, [len(ids), losses + 1]; adds the gradient of their mean over all images, or raises before."""
        pictures = self._draws(self.variables.weights(), ids)
        losses = self.loss(pictures, ids, [], self.ws[ids], self.steps_done)
        total = self.loss.total(losses)
        self._add_gradient(total.sum() / len(self.ws))
        self.preview[ids] = pictures.detach().float().cpu()
        return torch.stack([*losses.values(), total], dim=1).detach().cpu()

    def _draws(self, weights: Mapping[str, Tensor], ids: list[int]) -> Tensor:
        noise = [m[ids] for m in self.noise] or None
        return functional_call(self.model.synthesis, dict(weights), (self.ws[ids],), {"noise": noise})

    def _add_gradient(self, loss: Tensor) -> None:
        gradients = torch.autograd.grad(loss, self.variables.leaves, allow_unused=True)  # StyleGAN1's smaller image heads
        for leaf, gradient in zip(self.variables.leaves, gradients, strict=True):
            if gradient is not None:
                leaf.grad = gradient if leaf.grad is None else leaf.grad + gradient

    def _with_locality(self, values: Tensor) -> Tensor:
        """Section 3.3: a face at `reach` from one pivot, towards a random one, should look as it did; noise is off."""
        pivot = self.ws[self.steps_done % len(self.ws)][None]
        z = torch.randn(1, self.model.z_dim, generator=self._draw).to(pivot)
        with torch.no_grad():
            away = self.model.mapping(z, class_label(self.model, 0), LOCAL_PSI) - pivot
            near = pivot + self.options.reach * self._spread * away / away.norm(dim=2, keepdim=True).clamp_min(1e-8)
            before = self.model.synthesis(near, noise_mode="none")
        weights = replace(self.loss.weights, l2=1.0, identity=0.0, jitter=False)
        local_loss = ReconstructionLoss(to_rgb(before), self.loss.size, weights, self.loss.distances)
        after = functional_call(self.model.synthesis, self.variables.weights(), (near,), {"noise_mode": "none"})
        loss = local_loss.total(local_loss(after, [0], [], near))
        self._add_gradient(self.options.locality * loss.sum())
        loss = loss.detach().cpu().expand(len(values), 1)
        return torch.cat([values[:, :-1], loss, values[:, -1:]], dim=1)

    def result(self) -> Tuned:
        """The best of the steps so far; before the first step, a delta that changes nothing."""
        with torch.inference_mode(False), torch.no_grad():
            losses = self._history.named(self._best.losses)
            parts = self._stored()
            notes = {"steps": self.steps_done, "images": len(self.ws),
                     **{name: round(float(value.mean()), 5) for name, value in losses.items() if self.steps_done}}
            delta = Delta(parts, BaseModel.of(self.model, parts), notes)
            weights = dict(apply_delta(self.model, delta).synthesis.named_parameters())
            pictures = self._chunks.run(lambda ids: self._draws(weights, ids).float(), self._all, "cpu")
        return Tuned(delta, self.latents, pictures, losses, self._history.by_name(), self.steps_done)

    def _stored(self) -> dict[str, Part]:
        """The best change in 16 bits: the fewest ranks that keep the likeness, else all that was trained."""
        changed = {name: part for name, part in self._best.state.items() if all(bool(t.any()) for t in part)}
        trained = self.variables.parts(changed)
        most = self._distance(trained) * (1 + self.options.tolerance) + SLACK
        directions = {name: principal(part) for name, part in trained.items()}
        for energy in ENERGIES:
            pairs = ((name, cut(directions[name], energy), whole) for name, whole in trained.items())
            parts = _half({name: min(short, whole, key=lambda part: numbers([part])) for name, short, whole in pairs})
            if numbers(parts.values()) <= self.variables.limit and self._distance(parts) <= most:
                return parts
        return _half(trained)

    def _distance(self, parts: Mapping[str, Part]) -> float:
        """Mean LPIPS with `parts` added; the mean total where LPIPS has no weight."""
        weights = self.variables.weights(parts)

        def measure(ids: list[int]) -> Tensor:
            losses = self.loss(self._draws(weights, ids), ids, [], self.ws[ids])
            return losses["lpips"] if "lpips" in losses else self.loss.total(losses)

        return float(self._chunks.run(measure, self._all).mean())


def _half(parts: Mapping[str, Part]) -> dict[str, Part]:
    return {name: tuple(t.half().cpu() for t in part) for name, part in parts.items()}


def _check_inputs(model: Generator, latents: Latents, images: Tensor) -> None:
    if not isinstance(model, Generator):
        kind = getattr(model, "kind", type(model).__name__)
        raise InvalidInput(f"Tuning got a {kind} but takes a generator; give the StyleGAN that the images were inverted into.")
    check_targets(images)
    if not torch.isfinite(images).all():
        raise InvalidInput("Tuning got images with NaN; leave those out.")
    if len(latents) != len(images):
        raise InvalidInput(f"Tuning got {len(latents)} latents for {len(images)} images; give one an image, as the inversion "
                           f"of these very images returns them.")


def tune(model: Generator, latents: Latents, images: Tensor, options: TuneOptions | str = "standard",
         on_step: OnStep | None = None, distances: Mapping[str, nn.Module] | None = None, c: Tensor | None = None) -> Tuned:
    """B pivots and what they should show, [B, 3, H, H] in [-1, 1] -> a delta for `model`; see Tuner, which also keeps what
    a cancelled run had found.

    on_step(i, n, images so far) runs after every step. Raises InvalidInput, LatentMismatch.
    """
    return Tuner(model, latents, images, options, distances, c).run(on_step)
