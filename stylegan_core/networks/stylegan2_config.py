"""What a StyleGAN2 is made of, and how its tensors' shapes tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch

from ..errors import InvalidInput, LoadError
from ..ops import fir
from ..ops.activation import find_activation
from .mapping import MappingConfig
from .shapes import Shape, Shapes, check_shapes, mapping_from_shapes, shape_of

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
        channels, resolution = [], 4
        while f"synthesis.b{resolution}.conv1.weight" in shapes:
            channels.append(shape_of(shapes, f"synthesis.b{resolution}.conv1.weight", 4)[0])
            resolution *= 2
        last = f"synthesis.b{resolution // 2}"
        if not channels:
            raise LoadError("The file has no tensor synthesis.b4.conv1.weight; load a complete StyleGAN2 generator.")
        given = {name: facts[name] for name in _SYNTHESIS_FACTS if name in facts}
        if "resample_kernel" in given:
            given["resample_kernel"] = as_taps(given["resample_kernel"])
        config = cls(
            mapping=mapping_from_shapes(shapes, 2 * len(channels), facts),
            img_resolution=resolution // 2,
            channels=tuple(channels),
            img_channels=shape_of(shapes, f"{last}.torgb.weight", 4)[0],
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
