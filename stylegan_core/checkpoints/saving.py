"""network -> safetensors, with its config and licence chain."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import InvalidInput
from ..networks import FAMILIES
from ..networks.info import ModelInfo
from .checksums import UNVERIFIED
from .safetensors_file import write_safetensors
from .tensors import FLOATS, plausible


def lineage(model: nn.Module) -> dict[str, Any]:
    """name, family, sha256, licence and parents of a model, for the metadata of what is made from it."""
    info: ModelInfo = model.info  # type: ignore[assignment]
    return info.lineage()


def save(model: nn.Module, path: str | Path, metadata: Mapping[str, Any] | None = None, dtype: torch.dtype | None = None,
         overwrite: bool = False) -> Path:
    """Write a network as safetensors with its config and licence chain; returns the path (suffix added).

    metadata: entries that replace the model's own (source, sha256, parents, licence, notes ...). dtype: storage type, e.g.
    torch.float16 for half the size; loads back as float32. Never replaces a file unless `overwrite`; the write is whole or
    not at all. Raises InvalidInput.
    """
    family = str(getattr(model, "family", getattr(model, "kind", "")))
    if family not in FAMILIES or not is_dataclass(getattr(model, "config", None)):
        raise InvalidInput(f"A {type(model).__name__} can't be saved; expected one of {', '.join(FAMILIES)}.")
    if dtype is not None and dtype not in FLOATS:
        raise InvalidInput(f"Type {dtype!r} can't hold weights; use torch.float32, float16 or bfloat16.")
    info: ModelInfo = model.info  # type: ignore[assignment]
    facts = {
        "family": family, "config": plain_config(model.config), "source": Path(info.source).name, "sha256": info.file_sha256,
        "parents": [dict(p) for p in info.parents], "licence": info.licence, "notes": dict(info.notes), **(metadata or {}),
    }
    facts["notes"] = {key: value for key, value in facts["notes"].items() if key != UNVERIFIED}  # what is saved has checksums
    tensors = {key: t.to(dtype) if dtype and t.is_floating_point() else t for key, t in model.state_dict().items()}
    if bad := [key for key, t in tensors.items() if not plausible(t)]:
        raise InvalidInput(
            f"The weights {', '.join(bad[:5])} are not finite or absurdly large{f' in {dtype}' if dtype else ''}; save in "
            "float32, or use a sound model."
        )
    return write_safetensors(path, tensors, facts, overwrite)


def plain_config(config: Any) -> dict[str, Any]:
    """A config as JSON gives it back (tuples as lists)."""
    return json.loads(json.dumps(asdict(config)))
