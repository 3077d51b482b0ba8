"""A set of named directions in w, and the files it comes from and goes to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..checkpoints import read_file, read_json, write_safetensors
from ..checkpoints.containers import with_file
from ..checkpoints.tensors import FLOATS, ArrayStub, LazyTensor, check_unfolded
from ..errors import InvalidInput, LatentMismatch, LoadError
from ..latents import ModelSignature, carry_rows
from ..networks.generators.base import Generator

FAMILY = "directions"
PLUS_ROWS = (8, 10, 12, 14, 16, 18)
"""Rows of w+ of square StyleGANs from 32 to 1024 px: a foreign [rows, dim] of so many rows is one direction in w+."""
COLUMNS = "eigvec"
"""Key under which closed-form factorizations of StyleGAN2 are saved: eigenvectors are its columns."""
MAX_DIRECTIONS = 4096
MAX_DEPTH = 4
MAX_NODES = 100_000
HOLDERS = (Mapping, list, tuple, LazyTensor, ArrayStub)


@dataclass(frozen=True, eq=False)
class Directions:
    """n directions; `strength` of direction i adds strength * scale[i] * tensor[i] to w."""

    tensor: Tensor
    """[n, w_dim], or [n, num_ws, w_dim] for directions of w+; float32 on the CPU."""
    names: tuple[str, ...]
    scale: Tensor
    """[n]: what strength 1 means. For found directions one standard deviation of random faces along them."""
    layers: tuple[str, ...]
    """Where each acts unless told otherwise, as rows_between takes it: "all", "4-8" px."""
    method: str = "boundary"
    """"sefa", "pca", or "boundary" for what a file gave."""
    model: ModelSignature | None = None
    """The model they were found in; None fits any of their width."""

    def __post_init__(self) -> None:
        count = len(self.tensor)
        if self.tensor.ndim not in (2, 3) or not self.tensor.numel():
            raise InvalidInput(f"Directions came with shape {list(self.tensor.shape)}; give [directions, width], or "
                               f"[directions, rows, width] for w+.")
        if not (torch.isfinite(self.tensor).all() and torch.isfinite(self.scale).all()):
            raise InvalidInput("These directions hold NaN or infinity; find or load them again.")
        if any(len(part) != count for part in (self.names, self.scale, self.layers)):
            raise InvalidInput(f"{count} directions came with {len(self.names)} names, {len(self.scale)} scales and "
                               f"{len(self.layers)} layer ranges; give one of each a direction.")

    def __len__(self) -> int:
        return len(self.tensor)

    def find(self, which: int | str) -> int:
        """Index of a direction from its name (case is ignored) or number, from 0; -1 is the last. Raises InvalidInput."""
        text = str(which).strip()
        lowered = [name.lower() for name in self.names]
        if text.lower() in lowered:
            return lowered.index(text.lower())
        if re.fullmatch(r"-?\d{1,6}", text) and -len(self) <= int(text) < len(self):
            return int(text) % len(self)
        known = ", ".join(self.names[:40]) + (" ..." if len(self) > 40 else "")
        raise InvalidInput(f'No direction is called "{text}"; use one of {known}, or a number from 0 to {len(self) - 1}.')

    def pick(self, indices: Sequence[int]) -> Directions:
        """The directions at `indices`, in that order."""
        rows = list(indices)
        return replace(self, tensor=self.tensor[rows], names=tuple(self.names[i] for i in rows), scale=self.scale[rows],
                       layers=tuple(self.layers[i] for i in rows))

    def renamed(self, text: str) -> Directions:
        """Those that `text` lists, under the names it gives: "0 = smile, 3, 5 = age"; empty: all. Raises InvalidInput."""
        parts = [part.partition("=") for part in text.split(",") if part.strip()]
        if not parts:
            return self
        picked = self.pick([self.find(which) for which, _, _ in parts])
        names = tuple(given.strip() or name for (_, _, given), name in zip(parts, picked.names, strict=True))
        return replace(picked, names=names)

    def check(self, generator: Generator) -> None:
        """Raise LatentMismatch, naming both, unless `generator` can take these directions."""
        theirs = ModelSignature.of(generator)
        if self.model is not None and not self.model.fits(theirs, "w+" if self.tensor.ndim == 3 else "w"):
            raise LatentMismatch(f"These directions were found in {self.model} but the model is {theirs}; use that model, one "
                                 f"that shares its mapping network, or find directions in this one.")
        rows = self.model.num_ws if self.model is not None and self._carried(theirs) else generator.num_ws
        wanted = [rows, generator.w_dim][3 - self.tensor.ndim :]
        if list(self.tensor.shape[1:]) != wanted:
            raise LatentMismatch(f"These directions have {list(self.tensor.shape[1:])} numbers each but {theirs} takes "
                                 f"{wanted}; use directions made for such a model.")

    def _carried(self, theirs: ModelSignature) -> bool:
        return self.tensor.ndim == 3 and self.model is not None and self.model.carries(theirs)

    def fit(self, generator: Generator) -> Directions:
        """These directions in generator's own rows (see carry_rows). Raises LatentMismatch."""
        self.check(generator)
        theirs = ModelSignature.of(generator)
        if not self._carried(theirs):
            return self
        return replace(self, tensor=carry_rows(self.tensor, generator.num_ws), model=theirs)

    def save(self, path: str | Path, overwrite: bool = False) -> Path:
        """Write a safetensors file (suffix added) with names, scale, layers and model signature. Raises InvalidInput."""
        facts = {"family": FAMILY, "method": self.method, "names": list(self.names), "layers": list(self.layers),
                 "model": asdict(self.model) if self.model else None}
        return write_safetensors(path, {"directions": self.tensor, "scale": self.scale}, facts, overwrite)

    @staticmethod
    def load(path: str | Path, num_ws: int | None = None) -> Directions:
        """What `save` wrote, or boundaries in .npy, .pt, .pkl and foreign .safetensors; the file is only read as data.

        Boundaries: [dim], [1, dim] (InterFaceGAN, Shen et al. 2020, 2005.09635), [n, dim], [rows, dim] and [n, rows, dim]
        of w+, one or several by name, in w, at their own length (scale 1). A [rows, dim] counts as w+ if it has num_ws
        rows (num_ws unknown: as many as a square StyleGAN has). Raises LoadError, UnsafeCheckpoint.
        """
        contents = read_file(path)
        try:
            own = read_json(contents.metadata)
            return _own(contents.tree, own) if own else _boundaries(contents.tree, contents.path.stem, num_ws, contents.size)
        except InvalidInput as error:
            raise with_file(LoadError(str(error)), contents.path) from error
        except LoadError as error:
            raise with_file(error, contents.path) from error


