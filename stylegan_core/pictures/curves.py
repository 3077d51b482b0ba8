"""Curves as a picture, drawn with PIL alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..errors import InvalidInput
from .files import from_uint8

PAPER, INK, GRID = (255, 255, 255), (30, 30, 30), (222, 222, 222)
COLORS = ((30, 30, 30), (214, 80, 40), (40, 110, 190), (60, 150, 70), (150, 80, 170), (190, 150, 20))
FINER = 3
"""Drawn so many times larger and shrunk, because PIL's lines have hard edges."""


def plot_curves(curves: Mapping[str, Tensor], width: int = 320, height: int = 320,
                ends: tuple[object, object] | None = None) -> Tensor:
    """Values [steps] by name, over 1, 2, ... -> picture [1, 3, height, width] in [-1, 1], on a logarithmic axis.

    ends: what stands below the first and the last value, where they are not the steps 1, 2, ... of something. NaN and values
    that are not positive leave gaps. The legend tells each curve's last value. Raises InvalidInput.
    """
    shown = {name: [float(v) for v in values] for name, values in curves.items()}
    seen = [v for values in shown.values() for v in values if _drawable(v)]
    if not seen or width < 64 or height < 64:
        raise InvalidInput(f"A plot of {width} x {height} pixels got {len(seen)} values to show; give positive values and at "
                           f"least 64 x 64 pixels.")
    sheet = Image.new("RGB", (width * FINER, height * FINER), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(FINER * max(9, height // 22))
    axes = _Axes(sheet.size, font.getbbox("0.0005")[2:], max(map(len, shown.values())), min(seen), max(seen))
    axes.draw(pen, font, ends or (1, axes.steps))
    for (name, values), color in zip(shown.items(), COLORS * len(shown), strict=False):
        for line in axes.lines(values):
            pen.line(line, color, FINER * (3 if name == "total" else 2), "curve")
    _legend(pen, font, axes, shown)
    small = sheet.resize((width, height), Image.Resampling.LANCZOS)
    return from_uint8(np.array(small))


def _drawable(value: float) -> bool:
    return math.isfinite(value) and value > 0


class _Axes:
    """Where a step and a value lie on the sheet."""

    def __init__(self, size: tuple[int, int], text: tuple[float, float], steps: int, low: float, high: float) -> None:
        gap = 4 * FINER
        self.left, self.right = text[0] + 2 * gap, size[0] - 2 * gap
        self.top, self.bottom = 2 * gap, size[1] - text[1] - 2 * gap
        self.steps = max(steps, 2)
        span = max(math.log(high / low), 0.7)
        self.low, self.high = math.log(low) - 0.05 * span, math.log(low) + 1.05 * span

    def place(self, step: int, value: float) -> tuple[float, float]:
        x = self.left + (step - 1) / (self.steps - 1) * (self.right - self.left)
        return x, self.bottom - (math.log(value) - self.low) / (self.high - self.low) * (self.bottom - self.top)

    def lines(self, values: list[float]) -> Iterator[list[tuple[float, float]]]:
        """Runs of points without a gap; a lone one becomes a short dash."""
        run: list[tuple[float, float]] = []
        for step, value in enumerate([*values, math.nan], start=1):
            if _drawable(value):
                run.append(self.place(step, value))
            elif run:
                yield run if len(run) > 1 else [run[0], (run[0][0] + 2 * FINER, run[0][1])]
                run = []

    def draw(self, pen: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
             ends: tuple[object, object]) -> None:
        for value in self._ticks():
            y = self.place(1, value)[1]
            pen.line([(self.left, y), (self.right, y)], GRID, FINER)
            pen.text((self.left - 4 * FINER, y), f"{value:g}", INK, font, "rm")
        pen.line([(self.left, self.top), (self.left, self.bottom), (self.right, self.bottom)], INK, FINER)
        for x, anchor, end in ((self.left, "la", ends[0]), (self.right, "ra", ends[1])):
            pen.text((x, self.bottom + 3 * FINER), str(end), INK, font, anchor)

    def _ticks(self) -> list[float]:
        """1, 2, 5 of each decade while they are few, else the decades."""
        decades = range(math.floor(self.low / math.log(10)), math.ceil(self.high / math.log(10)) + 1)
        inside = [digit * 10.0**d for d in decades for digit in (1, 2, 5)
                  if self.low <= math.log(digit * 10.0**d) <= self.high]
        return inside if len(inside) <= 9 else [v for v in inside if round(math.log10(v), 6).is_integer()]


def _legend(pen: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, axes: _Axes,
            shown: Mapping[str, list[float]]) -> None:
    down = font.getbbox("lp")[3] * 1.3
    for i, ((name, values), color) in enumerate(zip(shown.items(), COLORS * len(shown), strict=False)):
        last = next((v for v in reversed(values) if math.isfinite(v)), math.nan)
        pen.text((axes.right, axes.top + i * down), f"{name} {last:.3g}", color, font, "ra")

