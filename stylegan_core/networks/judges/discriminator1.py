"""StyleGAN1's discriminator (Karras et al. 2019, 1812.04948, with the growing layers of 1710.10196): image -> score.

In the parametrisation of NVIDIA's files, so that an optimizer's steps are theirs. Differentiable twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import InvalidInput, LoadError
from ...ops.fir import filter2d, resample_kernel
from ..generators.stylegan1 import BINOMIAL
from ..info import ModelInfo
from ..shapes import MAX_RESOLUTION, Shape, Shapes, block_widths, check_shapes, shape_of
from .discriminator import minibatch_stddev

ROOT_2 = math.sqrt(2)


@dataclass(frozen=True)
class StyleGAN1DiscriminatorConfig:
    """channels[i] is the width at 4 * 2**i px. Raises InvalidInput when fields are out of range."""

    channels: tuple[int, ...] = (512, 512, 512, 512, 256, 128, 64, 32, 16)
    img_channels: int = 3
    c_dim: int = 0
    """Classes: one score each, of which the label picks."""
    group_size: int | None = 4
    """Samples of a batch that are compared with each other; None for all."""
    lod: float = 0.0
    """Level of detail progressive growing had reached."""

    def __post_init__(self) -> None:
        if not 0 < len(self.channels) <= 11 or not 0 <= self.lod <= len(self.channels) - 1:
            raise InvalidInput(f"{len(self.channels)} widths at a level of detail of {self.lod} can't be; give one for 4, 8, "
                               f"... up to {MAX_RESOLUTION} px, and a level that is one of theirs.")
        if self.group_size is not None and self.group_size < 1:
            raise InvalidInput(f"A group of {self.group_size} samples can't be; use 4.")

    @property
    def img_resolution(self) -> int:
        return 2 << len(self.channels)

    def width(self, resolution: int) -> int:
        return self.channels[(resolution // 4).bit_length() - 1]

    @classmethod
    def from_shapes(cls, shapes: Shapes, facts: Mapping[str, Any]) -> StyleGAN1DiscriminatorConfig:
        """Canonical keys and shapes -> config; facts may give group_size and lod. Raises LoadError."""
        channels = block_widths(shapes, "b{}.fromrgb.weight")
        if not channels:
            raise LoadError("The file has no tensor b4.fromrgb.weight; load a complete discriminator.")
        outputs = shape_of(shapes, "b4.out.weight", 2)[0]
        given = {k: facts[k] for k in ("group_size", "lod") if k in facts}
        labels = int(facts.get("c_dim", outputs if outputs > 1 else 0))
        config = cls(tuple(channels), shape_of(shapes, "b4.fromrgb.weight", 4)[1], labels, **given)
        check_shapes(shapes, config.shapes())
        return config

    def shapes(self) -> Iterator[tuple[str, Shape]]:
        """(key, shape) of every tensor."""
        for i, width in enumerate(self.channels):
            r = 4 << i
            layers: dict[str, Shape] = {"fromrgb": (width, self.img_channels, 1, 1)}
            if i:
                layers |= {"conv0": (width, width, 3, 3), "conv1": (self.channels[i - 1], width, 3, 3)}
            else:
                layers |= {"conv": (width, width + 1, 3, 3), "fc": (width, 16 * width), "out": (max(self.c_dim, 1), width)}
            for name, shape in layers.items():
                yield f"b{r}.{name}.weight", shape
                yield f"b{r}.{name}.bias", shape[:1]


class Layer(nn.Module):
    """Equalized weight [O, I, ...] with the gain inside, bias [O]: what each kind of layer shares."""

    def __init__(self, *shape: int, gain: float = ROOT_2) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(*shape))
        self.bias = nn.Parameter(torch.zeros(shape[0]))
        self.gain = gain / math.sqrt(math.prod(shape[1:]))

    def convolve(self, x: Tensor, down: bool = False) -> Tensor:
        """Same size and leaky ReLU; down: averaged 2 x 2 before the bias.

        A 3x3 convolution and that average are one convolution with 4x4 taps at stride 2.
        """
        weight = self.weight * self.gain
        if down:
            spread = F.pad(weight, (1, 1, 1, 1))
            weight = (spread[..., 1:, 1:] + spread[..., 1:, :-1] + spread[..., :-1, 1:] + spread[..., :-1, :-1]) / 4
            x = F.conv2d(x, weight, self.bias, stride=2, padding=1)
        else:
            x = F.conv2d(x, weight, self.bias, padding=weight.shape[-1] // 2)
        return F.leaky_relu(x, 0.2)

    def connect(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.gain, self.bias)


class StyleGAN1Discriminator(nn.Module):
    """images [B, C, R, R] in about [-1, 1], labels c [B, c_dim] -> scores [B, 1], higher for real ones."""

    kind = "discriminator"
    family = "stylegan1-discriminator"
    blur: Tensor

    def __init__(self, config: StyleGAN1DiscriminatorConfig, info: ModelInfo | None = None) -> None:
        super().__init__()
        self.config = config
        self.info = info or ModelInfo(family=self.family)
        for i, width in enumerate(config.channels):
            block = nn.Module()
            block.fromrgb = Layer(width, config.img_channels, 1, 1)
            if i:
                block.conv0, block.conv1 = Layer(width, width, 3, 3), Layer(config.channels[i - 1], width, 3, 3)
            else:
                block.conv, block.fc = Layer(width, width + 1, 3, 3), Layer(width, 16 * width)
                block.out = Layer(max(config.c_dim, 1), width, gain=1.0)
            self.add_module(f"b{4 << i}", block)
        self.register_buffer("blur", resample_kernel(BINOMIAL), persistent=False)

    @property
    def img_resolution(self) -> int:
        return self.config.img_resolution

    @property
    def img_channels(self) -> int:
        return self.config.img_channels

    @property
    def c_dim(self) -> int:
        return self.config.c_dim

    def forward(self, images: Tensor, c: Tensor | None = None, lod: float | None = None) -> Tensor:
        """lod: log2 of how much smaller than R the trained size is; its fraction fades the smaller input in.

        Images are always of full size. Raises InvalidInput for others, an absent label, or no whole groups.
        """
        level, top = self.config.lod if lod is None else lod, len(self.config.channels) - 1
        self._check(images, c, level, top)
        image = images.to(self.get_parameter("b4.fromrgb.weight").dtype)
        first = math.floor(level)
        image = F.avg_pool2d(image, 1 << first) if first else image
        x = self._layer(self.img_resolution >> first, "fromrgb").convolve(image)
        for i in range(first, top):
            r = self.img_resolution >> i
            x = self._layer(r, "conv0").convolve(x)
            x = self._layer(r, "conv1").convolve(filter2d(x, self.blur, (1, 1)), down=True)
            if i < level:  # only the first block can lie there
                image = F.avg_pool2d(image, 2)
                x = x.lerp(self._layer(r // 2, "fromrgb").convolve(image), level - i)
        return self._score(x, c)

    def _score(self, x: Tensor, c: Tensor | None) -> Tensor:
        x = torch.cat([x, minibatch_stddev(x, self.config.group_size)], dim=1)
        x = self._layer(4, "conv").convolve(x)
        x = F.leaky_relu(self._layer(4, "fc").connect(x.flatten(1)), 0.2)
        x = self._layer(4, "out").connect(x)
        return (x * c.to(x)).sum(dim=1, keepdim=True) if self.c_dim and c is not None else x

    def _layer(self, resolution: int, name: str) -> Layer:
        return self.get_submodule(f"b{resolution}.{name}")  # type: ignore[return-value]

    def _check(self, images: Tensor, c: Tensor | None, level: float, top: int) -> None:
        config, b = self.config, len(images)
        wanted = (config.img_channels, config.img_resolution, config.img_resolution)
        if images.ndim != 4 or tuple(images.shape[1:]) != wanted:
            raise InvalidInput(f"The discriminator got images of shape {list(images.shape)} but needs [batch, {wanted[0]}, "
                               f"{wanted[1]}, {wanted[2]}].")
        if not 0 <= level <= top:
            raise InvalidInput(f"The level of detail is {level}; use 0 (full size) to {top} (4 px).")
        if self.c_dim and (c is None or tuple(c.shape) != (b, self.c_dim)):
            raise InvalidInput(f"This discriminator has {self.c_dim} classes and needs one-hot labels [{b}, {self.c_dim}].")
        group = min(config.group_size or b, b)
        if b % max(group, 1):
            raise InvalidInput(f"A batch of {b} does not divide into groups of {group}, which the discriminator compares; "
                               f"use a multiple of {group}.")
