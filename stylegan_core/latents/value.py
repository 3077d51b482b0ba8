"""Latents that know their space, their model and their noise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from ..errors import InvalidInput, LatentMismatch
from .codes import SPACES, Space, check_truncation, codes_to_ws, truncate
from .signature import LatentModel, ModelSignature, carry_note, carry_rows


class Files(Protocol):
    """Writer and reader of latents' files, which lie with the other files' and set themselves here."""

    def save(self, latents: Latents, path: str | Path, overwrite: bool = False) -> Path: ...

    def load(self, path: str | Path, space: Space | None = None, model: LatentModel | None = None) -> Latents: ...


@dataclass(frozen=True, eq=False, init=False)
class Latents:
    """A batch of codes; frozen, so two nodes may hold the same one."""

    tensor: Tensor
    space: Space
    model: ModelSignature | None
    noise: tuple[Tensor, ...] | None
    files: ClassVar[Files]

    def __init__(self, tensor: Tensor, space: Space, model: ModelSignature | LatentModel | None = None,
                 noise: Sequence[Tensor] | None = None) -> None:
        """tensor: z, w [B, dim]; z+, w+ [B, rows, dim]; finite.

        model: a signature, a generator whose signature is taken, or None (fits any model of the right shape).
        noise: one [1|B, 1, h, w] map a noise layer, in layer order; None for the model's own. Raises InvalidInput.
        """
        signature = model if model is None or isinstance(model, ModelSignature) else ModelSignature.of(model)
        maps = tuple(noise) if noise else None
        fields = (("tensor", tensor), ("space", space), ("model", signature), ("noise", maps))
        for name, value in fields:
            object.__setattr__(self, name, value)
        self._check_shapes()

    def _check_shapes(self) -> None:
        if self.space not in SPACES:
            raise InvalidInput(f'Latent space "{self.space}" is unknown; use one of {", ".join(SPACES)}.')
        axes = 3 if self.space.endswith("+") else 2
        if self.tensor.ndim != axes:
            expected = "[batch, rows, dim]" if axes == 3 else "[batch, dim]"
            raise InvalidInput(f"Latents in {self.space} came with shape {tuple(self.tensor.shape)}; give {expected}.")
        if not self.tensor.is_floating_point():
            kind = str(self.tensor.dtype).removeprefix("torch.")
            raise InvalidInput(f"These {self.space} latents are {kind} numbers and codes are floating-point ones; give "
                               f"tensor.float().")
        if not self.tensor.numel():
            raise InvalidInput(f"These {self.space} latents are empty (shape {tuple(self.tensor.shape)}); give at least one.")
        if not torch.isfinite(self.tensor).all():
            raise InvalidInput(f"These {self.space} latents hold NaN or infinity; make or load them again.")
        for map_ in self.noise or ():
            if map_.ndim != 4 or map_.shape[0] not in (1, len(self)) or map_.shape[1] != 1:
                raise InvalidInput(
                    f"A noise map came with shape {tuple(map_.shape)}; give [1 or {len(self)}, 1, height, width]."
                )

    def __len__(self) -> int:
        return self.tensor.shape[0]

    def check(self, generator: LatentModel) -> ModelSignature:
        """The generator's signature. Raises LatentMismatch, naming both, unless it can take these latents."""
        theirs = ModelSignature.of(generator)
        if self.model is not None and not self.model.fits(theirs, self.space):
            raise LatentMismatch(
                f"These {self.space} latents belong to {self.model} but the model is {theirs}; use the model they were "
                f"made with, or one that shares its mapping network (a blend of it, or a child tuned with it frozen)."
            )
        dim = generator.z_dim if self.space.startswith("z") else generator.w_dim
        rows = self.model.num_ws if self.model is not None and self._carried(theirs) else generator.num_ws
        wanted = (rows, dim) if self.space.endswith("+") else (dim,)
        if tuple(self.tensor.shape[1:]) != wanted:
            raise LatentMismatch(
                f"These {self.space} latents have {list(self.tensor.shape[1:])} numbers each but {theirs} takes "
                f"{list(wanted)}; use latents made for this model (or for a parent or child of it with as many rows)."
            )
        if self.noise is not None and not self._carried(theirs):
            self._check_noise(generator, theirs)
        return theirs

    def _in_rows_of(self, other: Latents) -> Latents:
        """These latents in the other's rows, where the two differ in depth alone."""
        if other.model is None or other.space != "w+" or not self._carried(other.model):
            return self
        return Latents(carry_rows(self.tensor, other.model.num_ws), "w+", other.model)

    def _carried(self, theirs: ModelSignature) -> bool:
        return self.space == "w+" and self.model is not None and self.model.carries(theirs)

    def note(self, generator: LatentModel) -> str:
        """What `fit` would change, in a sentence; empty where these latents are the generator's own. Raises LatentMismatch."""
        if not self._carried(self.check(generator)):
            return ""
        note = carry_note("These w+ latents", self.tensor.shape[1], generator.num_ws)
        return note if self.noise is None else f"{note} Their noise maps belong to the other depth and are left out."

    def fit(self, generator: LatentModel) -> Latents:
        """These latents in generator's own rows (see carry_rows); themselves where they have them. Raises LatentMismatch."""
        theirs = self.check(generator)
        if not self._carried(theirs):
            return self
        return Latents(carry_rows(self.tensor, generator.num_ws), "w+", theirs)

    def _check_noise(self, generator: LatentModel, theirs: ModelSignature) -> None:
        ours, wanted = [tuple(n.shape[2:]) for n in self.noise or ()], list(generator.synthesis.noise_shapes())
        if ours != wanted:
            raise LatentMismatch(
                f"These latents carry {len(ours)} noise maps up to {max(map(max, ours), default=0)} px but {theirs} "
                f"has {len(wanted)} up to {max(map(max, wanted), default=0)} px; drop them or use their own model."
            )

    def ws(self, generator: LatentModel, truncation_psi: float = 1.0, truncation_cutoff: int | None = None,
           c: Tensor | None = None) -> Tensor:
        """-> [B, num_ws, w_dim] on the generator's device: z and z+ go through the mapping, z and w repeat over rows.

        c: one-hot labels [1|B, c_dim] for z and z+ of a model with classes. Raises LatentMismatch, InvalidInput.
        """
        check_truncation(truncation_psi, truncation_cutoff)
        own = self.fit(generator)
        ws = codes_to_ws(generator, own.tensor.to(next(generator.parameters()).device), self.space, c)
        return ws if truncation_psi == 1 else truncate(ws, generator.w_avg, truncation_psi, truncation_cutoff)

    def truncate(self, generator: LatentModel, psi: float, cutoff: int | None = None, c: Tensor | None = None) -> Latents:
        """w_avg + psi (w - w_avg) on rows below cutoff (None: all) -> the same batch in w+."""
        own = self.fit(generator)
        return Latents(own.ws(generator, psi, cutoff, c), "w+", ModelSignature.of(generator), own.noise)

    def noise_for(self, generator: LatentModel) -> list[Tensor] | None:
        """The noise maps as `synthesis` takes them, on the generator's device; None for the model's own."""
        if self.noise is None:
            return None
        device, own = next(generator.parameters()).device, self.fit(generator)
        return None if own.noise is None else [n.to(device) for n in own.noise]

    def to(self, device: torch.device | str) -> Latents:
        noise = None if self.noise is None else tuple(n.to(device) for n in self.noise)
        return replace(self, tensor=self.tensor.to(device), noise=noise)

    def pick(self, indices: int | Iterable[int]) -> Latents:
        """The entries at `indices` (from 0; repeats allowed; negative counts from the end), in that order."""
        chosen = [indices] if isinstance(indices, int) else list(indices)
        for i in chosen:
            if not -len(self) <= i < len(self):
                raise InvalidInput(f"Entry {i} was asked of a batch of {len(self)} latents; use 0 to {len(self) - 1}.")
        chosen = [i % len(self) for i in chosen]
        noise = None if self.noise is None else tuple(n if len(n) == 1 else n[chosen] for n in self.noise)
        return replace(self, tensor=self.tensor[chosen], noise=noise)

    @staticmethod
    def combine(parts: Sequence[Latents]) -> Latents:
        """One batch after the other; noise maps survive when every part carries them, and w+ of another depth gets the first's
        rows (see carry_rows).

        Raises InvalidInput, LatentMismatch.
        """
        if not parts:
            raise InvalidInput("There are no latents to combine; give at least one.")
        first = parts[0]
        parts = [part if part is first else part._in_rows_of(first) for part in parts]
        for part in parts[1:]:
            if part.space != first.space or part.tensor.shape[1:] != first.tensor.shape[1:]:
                raise InvalidInput(
                    f"Latents in {first.space} {list(first.tensor.shape[1:])} and {part.space} "
                    f"{list(part.tensor.shape[1:])} can't share a batch; bring both to w+ (truncate with psi 1)."
                )
            if first.model and part.model and not first.model.fits(part.model, first.space):
                raise LatentMismatch(
                    f"Latents of {first.model} and of {part.model} can't share a batch; combine latents of one model."
                )
        device = first.tensor.device
        return Latents(torch.cat([p.tensor.to(device) for p in parts]), first.space,
                       next((p.model for p in parts if p.model), None), _joined_noise(parts))

    def save(self, path: str | Path, overwrite: bool = False) -> Path:
        """Write a file; returns its path (suffix .safetensors added, unless it is .npz: NVIDIA's form, w+ without noise maps).

        Raises InvalidInput, SaveError.
        """
        return self.files.save(self, path, overwrite)

    @staticmethod
    def load(path: str | Path, space: Space | None = None, model: LatentModel | None = None) -> Latents:
        """Read what `save` wrote, or what other projects' inversions left (see checkpoints.latents_file.load_latents).

        space: of a file that does not tell; None goes by its shape. model: a generator that they must fit. Raises LoadError,
        InvalidInput, LatentMismatch.
        """
        return Latents.files.load(path, space, model)


def _joined_noise(parts: Sequence[Latents]) -> tuple[Tensor, ...] | None:
    stacks = [p.noise for p in parts if p.noise is not None]
    if len(stacks) != len(parts) or len({tuple(n.shape[2:] for n in s) for s in stacks}) != 1:
        return None
    spread = [[n.expand(len(p), -1, -1, -1) for n in s] for p, s in zip(parts, stacks, strict=True)]
    return tuple(torch.cat([n.to(maps[0].device) for n in maps]) for maps in zip(*spread, strict=True))
