"""The sampling network N of DualStyleGAN (Yang et al. 2022, section 3.4): noise -> extrinsic style codes.

Structure and color rows come from two networks of their own, so that either can be drawn alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ..errors import InvalidInput, LoadError
from ..latents import Latents, sample_z
from .batch_norm import BatchNorm
from .info import ModelInfo
from .shapes import Shapes, check_shapes, shape_of
from .style_weights import STRUCTURE_PLACES


@dataclass(frozen=True)
class StyleSamplerConfig:
    """Rows of the codes and the widths of both networks."""

    structure_rows: int = STRUCTURE_PLACES
    """First rows, which act up to 32 px; 7 for a StyleGAN2, 10 for a MobileStyleGAN."""
    color_rows: int = 11
    dim: int = 512
    noise_dim: int = 128
    hidden: int = 128
    space: Literal["z+", "w+"] = "z+"
    """Of the codes; the published ones are z+."""

    @property
    def num_ws(self) -> int:
        return self.structure_rows + self.color_rows

    @classmethod
    def from_shapes(cls, shapes: Shapes, facts: Mapping[str, Any]) -> StyleSamplerConfig:
        """Canonical keys and shapes -> config; facts may give structure_rows and space. Raises LoadError."""
        rows = int(facts.get("structure_rows", STRUCTURE_PLACES))
        hidden, noise = shape_of(shapes, "structure.fc0.weight", 2)
        out, color = (shape_of(shapes, f"{part}.fc2.weight", 2)[0] for part in ("structure", "color"))
        if out % rows or color % (out // rows):
            raise LoadError(f"The sampler gives {out} structure and {color} color numbers, which make no {rows} rows "
                            f"and whole color rows; the file is damaged.")
        dim = out // rows
        config = cls(rows, color // dim, dim, noise, hidden, facts.get("space", "z+"))
        for part, numbers in (("structure", out), ("color", color)):
            check_shapes(shapes, [(f"{part}.fc0.weight", (hidden, noise)), (f"{part}.fc1.weight", (hidden, hidden)),
                                  (f"{part}.fc2.weight", (numbers, hidden))])
        return config


class StyleNet(nn.Module):
    """noise [B, noise_dim] -> [B, rows, dim]: three linear layers without bias, batch norm and ReLU between."""

    def __init__(self, noise_dim: int, hidden: int, rows: int, dim: int) -> None:
        super().__init__()
        self.rows = rows
        self.fc0, self.bn0 = nn.Linear(noise_dim, hidden, bias=False), BatchNorm(hidden)
        self.fc1, self.bn1 = nn.Linear(hidden, hidden, bias=False), BatchNorm(hidden)
        self.fc2 = nn.Linear(hidden, rows * dim, bias=False)

    def forward(self, noise: Tensor) -> Tensor:
        x = F.relu(self.bn0(self.fc0(noise)))
        x = F.relu(self.bn1(self.fc1(x)))
        return rearrange(self.fc2(x), "b (rows dim) -> b rows dim", rows=self.rows)


class StyleSampler(nn.Module):
    """Draws extrinsic codes. In eval mode a code depends on its own noise alone."""

    kind: ClassVar[str] = "style_sampler"

    def __init__(self, config: StyleSamplerConfig, info: ModelInfo | None = None) -> None:
        super().__init__()
        self.config = config
        self.info = info or ModelInfo(family=self.kind)
        self.structure = StyleNet(config.noise_dim, config.hidden, config.structure_rows, config.dim)
        self.color = StyleNet(config.noise_dim, config.hidden, config.color_rows, config.dim)

    def codes(self, structure_noise: Tensor, color_noise: Tensor) -> Tensor:
        """Two [B, noise_dim] -> z+ codes [B, rows, dim]; differentiable."""
        for noise in (structure_noise, color_noise):
            if noise.ndim != 2 or noise.shape[1] != self.config.noise_dim or len(noise) != len(structure_noise):
                raise InvalidInput(f"The style sampler got noise of shapes {list(structure_noise.shape)} and "
                                   f"{list(color_noise.shape)} but needs two of [batch, {self.config.noise_dim}].")
        like = self.structure.fc0.weight
        return torch.cat([self.structure(structure_noise.to(like)), self.color(color_noise.to(like))], dim=1)

    def forward(self, structure_noise: Tensor, color_noise: Tensor) -> Latents:
        """The same as Latents."""
        return Latents(self.codes(structure_noise, color_noise), self.config.space)

    @torch.no_grad()
    def sample(self, n: int, seed: int = 0, hold_structure: bool = False, hold_color: bool = False) -> Latents:
        """n codes; entry i depends on seed + i alone. A held part is that of the first entry in all. Raises InvalidInput."""
        if n < 1:
            raise InvalidInput(f"{n} styles were asked for; ask for at least 1.")
        noise = sample_z([seed + i for i in range(n)], 2 * self.config.noise_dim)
        structure, color = noise.chunk(2, dim=1)
        return self(structure[:1].expand(n, -1) if hold_structure else structure,
                    color[:1].expand(n, -1) if hold_color else color)
