"""Inversion by optimization: find the codes whose pictures are the given ones.

Karras et al. 2020 (1912.04958) appendix D, with LPIPS (Zhang et al. 2018) as image distance, for every latent space and
a batch at once. Images never touch each other: each has its own codes, optimizer entries and stopping time, so an image
inverted alone and in a batch end alike (to float rounding).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..engine import Adam, Chunks, History, Optimization, exact, gradients
from ..errors import InvalidInput
from ..faces.checks import check_range, check_side
from ..latents import Latents, ModelSignature, Space, carry_rows, codes_to_ws
from ..losses.reconstruction import ReconstructionLoss, judging_networks
from ..losses.regularizers import normalize_noise_
from ..networks.generators.base import Generator, plain_generator
from ..ops.resize import resize_area
from ..options import of_preset
from ..runtime import OnStep, run_chunked
from .loss_files import loss_networks
from .noise import map_scales, start_maps
from .options import PRESETS, InversionOptions
from .region import region_weight
from .small import small_variant
from .spaces import Coordinates, check_space, coordinates, start_codes
from .state import ImageState, InversionResult


class Inverter(Optimization[InversionResult]):
    """One inversion as an object: `run` it, and take `result` at any time, also after `on_step` raised to cancel; `run`
    then goes on. Another day, start from the saved latents with options.start_step = steps_done. on_step gets the pictures
    so far."""

    def __init__(self, model: Generator, images: Tensor, space: Space = "w+",
                 options: InversionOptions | str = "standard", start: Latents | None = None,
                 distances: dict[str, nn.Module] | None = None, c: Tensor | None = None, mask: Tensor | None = None,
                 folders: Sequence[str | Path] = (), system: Coordinates | None = None) -> None:
        """images: [B, 3, H, H], in [-1, 1], any size; the model works at its own resolution, the built-in 1024 px base in its
        256 px variant (see small_variant), whose codes it takes by the row rule, until the last of the steps.

        options: InversionOptions or the name of a preset. start: latents to begin from (one, or one an image), with
        their noise maps; None begins at the mean. distances: networks for "lpips" and "identity" in place of those of
        the options. c: one-hot labels [1|B, c_dim] for a model with classes. mask: [1|B, h, h] in [0, 1], what of the
        pictures counts. folders: where the options' networks are looked for. system: `coordinates` of an earlier Inverter
        of this model, space and class, which need not be measured again. Raises InvalidInput, LatentMismatch.
        """
        check_space(space)
        check_targets(images)
        self.options = of_preset(options, PRESETS, "Inversion")
        self.space: Space = space
        self.steps = self.options.steps
        self.whole = plain_generator(model)
        model = self._first_model()
        self.small, self.full = model is not self.whole, False
        """Whether steps run in a small variant first; whether the whole model draws by now."""
        with gradients():
            self.signature = ModelSignature.of(model)
            self.model = exact(model)
            parameter = next(self.model.parameters())
            self.targets = targets = images.clone().to(parameter)
            self.c = None if c is None else c.clone().to(parameter).expand(len(targets), -1)
            self.coordinates = system or coordinates(self.model, space, self.options.natural, self.c)
            self.loss = self._reconstruction_loss(targets, None if mask is None else mask.clone(), distances or {}, folders)
            self._draw = torch.Generator().manual_seed(self.options.seed)
            self._scales = map_scales(self.model)
            self.names = self.loss.names(space.endswith("+"), self.options.optimize_noise and bool(self._scales))
            self._fixed_noise = self._start_variables(start, len(targets))
            self.preview = torch.zeros(len(targets), model.img_channels, *(model.img_resolution,) * 2)
        self._chunks = Chunks(self.options.chunk, targets.device, model.img_resolution)
        self._begin()
        if self.small:
            last = self.steps - self.options.small_steps
            self.notes.append(f"Optimized at {model.img_resolution} px in the small variant of the "
                              f"{self.whole.img_resolution} px model{f', but for the last {last} steps' if last else ''}.")

    def _first_model(self) -> Generator:
        """What the steps begin in: the small variant of a model that has one, unless all of the model is asked for."""
        all_of_it = self.options.full_size or self.options.optimize_noise or self.space == "z+"
        return self.whole if all_of_it else small_variant(self.whole)

    def _begin(self) -> None:
        """Optimizer, history and random numbers as they are before the first step, or start_step."""
        self._optimizer = Adam([leaf for image in self.images for leaf in image.leaves])
        self._history = History(self.names, len(self.images), self.options.start_step)
        self._position = self.options.start_step  # in the schedule; images that settle early leave steps out
        for _ in range(self.options.start_step):
            self.draw(self.images[0].code)

    def _reconstruction_loss(self, targets: Tensor, mask: Tensor | None, given: dict[str, nn.Module],
                             folders: Sequence[str | Path]) -> ReconstructionLoss:
        size = min(self.options.loss_size, self.model.img_resolution)
        weight, self.notes = region_weight(targets, size, mask, self.options.landmarks)
        filed, missing = loss_networks(self.options, folders, given)
        self.notes += missing
        weights = self.options.losses()
        return ReconstructionLoss(targets, size, weights, judging_networks(weights, {**filed, **given}, targets), weight)

    def _start_variables(self, start: Latents | None, batch: int) -> list[Tensor] | None:
        """Make the images' leaves; return start's noise maps where they stay fixed."""
        codes = start_codes(self.model, self.space, start, batch, self.coordinates)
        given = None if start is None or start.noise is None else start.noise_for(self.model)
        maps: list[list[Tensor]] = [[] for _ in range(batch)]
        if self.options.optimize_noise:
            units = start_maps(self.model, given, self._draw)
            maps = [[u[i % len(u)][None].to(codes[0]).clone() for u in units] for i in range(batch)]
        self.images = [ImageState(code, own, len(self.names), self.options.tolerance)
                       for code, own in zip(codes, maps, strict=True)]
        if given is None or self.options.optimize_noise:
            return None
        return [m.to(codes[0]).expand(batch, -1, -1, -1).clone() for m in given]

    @property
    def active(self) -> list[int]:
        """Images that have neither reached their plateau nor failed."""
        patience = self.options.patience
        return [i for i, image in enumerate(self.images)
                if not image.failed and (not patience or image.plateau.waiting < patience)]

    @property
    def steps_done(self) -> int:
        """Of the schedule, those of an earlier run included."""
        return len(self._history)

    @property
    def converged(self) -> bool:
        """Whether every image is on its plateau, in the whole model."""
        return not self.active and not self._full_is_left

    @property
    def _full_is_left(self) -> bool:
        return self.small and not self.full and self.options.small_steps < self.steps

    def advance(self) -> Tensor:
        if self._full_is_left and (self._position >= self.options.small_steps or not self.active):
            self._go_full()
        self._position += 1
        self.step(self.options.progress(self._position, self.full))
        return self.preview

    def step(self, t: float) -> dict[str, Tensor]:
        """One optimization step at progress t (0..1) of the schedule -> losses and "total" by name, [B]."""
        active = self.active
        with gradients():
            # One draw for all images, so that an image's fate does not depend on its company.
            push = self.draw(self.images[0].code) * self.options.noise_strength(t, self.coordinates.spread)
            self._optimizer.zero_grad()
            values = self._chunks.run(lambda ids: self._evaluate(ids, push), active)
            self._drop_failed(active, values)
            row = values.new_full((len(self.images), values.shape[1]), float("nan"))
            row[active] = values
            active = self.active
            for i in active:
                self.images[i].note(row[i], push)
            self._optimizer.set_rate(self.options.learning_rate(t))
            self._optimizer.step()
            normalize_noise_([m for i in active for m in self.images[i].maps])
        return self._history.add(row)

    def _go_full(self) -> None:
        """From here on the whole model draws: what its variant drew no longer counts as the best."""
        self.full, self._position = True, max(self._position, self.options.small_steps)
        with gradients():
            self.whole = exact(self.whole)
        self._chunks = Chunks(self.options.chunk, self.targets.device, self.whole.img_resolution)
        for image in self.images:
            image.begin_again()

    def _drop_failed(self, active: list[int], values: Tensor) -> None:
        """Images whose losses are no numbers stop; the others go on. Raises InvalidInput when none is left."""
        step = self.steps_done + 1
        for i, good in zip(active, torch.isfinite(values).all(1).tolist(), strict=True):
            if not good:
                self.images[i].fail()
                self.notes.append(f"The loss of image {i + 1} is no longer a number at step {step}; it keeps what it had.")
        if all(image.failed for image in self.images):
            raise InvalidInput(f"The inversion's loss is no longer a number at step {step}; lower the learning rate, or check "
                               f"the model and the images for damage.")

    def draw(self, like: Tensor) -> Tensor:
        """Seeded standard normal of the shape of `like`, drawn on the CPU so that devices agree."""
        return torch.randn(like.shape, generator=self._draw).to(like)

    def _evaluate(self, ids: list[int], push: Tensor) -> Tensor:
        """Losses and total, [len(ids), len(names)]; leaves the gradients of images `ids`, or nothing if it raises."""
        images = [self.images[i] for i in ids]
        code = torch.cat([image.code for image in images]) + push
        maps = [torch.cat(layer) for layer in zip(*(image.maps for image in images), strict=True)]
        pictures = self._render(self.coordinates.to_code(code), self._noise(maps, ids), ids)
        losses = self.loss(pictures, ids, maps, code / self.coordinates.deviation, self.steps_done)
        total = self.loss.total(losses)
        leaves = [leaf for image in images for leaf in image.leaves]
        for leaf, gradient in zip(leaves, torch.autograd.grad(total.sum(), leaves), strict=True):
            leaf.grad = gradient
        self.preview[ids] = resize_area(pictures.detach().float(), self.preview.shape[-1]).cpu()
        return torch.stack([*losses.values(), total], dim=1).detach().cpu()

    def _noise(self, maps: list[Tensor], ids: list[int]) -> list[Tensor] | None:
        """Unit maps of images `ids` as the network takes them; without any, the start's fixed ones or the model's own."""
        if maps:
            return [m * s for m, s in zip(maps, self._scales, strict=True)]
        return None if self._fixed_noise is None else [m[ids] for m in self._fixed_noise]

    def _render(self, code: Tensor, noise: list[Tensor] | None, ids: list[int]) -> Tensor:
        c = None if self.c is None else self.c[ids]
        if self.full:
            ws = carry_rows(code, self.whole.num_ws) if self.space == "w+" else codes_to_ws(self.whole, code, self.space, c)
            return self.whole.synthesis(ws)
        return self.model.synthesis(codes_to_ws(self.model, code, self.space, c), noise=noise)

    @torch.no_grad()
    def latents(self) -> Latents:
        """The best codes so far, on the CPU; before the first step, the start."""
        with torch.inference_mode(False):
            codes, noise = self._best()
            return Latents(codes.cpu(), self.space, self.signature, [m.cpu() for m in noise] if noise else None)

    def _best(self) -> tuple[Tensor, list[Tensor] | None]:
        codes = self.coordinates.to_code(torch.cat([image.best.state[0] for image in self.images]))
        maps = [torch.cat(layer) for layer in zip(*(image.best.state[1] for image in self.images), strict=True)]
        return codes, self._noise(maps, list(range(len(self.images))))

    def result(self) -> InversionResult:
        """The best of the steps so far; before the first step, the start."""
        with torch.inference_mode(False), torch.no_grad():
            codes, noise = self._best()
            pictures = run_chunked(
                lambda ids: self._render(codes[ids], [m[ids] for m in noise] if noise else None, ids.tolist()).float(),
                torch.arange(len(codes)), self._chunks.size, "cpu")
            losses = self._history.named(torch.stack([image.best.losses for image in self.images]))
            if self.full and self.options.lpips:
                losses |= lpips_at_size(self.loss.distances["lpips"], pictures, self.targets)
        return InversionResult(self.latents(), pictures, losses, self._history.by_name(), self.steps_done, tuple(self.notes))


def lpips_at_size(lpips: Any, pictures: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """LPIPS [B] at the pictures' own size, by a name that tells it; nothing where the targets are smaller."""
    size = pictures.shape[-1]
    if targets.shape[-1] < size:
        return {}
    pairs = zip(pictures.split(1), resize_area(targets, size).split(1), strict=True)
    return {f"lpips_{size}": torch.cat([lpips(lpips.features(b), lpips.features(a.to(b))).cpu() for a, b in pairs])}


