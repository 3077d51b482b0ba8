"""Where a model came from: the facts that travel into every file saved from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ModelInfo:
    """Where a model came from; travels into every file saved from it."""

    family: str = "unknown"
    layout: str = "memory"
    source: str = ""
    sha256: str = ""
    parents: tuple[dict[str, Any], ...] = ()
    """One dict a parent: name, sha256, licence."""
    licence: str = "unknown"
    notes: dict[str, Any] = field(default_factory=dict)
    """Free facts: training images seen, how it was made, warnings."""
