"""What tuning adds to a generator's weights, as a small file; put on a model and taken off without touching it.

    W' = W + strength * U V        U [O, r], V [r, I]: W as a matrix of O outputs, rank r (Hu et al. 2021, 2106.09685)
    W' = W + strength * D          where D itself is no larger than U and V
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..checkpoints.containers import read_file
from ..checkpoints.safetensors_file import read_json, write_safetensors
from ..checkpoints.saving import lineage
from ..checkpoints.tensors import FLOATS
from ..errors import AtelierError, DeltaMismatch, InvalidInput, LoadError
from ..latents import ModelSignature, fingerprint
from ..networks.generators.base import Generator
from ..networks.info import ModelInfo, joined_licences
from ..ops.modulated import exact
from ..runtime import alias, rebuild

FAMILY = "delta"
WHOLE, UP, DOWN = ".whole", ".up", ".down"
PREFIX = "synthesis."
"""Only the synthesis is ever changed: the mapping stays, and with it the meaning of every latent."""
G = TypeVar("G", bound=Generator)
Part = tuple[Tensor, ...]
"""(D,) of the weight's shape, or (U, V)."""


@dataclass(frozen=True)
class BaseModel:
    """The model a delta was made with."""

    signature: ModelSignature
    weights: str
    """Fingerprint of the weights the delta adds to, as they were."""
    chain: Mapping[str, Any]
    """name, family, sha256, licence and parents, as in the lineage of any model."""

    @classmethod
    def of(cls, model: Generator, touched: Iterable[str]) -> BaseModel:
        return cls(ModelSignature.of(model), _fingerprint(model, touched), lineage(model))


@dataclass(frozen=True, eq=False)
class Delta:
    """Additions to weights by state-dict name, and the model they belong to."""

    parts: Mapping[str, Part]
    origin: BaseModel
    notes: Mapping[str, Any] = field(default_factory=dict)
    """Free facts: steps, losses, ranks."""

    @property
    def numel(self) -> int:
        """Numbers stored."""
        return numbers(self.parts.values())

    @property
    def nbytes(self) -> int:
        """Size of the file, but for its header."""
        return sum(t.nbytes for part in self.parts.values() for t in part)

    def check(self, model: Generator) -> None:
        """Raise DeltaMismatch unless model is the parent or a child of it: one mapping network, or the very weights that
        were tuned; and the same shapes."""
        theirs, weights = ModelSignature.of(model), dict(model.named_parameters())
        odd = [name for name, part in self.parts.items() if name not in weights or not _fits(part, weights[name])]
        related = theirs.mapping_hash == self.origin.signature.mapping_hash
        if odd or not (related or (self.parts and _fingerprint(model, self.parts) == self.origin.weights)):
            found = f"differs in {len(odd)} of {len(self.parts)} tuned weights" if odd else "has another mapping network"
            own = " The built-in base-256 is the one of 256 px." if self.origin.signature.carries(theirs) else ""
            raise DeltaMismatch(
                f"This delta was tuned on {self.origin.signature} and the model, {theirs}, {found}; give the model it was "
                f"tuned on, or a child of it (a blend, a fine-tuned copy).{own}"
            )

    def save(self, path: str | Path, overwrite: bool = False) -> Path:
        """Write a safetensors file; returns its path (suffix added). Raises InvalidInput."""
        tensors = {name + suffix: tensor for name, part in self.parts.items()
                   for suffix, tensor in zip(_suffixes(part), part, strict=True)}
        origin = {"signature": asdict(self.origin.signature), "weights": self.origin.weights, "chain": dict(self.origin.chain)}
        facts = {"family": FAMILY, "origin": origin, "notes": dict(self.notes),
                 "licence": self.origin.chain.get("licence", "unknown")}
        return write_safetensors(path, tensors, facts, overwrite)

    @classmethod
    def load(cls, path: str | Path) -> Delta:
        """Read what `save` wrote. Raises LoadError."""
        contents = read_file(path)
        own = read_json(contents.metadata)
        if own is None or own.get("family") != FAMILY:
            raise LoadError(f"{contents.path.name} holds no model delta; give a file made by Save Model Delta.")
        try:
            parts = _grouped({key: lazy.read() for key, lazy in contents.tree.items()})
            origin = own["origin"]
            found = BaseModel(ModelSignature(**origin["signature"]), str(origin["weights"]), dict(origin["chain"]))
            return cls(parts, found, dict(own.get("notes") or {}))
        except (KeyError, TypeError, ValueError, AttributeError, AtelierError) as error:
            raise LoadError(f"{contents.path.name} contradicts itself ({error}); save the delta again.") from error


