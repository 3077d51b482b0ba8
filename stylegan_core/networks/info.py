"""Where a model came from: the facts that travel into every file saved from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

JOINED = " + "


def joined_licences(licences: Iterable[str]) -> str:
    """Each once: what is made of several models stands under all of their licences."""
    return JOINED.join(dict.fromkeys(part for licence in licences for part in licence.split(JOINED)))


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
    hashed: Callable[[], str] | None = field(default=None, repr=False, compare=False)
    """The SHA-256 of the file that was read, taken while it was read; None for models made in memory."""

    @property
    def file_sha256(self) -> str:
        """The recorded SHA-256, else that of the very bytes that were read; empty where neither is known."""
        return self.sha256 or (self.hashed() if self.hashed else "")

    @property
    def name(self) -> str:
        """Of the file, without its folder."""
        return PurePath(self.source).name or "unsaved model"

    @property
    def known_as(self) -> str:
        """What tells this model from others: its file's hash, else its name."""
        return self.file_sha256 or self.name

    def child(self, family: str, notes: dict[str, Any] | None = None) -> ModelInfo:
        """Of what is made from this model alone: one parent, and its licence."""
        return ModelInfo(family, parents=(self.lineage(),), licence=self.licence, notes=notes or {})

    def lineage(self) -> dict[str, Any]:
        """name, family, sha256, licence and parents, for the metadata of what is made from this model."""
        return {"name": self.name, "family": self.family, "sha256": self.file_sha256,
                "licence": self.licence, "parents": [dict(p) for p in self.parents]}
