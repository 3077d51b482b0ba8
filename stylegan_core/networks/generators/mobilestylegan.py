"""MobileStyleGAN (Belousov 2021, 2104.04767): depthwise-separable styled convolutions and inverse Haar upsampling.

Any depth: the published generator goes to 1024 px; one cut after its 128 px block ends at 256 px.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import LoadError
from ..info import ModelInfo
from ..mapping import MappingConfig, MappingNetwork
from ..shapes import Shape, Shapes, check_shapes, mapping_from_shapes, shape_of
from .base import Generator, LayerHook, NoiseMode, StyledLayer, Synthesis, one_by_one

STREAM_BYTES = 8 << 20
"""A CPU's caches hold no feature map above this, and the allocator gives its memory back at once: such maps are made and
used a few rows at a time."""
STRIP_BYTES = 4 << 20


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
    return _join_bands(x * 0.5)


def _join_bands(x: Tensor) -> Tensor:
    """Twice the inverse Haar transform, in channels_last: the four bands of a pixel lie side by side there."""
    b, c4, h, w = x.shape
    x, c = x.permute(0, 2, 3, 1), c4 // 4
    low, (lh, hl, hh) = x[..., :c], x[..., c:].unflatten(-1, (c, 3)).unbind(-1)
    rows = ((low + lh, hl + hh), (low - lh, hl - hh))
    if x.requires_grad:
        out = torch.stack([torch.stack([m + d, m - d], dim=3) for m, d in rows], dim=2)
    else:
        out = x.new_empty(b, h, 2, w, 2, c)
        for i, (mean, difference) in enumerate(rows):
            torch.add(mean, difference, out=out[:, :, i, :, 0])
            torch.sub(mean, difference, out=out[:, :, i, :, 1])
    return out.reshape(b, 2 * h, 2 * w, c).permute(0, 3, 1, 2)


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

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None, ends: tuple[bool, bool] = (True, True)) -> Tensor:
        """ends: whether x's first and last row are the map's; rows beyond an end are zero, others cost a row of output."""
        style, weight, bias = self.affine(w), self.weight.to(x.dtype), self.bias.to(x.dtype)
        noise = None if noise is None else noise.to(x)
        if weight.shape[-1] == 1:
            x = pointwise(self._depthwise(x, style, ends), weight, bias, noise)
        else:
            x = F.conv2d(x * style.to(x.dtype), weight, bias, padding=1)
            x = x if noise is None else x + noise
        return F.leaky_relu(x, 0.2) if x.requires_grad else F.leaky_relu_(x, 0.2)

    def _depthwise(self, x: Tensor, style: Tensor, ends: tuple[bool, bool]) -> Tensor:
        """The depthwise convolution of x times style; one style goes into the kernel, which is a pass less."""
        kernel = self.depthwise
        if len(style) == 1:
            kernel = kernel * style.view(-1, 1, 1, 1)
        else:
            x = x * style.to(x.dtype)
        if ends != (True, True):
            x = F.pad(x, (0, 0, int(ends[0]), int(ends[1])))
        return F.conv2d(x, kernel.to(x.dtype), padding=(int(ends == (True, True)), 1), groups=x.shape[1])


def pointwise(x: Tensor, weight: Tensor, bias: Tensor, noise: Tensor | None = None) -> Tensor:
    """1x1 convolution plus noise [h, w] or [1|B, 1, h, w]. In float32 a CPU is fastest with the matrix product that it is
    in channels_last, added to what else is to be added."""
    if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.float64):
        x = F.conv2d(x, weight, bias)
        recorded = x.requires_grad or (noise is not None and noise.requires_grad)
        return x if noise is None else x + noise if recorded else x.add_(noise)
    x, weight = x.permute(0, 2, 3, 1), weight.flatten(1)
    if noise is None or len(x) > 1:
        x = F.linear(x, weight, bias)
        return (x if noise is None else x + noise.unsqueeze(-1).view(-1, *x.shape[1:3], 1)).permute(0, 3, 1, 2)
    rest = noise.reshape(-1, 1) + bias
    made = rest.addmm(x.flatten(0, 2), weight.t()) if torch.is_grad_enabled() else rest.addmm_(x.flatten(0, 2), weight.t())
    return made.view(*x.shape[:3], -1).permute(0, 3, 1, 2)


class MobileUp(nn.Module):
    """Modulate, then inverse Haar: [B, C, h, w] -> [B, C/4, 2h, 2w]."""

    def __init__(self, w_dim: int, channels: int) -> None:
        super().__init__()
        self.affine = Affine(w_dim, channels, 1.0)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return _join_bands(x * (self.affine(w) * 0.5).to(x.dtype))


class MobileHead(nn.Module):
    """Image head: modulated 1x1 to 4 wavelet bands a channel, inverse Haar; [B, C, h, w] -> [B, img, 2h, 2w]."""

    def __init__(self, w_dim: int, channels: int, img_channels: int) -> None:
        super().__init__()
        self.affine = Affine(w_dim, channels, 1 / math.sqrt(channels))
        self.weight = nn.Parameter(torch.randn(4 * img_channels, channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(4 * img_channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style, weight = self.affine(w), self.weight
        if len(style) == 1:
            weight = weight * style
        else:
            x = x * style.to(x.dtype)
        bands = pointwise(x, weight.to(x.dtype), self.bias.to(x.dtype))
        return inverse_haar(bands if x.dtype == torch.float64 else bands.float())


class MobileBlock(nn.Module):
    """up, conv1, conv2 at one resolution; three rows of ws."""

    def __init__(self, w_dim: int, channels_in: int, channels_out: int, resolution: int) -> None:
        super().__init__()
        self.resolution = resolution
        self.up = MobileUp(w_dim, channels_in)
        self.conv1 = MobileConv(w_dim, channels_in // 4, channels_out, resolution)
        self.conv2 = MobileConv(w_dim, channels_out, channels_out, resolution)

    def rows(self, before: Callable[[int, int], Tensor], ws: Sequence[Tensor], noise: Sequence[Tensor | None],
             first: int, last: int) -> Tensor:
        """Rows first to last (both even) of the block's map; before(a, b) gives rows a to b of the map it grows from."""
        end = self.resolution
        ends = first == 0, last == end
        x = self.up(before(max(first // 2 - 1, 0), min(last // 2 + 1, end // 2)), ws[0])
        x = self.conv1(x, ws[1], _rows(noise[0], max(first - 1, 0), last + 1), ends)
        return self.conv2(x, ws[2], _rows(noise[1], first, last), ends)


def _rows(noise: Tensor | None, first: int, last: int) -> Tensor | None:
    return None if noise is None else noise[..., first:last, :]


class MobileSynthesis(Synthesis):
    """ws [B, num_ws, w_dim] -> image; rows are conv1@4, then up/conv1/conv2 of each block, then the head."""

    local = True
    takes_half = True

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
        x = self.start(self.const, len(ws))
        maps = self.noise_maps(x, noise_mode, noise, generator, hook is not None)
        ws = ws.to(self.const.dtype)
        if hook is not None or torch.is_grad_enabled() or ws.device.type != "cpu":
            return self._draw(x, ws, maps, hook)
        return torch.cat([self._draw_rows(x[:1], w, one) for w, one in one_by_one(ws, maps)])

    def _draw(self, x: Tensor, ws: Tensor, noise: Sequence[Tensor | None], hook: LayerHook | None) -> Tensor:
        """All pictures, layer by layer."""
        maps = iter(noise)
        for layer in self.layers[1:]:
            module, w = self.get_submodule(layer.name), ws[:, layer.row]
            x = module(x, w, next(maps)) if layer.kind == "conv" else module(x, w)
            if hook is not None and layer.kind == "conv":
                x = hook(layer, x)
        return x

    def _draw_rows(self, x: Tensor, ws: Tensor, noise: Sequence[Tensor | None]) -> Tensor:
        """One picture; maps above STREAM_BYTES, and the head over them, a few rows at a time."""
        blocks = [cast(MobileBlock, self.get_submodule(f"b{8 << i}")) for i in range(len(self.config.channels) - 1)]
        w = ws.unbind(1)
        whole = self.get_submodule("b4.conv1")(x, w[0], noise[0])

        def rows(i: int, first: int, last: int) -> Tensor:
            """Of block i's map; of a streamed one an even number from an even one on, then cropped."""
            if i < streamed:
                return whole[:, :, first:last]
            a, b = first - first % 2, last + last % 2
            made = blocks[i].rows(lambda c, d: rows(i - 1, c, d), w[3 * i + 1 : 3 * i + 4], noise[2 * i + 1 : 2 * i + 3], a, b)
            return made[:, :, first - a : made.shape[2] - (b - last)]

        streamed = 0
        for block, width in zip(blocks, self.config.channels[1:], strict=True):
            if width * block.resolution**2 * whole.element_size() > STREAM_BYTES:
                break
            whole, streamed = rows(streamed, 0, block.resolution), streamed + 1
        side, width = self.img_resolution // 2, self.config.channels[-1]
        step = side if streamed == len(blocks) else max(STRIP_BYTES // (width * side * whole.element_size()) // 2 * 2, 8)
        parts = [self.head(rows(len(blocks) - 1, i, min(i + step, side)), w[-1]) for i in range(0, side, step)]
        return torch.cat(parts, dim=2).contiguous()


class MobileStyleGAN(Generator):
    kind = "mobilestylegan"

    def __init__(self, config: MobileStyleGANConfig, info: ModelInfo | None = None) -> None:
        super().__init__(config, MappingNetwork(config.mapping), MobileSynthesis(config), info)
