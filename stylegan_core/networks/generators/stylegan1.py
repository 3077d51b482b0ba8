"""StyleGAN, the first (Karras et al. 2019, 1812.04948): constant input, AdaIN, noise, progressive image heads.

Canonical form: NVIDIA's arithmetic under StyleGAN2's names. Both published implementations come to it by constants that
the readers fold into the weights (checkpoints/layouts): the mapping's gain follows its activation, affine biases
include the 1 of the scale, a fused upsampling kernel is stored as the one that follows nearest-neighbour doubling.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ...errors import InvalidInput, LoadError
from ...ops.fir import filter2d, resample_kernel
from ..info import ModelInfo
from ..mapping import FullyConnected, MappingConfig, MappingNetwork
from ..shapes import MAX_RESOLUTION, Shape, Shapes, block_widths, check_shapes, mapping_from_shapes, shape_of
from .base import Generator, LayerHook, NoiseMode, StyledLayer, Synthesis

BINOMIAL = (1.0, 2.0, 1.0)


@dataclass(frozen=True)
class StyleGAN1Config:
    """channels[i] is the width at 4 * 2**i px. Raises InvalidInput when fields are out of range."""

    mapping: MappingConfig = MappingConfig(num_ws=18)
    channels: tuple[int, ...] = (512, 512, 512, 512, 256, 128, 64, 32, 16)
    img_channels: int = 3
    norm_eps: float = 1e-8
    """Of the instance norm: 1e-8 (NVIDIA), 1e-5 (PyTorch's own, rosinality)."""
    bias_before_blur: bool = False
    """Where the upsampling convolutions add their bias; seen only at the border (rosinality: before)."""
    lod: float = 0.0
    """Level of detail progressive growing had reached: 0 is full size, 1.5 is halfway between a half and a quarter."""

    def __post_init__(self) -> None:
        if not self.channels or self.img_resolution > MAX_RESOLUTION:
            raise InvalidInput(f"{len(self.channels)} widths make {self.img_resolution} px; give one for 4, 8, ... "
                               f"up to {MAX_RESOLUTION} px.")
        if not 0 <= self.lod <= len(self.channels) - 1 or not 0 < self.norm_eps < 1:
            raise InvalidInput(f"A level of detail of {self.lod} with epsilon {self.norm_eps} can't be; "
                               f"the usual ones are 0 and 1e-8.")

    @property
    def img_resolution(self) -> int:
        return 2 << len(self.channels)

    @property
    def num_ws(self) -> int:
        return 2 * len(self.channels)

    @classmethod
    def from_shapes(cls, shapes: Shapes, facts: Mapping[str, Any]) -> StyleGAN1Config:
        """From canonical keys; facts may give norm_eps, bias_before_blur, lr_multiplier. Raises LoadError."""
        channels = block_widths(shapes, "synthesis.b{}.conv1.weight")
        if not channels:
            raise LoadError("The file has no tensor synthesis.b4.conv1.weight; load a complete StyleGAN generator.")
        rgb = shape_of(shapes, f"synthesis.b{2 << len(channels)}.torgb.weight", 4)
        given = {k: facts[k] for k in ("norm_eps", "bias_before_blur", "lod") if k in facts}
        config = cls(mapping_from_shapes(shapes, 2 * len(channels), facts), tuple(channels), rgb[0], **given)
        expected = dict(config.synthesis_shapes())
        check_shapes(shapes, expected.items(), optional=[k for k in expected if k.endswith("noise_const")])
        return config

    def synthesis_shapes(self) -> Iterator[tuple[str, Shape]]:
        """(key, shape) of every tensor below synthesis."""
        w_dim = self.mapping.w_dim
        yield "synthesis.b4.const", (self.channels[0], 4, 4)
        for i, (before, width) in enumerate(zip(self.channels[:1] + self.channels, self.channels, strict=False)):
            r = 4 << i
            for layer, width_in in (("conv0", before), ("conv1", width)):
                shapes: dict[str, Shape] = {"bias": (width,), "noise_strength": (width,), "noise_const": (r, r),
                                            "affine.weight": (2 * width, w_dim), "affine.bias": (2 * width,)}
                if r > 4 or layer == "conv1":
                    shapes["weight"] = (width, width_in, 3, 3)
                for name, shape in shapes.items():
                    yield f"synthesis.b{r}.{layer}.{name}", shape
            yield f"synthesis.b{r}.torgb.weight", (self.img_channels, width, 1, 1)
            yield f"synthesis.b{r}.torgb.bias", (self.img_channels,)


class Epilogue(nn.Module):
    """Noise, bias, leaky ReLU, AdaIN: x [B, C, r, r], w [B, w_dim] -> same (1812.04948, section 2 and figure 1)."""

    noise_const: Tensor

    def __init__(self, config: StyleGAN1Config, channels: int, resolution: int) -> None:
        super().__init__()
        self.eps = config.norm_eps
        self.bias = nn.Parameter(torch.zeros(channels))
        self.noise_strength = nn.Parameter(torch.zeros(channels))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))
        self.affine = FullyConnected(config.mapping.w_dim, 2 * channels)
        with torch.no_grad():
            self.affine.bias[:channels].fill_(1)

    def finish(self, x: Tensor, w: Tensor, noise: Tensor | None, add_bias: bool = True) -> Tensor:
        if noise is not None:
            x = x + noise * self.noise_strength[:, None, None]
        if add_bias:
            x = x + self.bias[:, None, None]
        scale, shift = self.affine(w).chunk(2, dim=1)
        # Instance norm with a scale and shift per sample is batch norm over B * C planes: one fused kernel.
        planes = rearrange(F.leaky_relu(x, 0.2), "b c h w -> 1 (b c) h w")
        planes = F.batch_norm(planes, None, None, scale.flatten(), shift.flatten(), training=True, eps=self.eps)
        return rearrange(planes, "1 (b c) h w -> b c h w", b=len(x))


