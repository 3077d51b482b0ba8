"""StyleGAN3, T and R (Karras et al. 2021, 2106.12423): alias-free synthesis from Fourier features.

Canonical keys are NVIDIA's, filters included. The layer table is in stylegan3_config.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import InvalidInput, LoadError
from ...ops.filtered import Resampling, filtered_lrelu, lowpass_filter
from ...ops.modulated import exact, squared_weight
from ..info import ModelInfo
from ..mapping import FullyConnected, MappingConfig, MappingNetwork
from ..shapes import Shape, Shapes, check_shapes, mapping_from_shapes, shape_of
from .base import Generator, LayerHook, NoiseMode, StyledLayer, Synthesis

HALF_LIFE = 20_000
"""Images after which half of a layer's remembered magnitude is replaced, in training."""
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


def input_transform(translate: tuple[float, float] = (0.0, 0.0), rotate: float = 0.0) -> Tensor:
    """[3, 3] for synthesis(transform=...): moves the image by `translate` image widths, turns it by `rotate` turns.

    The network takes the inverse of the motion (2106.12423, appendix F).
    """
    angle = 2 * math.pi * rotate
    s, c = math.sin(angle), math.cos(angle)
    motion = [[c, s, translate[0]], [-s, c, translate[1]], [0, 0, 1]]
    return torch.linalg.inv(torch.tensor(motion, dtype=torch.float64)).float()


class FourierInput(nn.Module):
    """w [B, w_dim] -> [B, C, size, size]: sinusoids of fixed frequencies, moved and turned by w and by `transform`."""

    freqs: Tensor
    phases: Tensor
    transform: Tensor

    def __init__(self, w_dim: int, channels: int, size: int, rate: int, bandwidth: float) -> None:
        super().__init__()
        self.size, self.rate, self.bandwidth = size, rate, bandwidth
        # Uniform in the disc of radius `bandwidth` (section 3.1).
        directions = F.normalize(torch.randn(channels, 2), dim=1)
        self.register_buffer("freqs", directions * torch.rand(channels, 1).sqrt() * bandwidth)
        self.register_buffer("phases", torch.rand(channels) - 0.5)
        self.register_buffer("transform", torch.eye(3))
        self.weight = nn.Parameter(torch.randn(channels, channels))
        self.affine = FullyConnected(w_dim, 4)
        with torch.no_grad():
            self.affine.weight.zero_()
            self.affine.bias.copy_(torch.tensor([1.0, 0, 0, 0]))

    def forward(self, w: Tensor, transform: Tensor | None = None) -> Tensor:
        transform = self.transform if transform is None else transform
        motion = self._motion(w, exact(transform.to(w)))
        base = exact(self.freqs)
        freqs = base @ motion[:, :2, :2]
        phases = exact(self.phases) + (base @ motion[:, :2, 2:]).squeeze(2)
        amplitude = (1 - (freqs.norm(dim=2) - self.bandwidth) / (self.rate / 2 - self.bandwidth)).clamp(0, 1)
        ticks = (torch.arange(self.size, device=w.device, dtype=freqs.dtype) + 0.5 - self.size / 2) / self.rate
        # [B, C, y, x]: frequency 0 runs along x.
        along_x, along_y = (freqs[:, :, i, None, None] for i in (0, 1))
        turns = along_x * ticks + along_y * ticks[:, None] + phases[:, :, None, None]
        waves = (turns * (2 * math.pi)).sin() * amplitude[:, :, None, None]
        mix = self.weight / math.sqrt(self.weight.shape[1])
        return (mix @ waves.flatten(2).to(mix.dtype)).unflatten(2, (self.size, self.size))

    def _motion(self, w: Tensor, transform: Tensor) -> Tensor:
        """[B, 3, 3]: rotation and translation of w after the user's transform."""
        t = exact(self.affine(w))
        t = t / t[:, :2].norm(dim=1, keepdim=True)
        one, zero = torch.ones_like(t[:, 0]), torch.zeros_like(t[:, 0])
        cos, sin, x, y = t.unbind(1)
        turn = torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], 1).unflatten(1, (3, 3))
        shift = torch.stack([one, zero, -x, zero, one, -y, zero, zero, one], 1).unflatten(1, (3, 3))
        return turn @ shift @ transform


