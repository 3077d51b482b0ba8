"""What a run must save to go on as if it had never stopped, as flat tensors and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from .adam import MOMENTS, Adam
from .average import Average

Part: TypeAlias = "nn.Module | Average | torch.Generator | tuple[Adam, Mapping[str, Tensor]] | Mapping[str, Tensor]"
"""A network, averages, a source of random numbers, an optimizer with its tensors by name, tensors by name."""


def collect(parts: Mapping[str, Part]) -> dict[str, Tensor]:
    """Every tensor of the parts, "part.name"; not copied where it need not be."""
    return {f"{label}.{key}": tensor.detach() for label, part in parts.items() for key, tensor in _tensors(part).items()}


@torch.no_grad()
def restore(parts: Mapping[str, Part], tensors: Mapping[str, Tensor]) -> None:
    """Give the parts, in place, what `collect` found. Raises InvalidInput, before anything changes, where names or shapes of
    networks and tensors are others."""
    found = {label: {key[len(label) + 1 :]: t for key, t in tensors.items() if key.startswith(f"{label}.")} for label in parts}
    wrong = [f"{label}.{key}" for label, part in parts.items() for key in _differing(part, found[label])]
    if wrong:
        raise InvalidInput(f"The run was begun with another model: {', '.join(wrong[:3])} differ; give the one that it began "
                           f"with.")
    for label, part in parts.items():
        _give(part, found[label])


def _tensors(part: Part) -> dict[str, Tensor]:
    if isinstance(part, nn.Module):
        return part.state_dict()
    if isinstance(part, Average):
        return part.tensors
    if isinstance(part, torch.Generator):
        return {"state": part.get_state()}
    if isinstance(part, tuple):
        adam, named = part
        return {f"{name}.{key}": tensor for name, entry in adam.by_name(named).items() for key, tensor in entry.items()}
    return dict(part)


def _differing(part: Part, found: Mapping[str, Tensor]) -> list[str]:
    if isinstance(part, tuple):
        known = {f"{name}.{key}": t.shape for name, t in part[1].items() for key in MOMENTS}
        return [key for key, t in found.items() if not key.endswith(".step") and known.get(key) != t.shape]
    own = _tensors(part)
    return [key for key in {**own, **found} if key not in own or key not in found or own[key].shape != found[key].shape]


def _give(part: Part, found: Mapping[str, Tensor]) -> None:
    if isinstance(part, torch.Generator):
        part.set_state(found["state"].cpu())
    elif isinstance(part, tuple):
        entries: dict[str, dict[str, Any]] = {}
        for key, tensor in found.items():
            name, _, leaf = key.rpartition(".")
            entries.setdefault(name, {})[leaf] = tensor
        part[0].load_by_name(part[1], entries)
    else:
        for key, own in _tensors(part).items():
            own.copy_(found[key])
