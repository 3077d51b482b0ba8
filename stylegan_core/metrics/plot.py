"""Measures as a picture that stays true to their names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..errors import InvalidInput
from ..pictures.files import from_uint8
from .score import Measure

PAPER, INK, SOFT, BAR = (255, 255, 255), (30, 30, 30), (120, 120, 120), (40, 110, 190)
ROW = 58


def plot_measures(measures: Sequence[Measure], width: int = 720) -> Tensor:
    """One row a measure: name, value, what it was taken over -> picture [1, 3, h, width] in [-1, 1]. Shares get a bar."""
    if not measures:
        raise InvalidInput("There is no measure to plot; take one first.")
    sheet = Image.new("RGB", (width, ROW * len(measures) + 12), PAPER)
    pen, large, small = ImageDraw.Draw(sheet), ImageFont.load_default(18), ImageFont.load_default(12)
    for i, measure in enumerate(measures):
        y = 8 + i * ROW
        pen.text((14, y), measure.name, INK, large)
        pen.text((width - 14, y), f"{measure.value:.4g}", INK, large, "ra")
        pen.text((14, y + 24), measure.detail, SOFT, small)
        if measure.name.startswith(("Precision", "Recall")):
            pen.rectangle([14, y + 42, 14 + (width - 28) * measure.value, y + 46], BAR)
        pen.line([(14, y + ROW - 6), (width - 14, y + ROW - 6)], (222, 222, 222))
    return from_uint8(np.array(sheet))