class FilteredLayer(nn.Module):
    """x [B, I, h, h], w [B, w_dim] -> [B, O, h', h']: modulated convolution, then filtered leaky ReLU."""

    magnitude_ema: Tensor
    up_filter: Tensor | None
    down_filter: Tensor | None

    def __init__(self, config: StyleGAN3Config, plan: LayerPlan) -> None:
        super().__init__()
        i, o = plan.channels
        kernel = 1 if plan.is_rgb else config.kernel
        self.is_rgb = plan.is_rgb
        self.rates = plan.resampling(config.filter_size, kernel)
        self.activation, self.clamp = "linear" if plan.is_rgb else "lrelu", config.conv_clamp
        self.affine = FullyConnected(config.mapping.w_dim, i, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(o, i, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(o))
        self.register_buffer("magnitude_ema", torch.ones([]))
        up_filter, down_filter = plan.filters(config.filter_size)
        self.register_buffer("up_filter", up_filter)
        self.register_buffer("down_filter", down_filter)

    def forward(self, x: Tensor, w: Tensor, magnitude_beta: float = 1.0) -> Tensor:
        """magnitude_beta: share of magnitude_ema that stays, the rest follows x; 1 leaves it alone."""
        if magnitude_beta != 1:
            now = exact(x.detach()).square().mean().to(self.magnitude_ema)
            self.magnitude_ema.copy_(now.lerp(self.magnitude_ema, magnitude_beta))
        x = modulated(x, self.weight, self.affine(w), self.magnitude_ema.rsqrt(), demodulate=not self.is_rgb)
        return filtered_lrelu(x, self.bias, self.up_filter, self.down_filter, self.rates, self.clamp, self.activation)


def modulated(x: Tensor, weight: Tensor, styles: Tensor, gain: Tensor, demodulate: bool) -> Tensor:
    """Fully padded convolution of x [B, I, h, w] by weight [O, I, k, k] modulated by styles [B, I], times gain [].

    Weights (per filter) and styles count as brought to unit mean square first (appendix D.1): demodulation cancels that
    but for its epsilon, and half precision needs it. Without demodulation the gain 1 / sqrt(I k k) applies.
    """
    fan_in, styles = weight[0].numel(), exact(styles)
    if demodulate:
        styles = styles * styles.square().mean(dim=1, keepdim=True).rsqrt()
        squares = squared_weight(weight)
        norm = fan_in / squares.sum(dim=1)
        scale = norm.sqrt() * (norm * (styles.square() @ squares.T) + 1e-8).rsqrt() * gain
    else:
        scale = (gain / math.sqrt(fan_in)).expand(len(styles), len(weight))
    pad = weight.shape[-1] - 1
    if len(x) == 1:
        return F.conv2d(x, (weight * styles[0, :, None, None] * scale[0, :, None, None, None]).to(x.dtype), padding=pad)
    x = F.conv2d(x * styles[:, :, None, None].to(x.dtype), (weight / math.sqrt(fan_in)).to(x.dtype), padding=pad)
    return x * (scale * math.sqrt(fan_in))[:, :, None, None].to(x.dtype)


class StyleGAN3Synthesis(Synthesis):
    """ws [B, num_ws, w_dim] -> image; row 0 moves the input, row i + 1 styles layer i. There is no noise."""

    takes_transform = True
    magnitude_beta: float = 1.0
    """See FilteredLayer; see following_magnitudes."""

    def __init__(self, config: StyleGAN3Config) -> None:
        super().__init__()
        self.config = config
        self.num_ws, self.img_resolution, self.img_channels = config.num_ws, config.img_resolution, config.img_channels
        plans = config.plan()
        width, size, rate = plans[0].channels[0], plans[0].size[0], plans[0].rate[0]
        self.input = FourierInput(config.mapping.w_dim, width, size, rate, config.first_cutoff)
        layers = [StyledLayer("input", rate, 0, "const")]
        for i, plan in enumerate(plans):
            setattr(self, plan.name, FilteredLayer(config, plan))
            kind = "rgb" if plan.is_rgb else "up" if plan.rate[1] > plan.rate[0] else "conv"
            layers.append(StyledLayer(plan.name, plan.rate[1], i + 1, kind))
        self.layers = tuple(layers)

    def forward(self, ws: Tensor, noise_mode: NoiseMode = "const", noise: list[Tensor] | None = None,
                transform: Tensor | None = None, generator: torch.Generator | None = None,
                hook: LayerHook | None = None) -> Tensor:
        """transform: see input_transform; noise_mode and generator are accepted and have nothing to act on."""
        self.check_inputs(ws, self.config.mapping.w_dim, noise, transform)
        if transform is not None and tuple(transform.shape) not in ((3, 3), (len(ws), 3, 3)):
            raise InvalidInput(f"The transform has shape {list(transform.shape)} but needs [3, 3] or "
                               f"[{len(ws)}, 3, 3].")
        ws = ws.to(self.input.weight.dtype)
        x = self.input(ws[:, 0], transform)
        for layer in self.layers[1:]:
            x = self.get_submodule(layer.name)(x, ws[:, layer.row], self.magnitude_beta)
            if hook is not None and layer.kind != "rgb":
                x = hook(layer, x)
        return exact(x) * self.config.output_scale


@contextmanager
def following_magnitudes(synthesis: nn.Module, images: int) -> Iterator[None]:
    """Passes of `images` pictures inside move every layer's mean square of its input, with a half-life of HALF_LIFE images:
    what the layers divide by (2106.12423, appendix D). Training does so where it draws for the discriminator's main phase.
    Networks other than StyleGAN3's have nothing to move."""
    if not isinstance(synthesis, StyleGAN3Synthesis):
        yield
        return
    synthesis.magnitude_beta = 0.5 ** (images / HALF_LIFE)
    try:
        yield
    finally:
        del synthesis.magnitude_beta


class StyleGAN3(Generator):
    """StyleGAN3-T or -R; `kind` tells which."""

    config: StyleGAN3Config

    @property
    def kind(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.config.kind

    def __init__(self, config: StyleGAN3Config, info: ModelInfo | None = None) -> None:
        super().__init__(config, MappingNetwork(config.mapping), StyleGAN3Synthesis(config), info)
