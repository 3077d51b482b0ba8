"""Fixtures every test may use."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

GOLDENS = Path(__file__).parent / "goldens"
THREADS = max(1, 2 // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
"""Two for all of pytest's workers together: small tensors gain nothing from more."""
os.environ.setdefault("ATELIER_TEST_THREADS", str(THREADS))  # ComfyUI's, beside each worker


@dataclass(frozen=True)
class Golden:
    """One folder of reference numbers: expected.npz, cases.json or manifest.json, model files."""

    folder: Path

    def array(self, name: str) -> np.ndarray:
        with np.load(self.folder / "expected.npz", allow_pickle=False) as file:
            return file[name]

    def tensor(self, name: str) -> torch.Tensor:
        return torch.from_numpy(self.array(name))

    def npz_names(self) -> list[str]:
        with np.load(self.folder / "expected.npz", allow_pickle=False) as file:
            return list(file)

    def json(self, name: str = "cases.json") -> dict:
        return json.loads((self.folder / name).read_text())

    def file(self, name: str) -> Path:
        return self.folder / name


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Golden]:
    """golden("swap_ros2_tiny") -> its folder under tests/goldens."""
    return lambda name: Golden(GOLDENS / name)


@pytest.fixture(autouse=True, scope="session")
def few_threads() -> None:
    torch.set_num_threads(THREADS)
