"""A run to look at while it goes: samples, and the curves of its log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..errors import InvalidInput
from ..pictures.curves import plot_curves

NAN = float("nan")


def curves_of(entries: Iterable[Mapping[str, Any]]) -> dict[str, Tensor]:
    """Losses by name [entries], and "score" where one was taken, of a log's entries (see read_log)."""
    told = [entry for entry in entries if "loss" in entry]
    names = dict.fromkeys(name for entry in told for name in entry["loss"])
    curves = {name: torch.tensor([float(entry["loss"].get(name, NAN)) for entry in told]) for name in names}
    if any("score" in entry for entry in told):
        curves["score"] = torch.tensor([float(entry.get("score", NAN)) for entry in told])
    return curves


def plot_run(entries: Sequence[Mapping[str, Any]], width: int = 720, height: int = 480) -> Tensor:
    """A log's curves -> picture [1, 3, height, width] in [-1, 1]. Raises InvalidInput while nothing can be drawn."""
    curves, seen = curves_of(entries), [entry["images"] for entry in entries if "loss" in entry and "images" in entry]
    if not any(bool((values > 0).any()) for values in curves.values()):
        raise InvalidInput(f"The run's log has {len(entries)} entries and no loss to draw yet; wait for its first samples.")
    return plot_curves(curves, width, height, (f"{seen[0]} pictures", seen[-1]) if seen else None)


def with_curves(samples: Tensor, entries: Sequence[Mapping[str, Any]], width: int = 720) -> Tensor:
    """Samples [1, 3, h, w] above the curves, as wide -> one picture; the samples alone while there are no curves."""
    shown = interpolate(samples.float(), size=(round(samples.shape[2] * width / samples.shape[3]), width), mode="bilinear",
                        antialias=True)
    try:
        return torch.cat([shown, plot_run(entries, width, width // 3)], dim=2)
    except InvalidInput:
        return shown