def apply_delta(model: G, delta: Delta, strength: float = 1.0) -> G:
    """A model of its own with the delta added `strength` times; it shares every other tensor with model, which stays as it is.

    model: the delta's parent, or a child of it, such as a blend. strength: 0 is model, 1 the tuned one; a tuned model with
    -1 is the parent again, to rounding. Raises DeltaMismatch, InvalidInput.
    """
    if not math.isfinite(strength):
        raise InvalidInput(f"The delta's strength is {strength}; give a finite number, such as 1.")
    delta.check(model)

    def replace(name: str, tensor: Tensor) -> Tensor:
        if name not in delta.parts:
            return alias(tensor, tensor)
        added = expand(delta.parts[name], tensor.shape).to(tensor.device)
        return nn.Parameter((tensor.to(added) + strength * added).to(tensor.dtype), tensor.requires_grad)

    with torch.inference_mode(False), torch.no_grad():
        child = rebuild(model, replace)
    child.info = _child_info(model, delta, strength)
    return child


def expand(part: Part, shape: torch.Size) -> Tensor:
    """What a part adds to a weight of `shape`, in float32 or better; differentiable."""
    whole, *right = map(exact, part)
    return (whole @ right[0] if right else whole).reshape(shape)


def principal(part: Part) -> Part:
    """The same addition as U V along its singular directions, strongest first, each spread evenly over U and V."""
    if len(part) == 2:
        left, a = torch.linalg.qr(part[0].float())
        right, b = torch.linalg.qr(part[1].float().T)
        u, s, v = torch.linalg.svd(a @ b.T, full_matrices=False)
        u, v = left @ u, v @ right.T
    elif part[0].ndim > 1:
        u, s, v = torch.linalg.svd(part[0].float().flatten(1), full_matrices=False)
    else:
        return part
    return u * s.sqrt(), s.sqrt()[:, None] * v


def cut(part: Part, energy: float) -> Part:
    """The fewest directions of a principal part that hold the share `energy` (0..1) of its squared sum."""
    if len(part) == 1:
        return part
    squares = part[0].square().sum(0).square()  # a column of U has the length sqrt(singular value)
    rank = int((squares.cumsum(0) < energy * squares.sum()).sum()) + 1
    return part[0][:, :rank], part[1][:rank]


def numbers(parts: Iterable[Part]) -> int:
    """How many numbers the parts hold."""
    return sum(t.numel() for part in parts for t in part)


def _fits(part: Part, weight: Tensor) -> bool:
    if len(part) == 1:
        return part[0].shape == weight.shape
    return weight.ndim >= 2 and (len(part[0]), part[1].shape[1]) == (len(weight), weight[0].numel())


def _fingerprint(model: Generator, names: Iterable[str]) -> str:
    weights = dict(model.named_parameters())
    return fingerprint({name: weights[name] for name in names})


def _suffixes(part: Part) -> tuple[str, ...]:
    return (WHOLE,) if len(part) == 1 else (UP, DOWN)


def _grouped(tensors: Mapping[str, Tensor]) -> dict[str, Part]:
    """Tensors of a file by key -> parts by name. Raises LoadError for what makes no part."""
    for key, tensor in tensors.items():
        if tensor.dtype not in FLOATS or not torch.isfinite(tensor).all():
            raise LoadError(f"{key} holds NaN, infinity or whole numbers")
    names = dict.fromkeys(key[: key.rindex(".")] for key in tensors)
    parts: dict[str, Part] = {}
    for name in names:
        suffixes = (WHOLE,) if name + WHOLE in tensors else (UP, DOWN)
        part = tuple(tensors[name + suffix] for suffix in suffixes)
        if len(part) == 2 and not (part[0].ndim == part[1].ndim == 2 and part[0].shape[1] == len(part[1]) > 0):
            raise LoadError(f"the ranks of {name} are {list(part[0].shape)} and {list(part[-1].shape)}")
        parts[name] = part
    if sum(map(len, parts.values())) != len(tensors) or not all(name.startswith(PREFIX) for name in parts):
        raise LoadError("it holds tensors that belong to no weight of a synthesis")
    return parts


def _child_info(model: Generator, delta: Delta, strength: float) -> ModelInfo:
    """info of the tuned model: its parent is the model, its licence the model's and that of the delta's origin."""
    licence = joined_licences((model.info.licence, str(delta.origin.chain.get("licence", "unknown"))))
    return ModelInfo(family=model.info.family, parents=(lineage(model),), licence=licence,
                     notes={"delta": {"strength": strength, "tuned on": delta.origin.chain.get("name", ""), **delta.notes}})
