"""The small world that soaks, and what was promised of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from ..headless import PACK, Engine, Folders, Listener, Result
from ..headless.engines import make_engine
from ..headless.tiny import write_picture, write_tiny_models

ROOT = PACK


class Soak:
    """One engine, one folder, a list of broken promises."""

    def __init__(self, choice: str, base: Path, share: float, minutes: float, patience: float = 20) -> None:
        (base / "models/stylegan").mkdir(parents=True)
        (base / "input").mkdir()
        write_tiny_models(base / "models/stylegan")
        write_picture(base / "input/picture.png", 48, 48)
        self.choice, self.base, self.share, self.minutes, self.patience = choice, base, share, minutes, patience
        self.broken: list[str] = []

    @cached_property
    def engine(self) -> Engine:
        """Started when a part first needs it."""
        return make_engine(self.choice, Folders(self.base, self.base / "output", self.base / "temp"))

    def many(self, count: int) -> Iterator[int]:
        """Numbers up to the share of `count`, until the time of a part is over."""
        end, wanted = time.monotonic() + 60 * self.minutes, max(1, round(count * self.share))
        for i in range(wanted):
            if time.monotonic() > end:
                print(f"    ended after {i} of {wanted}: its time was over", flush=True)
                return
            yield i

    def run(self, prompt: dict[str, Any], listener: Listener | None = None) -> Result:
        return self.engine.run(prompt, listener or Listener())

    def pictures(self, prefix: str) -> list[bytes]:
        """The pixels of saved pictures, by name."""
        import numpy as np
        from PIL import Image

        return [np.asarray(Image.open(path)).tobytes() for path in sorted(self.base.glob(f"output/{prefix}*"))]

    def check(self, holds: bool, promise: str) -> None:
        if not holds:
            self.broken.append(promise)
            print(f"    BROKEN: {promise}", flush=True)
