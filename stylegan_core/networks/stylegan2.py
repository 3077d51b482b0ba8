"""StyleGAN2 (Karras et al. 2020, 1912.04958) and its ADA variants (2006.06676): w -> image.

State-dict keys are NVIDIA's torch names. The convolutions are in ops.modulated, the resampling in ops.fir.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from ..ops.activation import activate, find_activation
from ..ops.fir import resample_kernel, upsample2d
from ..ops.layout import in_preferred_format
from ..ops.modulated import modulated_conv2d
from .base import Generator, LayerHook, ModelInfo, NoiseMode, StyledLayer, Synthesis, draw_noise
from .mapping import FullyConnected, MappingNetwork
from .stylegan2_config import StyleGAN2Config

ROOT_HALF = math.sqrt(0.5)


class StyledConv(nn.Module):
    """Styled 3x3 convolution: x [B, I, h, w] -> [B, O, h, w], or [B, O, 2h, 2w] given the resample kernel."""

    noise_const: Tensor

    def __init__(self, config: StyleGAN2Config, width_in: int, width_out: int, resolution: int) -> None:
        super().__init__()
        self.activation, self.conv_clamp = config.activation, config.conv_clamp
        self.size, self.use_noise = config.size(resolution), config.use_noise
        self.eps = 1e-8 * (9 * width_in if config.scaled_demodulation else 1)
        self.affine = FullyConnected(config.mapping.w_dim, width_in, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(width_out, width_in, 3, 3))
        self.bias = nn.Parameter(torch.zeros(width_out))
        if self.use_noise:
            self.noise_strength = nn.Parameter(torch.zeros([]))
            self.register_buffer("noise_const", torch.randn(self.size))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None, kernel: Tensor | None = None,
                gain: float = 1.0) -> Tensor:
        """w [B|1, w_dim]; noise [h, w] or [1|B, 1, h, w]; gain multiplies output and clamp (residual blocks)."""
        function = find_activation(self.activation)
        gain_out, clamp = function.gain * gain, self.conv_clamp
        before = gain_out if function.homogeneous else 1.0  # folded into the weight: one pass less over the features
        style = self.affine(w.to(self.affine.weight.dtype))
        x = modulated_conv2d(x, self.weight, style, self.bias, eps=self.eps, gain=before, kernel=kernel)
        noise = None if noise is None else (noise * (self.noise_strength * before)).to(x.dtype)
        return activate(x, self.activation, gain_out / before, None if clamp is None else clamp * gain, noise)


class ToRGB(nn.Module):
    """Image head: modulated 1x1 without demodulation; [B, I, h, w] -> [B, img_channels, h, w] float32."""

    def __init__(self, config: StyleGAN2Config, width_in: int) -> None:
        super().__init__()
        self.conv_clamp, self.gain = config.conv_clamp, 1 / math.sqrt(width_in)
        self.affine = FullyConnected(config.mapping.w_dim, width_in, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(config.img_channels, width_in, 1, 1))
        self.bias = nn.Parameter(torch.zeros(config.img_channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style = self.affine(w.to(self.affine.weight.dtype)) * self.gain
        x = modulated_conv2d(x, self.weight, style, self.bias, demodulate=False)
        x = activate(x, "linear", clamp=self.conv_clamp)
        return x if x.dtype == torch.float64 else x.float()


class Skip(nn.Module):
    """Residual path: 1x1 convolution, FIR upsampling, sqrt(1/2); [B, I, h, w] -> [B, O, 2h, 2w]."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width_out, width_in, 1, 1))
        self.gain = ROOT_HALF / math.sqrt(width_in)

    def forward(self, x: Tensor, kernel: Tensor) -> Tensor:
        return upsample2d(torch.conv2d(x, (self.weight * self.gain).to(x.dtype)), kernel)


class Block(nn.Module):
    """The layers of one resolution, under NVIDIA's names; the order of work is StyleGAN2Synthesis.forward's."""

    def __init__(self, config: StyleGAN2Config, width_in: int, width: int, resolution: int) -> None:
        super().__init__()
        if resolution == 4:
            self.const = nn.Parameter(torch.randn(width, *config.const_size))
        else:
            self.conv0 = StyledConv(config, width_in, width, resolution)
        self.conv1 = StyledConv(config, width, width, resolution)
        if config.has_rgb(resolution):
            self.torgb = ToRGB(config, width)
        if config.architecture == "resnet" and resolution > 4:
            self.skip = Skip(width_in, width)


