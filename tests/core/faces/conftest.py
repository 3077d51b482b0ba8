"""A public-domain portrait and the way between files and model range."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from stylegan_core.networks.detector import MTCNN

EYES_AND_MOUTH = torch.tensor([[204.0, 101.5], [246.0, 102.5], [225.0, 127.0], [202.0, 139.5], [245.0, 140.5]])
"""The astronaut's points, read off the picture (512 px)."""


def to_model_range(picture: np.ndarray | Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 127.5 - 1


@pytest.fixture(scope="session")
def astronaut() -> torch.Tensor:
    return to_model_range(data.astronaut())


@pytest.fixture(scope="session")
def astronaut_points() -> torch.Tensor:
    return EYES_AND_MOUTH


@pytest.fixture(scope="session")
def picture() -> Callable[[Path], torch.Tensor]:
    return lambda path: to_model_range(Image.open(path).convert("RGB"))


@pytest.fixture(scope="session")
def detector() -> MTCNN:
    return MTCNN.embedded()
