"""StyleGAN3, T and R (Karras et al. 2021, 2106.12423): alias-free synthesis from Fourier features.

Canonical keys are NVIDIA's, filters included. The layer table is in stylegan3_config.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InvalidInput
from ..ops.filtered import filtered_lrelu
from ..ops.modulated import squared_weight
from .base import Generator, LayerHook, ModelInfo, NoiseMode, StyledLayer, Synthesis
from .mapping import FullyConnected, MappingNetwork
from .stylegan3_config import LayerPlan, StyleGAN3Config


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
        motion = self._motion(w, transform.to(device=w.device, dtype=torch.float32))
        base = self.freqs.float()
        freqs = base @ motion[:, :2, :2]
        phases = self.phases.float() + (base @ motion[:, :2, 2:]).squeeze(2)
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
        t = self.affine(w).float()
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

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        x = modulated(x, self.weight, self.affine(w), self.magnitude_ema.rsqrt(), demodulate=not self.is_rgb)
        return filtered_lrelu(x, self.bias, self.up_filter, self.down_filter, self.rates, self.clamp, self.activation)


def modulated(x: Tensor, weight: Tensor, styles: Tensor, gain: Tensor, demodulate: bool) -> Tensor:
    """Fully padded convolution of x [B, I, h, w] by weight [O, I, k, k] modulated by styles [B, I], times gain [].

    Weights (per filter) and styles count as brought to unit mean square first (appendix D.1): demodulation cancels that
    but for its epsilon, and half precision needs it. Without demodulation the gain 1 / sqrt(I k k) applies.
    """
    fan_in, styles = weight[0].numel(), styles.float()
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
            x = self.get_submodule(layer.name)(x, ws[:, layer.row])
            if hook is not None and layer.kind != "rgb":
                x = hook(layer, x)
        return x.float() * self.config.output_scale


class StyleGAN3(Generator):
    """StyleGAN3-T or -R; `kind` tells which."""

    config: StyleGAN3Config

    @property
    def kind(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.config.kind

    def __init__(self, config: StyleGAN3Config, info: ModelInfo | None = None) -> None:
        super().__init__(config, MappingNetwork(config.mapping), StyleGAN3Synthesis(config), info)
