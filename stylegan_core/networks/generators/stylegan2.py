"""StyleGAN2 (Karras et al. 2020, 1912.04958) and its ADA variants (2006.06676): w -> image.

State-dict keys are NVIDIA's torch names. The convolutions are in ops.modulated, the resampling in ops.fir.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from ...errors import InvalidInput, LoadError
from ...ops import fir
from ...ops.activation import activate, find_activation
from ...ops.fir import resample_kernel, upsample2d
from ...ops.modulated import exact, modulated_conv2d
from ..info import ModelInfo
from ..mapping import FullyConnected, MappingConfig, MappingNetwork
from ..shapes import Shape, Shapes, block_widths, check_shapes, mapping_from_shapes, shape_of
from .base import Generator, LayerHook, NoiseMode, StyledLayer, Synthesis, one_by_one

Architecture = Literal["skip", "resnet", "orig"]
_SYNTHESIS_FACTS = ("conv_clamp", "resample_kernel", "activation", "scaled_demodulation")


@dataclass(frozen=True)
class StyleGAN2Config:
    """Everything the network's shape and arithmetic depend on; raises InvalidInput when it contradicts itself."""

    mapping: MappingConfig = MappingConfig()
    img_resolution: int = 1024
    """Nominal: 4 * 2**k. A const that is not square makes the image const_size * 2**k (height, width)."""
    channels: tuple[int, ...] = (512, 512, 512, 512, 512, 256, 128, 64, 32)
    """Width at 4, 8, ..., img_resolution."""
    img_channels: int = 3
    architecture: Architecture = "skip"
    """skip: an image head at every resolution; orig: only at the last; resnet: residual blocks, head at the last."""
    conv_clamp: float | None = None
    """Features are clipped to +-conv_clamp after every layer (networks trained in fp16)."""
    resample_kernel: tuple[float, ...] | tuple[tuple[float, ...], ...] = (1.0, 3.0, 3.0, 1.0)
    """FIR taps, or a square 2-D filter; its scale does not matter."""
    activation: str = "lrelu"
    scaled_demodulation: bool = False
    """True when the weight carries its 1/sqrt(9 in) gain, on which the epsilon then acts (TensorFlow, rosinality)."""
    const_size: tuple[int, int] = (4, 4)
    use_noise: bool = True

    def __post_init__(self) -> None:
        if not self.channels or self.img_resolution != 4 << (len(self.channels) - 1):
            raise InvalidInput(f"{len(self.channels)} widths don't make {self.img_resolution} px; give one for 4, 8, ...")
        if self.architecture not in ("skip", "resnet", "orig"):
            raise InvalidInput(f'Architecture "{self.architecture}" is unknown; use "skip", "resnet" or "orig".')
        if self.mapping.num_ws != self.num_ws:
            raise InvalidInput(f"The mapping has {self.mapping.num_ws} rows; {self.img_resolution} px needs {self.num_ws}.")
        if self.conv_clamp is not None and not self.conv_clamp > 0:
            raise InvalidInput(f"Features can't be clipped to +-{self.conv_clamp}; use a number above 0, or None.")
        find_activation(self.activation)
        fir.resample_kernel(self.resample_kernel)

    @property
    def num_ws(self) -> int:
        """2 log2(resolution) - 2, whatever the architecture."""
        return 2 * len(self.channels)

    @property
    def resolutions(self) -> tuple[int, ...]:
        return tuple(4 << i for i in range(len(self.channels)))

    def has_rgb(self, resolution: int) -> bool:
        return self.architecture == "skip" or resolution == self.img_resolution

    def size(self, resolution: int) -> tuple[int, int]:
        """(height, width) of the features at a nominal resolution."""
        return self.const_size[0] * resolution // 4, self.const_size[1] * resolution // 4

    @classmethod
    def from_shapes(cls, shapes: Shapes, facts: Mapping[str, Any]) -> StyleGAN2Config:
        """Canonical keys and shapes -> config. facts: what shapes can't tell, by field name (conv_clamp, activation,
        resample_kernel, scaled_demodulation, lr_multiplier; architecture at 4 px). LoadError when shapes contradict."""
        const = shape_of(shapes, "synthesis.b4.const", 3)
        channels = block_widths(shapes, "synthesis.b{}.conv1.weight")
        if not channels:
            raise LoadError("The file has no tensor synthesis.b4.conv1.weight; load a complete StyleGAN2 generator.")
        resolution = 2 << len(channels)
        given = {name: facts[name] for name in _SYNTHESIS_FACTS if name in facts}
        if "resample_kernel" in given:
            given["resample_kernel"] = as_taps(given["resample_kernel"])
        config = cls(
            mapping=mapping_from_shapes(shapes, 2 * len(channels), facts),
            img_resolution=resolution,
            channels=tuple(channels),
            img_channels=shape_of(shapes, f"synthesis.b{resolution}.torgb.weight", 4)[0],
            architecture=_architecture(shapes, len(channels), facts),
            const_size=(const[1], const[2]),
            use_noise="synthesis.b4.conv1.noise_strength" in shapes,
            **given,
        )
        expected = dict(config.synthesis_shapes())
        check_shapes(shapes, expected.items(), optional=(key for key in expected if key.endswith("noise_const")))
        return config

    def synthesis_shapes(self) -> Iterator[tuple[str, Shape]]:
        """(key, shape) of every tensor below synthesis."""
        before = self.channels[0]
        for resolution, width in zip(self.resolutions, self.channels, strict=True):
            prefix = f"synthesis.b{resolution}"
            if resolution == 4:
                yield f"{prefix}.const", (before, *self.const_size)
            else:
                yield from self._layer_shapes(f"{prefix}.conv0", before, width, resolution)
                if self.architecture == "resnet":
                    yield f"{prefix}.skip.weight", (width, before, 1, 1)
            yield from self._layer_shapes(f"{prefix}.conv1", width, width, resolution)
            if self.has_rgb(resolution):
                yield from self._layer_shapes(f"{prefix}.torgb", width, self.img_channels, None)
            before = width

    def _layer_shapes(self, prefix: str, width_in: int, width_out: int,
                      resolution: int | None) -> Iterator[tuple[str, Shape]]:
        kernel = 1 if resolution is None else 3
        yield f"{prefix}.weight", (width_out, width_in, kernel, kernel)
        yield f"{prefix}.bias", (width_out,)
        yield f"{prefix}.affine.weight", (width_in, self.mapping.w_dim)
        yield f"{prefix}.affine.bias", (width_in,)
        if resolution is not None and self.use_noise:
            yield f"{prefix}.noise_strength", ()
            yield f"{prefix}.noise_const", self.size(resolution)


