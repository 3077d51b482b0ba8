"""What a workflow is described with: nodes by key, wires between them, places on the canvas."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Out:
    """A wire: the node of that key, its n-th output."""

    key: str
    slot: int = 0


@dataclass
class Node:
    key: str
    type: str
    at: tuple[float, float]
    """Column and row on the canvas."""
    inputs: dict[str, Any] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    title: str = ""


def note(key: str, at: tuple[float, float], text: str, height: int = 150) -> Node:
    return Node(key, "MarkdownNote", at, {"": text}, (330, height), "Note")


def loader(key: str, name: str, at: tuple[float, float]) -> Node:
    return Node(key, "AtelierLoadStyleGAN", at, {"file": f"{name} (built-in)"}, (330, 110), f"Load StyleGAN: {name}")


def save(key: str, source: Out, at: tuple[float, float], prefix: str) -> Node:
    return Node(key, "SaveImage", at, {"images": source, "filename_prefix": prefix}, (330, 330), f"Save: {prefix}")
