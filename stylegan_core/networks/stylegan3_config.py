"""What a StyleGAN3 is made of: the layer table of 2106.12423, appendix D, and how names and shapes tell it.

A layer's name `L{i}_{size}_{channels}` tells its size in samples with a margin of 10 on each side.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor

from ..errors import InvalidInput, LoadError
from ..ops.filtered import Resampling, lowpass_filter
from .mapping import MappingConfig
from .shapes import Shape, Shapes, check_shapes, mapping_from_shapes, shape_of

LAYER = re.compile(r"synthesis\.L(\d+)_(\d+)_(\d+)\.weight")


@dataclass(frozen=True)
class LayerPlan:
    """One synthesis layer: what goes in, what comes out, and the filters between."""

    name: str
    channels: tuple[int, int]
    size: tuple[int, int]
    """Samples per axis in and out, margins included."""
    rate: tuple[int, int]
    """Sampling rates in and out; the outgoing one is the resolution users know the layer by."""
    cutoff: tuple[float, float]
    half_width: tuple[float, float]
    radial: bool
    is_rgb: bool

    def raised_rate(self) -> int:
        return max(self.rate) * (1 if self.is_rgb else 2)

    def taps(self, filter_size: int) -> tuple[int, int]:
        """Of the up and the down filter; one means no filter."""
        factors = [self.raised_rate() // rate for rate in self.rate]
        up, down = (filter_size * f if f > 1 and not self.is_rgb else 1 for f in factors)
        return up, down

    def filters(self, filter_size: int) -> tuple[Tensor | None, Tensor | None]:
        """Up and down filter at the raised rate; None where there is none."""
        (up, down), rate = self.taps(filter_size), self.raised_rate()
        return (lowpass_filter(up, self.cutoff[0], self.half_width[0], rate),
                lowpass_filter(down, self.cutoff[1], self.half_width[1], rate, self.radial))

    def resampling(self, filter_size: int, kernel: int) -> Resampling:
        """Padding centres the output on the input (kernel: size of the fully padded convolution before)."""
        up, down = (self.raised_rate() // rate for rate in self.rate)
        total = (self.size[1] - 1) * down + 1 - (self.size[0] + kernel - 1) * up + sum(self.taps(filter_size)) - 2
        low = (total + up) // 2
        return Resampling(up, down, (low, total - low))


@dataclass(frozen=True)
class StyleGAN3Config:
    """channels[i] is what layer i gives; the last is the image's. T: kernel 3, separable; R: kernel 1, radial filters.

    Raises InvalidInput when fields are out of range.
    """

    mapping: MappingConfig = MappingConfig(num_ws=16, num_layers=2)
    img_resolution: int = 1024
    channels: tuple[int, ...] = (512, 512, 512, 512, 512, 512, 512, 323, 203, 128, 81, 51, 32, 32, 3)
    kernel: int = 3
    radial: bool = False
    num_critical: int = 2
    """Layers at the end whose cutoff is the image's."""
    first_cutoff: float = 2.0
    first_stopband: float = 2**2.1
    last_stopband_rel: float = 2**0.3
    margin: int = 10
    filter_size: int = 6
    conv_clamp: float | None = 256.0
    output_scale: float = 0.25

    def __post_init__(self) -> None:
        powers = self.img_resolution >= 16 and self.img_resolution & (self.img_resolution - 1) == 0
        ranges = {"num_critical": (1, len(self.channels) - 2), "filter_size": (1, 32), "margin": (0, 256),
                  "kernel": (1, 7), "first_cutoff": (1e-3, self.img_resolution), "first_stopband": (1e-3, self.img_resolution),
                  "last_stopband_rel": (1e-3, 16), "output_scale": (-1e3, 1e3)}
        ranges |= {} if self.conv_clamp is None else {"conv_clamp": (0, 1e9)}
        wrong = [name for name, (low, high) in ranges.items() if not low <= getattr(self, name) <= high]
        if wrong or not powers:
            name = wrong[0] if wrong else "img_resolution"
            raise InvalidInput(f"A StyleGAN3 can't have {name} = {getattr(self, name)}; use the usual value.")

    @property
    def img_channels(self) -> int:
        return self.channels[-1]

    @property
    def num_ws(self) -> int:
        """One row for the input, one for each layer."""
        return len(self.channels) + 1

    @property
    def kind(self) -> str:
        return "stylegan3-r" if self.radial else "stylegan3-t"

    def plan(self) -> tuple[LayerPlan, ...]:
        """The layer table: cutoffs, stopbands and rates grow geometrically (appendix D)."""
        n, last_cutoff = len(self.channels) - 1, self.img_resolution / 2
        bands = []
        for i in range(n + 1):
            e = min(i / (n - self.num_critical), 1)
            cutoff = self.first_cutoff * (last_cutoff / self.first_cutoff) ** e
            stop = self.first_stopband * (last_cutoff * self.last_stopband_rel / self.first_stopband) ** e
            rate = 2 ** math.ceil(math.log2(min(2 * stop, self.img_resolution)))
            size = self.img_resolution if i >= n - 1 else rate + 2 * self.margin
            bands.append((cutoff, max(stop, rate / 2) - cutoff, rate, size))
        layers = []
        for i, width in enumerate(self.channels):
            a, b = bands[max(i - 1, 0)], bands[i]
            layers.append(LayerPlan(
                f"L{i}_{b[3]}_{width}", (self.channels[max(i - 1, 0)], width), (a[3], b[3]), (a[2], b[2]), (a[0], b[0]),
                (a[1], b[1]), radial=self.radial and i < n - self.num_critical, is_rgb=i == n))
        return tuple(layers)

    @classmethod
    def from_shapes(cls, shapes: Shapes, facts: Mapping[str, Any]) -> StyleGAN3Config:
        """From canonical keys; facts may give any field but mapping, channels, kernel and img_resolution.

        Raises LoadError when names, shapes and the paper's layer table contradict each other.
        """
        found = sorted((int(m[1]), int(m[2]), int(m[3])) for m in map(LAYER.fullmatch, shapes) if m)
        if len(found) < 4 or [i for i, _, _ in found] != list(range(len(found))):
            raise LoadError(f"Layers {[i for i, _, _ in found][:20]} of a StyleGAN3 were found; expected L0, L1, ... "
                            f"without a gap and at least four, so use an intact file.")
        names = [f"L{i}_{size}_{width}" for i, size, width in found]
        weights = [shape_of(shapes, f"synthesis.{name}.weight", 4) for name in names]
        first = f"synthesis.{names[0]}"
        given = {f.name: facts[f.name] for f in fields(cls) if f.name in facts}
        if f"{first}.down_filter" in shapes:
            taps = shapes[f"{first}.down_filter"]
            given |= {"radial": len(taps) == 2, "filter_size": taps[0] // 2 if taps else 0}
        given.setdefault("radial", weights[0][2] == 1)
        given |= {"mapping": mapping_from_shapes(shapes, len(found) + 1, facts), "img_resolution": found[-1][1],
                  "channels": tuple(width for _, _, width in found), "kernel": weights[0][2]}
        try:
            config = cls(**given)
        except (InvalidInput, TypeError) as error:
            raise LoadError(str(error)) from error
        for plan, name in zip(config.plan(), names, strict=True):
            if plan.name != name:
                raise LoadError(f"Layer {name} stands where a {config.kind} of {config.img_resolution} px and "
                                f"{len(names)} layers has {plan.name}; a network of other cutoffs is not supported.")
        expected = dict(config.synthesis_shapes())
        check_shapes(shapes, expected.items(), optional=[key for key in expected if key.endswith("_filter")])
        return config

    def synthesis_shapes(self) -> Iterator[tuple[str, Shape]]:
        """(key, shape) of every tensor below synthesis."""
        width, w_dim = self.channels[0], self.mapping.w_dim
        for name, shape in {"weight": (width, width), "transform": (3, 3), "freqs": (width, 2), "phases": (width,),
                            "affine.weight": (4, w_dim), "affine.bias": (4,)}.items():
            yield f"synthesis.input.{name}", shape
        for plan in self.plan():
            (i, o), kernel, (up, down) = plan.channels, 1 if plan.is_rgb else self.kernel, plan.taps(self.filter_size)
            shapes: dict[str, Shape] = {"weight": (o, i, kernel, kernel), "bias": (o,), "magnitude_ema": (),
                                        "affine.weight": (i, w_dim), "affine.bias": (i,)}
            shapes |= {"up_filter": (up,)} if up > 1 else {}
            shapes |= {"down_filter": (down, down) if plan.radial else (down,)} if down > 1 else {}
            for name, shape in shapes.items():
                yield f"synthesis.{plan.name}.{name}", shape