def as_taps(value: Any) -> tuple[Any, ...]:
    """[T] or [T, T] of any array type -> (nested) tuple."""
    taps = torch.as_tensor(value, dtype=torch.float32).tolist()
    return tuple(tuple(tap) if isinstance(tap, list) else tap for tap in taps)


def _architecture(shapes: Shapes, blocks: int, facts: Mapping[str, Any]) -> Architecture:
    if blocks == 1:
        return facts.get("architecture", "skip")
    if "synthesis.b4.torgb.weight" in shapes:
        return "skip"
    return "resnet" if "synthesis.b8.skip.weight" in shapes else "orig"


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
        return exact(x)


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

    takes_half = True
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
        return cast(Tensor, self.get_submodule("b4").const)  # no get_parameter: under functional_call it is none

    def noise_shapes(self) -> tuple[tuple[int, int], ...]:
        return tuple(self.config.size(layer.resolution) for layer in self._noisy)

    def forward(self, ws: Tensor, noise_mode: NoiseMode = "const", noise: list[Tensor] | None = None,
                transform: Tensor | None = None, generator: torch.Generator | None = None,
                hook: LayerHook | None = None) -> Tensor:
        self.check_inputs(ws, self.config.mapping.w_dim, noise, transform)
        x = self.start(self.const, len(ws))
        maps = self.noise_maps(x, noise_mode, noise, generator) or [None] * len(self.layers)
        if len(ws) < 2 or hook is not None or ws.device.type != "cpu" or torch.is_grad_enabled():
            return self._draw(x, ws, maps, hook)
        # one picture's features fit the CPU's caches, a batch's do not: no slower, and a batch needs no more memory
        return torch.cat([self._draw(x[:1], w, one, None) for w, one in one_by_one(ws, maps)])

    def _draw(self, x: Tensor, ws: Tensor, noise: list[Tensor | None], hook: LayerHook | None) -> Tensor:
        rows, maps = [_one_if_shared(w) for w in ws.unbind(1)], iter(noise)
        residual = self.config.architecture == "resnet"
        before, image = x, None
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
    """StyleGAN2 (Karras et al. 2020, 1912.04958): styles in the convolutions' weights, no growing."""

    kind = "stylegan2"

    def __init__(self, config: StyleGAN2Config, info: ModelInfo | None = None) -> None:
        super().__init__(config, MappingNetwork(config.mapping), StyleGAN2Synthesis(config), info)
