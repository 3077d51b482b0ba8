"""What a StyleGAN2 discriminator is made of, and how its tensors' shapes tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..errors import InvalidInput, LoadError
from ..ops import fir
from ..ops.activation import find_activation
from .mapping import MappingConfig
from .shapes import Shape, Shapes, check_shapes, mapping_from_shapes, shape_of
from .stylegan2_config import Architecture, as_taps

MAX_RESOLUTION = 4096


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
        channels, resolution = [after], 8
        while f"b{resolution}.conv0.weight" in shapes and resolution <= MAX_RESOLUTION:
            channels.append(shape_of(shapes, f"b{resolution}.conv0.weight", 4)[1])
            resolution *= 2
        resolution //= 2
        if after < 1 or f"b{2 * resolution}.conv0.weight" in shapes:
            raise LoadError(f"Blocks from {resolution} px down were found; a discriminator sees {MAX_RESOLUTION} px at most.")
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