def _own(tree: Mapping[str, LazyTensor], facts: Mapping[str, Any]) -> Directions:
    if facts.get("family") != FAMILY or "directions" not in tree or "scale" not in tree:
        raise LoadError(f"The file holds a network ({str(facts.get('family'))[:40]}) and no directions; give a file made by "
                        f"Save Directions, or boundaries.")
    try:
        signature = ModelSignature(**facts["model"]) if facts["model"] else None
        names, layers = (tuple(map(str, facts[key])) for key in ("names", "layers"))
        return Directions(_read(tree["directions"]), names, _read(tree["scale"]), layers, str(facts["method"]), signature)
    except (KeyError, TypeError) as error:
        raise LoadError(f"The file contradicts itself ({error}); save the directions again.") from error


def _boundaries(tree: Any, stem: str, num_ws: int | None, size: int) -> Directions:
    """size: the file's bytes, which its arrays must not unfold far beyond."""
    names, parts, total = [], [], 0
    for key, lazy in _tensors(tree):
        if len(names) >= MAX_DIRECTIONS:
            raise LoadError(f"The file holds more than {MAX_DIRECTIONS} arrays; it is no file of directions.")
        total += lazy.nbytes
        check_unfolded(total, size)
        part = _stacked(lazy, key, num_ws)
        name = stem if key in ("", "codes") else key
        names += [name] if len(part) == 1 else [f"{name} {i}" for i in range(len(part))]
        parts.append(part)
    if not parts:
        raise LoadError("The file holds no array of numbers; give a boundary such as [1, 512], or a file made by Save "
                        "Directions.")
    if len({part.shape[1:] for part in parts}) > 1:
        raise LoadError(f"The file's directions differ in shape ({', '.join(str(list(p.shape[1:])) for p in parts[:4])} ...); "
                        f"save those of one kind together.")
    return Directions(torch.cat(parts), tuple(names), torch.ones(len(names)), ("all",) * len(names))


def _tensors(root: Any) -> Iterator[tuple[str, LazyTensor]]:
    """(name, array) of everything below a file's root. Raises LoadError for a tree that unfolds without end."""
    waiting, visited = [("", root, 0)], 0
    while waiting:
        name, node, depth = waiting.pop()
        visited += 1
        node = node.lazy if isinstance(node, ArrayStub) else node
        if isinstance(node, LazyTensor):
            yield name, node
        elif isinstance(node, (Mapping, list, tuple)) and depth < MAX_DEPTH:
            pairs = node.items() if isinstance(node, Mapping) else enumerate(node)
            below = [(str(key)[:80], child, depth + 1) for key, child in pairs if isinstance(child, HOLDERS)]
            if visited + len(waiting) + len(below) > MAX_NODES:
                raise LoadError(f"The file holds more than {MAX_NODES} lists and arrays; it is no file of directions.")
            waiting += reversed(below)


def _stacked(lazy: LazyTensor, key: str, num_ws: int | None) -> Tensor:
    """One array of a file -> [n, dim] or [n, rows, dim]."""
    shape: list[int] = list(lazy.shape)
    too_many = len(shape) > 1 and shape[0] > MAX_DIRECTIONS
    if lazy.dtype not in FLOATS or not 1 <= len(shape) <= 3 or not lazy.numel or too_many:
        raise LoadError(f'The array "{key[:40]}" has type {lazy.dtype} and shape {shape}, which is no direction; give '
                        f"numbers of shape [width], [directions, width] or [directions, rows, width].")
    found = _read(lazy)
    if len(shape) == 1:
        return found[None]
    if key == COLUMNS and len(shape) == 2:
        return found.T.contiguous()
    if len(shape) == 3:
        return found[:, 0] if shape[1] == 1 else found
    plus = shape[0] in (PLUS_ROWS if num_ws is None else (num_ws,))
    return found[None] if plus and shape[0] > 1 else found


def _read(lazy: LazyTensor) -> Tensor:
    return lazy.read().float().clone()
