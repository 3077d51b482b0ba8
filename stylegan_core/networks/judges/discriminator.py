"""StyleGAN2's discriminator (Karras et al. 2020, 1912.04958, section 4.1; conditional: 2006.06676): image -> score.

State-dict keys are NVIDIA's torch names. Plain differentiable operations only: R1 needs the gradient of a gradient.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from ...errors import InvalidInput, LoadError
from ...ops import fir
from ...ops.activation import activate, find_activation
from ...ops.fir import conv_down2d, downsample2d, resample_kernel
from ...ops.memory_format import in_preferred_format
from ...ops.modulated import exact
from ..generators.stylegan2 import Architecture, as_taps
from ..info import ModelInfo
from ..mapping import FullyConnected, MappingConfig, MappingNetwork
from ..shapes import Shape, Shapes, block_widths, check_shapes, mapping_from_shapes, shape_of


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Everything the network's shape and arithmetic depend on; raises InvalidInput when it contradicts itself."""

    img_resolution: int = 1024
    """Nominal: 4 * 2**k."""
    channels: tuple[int, ...] = (512, 512, 512, 512, 512, 256, 128, 64, 32)
    """Width at 4, 8, ..., img_resolution."""
    img_channels: int = 3
    architecture: Architecture = "resnet"
    """resnet: residual blocks; skip: the image enters at every resolution; orig: plain blocks (1912.04958, figure 7)."""
    mapping: MappingConfig | None = None
    """Of a conditional one: label -> the vector its output is projected on (2006.06676); z_dim is 0."""
    group_size: int | None = 4
    """Samples of a batch that are compared with each other; None for all."""
    stddev_channels: int = 1
    """Features that tell how much a group varies; 0 for none."""
    conv_clamp: float | None = None
    resample_kernel: tuple[float, ...] | tuple[tuple[float, ...], ...] = (1.0, 3.0, 3.0, 1.0)
    activation: str = "lrelu"
    final_pixels: int = 16
    """Of the last feature map: 4 x 4, or 4 x 8 for images twice as wide as high."""

    def __post_init__(self) -> None:
        if not self.channels or self.img_resolution != 4 << (len(self.channels) - 1):
            raise InvalidInput(f"{len(self.channels)} widths don't make {self.img_resolution} px; give one for 4, 8, ...")
        if self.architecture not in ("skip", "resnet", "orig"):
            raise InvalidInput(f'Architecture "{self.architecture}" is unknown; use "skip", "resnet" or "orig".')
        if self.stddev_channels < 0 or (self.stddev_channels and self.channels[0] % self.stddev_channels):
            raise InvalidInput(f"{self.channels[0]} features can't be told by {self.stddev_channels} deviations; use 1.")
        if self.group_size is not None and self.group_size < 1:
            raise InvalidInput(f"A group of {self.group_size} samples can't be; use 4.")
        if self.conv_clamp is not None and not self.conv_clamp > 0:
            raise InvalidInput(f"Features can't be clipped to +-{self.conv_clamp}; use a number above 0, or None.")
        find_activation(self.activation)
        fir.resample_kernel(self.resample_kernel)

    @property
    def resolutions(self) -> tuple[int, ...]:
        """img_resolution, ..., 8, 4."""
        return tuple(4 << i for i in reversed(range(len(self.channels))))

    def width(self, resolution: int) -> int:
        return self.channels[(resolution // 4).bit_length() - 1]

    def sees_image(self, resolution: int) -> bool:
        return self.architecture == "skip" or resolution == self.img_resolution

    @classmethod
    def from_shapes(cls, shapes: Shapes, facts: Mapping[str, Any]) -> DiscriminatorConfig:
        """Canonical keys and shapes -> config; facts: what shapes can't tell, by field name. Raises LoadError."""
        after, before, *_ = shape_of(shapes, "b4.conv.weight", 4)
        channels = [after, *block_widths(shapes, "b{}.conv0.weight", first=8, axis=1)]
        if after < 1:
            raise LoadError("The file's b4.conv.weight gives no features; use an intact file.")
        resolution = 2 << len(channels)
        names = ("group_size", "conv_clamp", "resample_kernel", "activation")
        given = {f.name: facts[f.name] for f in fields(cls) if f.name in names and f.name in facts}
        if "resample_kernel" in given:
            given["resample_kernel"] = as_taps(given["resample_kernel"])
        config = cls(
            img_resolution=resolution, channels=tuple(channels), architecture=_architecture(shapes, facts),
            img_channels=shape_of(shapes, f"b{resolution}.fromrgb.weight", 4)[1], stddev_channels=before - after,
            mapping=mapping_from_shapes(shapes, 1, facts) if "mapping.fc0.weight" in shapes else None,
            final_pixels=shape_of(shapes, "b4.fc.weight", 2)[1] // after, **given,
        )
        check_shapes(shapes, config.shapes())
        return config

    def shapes(self) -> Iterator[tuple[str, Shape]]:
        """(key, shape) of every tensor but the mapping's."""
        for resolution in self.resolutions:
            prefix, width = f"b{resolution}", self.width(resolution)
            if self.sees_image(resolution):
                yield from _layer(f"{prefix}.fromrgb", width, self.img_channels, 1)
            if resolution > 4:
                half = self.width(resolution // 2)
                yield from _layer(f"{prefix}.conv0", width, width, 3)
                yield from _layer(f"{prefix}.conv1", half, width, 3)
                if self.architecture == "resnet":
                    yield f"{prefix}.skip.weight", (half, width, 1, 1)
        width = self.channels[0]
        yield from _layer("b4.conv", width, width + self.stddev_channels, 3)
        for name, shape in (("fc", (width, width * self.final_pixels)), ("out", (self.outputs, width))):
            yield f"b4.{name}.weight", shape
            yield f"b4.{name}.bias", shape[:1]

    @property
    def outputs(self) -> int:
        """Numbers the last layer gives: the score, or the vector that is compared with the label's."""
        return self.mapping.w_dim if self.mapping else 1


def _layer(prefix: str, width_out: int, width_in: int, kernel: int) -> Iterator[tuple[str, Shape]]:
    yield f"{prefix}.weight", (width_out, width_in, kernel, kernel)
    yield f"{prefix}.bias", (width_out,)


def _architecture(shapes: Shapes, facts: Mapping[str, Any]) -> Architecture:
    if "b8.conv0.weight" not in shapes:
        return facts.get("architecture", "resnet")
    if "b4.fromrgb.weight" in shapes:
        return "skip"
    return "resnet" if "b8.skip.weight" in shapes else "orig"


ROOT_HALF = math.sqrt(0.5)


class Conv(nn.Module):
    """Equalized convolution, activation, clamp: x [B, I, h, w] -> [B, O, h, w], or [B, O, h/2, w/2] given the FIR."""

    def __init__(self, config: DiscriminatorConfig, width_in: int, width_out: int, kernel: int = 3) -> None:
        super().__init__()
        self.activation, self.conv_clamp = config.activation, config.conv_clamp
        self.weight = nn.Parameter(torch.randn(width_out, width_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(width_out))

    def forward(self, x: Tensor, down: Tensor | None = None, gain: float = 1.0) -> Tensor:
        """gain multiplies output and clamp (residual blocks)."""
        weight = (self.weight / math.sqrt(self.weight[0].numel())).to(x.dtype)
        bias, clamp = self.bias.to(x.dtype), None if self.conv_clamp is None else self.conv_clamp * gain
        padding = weight.shape[-1] // 2
        x = F.conv2d(x, weight, bias, padding=padding) if down is None else conv_down2d(x, weight, down, bias)
        return activate(x, self.activation, find_activation(self.activation).gain * gain, clamp)


class Skip(nn.Module):
    """Residual path: FIR downsampling, 1x1 convolution, sqrt(1/2); [B, I, h, w] -> [B, O, h/2, w/2]."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width_out, width_in, 1, 1))
        self.gain = ROOT_HALF / math.sqrt(width_in)

    def forward(self, x: Tensor, down: Tensor) -> Tensor:
        return conv_down2d(x, (self.weight * self.gain).to(x.dtype), down)


class Block(nn.Module):
    """The layers of one resolution; Discriminator.forward orders their work."""

    def __init__(self, config: DiscriminatorConfig, resolution: int) -> None:
        super().__init__()
        width = config.width(resolution)
        if config.sees_image(resolution):
            self.fromrgb = Conv(config, config.img_channels, width, 1)
        if resolution == 4:
            self.conv = Conv(config, width + config.stddev_channels, width)
            self.fc = FullyConnected(width * config.final_pixels, width)
            self.out = FullyConnected(width, config.outputs)
            return
        half = config.width(resolution // 2)
        self.conv0, self.conv1 = Conv(config, width, width), Conv(config, width, half)
        if config.architecture == "resnet":
            self.skip = Skip(width, half)


class Discriminator(nn.Module):
    """images [B, C, H, W] in about [-1, 1], labels c [B, c_dim] -> scores [B, 1] float32, higher for real ones."""

    kind = "discriminator"
    resample_kernel: Tensor

    def __init__(self, config: DiscriminatorConfig, info: ModelInfo | None = None) -> None:
        super().__init__()
        self.config = config
        self.info = info or ModelInfo(family=self.kind)
        for resolution in config.resolutions:
            self.add_module(f"b{resolution}", Block(config, resolution))
        self.mapping = None if config.mapping is None else MappingNetwork(config.mapping, centred=False)
        self.register_buffer("resample_kernel", resample_kernel(config.resample_kernel), persistent=False)

    @property
    def img_resolution(self) -> int:
        return self.config.img_resolution

    @property
    def img_channels(self) -> int:
        return self.config.img_channels

    @property
    def c_dim(self) -> int:
        return self.config.mapping.c_dim if self.config.mapping else 0

    def forward(self, images: Tensor, c: Tensor | None = None) -> Tensor:
        """Raises InvalidInput for another size, an absent label, or a batch that does not make whole groups."""
        self._check(images, c)
        block: Any = self.get_submodule(f"b{self.img_resolution}")
        image = in_preferred_format(images.to(block.fromrgb.weight.dtype))
        x, kernel = block.fromrgb(image), self.resample_kernel
        for resolution in self.config.resolutions[:-1]:
            block = self.get_submodule(f"b{resolution}")
            if self.config.architecture == "resnet":
                x = block.conv1(block.conv0(x), kernel, ROOT_HALF) + block.skip(x, kernel)
                continue
            x = block.conv1(block.conv0(x), kernel)
            if self.config.architecture == "skip":
                image = downsample2d(image, kernel)
                smaller: Any = self.get_submodule(f"b{resolution // 2}")
                x = x + smaller.fromrgb(image)
        x = self._score(x, c)
        return exact(x)

    def _score(self, x: Tensor, c: Tensor | None) -> Tensor:
        last: Any = self.get_submodule("b4")
        function, x = find_activation(self.config.activation), x.to(last.fc.weight.dtype)
        if self.config.stddev_channels:
            x = torch.cat([x, minibatch_stddev(x, self.config.group_size, self.config.stddev_channels)], dim=1)
        x = function.apply(last.fc(last.conv(x).flatten(1))) * function.gain
        x = last.out(x)
        if self.mapping is None:
            return x
        label = self.mapping.to_w(x.new_empty(len(x), 0), c)
        return (x * label).sum(dim=1, keepdim=True) / math.sqrt(label.shape[1])

    def _check(self, images: Tensor, c: Tensor | None) -> None:
        config, b = self.config, len(images)
        scale = config.img_resolution // 4
        size = images.shape[-2:]
        fits = images.ndim == 4 and images.shape[1] == config.img_channels and all(n % scale == 0 for n in size)
        if not fits or math.prod(size) != config.final_pixels * scale**2:
            raise InvalidInput(f"The discriminator got images of shape {list(images.shape)} but needs "
                               f"[batch, {config.img_channels}, {config.img_resolution}, ...] as its generator draws them.")
        if self.c_dim and (c is None or tuple(c.shape) != (b, self.c_dim)):
            raise InvalidInput(f"This discriminator has {self.c_dim} classes and needs one-hot labels [{b}, {self.c_dim}].")
        group = min(config.group_size or b, b)
        if config.stddev_channels and b % max(group, 1):
            raise InvalidInput(f"A batch of {b} does not divide into groups of {group}, which the discriminator compares; "
                               f"use a multiple of {group}.")


def minibatch_stddev(x: Tensor, group_size: int | None = 4, channels: int = 1) -> Tensor:
    """x [B, C, h, w] -> [B, channels, h, w]: how much samples of a group vary, averaged over features and places.

    1710.10196, section 3. Sample i is in group i modulo B / group_size, as all published codes have it.
    """
    b, _, h, w = x.shape
    group = min(group_size or b, b)
    y = rearrange(x, "(group n) (f c) h w -> group n f c h w", group=group, f=channels)
    y = (y - y.mean(dim=0)).square().mean(dim=0)
    y = (y + 1e-8).sqrt().mean(dim=(2, 3, 4))
    return repeat(y, "n f -> (group n) f h w", group=group, h=h, w=w)
