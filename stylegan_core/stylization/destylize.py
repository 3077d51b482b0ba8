"""Facial destylization: the plausible face behind a drawing (2203.13248, section 3.1).

Stage I encodes the drawing; stage II finds codes whose picture, drawn by the styled generator, is the drawing; stage III
renders them with the plain generator and encodes that face, which leaves behind what no face has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import InvalidInput, LoadError
from ..faces.frame import check_aligned
from ..inversion.encode import PortraitEncoder
from ..inversion.noise import map_scales
from ..inversion.options import InversionOptions
from ..latents import Latents, ModelSignature, Space, codes_to_ws, fingerprint
from ..losses.identity import IdentityLoss
from ..losses.perceptual import LPIPS
from ..losses.regularizers import normalize_noise_
from ..networks.dualstylegan import color_rows
from ..networks.encoders.psp import INPUT, prepare_portraits
from ..networks.generators.base import Generator
from ..runtime import OnStep, private_copy, run_chunked
from .noise import joint_noise_regularization

SKIPPED_COLOR_ROWS = 1
"""The published code keeps color from the second color row on (row 8 of 18), and files made with it rely on that."""


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
        if self.steps < 0 or self.chunk < 1 or not 0 < self.truncation_psi <= 2:
            raise InvalidInput(f"Destylization got {self.steps} steps, chunks of {self.chunk} and truncation "
                               f"{self.truncation_psi}; use 0 steps or more, 1 or more, and 0 to 2.")


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


@dataclass
class _Chunk:
    """Some drawings and everything stage II moves; survives an interruption."""

    targets: Tensor
    encoded: Tensor
    code: Tensor
    maps: list[Tensor]
    features: list[Tensor]
    person: list[Tensor]
    optimizer: torch.optim.Optimizer
    history: list[dict[str, float]] = field(default_factory=list)


class Destylizer:
    """A destylization as an object: `run` it; after an interruption `finished` holds what is done, and `run` goes on.

    With a folder to keep them in, finished drawings survive the program too.
    """

    def __init__(self, plain: Generator, styled: Generator, encoder: PortraitEncoder, images: Tensor,
                 options: DestylizeOptions | None = None, perceptual: LPIPS | None = None,
                 identity: nn.Module | None = None, noise: list[Tensor] | None = None) -> None:
        """plain, styled: parent and child generator (one mapping, same size). images [B, 3, S, S] in [-1, 1], aligned.

        perceptual, identity: default to the embedded networks; the paper used LPIPS-VGG and ArcFace. noise: starting
        unit maps [1|B, 1, h, w]. Raises InvalidInput, LatentMismatch.
        """
        if (plain.num_ws, plain.w_dim, plain.img_resolution) != (styled.num_ws, styled.w_dim, styled.img_resolution):
            raise InvalidInput(f"The plain generator draws {plain.img_resolution} px and the styled one "
                               f"{styled.img_resolution} px from {plain.num_ws} and {styled.num_ws} rows; "
                               f"use a generator and its own fine-tuned child.")
        check_aligned(images)
        self.plain, self.encoder, self.options = plain, encoder, options or DestylizeOptions()
        parameter = next(plain.parameters())
        with torch.inference_mode(False):
            self.images = prepare_portraits(images.clone()).to(parameter)
            self.styled: Generator = private_copy(styled).eval().requires_grad_(False)
            self.perceptual = private_copy(perceptual or LPIPS.embedded()).to(parameter).requires_grad_(False)
            self.identity: Any = private_copy(identity or IdentityLoss.embedded()).to(parameter).requires_grad_(False)
        self.space: Space = encoder.space
        self.scales = map_scales(styled)
        self.noise = noise
        self.finished: list[Destylized] = []
        self.history: list[list[dict[str, float]]] = []
        """Losses of every step, chunk by chunk."""
        self._chunk: _Chunk | None = None
        self._schedule = InversionOptions(steps=max(self.options.steps, 1), lr=self.options.lr)

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
            while self.done < len(self.images):
                self._run_chunk(on_step)
        except BaseException:
            if keep is not None and self.finished:
                self.result().save(keep / self.key)
            raise
        if keep is not None:
            _forget(keep / self.key)
        return self.result()

    def _run_chunk(self, on_step: OnStep | None) -> None:
        steps, size = self.options.steps, self.options.chunk
        before, chunks = (-(-n // size) * steps for n in (self.done, len(self.images)))
        chunk = self._chunk = self._chunk or self._start(self.done)
        while len(chunk.history) < steps:
            preview = self._step(chunk)
            if on_step is not None:
                on_step(before + len(chunk.history), chunks, preview)
        self.finished.append(self._finish(chunk))
        self.history.append(chunk.history)
        self._chunk = None

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

    @torch.no_grad()
    def _start(self, first: int) -> _Chunk:
        """Stage I, and what stage II compares with."""
        with torch.inference_mode(False):
            images = self.images[first : first + self.options.chunk]
            encoded = self.encoder.encode(images, self.plain).tensor.clone()
            targets = self._small(images)
            code = encoded.clone().requires_grad_(True)
            maps = [m.requires_grad_(True) for m in self._start_maps(first, len(images), encoded)]
            optimizer = torch.optim.Adam([code, *maps], lr=self.options.lr)
            return _Chunk(targets, encoded, code, maps, self.perceptual.features(targets),
                          self.identity.features(targets), optimizer)

    def _start_maps(self, first: int, batch: int, like: Tensor) -> list[Tensor]:
        if self.noise is None:
            draw = torch.Generator().manual_seed(self.options.seed + first)
            shapes = self.styled.synthesis.noise_shapes()
            return [torch.randn(batch, 1, *shape, generator=draw).to(like) for shape in shapes]
        return [(n if len(n) == 1 else n[first : first + batch]).expand(batch, -1, -1, -1).to(like).clone()
                for n in self.noise]

    def _small(self, images: Tensor) -> Tensor:
        """At most 256 px a side, by block means."""
        size = min(INPUT, self.plain.img_resolution)
        return images if images.shape[-1] <= size else nn.functional.adaptive_avg_pool2d(images, size)

    def _render(self, model: Generator, code: Tensor, maps: list[Tensor], psi: float = 1.0) -> Tensor:
        ws = codes_to_ws(model, code, self.space) * psi
        return model.synthesis(ws, noise=[m * s for m, s in zip(maps, self.scales, strict=True)])

    def _step(self, chunk: _Chunk) -> Tensor:
        """One step of stage II; returns the picture it judged."""
        options = self.options
        with torch.inference_mode(False), torch.enable_grad():
            rate = self._schedule.learning_rate(len(chunk.history) / options.steps)
            for group in chunk.optimizer.param_groups:
                group["lr"] = rate
            small = self._small(self._render(self.styled, chunk.code, chunk.maps))
            losses = {
                "perceptual": self.perceptual(small, chunk.features).sum(),
                "identity": self.identity(small, chunk.person).mean(),
                "deviation": chunk.code.std(dim=1).mean(),
                "noise": joint_noise_regularization(chunk.maps),
            }
            total = (losses["perceptual"] + options.identity * losses["identity"]
                     + options.deviation * losses["deviation"] + options.noise_regularization * losses["noise"])
            chunk.optimizer.zero_grad()
            total.backward()
            chunk.optimizer.step()
            normalize_noise_(chunk.maps)
        chunk.history.append({"lr": rate, **{k: float(v.detach()) for k, v in losses.items()}, "total": float(total.detach())})
        return small.detach()

    @torch.no_grad()
    def _finish(self, chunk: _Chunk) -> Destylized:
        """Stage III; the rows that carry color stay the drawing's."""
        kept = color_rows(self.plain.layers)[SKIPPED_COLOR_ROWS:]
        code, maps = chunk.code.detach().clone(), [m.detach() for m in chunk.maps]
        code[:, kept] = chunk.encoded[:, kept]
        optimized = self._render(self.plain, code, maps, self.options.truncation_psi)
        intrinsic = self.encoder.encode(optimized, self.plain).tensor.clone()
        intrinsic[:, kept] = chunk.encoded[:, kept]
        faces = (self.plain.synthesis(codes_to_ws(self.plain, chunk.encoded, self.space)), optimized,
                 self._render(self.plain, intrinsic, maps, self.options.truncation_psi))
        made_for = ModelSignature.of(self.plain)
        codes = [Latents(tensor.cpu(), self.space, made_for) for tensor in (intrinsic, chunk.encoded, code)]
        return Destylized(codes[0], codes[1], codes[2], {name: face.cpu() for name, face in zip(STAGES, faces, strict=True)})


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
