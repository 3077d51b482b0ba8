"""MobileStyleGAN (Belousov 2021, 2104.04767): depthwise-separable styled convolutions and inverse Haar upsampling.

Any depth: the published generator goes to 1024 px; one cut after its 128 px block ends at 256 px.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import LoadError
from ..info import ModelInfo
from ..mapping import MappingConfig, MappingNetwork
from ..shapes import Shape, Shapes, check_shapes, mapping_from_shapes, shape_of
from .base import Generator, LayerHook, NoiseMode, StyledLayer, Synthesis, draw_noise

HALF_ROOT = 1 / math.sqrt(2)


@dataclass(frozen=True)
class MobileStyleGANConfig:
    """channels[i] is the width at 4 * 2**i px; the image is twice the last of those resolutions."""

    mapping: MappingConfig = MappingConfig(num_ws=23)
    channels: tuple[int, ...] = (512, 512, 512, 512, 512, 256, 128, 64)
    img_channels: int = 3

    @property
    def img_resolution(self) -> int:
        return 4 * 2 ** len(self.channels)

    @property
    def num_ws(self) -> int:
        """One row for the 4 px conv, three for each block, one for the image head."""
        return 3 * (len(self.channels) - 1) + 2

    @classmethod
    def from_shapes(cls, shapes: Shapes, facts: Mapping[str, Any]) -> MobileStyleGANConfig:
        """Canonical keys and shapes -> config; LoadError when they contradict each other."""
        channels = [shape_of(shapes, "synthesis.b4.conv1.weight", 4)[0]]
        while f"synthesis.b{4 << len(channels)}.conv2.weight" in shapes:
            channels.append(shape_of(shapes, f"synthesis.b{4 << len(channels)}.conv2.weight", 4)[0])
        bands = shape_of(shapes, "synthesis.head.weight", 4)[0]
        if bands % 4 or any(width % 4 for width in channels):
            raise LoadError(f"The image head gives {bands} bands and the blocks have widths {channels}, but wavelets come "
                            f"in fours; use an intact file.")
        mapping = mapping_from_shapes(shapes, 3 * (len(channels) - 1) + 2, facts)
        config = cls(mapping, tuple(channels), bands // 4)
        check_shapes(shapes, config.synthesis_shapes())
        return config

    def synthesis_shapes(self) -> Iterator[tuple[str, Shape]]:
        """(key, shape) of every tensor below synthesis."""
        first, last = self.channels[0], self.channels[-1]
        yield "synthesis.const", (first, 4, 4)
        yield from self._conv_shapes("synthesis.b4.conv1", first, first, 4, dense=True)
        for i, (before, width) in enumerate(zip(self.channels, self.channels[1:], strict=False)):
            prefix = f"synthesis.b{8 << i}"
            yield from self._affine_shapes(f"{prefix}.up", before)
            yield from self._conv_shapes(f"{prefix}.conv1", before // 4, width, 8 << i)
            yield from self._conv_shapes(f"{prefix}.conv2", width, width, 8 << i)
        yield from self._affine_shapes("synthesis.head", last)
        yield "synthesis.head.weight", (4 * self.img_channels, last, 1, 1)
        yield "synthesis.head.bias", (4 * self.img_channels,)

    def _affine_shapes(self, prefix: str, width: int) -> Iterator[tuple[str, Shape]]:
        yield f"{prefix}.affine.weight", (width, self.mapping.w_dim)
        yield f"{prefix}.affine.bias", (width,)

    def _conv_shapes(self, prefix: str, before: int, width: int, resolution: int, dense: bool = False
                     ) -> Iterator[tuple[str, Shape]]:
        yield from self._affine_shapes(prefix, before)
        if not dense:
            yield f"{prefix}.depthwise", (before, 1, 3, 3)
        yield f"{prefix}.weight", (width, before, *((3, 3) if dense else (1, 1)))
        yield f"{prefix}.bias", (width,)
        yield f"{prefix}.noise_const", (resolution, resolution)


def inverse_haar(x: Tensor) -> Tensor:
    """[B, 4C, H, W] -> [B, C, 2H, 2W]; channels are C of LL, then (LH, HL, HH) interleaved per channel."""
    b, c4, h, w = x.shape
    low, high = x[:, : c4 // 4], x[:, c4 // 4 :].reshape(b, c4 // 4, 3, h, w)
    rows = [torch.stack([a + d, a - d], dim=3).reshape(b, c4 // 4, 2 * h, w)
            for a, d in ((low, high[:, :, 0]), (high[:, :, 1], high[:, :, 2]))]
    out = torch.stack([rows[0] + rows[1], rows[0] - rows[1]], dim=4).reshape(b, c4 // 4, 2 * h, 2 * w)
    return out * 0.5


def haar(x: Tensor) -> Tensor:
    """[B, C, 2H, 2W] -> [B, 4C, H, W]: the exact inverse of inverse_haar."""
    b, c, h, w = x.shape
    a, d = x[..., 0::2] + x[..., 1::2], x[..., 0::2] - x[..., 1::2]
    bands = [a[:, :, 0::2] + a[:, :, 1::2], a[:, :, 0::2] - a[:, :, 1::2],
             d[:, :, 0::2] + d[:, :, 1::2], d[:, :, 0::2] - d[:, :, 1::2]]
    high = torch.stack(bands[1:], dim=2).reshape(b, 3 * c, h // 2, w // 2)
    return torch.cat([bands[0], high], dim=1) * 0.5


class Affine(nn.Module):
    """w [B, w_dim] -> per-channel style [B, C, 1, 1]; the gain is the layer's, the file's weights are plain."""

    def __init__(self, w_dim: int, channels: int, gain: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, w_dim).normal_(std=1 / math.sqrt(w_dim)))
        self.bias = nn.Parameter(torch.ones(channels))
        self.gain = gain

    def forward(self, w: Tensor) -> Tensor:
        return (F.linear(w, self.weight, self.bias) * self.gain)[:, :, None, None]


class MobileConv(nn.Module):
    """x [B, I, h, w] -> [B, O, h, w]: modulate, depthwise 3x3 and 1x1 (or one dense 3x3), noise, bias, leaky ReLU."""

    noise_const: Tensor

    def __init__(self, w_dim: int, channels_in: int, channels_out: int, resolution: int, dense: bool = False) -> None:
        super().__init__()
        self.resolution = resolution
        self.affine = Affine(w_dim, channels_in, 1 / math.sqrt(9 * channels_in))
        size = 3 if dense else 1
        if not dense:
            self.depthwise = nn.Parameter(torch.randn(channels_in, 1, 3, 3))
        self.weight = nn.Parameter(torch.randn(channels_out, channels_in, size, size))
        self.bias = nn.Parameter(torch.zeros(channels_out))
        self.register_buffer("noise_const", torch.zeros(resolution, resolution))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        x = x * self.affine(w)
        if self.weight.shape[-1] == 3:
            x = F.conv2d(x, self.weight, self.bias, padding=1)
        else:
            x = F.conv2d(x, self.depthwise, padding=1, groups=x.shape[1])
            x = F.conv2d(x, self.weight, self.bias)
        return F.leaky_relu(x if noise is None else x + noise, 0.2)


class MobileUp(nn.Module):
    """Modulate, then inverse Haar: [B, C, h, w] -> [B, C/4, 2h, 2w]."""

    def __init__(self, w_dim: int, channels: int) -> None:
        super().__init__()
        self.affine = Affine(w_dim, channels, 1.0)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return inverse_haar(x * self.affine(w))


class MobileHead(nn.Module):
    """Image head: modulated 1x1 to 4 wavelet bands a channel, inverse Haar; [B, C, h, w] -> [B, img, 2h, 2w]."""

    def __init__(self, w_dim: int, channels: int, img_channels: int) -> None:
        super().__init__()
        self.affine = Affine(w_dim, channels, 1 / math.sqrt(channels))
        self.weight = nn.Parameter(torch.randn(4 * img_channels, channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(4 * img_channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return inverse_haar(F.conv2d(x * self.affine(w), self.weight, self.bias))


class MobileBlock(nn.Module):
    """up, conv1, conv2 at one resolution; three rows of ws."""

    def __init__(self, w_dim: int, channels_in: int, channels_out: int, resolution: int) -> None:
        super().__init__()
        self.up = MobileUp(w_dim, channels_in)
        self.conv1 = MobileConv(w_dim, channels_in // 4, channels_out, resolution)
        self.conv2 = MobileConv(w_dim, channels_out, channels_out, resolution)


class MobileSynthesis(Synthesis):
    """ws [B, num_ws, w_dim] -> image; rows are conv1@4, then up/conv1/conv2 of each block, then the head."""

    local = True

    def __init__(self, config: MobileStyleGANConfig) -> None:
        super().__init__()
        self.config = config
        w_dim, widths = config.mapping.w_dim, config.channels
        self.num_ws, self.img_resolution, self.img_channels = config.num_ws, config.img_resolution, config.img_channels
        self.const = nn.Parameter(torch.randn(widths[0], 4, 4))
        self.b4 = nn.Module()
        self.b4.conv1 = MobileConv(w_dim, widths[0], widths[0], 4, dense=True)
        for i, (a, b) in enumerate(zip(widths, widths[1:], strict=False)):
            setattr(self, f"b{8 << i}", MobileBlock(w_dim, a, b, 8 << i))
        self.head = MobileHead(w_dim, widths[-1], config.img_channels)
        self.layers = self._list_layers()

    def _list_layers(self) -> tuple[StyledLayer, ...]:
        found = [StyledLayer("const", 4, None, "const"), StyledLayer("b4.conv1", 4, 0, "conv")]
        for i in range(len(self.config.channels) - 1):
            r, row = 8 << i, 3 * i + 1
            found += [StyledLayer(f"b{r}.up", r, row, "up"), StyledLayer(f"b{r}.conv1", r, row + 1, "conv"),
                      StyledLayer(f"b{r}.conv2", r, row + 2, "conv")]
        return (*found, StyledLayer("head", self.img_resolution, self.num_ws - 1, "rgb"))

    def noise_shapes(self) -> tuple[tuple[int, int], ...]:
        return tuple((layer.resolution, layer.resolution) for layer in self.layers if layer.kind == "conv")

    def forward(self, ws: Tensor, noise_mode: NoiseMode = "const", noise: list[Tensor] | None = None,
                transform: Tensor | None = None, generator: torch.Generator | None = None,
                hook: LayerHook | None = None) -> Tensor:
        self.check_inputs(ws, self.config.mapping.w_dim, noise, transform)
        ws, maps = ws.to(self.const.dtype), iter(noise or ())
        x = self.const.expand(len(ws), -1, -1, -1)
        for layer in self.layers[1:]:
            module, w = self.get_submodule(layer.name), ws[:, layer.row]
            if layer.kind == "conv":
                size = (layer.resolution, layer.resolution)
                map_ = next(maps) if noise else draw_noise(
                    size, len(ws), noise_mode, module.get_buffer("noise_const"), x, generator)
                x = module(x, w, map_)
            else:
                x = module(x, w)
            if hook is not None and layer.kind == "conv":
                x = hook(layer, x)
        return x if x.dtype == torch.float64 else x.float()


class MobileStyleGAN(Generator):
    kind = "mobilestylegan"

    def __init__(self, config: MobileStyleGANConfig, info: ModelInfo | None = None) -> None:
        super().__init__(config, MappingNetwork(config.mapping), MobileSynthesis(config), info)
