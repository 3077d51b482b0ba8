"""Faces for the demo DualStyleGAN: what the fine layers see of them, and how each manner draws them.

A face is a code of the base, drawn plainly or in the shape of a style by the structure path; its color rows are the mean
code's, as nothing of the photograph's is left where a style gives all colors, or (every fourth) its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from stylegan_core.networks.dualstylegan import DualStyleGAN
from stylegan_core.networks.style_weights import STRUCTURE_PLACES
from tools.demo.family import Pictures, family_ws, save_picture

OWN_COLORS = 4
"""Every so many faces keep their colors."""


@dataclass(frozen=True)
class Faces:
    """Numbered faces, their pictures on disk."""

    dual: DualStyleGAN
    shapes: Tensor
    """[N, rows, w_dim]: style codes whose structure rows are used in turn."""
    folder: Path
    count: int

    def own(self, i: int) -> bool:
        """Whether face i keeps its own colors."""
        return i % OWN_COLORS == 0

    def shaped(self, i: int) -> float:
        """Weight of the shape of face i."""
        return float(i % OWN_COLORS in (1, 2))

    def ws(self, i: int) -> Tensor:
        """[1, rows, w_dim]."""
        ws = family_ws(self.dual.mapping, i, self.dual.num_ws)
        if not self.own(i):
            ws[:, list(self.dual.rows)] = self.dual.w_avg
        return ws

    def shape(self, i: int) -> Tensor:
        return self.shapes[i * 5 % len(self.shapes)][None]  # every shape among the faces that have one

    @torch.no_grad()
    def photo(self, i: int) -> Tensor:
        """[1, 3, S, S] in [-1, 1], as the base draws it."""
        weights = [self.shaped(i)] * STRUCTURE_PLACES + [0.0] * len(self.dual.rows)
        return self.dual.render(self.ws(i), self.dual.exemplar_from_ws(self.shape(i)), weights).clamp(-1, 1)

    def path(self, manner: str, i: int) -> Path:
        return self.folder / manner / f"{i:04d}.npy"

    def draw(self, manners: Sequence[str]) -> None:
        """Make the pictures that are missing."""
        from tools.demo.manners import MANNERS, Photo

        for i in tqdm(range(self.count), desc="targets"):
            missing = [name for name in manners if not self.path(name, i).exists()]
            if missing:
                photo = Photo(np.ascontiguousarray((self.photo(i)[0].permute(1, 2, 0).numpy() + 1) / 2))
                for name in missing:
                    save_picture(torch.from_numpy(MANNERS[name](photo)).permute(2, 0, 1) * 2 - 1, self.path(name, i))

    @cached_property
    def targets(self) -> dict[str, Pictures]:
        names = sorted(x.name for x in self.folder.iterdir() if x.is_dir())
        return {name: Pictures([self.path(name, i) for i in range(self.count)]) for name in names}
