"""Facial destylization: the plausible face behind a drawing (2203.13248, section 3.1).

Stage I encodes the drawing; stage II finds codes whose picture, drawn by the styled generator, is the drawing; stage III
renders them with the plain generator and encodes that face, which leaves behind what no face has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..blending import blend
from ..engine import Adam, Optimization, Series, frozen, gradients, ramp, weighted_total
from ..errors import InvalidInput, LoadError
from ..faces.frame import check_aligned
from ..inversion.encode import PortraitEncoder
from ..inversion.noise import map_scales
from ..latents import Latents, ModelSignature, Space, codes_to_ws, fingerprint
from ..losses.identity import IdentityLoss
from ..losses.perceptual import LPIPS
from ..losses.regularizers import normalize_noise_
from ..networks.dualstylegan import color_rows
from ..networks.encoders.psp import INPUT, prepare_portraits
from ..networks.generators.base import Generator, plain_generator
from ..options import check_numbers
from ..runtime import OnStep, run_chunked
from .noise import joint_noise_regularization

SKIPPED_COLOR_ROWS = 1
"""The published code keeps color from the second color row on (row 8 of 18), and files made with it rely on that."""

RISE, FALL = 0.05, 0.25
"""Parts of stage II over which the learning rate rises and falls."""
CODES = ("intrinsic", "extrinsic", "optimized")
STAGES = ("encoded", "optimized", "destylized")


@dataclass(frozen=True)
class DestylizeOptions:
    """Defaults are the published ones."""

    steps: int = 300
    lr: float = 0.1
    identity: float = 0.1
    """Weight of the identity term (lambda_ID)."""
    deviation: float = 1.0
    """Weight of the spread of a code's rows, which pulls z+ towards z."""
    noise_regularization: float = 1e5
    truncation_psi: float = 0.7
    """Of the rendered face, toward zero; 0.5 suits styles far from faces."""
    chunk: int = 1
    """Drawings optimized together. Their noise maps share statistics, so 1 keeps them independent."""
    seed: int = 0
    """Of the starting noise maps."""

    def __post_init__(self) -> None:
        check_numbers(self, "Destylization", ("chunk",))
        if not 0 < self.truncation_psi <= 2:
            raise InvalidInput(f"Destylization got truncation_psi = {self.truncation_psi}; use a number above 0, up to 2.")


