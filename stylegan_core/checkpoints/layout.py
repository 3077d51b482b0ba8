"""What a row of the layout table is, and the three steps every row shares: match, move keys, name what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..errors import LoadError, UnsupportedCheckpoint
from ..networks.shapes import MAX_RESOLUTION
from .tensors import LazyTensor

STANDARD_TAPS = (1, 3, 3, 1)


@dataclass(frozen=True)
class SourceState:
    """The state dict of one network under the file's own names, wrappers and common prefixes taken off."""

    tensors: Mapping[str, LazyTensor]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Numbers and texts beside the tensors: "synthesis.b4.conv1.conv_clamp", "static_kwargs.fmap_base", "args.size"."""
    part: str = ""
    """Where in the file: "g_ema", "G_ema", "state_dict.decoder", "Gs"; empty for a bare state dict."""
    file: str = ""
    """The file's name, for layouts whose programs put facts there."""
    resolution: int | None = None
    """What the user says of a file that does not tell."""

    def has(self, pattern: str) -> bool:
        """Whether a key fully matches the regular expression."""
        return any(map(re.compile(pattern).fullmatch, self.tensors))

    def indices(self, pattern: str) -> list[int]:
        """Sorted numbers that the pattern's first group takes over all keys."""
        found = (re.fullmatch(pattern, key) for key in self.tensors)
        return sorted({int(match[1]) for match in found if match and len(match[1]) < 8})


@dataclass(frozen=True)
class ConvertedState:
    """The state dict of a network under this package's names (the canonical keys)."""

    tensors: Mapping[str, LazyTensor]
    facts: Mapping[str, Any]
    """What shapes can't tell, by config field name (conv_clamp, resample_kernel ...)."""
    source_keys: Mapping[str, str] = field(default_factory=dict)
    """Canonical key -> key in the file, so that errors speak the file's language."""
    notes: tuple[str, ...] = ()
    """Sentences the user should see."""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {key: tensor.shape for key, tensor in self.tensors.items()}


def _always(_: SourceState) -> bool:
    return True


@dataclass(frozen=True)
class Layout:
    """One row of the table: how files of this kind are recognized, and how their keys are renamed."""

    name: str
    """Short and stable, e.g. "rosinality-stylegan2"."""
    family: str
    """Key into networks.FAMILIES."""
    title: str
    """For sentences: "a rosinality StyleGAN2"."""
    tells: tuple[str, ...]
    """Regular expressions; every such file has a key that fully matches each."""
    convert: Callable[[SourceState], ConvertedState]
    never: tuple[str, ...] = ()
    """Regular expressions that no key of such a file matches."""
    accepts: Callable[[SourceState], bool] = _always
    """A further condition on shapes or attributes."""

    def matches(self, state: SourceState) -> bool:
        return all(map(state.has, self.tells)) and not any(map(state.has, self.never)) and self.accepts(state)


Transform = Callable[[LazyTensor], LazyTensor]
Rename = tuple[str, str, Transform]
"""(key in the file, canonical key, transform of the tensor)."""


def keep(tensor: LazyTensor) -> LazyTensor:
    """As it is."""
    return tensor


def drop_first(tensor: LazyTensor) -> LazyTensor:
    """[1, ...] -> [...]."""
    return tensor.reshape(*tensor.shape[1:])


def flat(tensor: LazyTensor) -> LazyTensor:
    """Any shape -> [n]."""
    return tensor.reshape(tensor.numel)


def scalar(tensor: LazyTensor) -> LazyTensor:
    """[1] or [] -> []."""
    return tensor.reshape()


def square(tensor: LazyTensor) -> LazyTensor:
    """[1, 1, h, w] -> [h, w]."""
    return tensor.reshape(*tensor.shape[-2:])


