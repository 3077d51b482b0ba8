"""StyleGAN2's discriminator (Karras et al. 2020, 1912.04958, section 4.1; conditional: 2006.06676): image -> score.

State-dict keys are NVIDIA's torch names. Plain differentiable operations only: R1 needs the gradient of a gradient.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InvalidInput
from ..ops.activation import activate, find_activation
from ..ops.fir import conv_down2d, downsample2d, resample_kernel
from ..ops.layout import in_preferred_format
from .base import ModelInfo
from .discriminator_config import DiscriminatorConfig
from .mapping import FullyConnected, MappingNetwork

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
        self.mapping = None if config.mapping is None else MappingNetwork(config.mapping)
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
        return x if x.dtype == torch.float64 else x.float()

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
    b, c, h, w = x.shape
    group = min(group_size or b, b)
    y = x.reshape(group, -1, channels, c // channels, h, w)
    y = (y - y.mean(dim=0)).square().mean(dim=0)
    y = (y + 1e-8).sqrt().mean(dim=(2, 3, 4))
    return y.repeat(group, 1)[:, :, None, None].expand(-1, -1, h, w)
