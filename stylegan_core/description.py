"""A loaded model in a few lines of text."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from .checkpoints.facts import TITLES, count_parameters


def describe(model: nn.Module) -> str:
    """What it is, its size, where it came from and under which licence, one fact a line."""
    info = getattr(model, "info", None)
    kind = str(getattr(model, "kind", type(model).__name__))
    facts = [TITLES.get(kind, kind)]
    if size := getattr(model, "img_resolution", None):
        facts.append(f"{size} px, {getattr(model, 'num_ws', '?')} styles of {getattr(model, 'w_dim', '?')}")
    if classes := getattr(model, "c_dim", 0):
        facts.append(f"{classes} classes")
    count = count_parameters({name: tuple(t.shape) for name, t in model.state_dict().items()})
    facts.append(f"{count / 1e6:.1f} M parameters")
    if info is None:
        return "\n".join(facts)
    if info.source:
        facts.append(f"from {Path(info.source).name} ({info.layout})")
    facts += [f"parent: {parent.get('name') or 'unnamed'} (licence: {parent.get('licence', 'unknown')})"
              for parent in info.parents]
    facts.append(f"licence: {info.licence}")
    facts += [f"{key}: {value}" for key, value in info.notes.items()]
    return "\n".join(facts)