class Destylized(NamedTuple):
    """One entry a drawing in each."""

    intrinsic: Latents
    """The face, in the encoder's space: content code of the training pair."""
    extrinsic: Latents
    """The drawing as the encoder sees it: its style code."""
    optimized: Latents
    """What stage II found: the face the styled generator draws the picture from."""
    faces: dict[str, Tensor]
    """[B, C, H, W] on the CPU of each stage: "encoded", "optimized", "destylized"."""

    @staticmethod
    def combine(parts: Sequence[Destylized]) -> Destylized:
        intrinsic, extrinsic, optimized = (Latents.combine([getattr(part, name) for part in parts]) for name in CODES)
        faces = {stage: torch.cat([part.faces[stage] for part in parts]) for stage in STAGES}
        return Destylized(intrinsic, extrinsic, optimized, faces)

    def save(self, folder: Path) -> None:
        """The three codes as files of Latents in a folder, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in CODES:
            getattr(self, name).save(folder / f"{name}.safetensors")


class Drawings(Optimization[Destylized]):
    """Some drawings and everything stage II moves; survives an interruption."""

    def __init__(self, work: Destylizer, first: int) -> None:
        """Stage I, and what stage II compares with."""
        self.work, self.options, self.steps = work, work.options, work.options.steps
        self.history: list[dict[str, float]] = []
        with torch.inference_mode(False), torch.no_grad():
            images = work.images[first : first + self.options.chunk]
            self.encoded = work.encoder.encode(images, work.plain).tensor.clone()
            targets = self._small(images)
            self.code = self.encoded.clone().requires_grad_(True)
            self.maps = [m.requires_grad_(True) for m in self._start_maps(first, len(images))]
            self.features, self.person = work.perceptual.features(targets), work.identity.features(targets)
        self._optimizer = Adam([self.code, *self.maps])
        self._weights = {"perceptual": 1.0, "identity": self.options.identity, "deviation": self.options.deviation,
                         "noise": self.options.noise_regularization}

    @property
    def steps_done(self) -> int:
        return len(self.history)

    def _start_maps(self, first: int, batch: int) -> list[Tensor]:
        work, like = self.work, self.encoded
        if work.noise is None:
            draw = torch.Generator().manual_seed(self.options.seed + first)
            shapes = work.styled.synthesis.noise_shapes()
            return [torch.randn(batch, 1, *shape, generator=draw).to(like) for shape in shapes]
        return [(n if len(n) == 1 else n[first : first + batch]).expand(batch, -1, -1, -1).to(like).clone()
                for n in work.noise]

    def _small(self, images: Tensor) -> Tensor:
        """At most 256 px a side, by block means."""
        size = min(INPUT, self.work.plain.img_resolution)
        return images if images.shape[-1] <= size else nn.functional.adaptive_avg_pool2d(images, size)

    def _render(self, model: Generator, code: Tensor, maps: list[Tensor], psi: float = 1.0) -> Tensor:
        ws = codes_to_ws(model, code, self.work.space) * psi
        return model.synthesis(ws, noise=[m * s for m, s in zip(maps, self.work.scales, strict=True)])

    def advance(self) -> Tensor:
        """One step of stage II; returns the picture it judged."""
        rate = self.options.lr * ramp(self.steps_done / self.steps, RISE, FALL)
        with gradients():
            self._optimizer.set_rate(rate)
            small = self._small(self._render(self.work.styled, self.code, self.maps))
            losses = {
                "perceptual": self.work.perceptual(small, self.features).sum(),
                "identity": self.work.identity(small, self.person).mean(),
                "deviation": self.code.std(dim=1).mean(),
                "noise": joint_noise_regularization(self.maps),
            }
            total = weighted_total(losses, self._weights)
            self._optimizer.zero_grad()
            total.backward()
            self._optimizer.step()
            normalize_noise_(self.maps)
        self.history.append({"lr": rate, **{k: float(v.detach()) for k, v in losses.items()}, "total": float(total.detach())})
        return small.detach()

    @torch.no_grad()
    def result(self) -> Destylized:
        """Stage III; the rows that carry color stay the drawing's."""
        plain, encoded, psi = self.work.plain, self.encoded, self.options.truncation_psi
        color = color_rows(plain.layers)[SKIPPED_COLOR_ROWS:]
        code, maps = self.code.detach().clone(), [m.detach() for m in self.maps]
        code[:, color] = encoded[:, color]
        optimized = self._render(plain, code, maps, psi)
        intrinsic = self.work.encoder.encode(optimized, plain).tensor.clone()
        intrinsic[:, color] = encoded[:, color]
        faces = (plain.synthesis(codes_to_ws(plain, encoded, self.work.space)), optimized,
                 self._render(plain, intrinsic, maps, psi))
        made_for = ModelSignature.of(plain)
        codes = [Latents(tensor.cpu(), self.work.space, made_for) for tensor in (intrinsic, encoded, code)]
        return Destylized(codes[0], codes[1], codes[2], {name: face.cpu() for name, face in zip(STAGES, faces, strict=True)})


