"""Encoders from portraits to codes: pSp (Richardson et al. 2021, 2008.00951), its z+ variant that DualStyleGAN uses, e4e
(Tov et al. 2021, 2102.02766) and ReStyle (Alaluf et al. 2021, 2104.02699) over either.

A trunk gives feature maps, one small convolutional head a style turns them into codes. The weights of one map's heads lie
together, but each head runs by itself: grouped convolutions take up to ten times as long on a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import InvalidInput, LoadError
from ...latents import Latents, ModelSignature
from ..generators.base import Generator
from ..generators.stylegan2 import StyleGAN2, StyleGAN2Config
from ..info import ModelInfo
from ..judges.irse import IRSEConfig, IRSETrunk
from ..shapes import Shape, Shapes, check_shapes, count_of, nested_facts, shape_of
from .resnet import ResNet34, ResNet34Config

CodeSpace = Literal["z+", "w+"]
INPUT = 256
"""Side in px of what an encoder sees."""
RESTYLE_PASSES = 5
_FACTS = ("space", "start_from_latent_avg", "mapping_hash", "model_resolution", "model_family")


@dataclass(frozen=True)
class HeadGroup:
    """Heads that read one feature map."""

    level: int
    """0: 16 px map, 1: 32 px, 2: 64 px."""
    styles: int
    width: int
    depth: int
    """Strided convolutions from the map down to one pixel."""


@dataclass(frozen=True)
class EncoderConfig:
    """An encoder; `mapping_hash`, `model_resolution` and `model_family` tell the generator it was trained for."""

    heads: tuple[HeadGroup, ...]
    w_dim: int
    trunk: IRSEConfig | ResNet34Config = IRSEConfig()
    progressive: bool = False
    """e4e: the first head gives all rows, the others add to theirs."""
    space: CodeSpace = "w+"
    start_from_latent_avg: bool = True
    average_rows: int = 0
    """Rows of the stored average: 0 (none), 1 or num_ws."""
    decoder: StyleGAN2Config | None = None
    """The generator that ReStyle asks at every pass."""
    mapping_hash: str = ""
    model_resolution: int = 0
    model_family: str = "stylegan2"

    @property
    def num_ws(self) -> int:
        return sum(group.styles for group in self.heads)

    @property
    def is_iterative(self) -> bool:
        return self.trunk.channels_in == 6

    @property
    def has_pyramid(self) -> bool:
        return any(group.level for group in self.heads)

    @classmethod
    def from_shapes(cls, shapes: Shapes, facts: Mapping[str, Any]) -> EncoderConfig:
        """Canonical keys and shapes -> config. facts: `progressive`, `space`, `start_from_latent_avg`, `decoder` (facts of
        the inner generator) and what names it. Raises LoadError when shapes contradict."""
        pyramid = "lateral.0.weight" in shapes
        heads = tuple(_group(shapes, g, g if pyramid else 0) for g in range(3 if pyramid else 1)
                      if f"heads.{g}.weight" in shapes)
        if not heads:
            raise LoadError("The file has no style heads (heads.0.weight); it is no complete encoder.")
        inside = {k.removeprefix("decoder."): tuple(s) for k, s in shapes.items() if k.startswith("decoder.")}
        resnet = "trunk.conv1.weight" in shapes
        average = shape_of(shapes, "latent_avg", 2) if "latent_avg" in shapes else (0, heads[0].width)
        config = cls(
            heads, heads[0].width,
            ResNet34Config.from_shapes(shapes, "trunk.") if resnet else IRSEConfig.from_shapes(shapes, "trunk."),
            bool(facts.get("progressive", False)), average_rows=average[0],
            decoder=StyleGAN2Config.from_shapes(inside, nested_facts(facts, "decoder")) if inside else None,
            **{name: facts[name] for name in _FACTS if name in facts},
        )
        if config.average_rows not in (0, 1, config.num_ws):
            raise LoadError(f"The average has {average[0]} rows but the encoder gives {config.num_ws}; the file mixes two.")
        check_shapes(shapes, config.head_shapes())
        return config

    def head_shapes(self) -> Iterator[tuple[str, Shape]]:
        """(key, shape) of every tensor above the trunk."""
        c = self.trunk.widths[-1]
        if self.has_pyramid:
            for i, width in enumerate((self.trunk.widths[2], self.trunk.widths[1])):
                yield from ((f"lateral.{i}.weight", (c, width, 1, 1)), (f"lateral.{i}.bias", (c,)))
        for g, group in enumerate(self.heads):
            n, d = group.styles * group.width, group.width
            for j in range(group.depth):
                yield f"heads.{g}.convs.{j}.weight", (n, d if j else c, 3, 3)
                yield f"heads.{g}.convs.{j}.bias", (n,)
            yield from ((f"heads.{g}.weight", (group.styles, d, d)), (f"heads.{g}.bias", (group.styles, d)))
        if self.average_rows:
            yield "latent_avg", (self.average_rows, self.w_dim)


def _group(shapes: Shapes, g: int, level: int) -> HeadGroup:
    styles, width, _ = shape_of(shapes, f"heads.{g}.weight", 3)
    return HeadGroup(level, styles, width, count_of(shapes, f"heads.{g}.convs.{{}}.weight"))


class Heads(nn.Module):
    """Feature map [B, C, s, s] -> codes [B, styles, w_dim]; every style its own convolutions."""

    def __init__(self, group: HeadGroup, channels_in: int) -> None:
        super().__init__()
        n = group.styles * group.width
        self.group = group
        self.convs = nn.ModuleList(
            nn.Conv2d(n if j else channels_in, n, 3, 2, 1, groups=group.styles if j else 1) for j in range(group.depth))
        self.weight = nn.Parameter(torch.randn(group.styles, group.width, group.width))
        self.bias = nn.Parameter(torch.zeros(group.styles, group.width))

    def forward(self, x: Tensor) -> Tensor:
        last = [x] * self.group.styles
        for i in range(len(self.convs)):
            weights, biases = (self.get_parameter(f"convs.{i}.{name}").chunk(len(last)) for name in ("weight", "bias"))
            parts = zip(last, weights, biases, strict=True)
            last = [F.leaky_relu(F.conv2d(map_, weight, bias, 2, 1), 0.01) for map_, weight, bias in parts]
        if last[0].shape[-2:] != (1, 1):
            raise InvalidInput(f"The style heads end on {list(last[0].shape[-2:])} pixels instead of one; the encoder reads "
                               f"{INPUT} px images only.")
        x = torch.stack([map_.flatten(1) for map_ in last], dim=1)
        return torch.einsum("bgi,goi->bgo", x, self.weight / math.sqrt(self.group.width)) + self.bias


class Encoder(nn.Module):
    """Portraits -> codes of the generator it was trained for."""

    kind: ClassVar[str] = "encoder"
    latent_avg: Tensor | None

    def __init__(self, config: EncoderConfig, info: ModelInfo | None = None) -> None:
        super().__init__()
        self.config = config
        self.info = info or ModelInfo(family=self.kind)
        trunk = config.trunk
        self.trunk = IRSETrunk(trunk) if isinstance(trunk, IRSEConfig) else ResNet34(trunk)
        c = trunk.widths[-1]
        if config.has_pyramid:
            self.lateral = nn.ModuleList(nn.Conv2d(width, c, 1) for width in (trunk.widths[2], trunk.widths[1]))
        self.heads = nn.ModuleList(Heads(group, c) for group in config.heads)
        average = torch.zeros(config.average_rows, config.w_dim) if config.average_rows else None
        self.register_buffer("latent_avg", average)
        self.decoder: Generator | None = StyleGAN2(config.decoder) if config.decoder else None

    num_ws = property(lambda self: self.config.num_ws)
    w_dim = property(lambda self: self.config.w_dim)
    space = property(lambda self: self.config.space)

    def encode(self, images: Tensor, generator: Generator | None = None, stage: int | None = None,
               passes: int = RESTYLE_PASSES) -> Latents:
        """Aligned portraits [B, 3, H, W] in [-1, 1], any size -> their codes, in this encoder's space.

        Oblong images are cropped to their central square. generator: what ReStyle renders with (and every encoder
        checks its codes against); None takes the one inside the file. stage: e4e's last refined row (None: all).
        passes: ReStyle's. Raises InvalidInput, LatentMismatch.
        """
        x = prepare_portraits(images).to(next(self.parameters()))
        if self.config.is_iterative:
            codes = self.passes(x, generator, passes, stage)[-1]
        else:
            codes = self.raw(x, stage) + self._offset(x, generator)
        latents = Latents(codes, self.config.space, self.signature if self.config.mapping_hash else None)
        if generator is not None:
            latents.check(generator)
        return latents

    @property
    def signature(self) -> Any:
        """The generator this encoder was trained for (latents.ModelSignature); its hash is "" where unknown."""
        c = self.config
        return ModelSignature(c.model_family, c.model_resolution, c.num_ws, c.w_dim, c.mapping_hash)

    def raw(self, x: Tensor, stage: int | None = None) -> Tensor:
        """[B, channels_in, 256, 256] -> rows [B, num_ws, w_dim] as the heads give them, without the average."""
        maps = self._maps(x)
        rows = torch.cat([heads(maps[group.level]) for heads, group in zip(self.heads, self.config.heads, strict=True)], 1)
        if not self.config.progressive:
            return rows
        last = self.num_ws - 1 if stage is None else min(stage, self.num_ws - 1)
        base = rows[:, :1].expand_as(rows)
        return torch.cat([base[:, :1], base[:, 1 : last + 1] + rows[:, 1 : last + 1], base[:, last + 1 :]], dim=1)

    def _maps(self, x: Tensor) -> list[Tensor]:
        fine, middle, coarse = self.trunk.pyramid(x)
        maps = [coarse]
        if self.config.has_pyramid:
            for lateral, features in zip(self.lateral, (middle, fine), strict=True):
                up = F.interpolate(maps[-1], features.shape[-2:], mode="bilinear", align_corners=True)
                maps.append(up + lateral(features))
        return maps

    def _offset(self, like: Tensor, generator: Generator | None) -> Tensor:
        """What the heads' rows are added to: the file's average code, else the generator's (in z+ that is zero)."""
        if not self.config.start_from_latent_avg and not self.config.is_iterative:
            return like.new_zeros(())
        if self.latent_avg is not None:
            return self.latent_avg.to(like)
        if self.space == "z+":
            return like.new_zeros(())
        if generator is None:
            raise InvalidInput("This encoder starts from an average code but its file carries no latent_avg; give the "
                               "generator it was trained for, whose average is taken then, or use another encoder.")
        return generator.w_avg.to(like)[None]

    def passes(self, x: Tensor, generator: Generator | None, count: int, stage: int | None = None) -> list[Tensor]:
        """ReStyle: x [B, 3, 256, 256] -> the codes after each pass; every pass sees the last one's picture."""
        model = generator or self.decoder
        if model is None:
            raise InvalidInput("ReStyle renders between its passes and this file holds no generator; give one.")
        if count < 1:
            raise InvalidInput(f"{count} passes were asked of ReStyle; use at least 1, usually {RESTYLE_PASSES}.")
        codes = self._offset(x, model).expand(self.num_ws, self.w_dim)[None]
        found: list[Tensor] = []
        for _ in range(count):
            ws = model.mapping.to_w(codes) if self.space == "z+" else codes
            seen = prepare_portraits(model.synthesis(ws)).to(x)
            codes = codes + self.raw(torch.cat([x, seen.expand(len(x), -1, -1, -1)], dim=1), stage)
            found.append(codes)
        return found


def prepare_portraits(images: Tensor) -> Tensor:
    """[B, 3, H, W] in [-1, 1] -> [B, 3, 256, 256]: central square, block means when shrinking, bicubic when enlarging."""
    if images.ndim != 4 or images.shape[1] != 3 or not len(images):
        raise InvalidInput(f"The encoder got images of shape {list(images.shape)} but needs [batch, 3, height, width]; "
                           f"convert them to RGB first.")
    side = min(images.shape[-2:])
    top, left = ((n - side) // 2 for n in images.shape[-2:])
    square = images[:, :, top : top + side, left : left + side]
    if side == INPUT:
        return square
    if side > INPUT:
        return F.adaptive_avg_pool2d(square, INPUT)
    return F.interpolate(square, (INPUT, INPUT), mode="bicubic", align_corners=False)