class ConstInput(Epilogue):
    """The learned 4 x 4 input's epilogue; the constant itself belongs to the block."""

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        return self.finish(x, w, noise)


class StyledConv(Epilogue):
    """3x3 convolution, after doubling the size and before a blur where `up`; x [B, I, h, h] -> [B, O, r, r]."""

    def __init__(self, config: StyleGAN1Config, channels_in: int, channels: int, resolution: int, up: bool) -> None:
        super().__init__(config, channels, resolution)
        self.up, self.bias_before_blur = up, up and config.bias_before_blur
        self.weight = nn.Parameter(torch.randn(channels, channels_in, 3, 3))
        self.gain = math.sqrt(2 / (9 * channels_in))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        weight, bias = self.weight * self.gain, self.bias if self.bias_before_blur else None
        if self.up:
            x = filter2d(upsample_conv(x, weight, bias), resample_kernel(BINOMIAL).to(x), (1, 1))
        else:
            x = F.conv2d(x, weight, padding=1)
        return self.finish(x, w, noise, add_bias=not self.bias_before_blur)


def upsample_conv(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """conv2d(nearest-neighbour doubling of x, weight [O, I, 3, 3], padding 1), in 16 instead of 36 products a sample.

    Doubling repeats samples, so each output needs only sums of neighbouring taps: a 4x4 kernel at stride 2.
    """
    spread = F.pad(weight.flip(2, 3), (1, 1, 1, 1))
    kernel = spread[..., 1:, 1:] + spread[..., 1:, :-1] + spread[..., :-1, 1:] + spread[..., :-1, :-1]
    return F.conv_transpose2d(x, kernel.transpose(0, 1), bias, stride=2, padding=1)


class ImageHead(nn.Module):
    """1x1 convolution to the image, unstyled: x [B, C, r, r] -> [B, img, r, r]."""

    def __init__(self, channels: int, img_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(img_channels, channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(img_channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight / math.sqrt(x.shape[1]), self.bias)


class StyleGAN1Synthesis(Synthesis):
    """ws [B, num_ws, w_dim] -> image; one row and one noise map for each epilogue, two of them at every resolution."""

    def __init__(self, config: StyleGAN1Config) -> None:
        super().__init__()
        self.config = config
        self.num_ws, self.img_resolution, self.img_channels = config.num_ws, config.img_resolution, config.img_channels
        layers = [StyledLayer("b4.const", 4, None, "const")]
        for i, width in enumerate(config.channels):
            r, block = 4 << i, nn.Module()
            if i == 0:
                block.const = nn.Parameter(torch.ones(width, 4, 4))
                block.conv0 = ConstInput(config, width, 4)
            else:
                block.conv0 = StyledConv(config, config.channels[i - 1], width, r, up=True)
            block.conv1 = StyledConv(config, width, width, r, up=False)
            block.torgb = ImageHead(width, config.img_channels)
            setattr(self, f"b{r}", block)
            layers += [StyledLayer(f"b{r}.conv0", r, 2 * i, "up" if i else "conv"),
                       StyledLayer(f"b{r}.conv1", r, 2 * i + 1, "conv"), StyledLayer(f"b{r}.torgb", r, None, "rgb")]
        self.layers = tuple(layers)

    def noise_shapes(self) -> tuple[tuple[int, int], ...]:
        return tuple((layer.resolution, layer.resolution) for layer in self.layers if layer.kind in ("conv", "up"))

    def forward(self, ws: Tensor, noise_mode: NoiseMode = "const", noise: list[Tensor] | None = None,
                transform: Tensor | None = None, generator: torch.Generator | None = None,
                hook: LayerHook | None = None, lod: float | None = None) -> Tensor:
        """noise may also be one map a resolution, for both its layers; lod overrides the config's level of detail.

        lod: log2 of how much smaller the drawn image is; the result is doubled to full size. A rosinality run of step
        s and fade alpha on a network of L levels is lod = L - s - alpha.
        """
        if noise is not None and len(noise) == len(self.config.channels):
            noise = [map_ for map_ in noise for _ in range(2)]
        self.check_inputs(ws, self.config.mapping.w_dim, noise, transform)
        level, top = self.config.lod if lod is None else lod, len(self.config.channels) - 1
        if not 0 <= level <= top:
            raise InvalidInput(f"The level of detail is {level}; use 0 (full size) to {top} (4 px).")
        const: Tensor = self.get_submodule("b4").const  # type: ignore[assignment]
        x, image = const.expand(len(ws), -1, -1, -1), None
        maps = iter(self.noise_maps(x, noise_mode, noise, generator))
        ws = ws.to(x.dtype)
        shown = self.img_resolution >> math.floor(level)  # what lies above is not seen
        for layer in self.layers[1:]:
            if layer.resolution > shown:
                break
            module = self.get_submodule(layer.name)
            if layer.kind == "rgb":
                image = self._grow(module, x, image, level)
                continue
            map_ = next(maps)
            x = module(x, ws[:, layer.row], None if map_ is None else map_.to(x))
            if hook is not None:
                x = hook(layer, x)
        assert image is not None
        if shown < self.img_resolution:
            image = F.interpolate(image, scale_factor=self.img_resolution / shown, mode="nearest")
        return image if image.dtype == torch.float64 else image.float()

    def _grow(self, head: nn.Module, x: Tensor, image: Tensor | None, level: float) -> Tensor | None:
        """The image up to x's resolution; above it, a level of detail keeps the smaller image, doubled (1710.10196)."""
        here = math.log2(self.img_resolution / x.shape[-1])
        if level <= here - 1:
            return None
        share = 0.0 if image is None else min(max(level - here, 0.0), 1.0)
        if image is None or share == 0:
            return head(x)
        doubled = F.interpolate(image, scale_factor=2.0, mode="nearest")
        return doubled if share == 1 else head(x).lerp(doubled, share)


class StyleGAN1(Generator):
    """StyleGAN (Karras et al. 2019, 1812.04948): styles by instance normalization, grown level by level."""

    kind = "stylegan1"

    def __init__(self, config: StyleGAN1Config, info: ModelInfo | None = None) -> None:
        super().__init__(config, MappingNetwork(config.mapping), StyleGAN1Synthesis(config), info)

    def at_resolution(self, resolution: int) -> StyleGAN1:
        """The same weights, cut after `resolution` px: what a network grown only so far gives. Shares its tensors."""
        count = resolution.bit_length() - 2
        if not 1 <= count <= len(self.config.channels) or resolution != 2 << count:
            raise InvalidInput(f"This model can't stop at {resolution} px; use a power of two from 4 to "
                               f"{self.img_resolution}.")
        mapping = replace(self.config.mapping, num_ws=2 * count)
        config = replace(self.config, channels=self.config.channels[:count], mapping=mapping, lod=0.0)
        with torch.random.fork_rng(devices=[]):
            cut = StyleGAN1(config, self.info)
        own = self.state_dict()
        cut.load_state_dict({key: own[key] for key in cut.state_dict()}, assign=True)
        return cut.requires_grad_(False).train(self.training)