class Destylizer(Series[Drawings, Destylized]):
    """A destylization as an object: `run` it; after an interruption `finished` holds what is done, and `run` goes on.

    With a folder to keep them in, finished drawings survive the program too.
    """

    def __init__(self, plain: Generator, styled: Generator, encoder: PortraitEncoder, images: Tensor,
                 options: DestylizeOptions | None = None, perceptual: LPIPS | None = None,
                 identity: nn.Module | None = None, noise: list[Tensor] | None = None) -> None:
        """plain, styled: parent and child generator (one mapping; of another depth, as the built-in looks and base-256 are,
        the styled one lends its layers up to 32 px). images [B, 3, S, S] in [-1, 1], aligned.

        perceptual, identity: default to the embedded networks; the paper used LPIPS-VGG and ArcFace. noise: starting
        unit maps [1|B, 1, h, w]. Raises InvalidInput, LatentMismatch.
        """
        plain, styled = plain_generator(plain), plain_generator(styled)
        if ModelSignature.of(plain).carries(ModelSignature.of(styled)):
            styled = blend(plain, styled, 32)
        if (plain.num_ws, plain.w_dim, plain.img_resolution) != (styled.num_ws, styled.w_dim, styled.img_resolution):
            raise InvalidInput(f"The plain generator draws {plain.img_resolution} px and the styled one "
                               f"{styled.img_resolution} px from {plain.num_ws} and {styled.num_ws} rows; "
                               f"use a generator and its own fine-tuned child.")
        check_aligned(images)
        self.plain, self.encoder, self.options = plain, encoder, options or DestylizeOptions()
        parameter = next(plain.parameters())
        with torch.inference_mode(False):
            self.images = prepare_portraits(images.clone()).to(parameter)
            self.styled: Generator = frozen(styled)
            self.perceptual = frozen(perceptual or LPIPS.embedded(), parameter)
            self.identity: Any = frozen(identity or IdentityLoss.embedded(), parameter)
        self.count = len(images)
        self.space: Space = encoder.space
        self.scales = map_scales(styled)
        self.noise = noise
        self.finished: list[Destylized] = []
        self.history: list[list[dict[str, float]]] = []
        """Losses of every step, chunk by chunk."""

    @property
    def done(self) -> int:
        """Drawings that are finished."""
        return sum(len(part.intrinsic) for part in self.finished)

    @cached_property
    def key(self) -> str:
        """Sixteen hex digits that name this very work: its drawings, generators and options."""
        digest = hashlib.sha256(repr(self.options).encode())
        networks: tuple[Any, ...] = (self.plain, self.styled, self.encoder, self.perceptual, self.identity)
        for model in networks:
            digest.update(fingerprint(model.state_dict()).encode())
        for tensor in (self.images, *(self.noise or ())):
            digest.update(tensor.detach().float().cpu().numpy().tobytes())
        return digest.hexdigest()[:16]

    def run(self, on_step: OnStep | None = None, keep: Path | None = None) -> Destylized:
        """All drawings -> their joint result; on_step(step, all steps, preview) may raise to cancel.

        keep: a folder in which the codes of finished drawings wait after an interruption, and from which the same work
        (see key) goes on. Their faces are then drawn again with the models' own noise.
        """
        if keep is not None:
            self._restore(keep / self.key)
        try:
            self.run_all(on_step)
        except BaseException:
            if keep is not None and self.finished:
                self.result().save(keep / self.key)
            raise
        if keep is not None:
            _forget(keep / self.key)
        return self.result()

    def begin(self, first: int) -> Drawings:
        return Drawings(self, first)

    def keep(self, work: Drawings, found: Destylized) -> None:
        self.finished.append(found)
        self.history.append(work.history)

    def steps_before(self, item: int) -> int:
        return -(-item // self.options.chunk) * self.options.steps

    def result(self) -> Destylized:
        """The drawings finished so far. Raises InvalidInput when there are none."""
        if not self.finished:
            raise InvalidInput("No drawing is destylized yet; let the work go on for longer.")
        return Destylized.combine(self.finished)

    @torch.no_grad()
    def _restore(self, folder: Path) -> None:
        if self.finished or not folder.is_dir():
            return
        try:
            intrinsic, extrinsic, optimized = (Latents.load(folder / f"{name}.safetensors") for name in CODES)
        except LoadError:  # half written: the work is done again
            return
        if len({len(intrinsic), len(extrinsic), len(optimized)}) > 1:
            return
        stages = ((extrinsic, 1.0), (optimized, self.options.truncation_psi), (intrinsic, self.options.truncation_psi))
        faces = [run_chunked(self.plain.synthesis, codes.ws(self.plain) * psi, self.options.chunk, "cpu")
                 for codes, psi in stages]
        self.finished.append(Destylized(intrinsic, extrinsic, optimized, dict(zip(STAGES, faces, strict=True))))


def _forget(folder: Path) -> None:
    """Remove what `Destylized.save` wrote."""
    for name in CODES:
        (folder / f"{name}.safetensors").unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def destylize(plain: Generator, styled: Generator, encoder: PortraitEncoder, images: Tensor,
              options: DestylizeOptions | None = None, perceptual: LPIPS | None = None, identity: nn.Module | None = None,
              noise: list[Tensor] | None = None, on_step: OnStep | None = None, keep: Path | None = None) -> Destylized:
    """Drawings -> intrinsic and extrinsic codes and each stage's face; see Destylizer, its run for on_step and keep."""
    return Destylizer(plain, styled, encoder, images, options, perceptual, identity, noise).run(on_step, keep)