def check_targets(images: Tensor) -> None:
    """Raise InvalidInput unless images are square RGB [B, 3, H, H] in about [-1, 1], and one at least is finite."""
    if images.ndim != 4 or images.shape[1] != 3 or not len(images) or images.shape[2] != images.shape[3]:
        raise InvalidInput(
            f"Inversion got images of shape {tuple(images.shape)} but needs square faces [batch, 3, size, size]; "
            f"align the faces first."
        )
    check_side(images, "A picture")
    if not images.isfinite().flatten(1).all(1).any():
        raise InvalidInput("Inversion got images of which each holds NaN or infinite pixels; make them again.")
    check_range(images, "The batch of images to invert")


def invert(model: Generator, images: Tensor, space: Space = "w+", steps: int | None = None,
           options: InversionOptions | str = "standard", start: Latents | None = None, on_step: OnStep | None = None,
           distances: dict[str, nn.Module] | None = None, c: Tensor | None = None, mask: Tensor | None = None,
           folders: Sequence[str | Path] = ()) -> InversionResult:
    """images [B, 3, H, H] in [-1, 1] -> their latents; see Inverter, which also keeps what a cancelled run had found.

    steps: replaces the options' number. on_step(i, n, images so far) runs after every step.
    Raises InvalidInput, LatentMismatch.
    """
    options = of_preset(options, PRESETS, "Inversion")
    options = options if steps is None else replace(options, steps=steps)
    return Inverter(model, images, space, options, start, distances, c, mask, folders).run(on_step)
