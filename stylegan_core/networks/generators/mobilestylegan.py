"""MobileStyleGAN (Belousov 2021, 2104.04767): depthwise-separable styled convolutions and inverse Haar upsampling.

Any depth: the published generator goes to 1024 px; one cut after its 128 px block ends at 256 px.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import LoadError
from ..info import ModelInfo
from ..mapping import MappingConfig, MappingNetwork
from ..shapes import Shape, Shapes, block_widths, check_shapes, mapping_from_shapes, shape_of
from .base import Generator, HookUpTo, LayerHook, NoiseMode, StyledLayer, Synthesis, one_by_one
from .mobile_layers import MobileBlock, MobileConv, MobileHead
from .mobile_strips import draw_in_strips


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
        channels = [shape_of(shapes, "synthesis.b4.conv1.weight", 4)[0],
                    *block_widths(shapes, "synthesis.b{}.conv2.weight", first=8)]
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
        if (hook is not None and not isinstance(hook, HookUpTo)) or torch.is_grad_enabled() or ws.device.type != "cpu":
            return self._draw(x, ws, maps, hook, self.layers[1:])
        whole = sum(8 << i <= hook.resolution for i in range(len(self.config.channels) - 1)) if hook else 0
        x = self._draw(x, ws, maps, hook, self.layers[1 : 2 + 3 * whole])
        rest: list[Any] = [self.get_submodule(f"b{8 << i}") for i in range(whole, len(self.config.channels) - 1)]
        pictures = [draw_in_strips(features, rest, self.head, w[:, 1 + 3 * whole :].unbind(1), one[1 + 2 * whole :])
                    for features, (w, one) in zip(x.split(1), one_by_one(ws, maps), strict=True)]
        return torch.cat(pictures) if len(pictures) > 1 else pictures[0]

    def _draw(self, x: Tensor, ws: Tensor, noise: Sequence[Tensor | None], hook: LayerHook | None,
              layers: Sequence[StyledLayer]) -> Tensor:
        """All pictures, layer by layer: what becomes of x in these of the layers, the first on."""
        maps = iter(noise)
        for layer in layers:
            module, w = self.get_submodule(layer.name), ws[:, layer.row]
            x = module(x, w, next(maps)) if layer.kind == "conv" else module(x, w)
            if hook is not None and layer.kind == "conv":
                x = hook(layer, x)
        return x


class MobileStyleGAN(Generator):
    """MobileStyleGAN (Belousov 2021, 2104.04767): depthwise convolutions, wavelets in place of upsampled features."""

    kind = "mobilestylegan"
    equalized = False

    def __init__(self, config: MobileStyleGANConfig, info: ModelInfo | None = None) -> None:
        super().__init__(config, MappingNetwork(config.mapping), MobileSynthesis(config), info)
