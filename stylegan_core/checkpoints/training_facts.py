"""What a training file tells of its training: images seen, and the options that shaped it."""

from __future__ import annotations

import re
from typing import Any

from .layout import SourceState

NVIDIA_SNAPSHOT = re.compile(r"network-snapshot-(\d{6})\.pkl")
"""NVIDIA's trainers name a snapshot by the thousands of real images shown."""
ROSINALITY_SNAPSHOT = re.compile(r"(\d{6})\.(?:pt|model)")
"""rosinality's name it by the training step."""
OPTIONS = ("batch", "lr", "r1", "path_regularize", "mixing", "augment", "ada_target", "ada_length")


def training_facts(state: SourceState) -> dict[str, Any]:
    """Notes for ModelInfo: "images_seen", "training_steps" and "training" (options), each only where the file tells."""
    if match := NVIDIA_SNAPSHOT.fullmatch(state.file):
        return {"images_seen": 1000 * int(match[1])}
    found: dict[str, Any] = {}
    if match := ROSINALITY_SNAPSHOT.fullmatch(state.file):
        found["training_steps"] = int(match[1])
    options = {name: state.attributes[f"args.{name}"] for name in OPTIONS if f"args.{name}" in state.attributes}
    return found | ({"training": options} if options else {})
