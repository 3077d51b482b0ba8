"""How many rows a pass with gradients takes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..runtime import rows_at_once, run_chunked


class Chunks:
    """Passes over rows: halved when memory runs out; what fitted is tried first the next time."""

    def __init__(self, most: int, device: torch.device, resolution: int) -> None:
        self.size = rows_at_once(most, device, resolution)

    def run(self, fn: Callable[[list[int]], Tensor], rows: list[int], out_device: str | None = None) -> Tensor:
        """fn(row numbers) -> a row each, joined. fn changes nothing if it runs out of memory."""
        fitted = 1

        def part(ids: Tensor) -> Tensor:
            nonlocal fitted
            found = fn(ids.tolist())
            fitted = max(fitted, len(ids))
            return found

        found = run_chunked(part, torch.tensor(rows), self.size, out_device)
        if fitted < min(self.size, len(rows)):
            self.size = fitted
        return found
