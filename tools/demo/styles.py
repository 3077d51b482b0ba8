"""The built-in bank's 36 styles: a shape of the face, a manner of drawing, and the tint of its paper and ink."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

Color = tuple[float, float, float]
BLACK, WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Tint:
    """What black and white become, and how far hues turn before, in degrees."""

    ink: Color = BLACK
    paper: Color = WHITE
    turn: float = 0.0

    def affine(self) -> tuple[Tensor, Tensor]:
        """matrix [3, 3] and offset [3] on colors in [-1, 1]."""
        ink, paper = torch.tensor(self.ink), torch.tensor(self.paper)
        return (paper - ink)[:, None] * turned(self.turn), ink + paper - 1

    def __call__(self, images: Tensor) -> Tensor:
        """[B, 3, H, W] in [-1, 1] -> the same, tinted."""
        matrix, offset = self.affine()
        return (torch.einsum("ij,bjhw->bihw", matrix, images) + offset.view(1, 3, 1, 1)).clamp(-1, 1)


def turned(degrees: float) -> Tensor:
    """[3, 3]: rotation of RGB around the gray axis."""
    angle = torch.deg2rad(torch.tensor(degrees))
    cross = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / 3**0.5
    return torch.eye(3) * angle.cos() + cross * angle.sin() + (1 - angle.cos()) / 3


@dataclass(frozen=True)
class Style:
    """How one exemplar of the bank is drawn."""

    name: str
    manner: str
    tint: Tint = Tint()  # noqa: RUF009 (frozen)
    like: str = ""
    """A style whose picture this one's is, tinted, in a manner of its own: color codes alone do not go so far."""
    reach: float = 1.0
    """How far its color code goes on the way to it from that of its manner's first style."""

    @property
    def shape(self) -> str:
        return self.name.split()[0]


STYLES = (
    # 24 names of the first bank: six shapes, eight palettes
    Style("doll comic", "comic"),
    Style("doll sepia", "sepia"),
    Style("doll sunset", "sunset"),
    Style("doll vivid", "vivid"),
    Style("owl ink", "ink"),
    Style("owl night", "night"),
    Style("owl pastel", "pastel"),
    Style("owl forest", "forest"),
    Style("hero sepia", "sepia", Tint(ink=(0.06, 0.0, 0.0), paper=(1.0, 0.86, 0.80))),
    Style("hero sunset", "sunset", Tint(turn=-32.0)),
    Style("hero vivid", "vivid", Tint(ink=(0.0, 0.02, 0.12), paper=(0.92, 1.0, 1.0))),
    Style("hero comic", "comic", Tint(ink=(0.02, 0.02, 0.16), paper=(0.88, 0.96, 1.0))),
    Style("clown night", "night", Tint(turn=110.0)),
    Style("clown pastel", "pastel", Tint(ink=(0.0, 0.12, 0.20), paper=(0.92, 1.0, 0.86), turn=95.0), like="owl pastel"),
    Style("clown forest", "forest", Tint(ink=(0.36, -0.12, -0.06), paper=(1.06, 0.72, 0.42)), like="owl forest"),
    Style("clown ink", "ink", Tint(ink=(0.42, 0.08, 0.05), paper=(1.0, 0.96, 0.88))),
    Style("egghead sunset", "sunset", Tint(ink=(0.0, 0.10, 0.30), paper=(1.0, 0.97, 0.92))),
    Style("egghead vivid", "vivid", Tint(turn=-110.0), like="doll vivid"),
    Style("egghead comic", "comic", Tint(ink=(0.06, 0.02, 0.0), paper=(1.0, 0.93, 0.70))),
    Style("egghead sepia", "sepia", Tint(ink=(0.14, 0.12, 0.06), paper=(1.0, 1.0, 0.90))),
    Style("imp pastel", "pastel", Tint(turn=-35.0), reach=1.7),
    Style("imp forest", "forest", Tint(ink=(0.88, 1.1, 0.72), paper=(0.0, 0.10, 0.10)), like="owl forest"),
    Style("imp ink", "ink", Tint(ink=(0.03, 0.10, 0.46), paper=(0.97, 0.98, 1.0))),
    Style("imp night", "night", Tint(turn=-75.0)),
    # and twelve more
    Style("hero pencil", "pencil"),
    Style("doll pencil", "pencil", Tint(ink=(0.46, 0.12, 0.05), paper=(1.0, 0.95, 0.86))),
    Style("owl charcoal", "charcoal"),
    Style("egghead charcoal", "charcoal", Tint(ink=(0.02, 0.02, 0.06), paper=(0.78, 0.90, 1.0))),
    Style("doll watercolour", "watercolour"),
    Style("imp watercolour", "watercolour", Tint(ink=(0.0, 0.05, 0.22), paper=(0.94, 0.98, 1.0))),
    Style("egghead clay", "clay"),
    Style("clown clay", "clay", Tint(turn=150.0)),
    Style("owl figurine", "figurine", Tint(ink=(0.0, 0.02, 0.10), paper=(0.96, 1.0, 1.0))),
    Style("hero oil", "painting"),
    Style("clown photograph", "sepia", Tint(ink=(-0.05, 0.0, 0.05), paper=(0.97, 1.04, 1.22))),
    Style("hero neon", "night", Tint(turn=60.0)),
)
OWN_MANNERS = tuple(style.name for style in STYLES if style.like)
"""Styles that have a manner of their own, the tinted one of another."""
