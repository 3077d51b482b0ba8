"""Tiny models on disk, and saved pictures as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

import stylegan_core as sg
from tools.headless.tiny import tiny, write_picture, write_tiny_models

__all__ = ["expected", "pixels", "tiny", "write_picture", "write_tiny_models"]


def pixels(engine: Any, pattern: str) -> np.ndarray:
    """[pictures, H, W, 3] of an engine's saved files."""
    found = engine.files(pattern)
    assert found, f"nothing was saved under {pattern}"
    return np.stack([np.asarray(Image.open(path)) for path in found])


def expected(latents: sg.Latents, model: Any) -> np.ndarray:
    """What the core draws, on the scale of a picture file, before rounding."""
    return ((sg.render(model, latents).clamp(-1, 1) + 1) * 127.5).permute(0, 2, 3, 1).numpy()
