"""A small w+ encoder for portraits: AlexNet features, one neck, codes in whitened coordinates of the generator's mapping.

One forward pass costs about 0.5 GMAC, against 72 of pSp's: meant for machines without a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ...errors import LoadError
from ...latents import Latents, ModelSignature, Space
from ..generators.base import Generator
from ..info import ModelInfo
from ..judges.features import FeatureTrunk, alexnet, imagenet_normalize
from ..shapes import Shape, Shapes, check_shapes, shape_of
from .psp import RESTYLE_PASSES, prepare_portraits

SLOPE = 0.2
"""Of the leaky ReLU at the end of a mapping network; the code's last step, as the mapping's."""
SEEN = 160
"""Side in px at which AlexNet looks: codes need no finer detail, and a look costs 2.5 times less than at 256."""
GRID = 9
"""Pixels a side of AlexNet's last maps then."""
POOLED = 3
"""Pixels a side of the neck's last map."""


@dataclass(frozen=True)
class CompactEncoderConfig:
    """Widths; `mapping_hash`, `model_resolution` and `model_family` tell the generator it was trained for."""

    kind: ClassVar[str] = "encoder"
    num_ws: int = 17
    w_dim: int = 512
    width: int = 240
    """Channels of the neck."""
    hidden: int = 512
    own_dims: int = 128
    """Leading whitened coordinates in which each row may leave the code common to all rows."""
    mapping_hash: str = ""
    model_resolution: int = 256
    model_family: str = "mobilestylegan"

    @classmethod
    def from_shapes(cls, shapes: Shapes, facts: Mapping[str, Any]) -> CompactEncoderConfig:
        """Canonical keys and shapes -> config. Raises LoadError when they contradict."""
        width = shape_of(shapes, "fuse.weight", 4)[0]
        hidden, w_dim = shape_of(shapes, "hidden.weight", 2)[0], shape_of(shapes, "axes", 2)[0]
        num_ws, own = shape_of(shapes, "own_bias", 2)
        named = {name: facts[name] for name in ("mapping_hash", "model_resolution", "model_family") if name in facts}
        config = cls(num_ws, w_dim, width, hidden, own, **named)
        if own > w_dim:
            raise LoadError(f"The encoder has {own} coordinates a row in a space of {w_dim}; the file is damaged.")
        check_shapes(shapes, config.head_shapes())
        return config

    def head_shapes(self) -> Iterator[tuple[str, Shape]]:
        """(key, shape) of every tensor above the trunk."""
        w, d = self.width, self.w_dim
        yield from (("fuse.weight", (w, sum(alexnet().tap_widths), 1, 1)), ("fuse.bias", (w,)))
        for i in range(4):
            yield from ((f"convs.{i}.weight", (w, w, 3, 3)), (f"convs.{i}.bias", (w,)))
        yield from (("hidden.weight", (self.hidden, w * POOLED**2)), ("hidden.bias", (self.hidden,)))
        yield from (("common.weight", (d, self.hidden)), ("common.bias", (d,)))
        yield from (("own.weight", (self.num_ws * self.own_dims, self.hidden)), ("own_bias", (self.num_ws, self.own_dims)))
        yield from (("center", (d,)), ("axes", (d, d)))


class CompactEncoder(nn.Module):
    """Portraits -> w+ codes of the generator it was trained for, in one pass."""

    kind: ClassVar[str] = "encoder"
    family: ClassVar[str] = "compact_encoder"
    space: ClassVar[Space] = "w+"
    center: Tensor
    axes: Tensor

    def __init__(self, config: CompactEncoderConfig, info: ModelInfo | None = None) -> None:
        super().__init__()
        self.config = config
        self.info = info or ModelInfo(family=self.family)
        c = config
        self.trunk = FeatureTrunk(alexnet())
        self.fuse = nn.Conv2d(sum(alexnet().tap_widths), c.width, 1)
        self.convs = nn.ModuleList(nn.Conv2d(c.width, c.width, 3, stride, 1) for stride in (1, 1, 2, 2))
        self.hidden = nn.Linear(c.width * POOLED**2, c.hidden)
        self.common = nn.Linear(c.hidden, c.w_dim)
        self.own = nn.Linear(c.hidden, c.num_ws * c.own_dims, bias=False)
        self.own_bias = nn.Parameter(torch.zeros(c.num_ws, c.own_dims))
        self.register_buffer("center", torch.zeros(c.w_dim))
        self.register_buffer("axes", torch.eye(c.w_dim))

    num_ws = property(lambda self: self.config.num_ws)
    w_dim = property(lambda self: self.config.w_dim)

    @property
    def signature(self) -> ModelSignature:
        """The generator this encoder was trained for."""
        c = self.config
        return ModelSignature(c.model_family, c.model_resolution, c.num_ws, c.w_dim, c.mapping_hash)

    def encode(self, images: Tensor, generator: Generator | None = None, stage: int | None = None,
               passes: int = RESTYLE_PASSES) -> Latents:
        """Aligned portraits [B, 3, H, W] in [-1, 1], any size -> w+ codes. Encoder.encode's other inputs have no effect.

        generator: whose codes these are to be. Raises InvalidInput, LatentMismatch.
        """
        codes = self.to_code(self.coordinates(prepare_portraits(images).to(self.center)))
        latents = Latents(codes, "w+", self.signature if self.config.mapping_hash else None)
        return latents if generator is None else latents.fit(generator)

    def coordinates(self, x: Tensor) -> Tensor:
        """[B, 3, S, S], S at least SEEN -> whitened coordinates [B, num_ws, w_dim], widest first along the last axis."""
        if x.shape[-1] != SEEN:
            x = F.interpolate(x, (SEEN, SEEN), mode="bilinear", antialias=True, align_corners=False)
        maps = [F.adaptive_avg_pool2d(m, GRID) for m in self.trunk(imagenet_normalize(x))]
        x = F.leaky_relu(self.fuse(torch.cat(maps, dim=1)), SLOPE)
        x = x + F.leaky_relu(self.convs[1](F.leaky_relu(self.convs[0](x), SLOPE)), SLOPE)
        for conv in self.convs[2:]:
            x = F.leaky_relu(conv(x), SLOPE)
        x = F.leaky_relu(self.hidden(x.flatten(1)), SLOPE)
        own = rearrange(self.own(x), "b (rows dim) -> b rows dim", rows=len(self.own_bias)) + self.own_bias
        return self.common(x)[:, None] + F.pad(own, (0, self.w_dim - own.shape[-1]))

    def to_code(self, coordinates: Tensor) -> Tensor:
        """[..., w_dim] -> w: lrelu(center + axes x), the whitened P_N space of Zhu et al. 2020 (2012.09036)."""
        return F.leaky_relu(self.center + coordinates @ self.axes.T, SLOPE)
