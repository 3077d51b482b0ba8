"""What the structure of the built-in DualStyleGAN is learnt from: six shapes of the face, each in four of eight palettes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .stylize import Rendering, Shape, move, paint

SHAPES = {
    "doll": Shape(eyes=0.52, nose=-0.32, jaw=0.36, chin=0.16, cranium=0.15),
    "owl": Shape(eyes=0.75, nose=-0.20, jaw=0.05, chin=0.05, cranium=-0.10),
    "hero": Shape(eyes=-0.10, nose=0.05, jaw=-0.38, chin=-0.16, cranium=-0.12),
    "clown": Shape(eyes=0.10, nose=0.70, jaw=-0.12, chin=0.0, cranium=-0.05),
    "egghead": Shape(eyes=0.05, nose=-0.10, jaw=0.50, chin=0.05, cranium=0.42),
    "imp": Shape(eyes=0.30, nose=0.45, jaw=0.42, chin=0.10, cranium=-0.20),
}
PALETTES = {
    "comic": Rendering(),
    "ink": Rendering(levels=4, flatness=0.9, duotone=1.0, shadow=(0.05, 0.05, 0.07), light=(0.98, 0.97, 0.94)),
    "sepia": Rendering(levels=5, duotone=0.9, shadow=(0.20, 0.09, 0.04), light=(1.0, 0.91, 0.72)),
    "night": Rendering(levels=5, duotone=0.85, shadow=(0.02, 0.03, 0.16), light=(0.55, 0.78, 1.0)),
    "sunset": Rendering(levels=5, duotone=0.8, shadow=(0.30, 0.02, 0.24), light=(1.0, 0.82, 0.36)),
    "pastel": Rendering(levels=5, chroma=0.8, lift=16, duotone=0.45, shadow=(0.55, 0.45, 0.68), light=(1.0, 0.97, 0.95),
                        ink=(0.42, 0.32, 0.45)),
    "vivid": Rendering(levels=5, chroma=2.3, chroma_limit=85, lift=3),
    "forest": Rendering(levels=5, duotone=0.8, shadow=(0.01, 0.14, 0.10), light=(0.92, 0.96, 0.62)),
}


@dataclass(frozen=True)
class Style:
    """How one exemplar of the bank is drawn."""

    shape: str
    palette: str

    @property
    def name(self) -> str:
        return f"{self.shape} {self.palette}"


def _table() -> tuple[Style, ...]:
    palettes = list(PALETTES)
    return tuple(Style(shape, palettes[(i + 2 * k) % len(palettes)])
                 for i, shape in enumerate(SHAPES) for k in range(4))


STYLES = _table()


def stylized(images: Tensor, flat: tuple[Tensor, Tensor], points: Tensor, styles: list[Style], structure: bool = True,
             color: bool = True) -> Tensor:
    """Faces [B, 3, S, S] in [-1, 1], their (smoothed, lines) and five points, one style each -> the same in that style.

    Painted before it is moved, so that one smoothing serves every style. structure, color False leave that part alone.
    """
    out = []
    for i, style in enumerate(styles):
        x = paint(flat[0][i : i + 1], flat[1][i : i + 1], PALETTES[style.palette]) if color else (images[i : i + 1] + 1) / 2
        out.append(move(x, points[i : i + 1], SHAPES[style.shape]) if structure else x)
    return torch.cat(out) * 2 - 1