class StyleGAN2Synthesis(Synthesis):
    """ws [B, 2 log2(R) - 2, w_dim] -> image. An image head shares its row with the next resolution's up-convolution."""

    resample_kernel: Tensor

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        self.config = config
        self.num_ws, self.img_resolution, self.img_channels = config.num_ws, config.img_resolution, config.img_channels
        before = config.channels[0]
        for resolution, width in zip(config.resolutions, config.channels, strict=True):
            self.add_module(f"b{resolution}", Block(config, before, width, resolution))
            before = width
        self.register_buffer("resample_kernel", resample_kernel(config.resample_kernel), persistent=False)
        self.layers = tuple(_list_layers(config))
        styled = (layer for layer in self.layers if layer.kind in ("conv", "up") and layer.row is not None)
        self._noisy = tuple(styled) if config.use_noise else ()

    @property
    def const(self) -> Tensor:
        """The learned input [C, h, w]; its dtype is that of the features."""
        return cast(Tensor, self.get_submodule("b4").const)  # no get_parameter: under functional_call it is none

    def noise_shapes(self) -> tuple[tuple[int, int], ...]:
        return tuple(self.config.size(layer.resolution) for layer in self._noisy)

    def forward(self, ws: Tensor, noise_mode: NoiseMode = "const", noise: list[Tensor] | None = None,
                transform: Tensor | None = None, generator: torch.Generator | None = None,
                hook: LayerHook | None = None) -> Tensor:
        self.check_inputs(ws, self.config.mapping.w_dim, noise, transform)
        maps = self._noise_maps(len(ws), noise_mode, noise, generator)
        if len(ws) < 2 or hook is not None or ws.device.type != "cpu" or torch.is_grad_enabled():
            return self._draw(ws, maps, hook)
        # one picture's features fit the CPU's caches, a batch's do not: no slower, and a batch needs no more memory
        return torch.cat([self._draw(ws[i : i + 1], [_row(map_, i) for map_ in maps], None) for i in range(len(ws))])

    def _draw(self, ws: Tensor, noise: list[Tensor | None], hook: LayerHook | None) -> Tensor:
        rows, maps = [_one_if_shared(w) for w in ws.unbind(1)], iter(noise)
        residual = self.config.architecture == "resnet"
        before = x = in_preferred_format(self.const.expand(len(ws), -1, -1, -1))
        image: Tensor | None = None
        for layer in self.layers[1:]:
            module = self.get_submodule(layer.name)
            if layer.row is None:
                continue
            if layer.kind == "rgb":
                y = module(x, rows[layer.row])
                image = y if image is None else upsample2d(image, self.resample_kernel).add_(y)
                continue
            up = layer.kind == "up"
            before = x if up else before
            closes = residual and not up and layer.resolution > 4
            kernel, gain = self.resample_kernel if up else None, ROOT_HALF if closes else 1.0
            x = module(x, rows[layer.row], next(maps), kernel, gain)
            x = x if hook is None else hook(layer, x)
            if closes:
                x = x + self.get_submodule(f"b{layer.resolution}.skip")(before, self.resample_kernel)
        assert image is not None
        return image

    def _noise_maps(self, batch: int, mode: NoiseMode, noise: list[Tensor] | None,
                    generator: torch.Generator | None) -> list[Tensor | None]:
        """One map a styled convolution, checked before any work is done."""
        if not self.config.use_noise:
            return [None] * len(self.layers)
        if noise is None:
            stored = ((layer, self.get_buffer(f"{layer.name}.noise_const")) for layer in self._noisy)
            return [draw_noise(self.config.size(layer.resolution), batch, mode, map_, self.const, generator)
                    for layer, map_ in stored]
        for i, (map_, size) in enumerate(zip(noise, self.noise_shapes(), strict=True)):
            if map_.ndim != 4 or map_.shape[0] not in (1, batch) or tuple(map_.shape[1:]) != (1, *size):
                raise InvalidInput(f"Noise map {i} has shape {list(map_.shape)} but layer {self._noisy[i].name} needs "
                                   f"[1 or {batch}, 1, {size[0]}, {size[1]}].")
        return [map_.to(self.const) for map_ in noise]


def _row(map_: Tensor | None, i: int) -> Tensor | None:
    """Picture i's noise out of [h, w], [1, 1, h, w] or [B, 1, h, w]."""
    return map_ if map_ is None or map_.ndim == 2 or len(map_) == 1 else map_[i : i + 1]


def _one_if_shared(w: Tensor) -> Tensor:
    """[B, w_dim] -> [1, w_dim] when all rows are the same, so that the convolution takes its one-style form."""
    if w.shape[0] == 1 or w.requires_grad:
        return w
    on_cpu = w.device.type == "cpu"  # elsewhere a look at the values would stall
    return w[:1] if w.stride(0) == 0 or (on_cpu and torch.equal(w, w[:1].expand_as(w))) else w


def _list_layers(config: StyleGAN2Config) -> Iterator[StyledLayer]:
    yield StyledLayer("b4.const", 4, None, "const")
    for i, resolution in enumerate(config.resolutions):
        if resolution > 4:
            yield StyledLayer(f"b{resolution}.conv0", resolution, 2 * i - 1, "up")
            if config.architecture == "resnet":
                yield StyledLayer(f"b{resolution}.skip", resolution, None, "up")
        yield StyledLayer(f"b{resolution}.conv1", resolution, 2 * i, "conv")
        if config.has_rgb(resolution):
            yield StyledLayer(f"b{resolution}.torgb", resolution, 2 * i + 1, "rgb")


class StyleGAN2(Generator):
    kind = "stylegan2"

    def __init__(self, config: StyleGAN2Config, info: ModelInfo | None = None) -> None:
        super().__init__(config, MappingNetwork(config.mapping), StyleGAN2Synthesis(config), info)
