"""A loaded model in a few lines of text."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from ..latents import ModelSignature
from .facts import TITLES, count_parameters


def describe(model: nn.Module) -> str:
    """What it is, its size, where it came from and under which licence, one fact a line."""
    info = getattr(model, "info", None)
    kind = str(getattr(model, "kind", type(model).__name__))
    facts = [TITLES.get(kind, kind)]
    if size := getattr(model, "img_resolution", None):
        facts.append(f"{size} px, {getattr(model, 'num_ws', '?')} styles of {getattr(model, 'w_dim', '?')}")
    if signature := getattr(model, "signature", None):
        facts += _codes(str(getattr(model, "space", "")), signature)
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
    facts += [f"{value / 1e6:.1f} M images seen" if key == "images_seen" else f"{key}: {value}"
              for key, value in info.notes.items()]
    return "\n".join(facts)


def _codes(space: str, made_for: ModelSignature) -> list[str]:
    """What an encoder gives, and for whom."""
    known = made_for.mapping_hash
    return [f"{space} codes, {made_for.num_ws} rows of {made_for.w_dim}",
            f"trained for {made_for}" if known else
            f"trained for an unknown generator of {made_for.resolution} px: its file holds none, so a model is only checked "
            f"for the number and size of its rows"]
