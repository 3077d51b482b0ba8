"""What latents must know of a model, and what they ask of one: no network is imported here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn


class LatentMapping(Protocol):
    """The part of a mapping network that latents call."""

    def to_w(self, z: Tensor, c: Tensor | None = None) -> Tensor: ...

    def state_dict(self) -> Mapping[str, Any]: ...


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
    """Sixteen hex digits that name a mapping network's weights (its state dict, "fc0.weight" ...).

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
    return fingerprint(mapping.state_dict())


TYPES = (str, int, int, int, str)
"""Of a signature's fields; files may say anything."""


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
        """Whether latents of `space` mean the same in both: one mapping network and, for z+ and w+, as many rows."""
        return self.mapping_hash == other.mapping_hash and (not space.endswith("+") or self.num_ws == other.num_ws)
