"""What latents must know of a model, and what they ask of one: no network is imported here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn


class LatentMapping(Protocol):
    """The part of a mapping network that latents call."""

    def to_w(self, z: Tensor, c: Tensor | None = None) -> Tensor: ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...


class StyledRow(Protocol):
    """The part of a styled layer that rows are chosen by."""

    @property
    def resolution(self) -> int: ...

    @property
    def row(self) -> int | None: ...

    @property
    def kind(self) -> str: ...


class NoiseTaker(Protocol):
    """The part of a synthesis network that latents ask."""

    def noise_shapes(self) -> tuple[tuple[int, int], ...]: ...


class LatentModel(Protocol):
    """A generator as latents see it: sizes, rows, a mapping and the centre of truncation."""

    kind: ClassVar[str]

    @property
    def img_resolution(self) -> int: ...
    @property
    def num_ws(self) -> int: ...
    @property
    def z_dim(self) -> int: ...
    @property
    def w_dim(self) -> int: ...
    @property
    def c_dim(self) -> int: ...
    @property
    def w_avg(self) -> Tensor: ...
    @property
    def layers(self) -> Sequence[StyledRow]: ...
    @property
    def mapping(self) -> LatentMapping: ...
    @property
    def synthesis(self) -> NoiseTaker: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """Sixteen hex digits that name a network's weights, such as a mapping's (its state dict, "fc0.weight" ...).

    Half precision, so that a model and its half-precision copy agree; w_avg stays out, being no part of the map.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        if name != "w_avg":
            digest.update(f"{name} {tuple(tensor.shape)} ".encode())
            digest.update(tensor.detach().to("cpu", torch.float16).contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def mapping_hash(mapping: LatentMapping) -> str:
    """Sixteen hex digits that name a mapping network's weights (see fingerprint)."""
    return fingerprint(dict(mapping.named_parameters()))


TYPES = (str, int, int, int, str)
"""Of a signature's fields; files may say anything."""

CARRIED = ("mobilestylegan",)
"""Families whose variants of different depth have the same coarse rows, the image head's being the last."""


def carry_rows(ws: Tensor, num_ws: int) -> Tensor:
    """w+ codes (or directions) [..., rows, dim] of one depth -> [..., num_ws, dim] of another: the row rule.

    The rows that both have stay as they are, the old image head's row is dropped, and every further row is the mean of those
    that stay. So `base-256` (17 rows) and `base` (23) exchange rows 0-15; 16-22, or 16, are their mean. Repeating the last
    row instead tints the picture.
    """
    shared = ws[..., : min(ws.shape[-2], num_ws) - 1, :]
    further = shared.mean(-2, keepdim=True).expand(*shared.shape[:-2], num_ws - shared.shape[-2], -1)
    return torch.cat([shared, further], dim=-2)


def carry_note(what: str, rows: int, num_ws: int) -> str:
    """A sentence on what carry_rows did to `what`."""
    last = min(rows, num_ws) - 1
    return (f"{what} have {rows} rows and the model takes {num_ws}: rows 0-{last - 1} stay as they are, "
            f"{f'{last}-{num_ws - 1} are' if num_ws - 1 > last else f'row {last} is'} their mean.")


@dataclass(frozen=True)
class ModelSignature:
    """What latents must know of the model they were made with."""

    family: str
    resolution: int
    num_ws: int
    w_dim: int
    mapping_hash: str

    def __post_init__(self) -> None:
        if (found := tuple(map(type, (self.family, self.resolution, self.num_ws, self.w_dim, self.mapping_hash)))) != TYPES:
            raise TypeError(f"a model signature of {', '.join(t.__name__ for t in found)}")

    @classmethod
    def of(cls, generator: LatentModel) -> ModelSignature:
        return cls(generator.kind, generator.img_resolution, generator.num_ws, generator.w_dim,
                   mapping_hash(generator.mapping))

    def __str__(self) -> str:
        size = f"{self.num_ws} rows of {self.w_dim}"
        return f"{self.family} {self.resolution} px ({size}, mapping {self.mapping_hash[:8]})"

    def fits(self, other: ModelSignature, space: str) -> bool:
        """Whether latents of `space` mean the same in both: one mapping network and, for z+ and w+, as many rows, or rows of
        w+ that carry_rows takes over."""
        as_many = not space.endswith("+") or self.num_ws == other.num_ws
        return self.mapping_hash == other.mapping_hash and (as_many or (space == "w+" and self.carries(other)))

    def carries(self, other: ModelSignature) -> bool:
        """Whether the two differ in depth alone, as `base` and `base-256` do."""
        mine, theirs = (replace(s, resolution=0, num_ws=0) for s in (self, other))
        return self.family in CARRIED and mine == theirs and self.num_ws != other.num_ws