def rename_keys(state: SourceState, renames: Iterable[Rename], title: str, ignore: str = "(?!)",
                optional: str = "(?!)") -> tuple[dict[str, LazyTensor], dict[str, str]]:
    """Apply a key map; returns (tensors, source_keys) of a ConvertedState.

    `ignore`: keys of the file that carry nothing; `optional`: keys of the map that may be absent. Raises LoadError naming
    missing and surplus keys.
    """
    renames = list(renames)
    missing = [key for key, _, _ in renames if key not in state.tensors and not re.fullmatch(optional, key)]
    if missing:
        raise LoadError(
            f"The file lacks {_some(missing)}, which {title} has; it is incomplete, download or convert it again."
        )
    known = {key for key, _, _ in renames}
    surplus = [key for key in state.tensors if key not in known and not re.fullmatch(ignore, key)]
    if surplus:
        raise LoadError(
            f"The file has {_some(surplus)}, which {title} does not have; it comes from a modified network, which "
            "is not supported."
        )
    tensors, source_keys = {}, {}
    for source, target, transform in renames:
        if source in state.tensors:
            try:
                tensors[target] = transform(state.tensors[source])
            except LoadError as error:
                raise LoadError(f"{source}: {error}") from error
            source_keys[target] = source
    return tensors, source_keys


def _some(keys: list[str], limit: int = 5) -> str:
    rest = f" and {len(keys) - limit} more" if len(keys) > limit else ""
    return ", ".join(key[:100] for key in keys[:limit]) + rest


def same_everywhere(state: SourceState, patterns: Mapping[str, str]) -> dict[str, Any]:
    """Config fields from attributes: field -> pattern of the attributes that tell it. UnsupportedCheckpoint if they differ."""
    found: dict[str, Any] = {}
    for name, pattern in patterns.items():
        values = {value for key, value in state.attributes.items() if re.fullmatch(pattern, key)}
        if len(values) > 1:
            raise UnsupportedCheckpoint(f"The layers of this network differ in {name} ({sorted(map(str, values))}); only "
                                        "networks with one value are supported.")
        found |= dict.fromkeys([name], values.pop()) if values else {}
    return found


def check_resolution(resolution: int) -> int:
    """The resolution, refused beyond MAX_RESOLUTION."""
    if not 4 <= resolution <= MAX_RESOLUTION:
        raise UnsupportedCheckpoint(
            f"The network would draw {resolution} px images and {MAX_RESOLUTION} px is the most supported; the file "
            "is damaged or made to exhaust memory."
        )
    return resolution


Taps = tuple[float, ...] | tuple[tuple[float, ...], ...]


def taps_of(kernels: Mapping[str, LazyTensor]) -> Taps:
    """Resampling taps (1 3 3 1 and the like, or a square for a filter that is no product) of the stored FIR buffers.

    They must all agree. Raises LoadError.
    """
    found: Taps = STANDARD_TAPS
    for i, (key, lazy) in enumerate(kernels.items()):
        taps = _taps(key, lazy)
        if i and taps != found:
            raise LoadError(f"Resampling filters differ between layers ({key}); that network is not supported.")
        found = taps
    return found


def _taps(key: str, lazy: LazyTensor) -> Taps:
    if len(lazy.shape) != 2 or lazy.shape[0] != lazy.shape[1] or not 1 <= lazy.shape[0] <= 32:
        raise LoadError(f"The resampling filter {key} has shape {list(lazy.shape)}; expected a small square.")
    kernel: Tensor = lazy.read().double()
    kernel = kernel / kernel.sum()
    line = kernel.sum(dim=0)
    if not torch.isfinite(kernel).all():
        raise LoadError(f"The resampling filter {key} holds no finite numbers; the file is damaged.")
    if not torch.allclose(torch.outer(line, line), kernel, atol=1e-5):
        return tuple(tuple(round(float(t) * 64, 4) for t in row) for row in kernel)
    taps = tuple(round(float(t) * 8, 4) for t in line)
    close = len(taps) == 4 and max(abs(a - b) for a, b in zip(taps, STANDARD_TAPS, strict=True)) < 1e-3
    return STANDARD_TAPS if close else taps
