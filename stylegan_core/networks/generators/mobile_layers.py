"""MobileStyleGAN's layers (Belousov 2021, 2104.04767): inverse Haar upsampling, depthwise-separable styled convolutions."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ...ops.modulated import exact

SLOPE = 0.2
"""Of the leaky ReLU."""


def inverse_haar(x: Tensor) -> Tensor:
    """[B, 4C, H, W] -> [B, C, 2H, 2W]; channels are C of LL, then (LH, HL, HH) interleaved per channel."""
    return JoinBands.apply(x * 0.5)  # type: ignore[no-any-return]


class JoinBands(torch.autograd.Function):
    """Twice the inverse Haar transform, in channels_last: the four bands of a pixel lie side by side there. The transform is
    orthogonal, so its gradient is twice the transform itself."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        b, c4, h, w = x.shape
        x, c = x.permute(0, 2, 3, 1), c4 // 4
        low, (lh, hl, hh) = x[..., :c], rearrange(x[..., c:], "b h w (c band) -> band b h w c", band=3)
        out = x.new_empty(b, h, 2, w, 2, c)
        for i, (mean, difference) in enumerate(((low + lh, hl + hh), (low - lh, hl - hh))):
            torch.add(mean, difference, out=out[:, :, i, :, 0])
            torch.sub(mean, difference, out=out[:, :, i, :, 1])
        # a view: rearranged, a batch of one would have a stride that hides the format, and convolutions would copy it
        return out.view(b, 2 * h, 2 * w, c).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return SplitBands.apply(grads[0])  # type: ignore[no-any-return]


class SplitBands(torch.autograd.Function):
    """[B, C, 2H, 2W] -> twice the Haar transform [B, 4C, H, W]: the transpose of JoinBands."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        (first, second), (third, fourth) = rearrange(x, "b c (h i) (w j) -> i j b h w c", i=2, j=2)
        out = x.new_empty(b, h // 2, w // 2, 4 * c)
        lh, hl, hh = rearrange(out[..., c:], "b h w (c band) -> band b h w c", band=3)
        top, bottom = first + second, third + fourth
        torch.add(top, bottom, out=out[..., :c])
        torch.sub(top, bottom, out=lh)
        top, bottom = torch.sub(first, second, out=top), torch.sub(third, fourth, out=bottom)
        torch.add(top, bottom, out=hl)
        torch.sub(top, bottom, out=hh)
        return out.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return JoinBands.apply(grads[0])  # type: ignore[no-any-return]


def haar(x: Tensor) -> Tensor:
    """[B, C, 2H, 2W] -> [B, 4C, H, W]: the exact inverse of inverse_haar."""
    (a, b), (c, d) = rearrange(x, "n c (h i) (w j) -> i j n c h w", i=2, j=2)
    high = [(a + b) - (c + d), (a - b) + (c - d), (a - b) - (c - d)]
    return torch.cat([(a + b) + (c + d), rearrange(high, "band n c h w -> n (c band) h w")], dim=1) * 0.5


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
        """noise: [h, w] or [1|B, 1, h, w]."""
        style, weight, bias = self.affine(w), self.weight.to(x.dtype), self.bias.to(x.dtype)
        noise = None if noise is None else noise.to(x)
        if weight.shape[-1] == 1:
            return pointwise(self._depthwise(x, style), weight, bias, noise, SLOPE)
        x = self._dense(x * style.to(x.dtype), weight, bias)
        return F.leaky_relu(x if noise is None else x + noise, SLOPE)

    def _dense(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """The 3x3 convolution at 4 px: of one picture a product, which reads the weight once and as it lies."""
        if len(x) > 1 or x.device.type != "cpu":
            return F.conv2d(x, weight, bias, padding=1)
        made = torch.addmm(bias[:, None], weight.flatten(1), F.unfold(x, 3, padding=1)[0])
        return made.view(1, -1, *x.shape[2:])

    def _depthwise(self, x: Tensor, style: Tensor) -> Tensor:
        """The depthwise convolution of x times style; one style goes into the kernel, which is a pass less."""
        kernel = self.depthwise
        if len(style) == 1:
            kernel = kernel * style.view(-1, 1, 1, 1)
        else:
            x = x * style.to(x.dtype)
        return F.conv2d(x, kernel.to(x.dtype), padding=1, groups=x.shape[1])


def pointwise(x: Tensor, weight: Tensor, bias: Tensor, noise: Tensor | None = None, slope: float = 1.0) -> Tensor:
    """1x1 convolution plus noise [h, w] or [1|B, 1, h, w], then leaky ReLU. In float32 a CPU is fastest with the matrix product
    that it is in channels_last, added to what else is to be added; each map is written over, since a new one costs more."""
    if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.float64):
        x = F.conv2d(x, weight, bias)
        x = x if noise is None else x.add_(noise)
        return x if slope == 1 else F.leaky_relu_(x, slope)
    x, weight = x.permute(0, 2, 3, 1), weight.flatten(1)
    if noise is None:
        rest = bias.expand(x.shape[:3].numel(), -1)
        made = rest.addmm(x.flatten(0, 2), weight.t())
    else:
        maps = noise.reshape(-1, x.shape[1:3].numel()).expand(len(x), -1)
        rest = maps.reshape(-1, 1) + bias  # to write over a view, autograd would copy what it views
        made = rest.addmm_(x.flatten(0, 2), weight.t())
    made = made if slope == 1 else F.leaky_relu_(made, slope)
    return made.view(*x.shape[:3], -1).permute(0, 3, 1, 2)


class MobileUp(nn.Module):
    """Modulate, then inverse Haar: [B, C, h, w] -> [B, C/4, 2h, 2w]."""

    def __init__(self, w_dim: int, channels: int) -> None:
        super().__init__()
        self.affine = Affine(w_dim, channels, 1.0)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return JoinBands.apply(x * (self.affine(w) * 0.5).to(x.dtype))  # type: ignore[no-any-return]


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
        return inverse_haar(exact(bands))


class MobileBlock(nn.Module):
    """up, conv1, conv2 at one resolution; three rows of ws."""

    def __init__(self, w_dim: int, channels_in: int, channels_out: int, resolution: int) -> None:
        super().__init__()
        self.resolution = resolution
        self.up = MobileUp(w_dim, channels_in)
        self.conv1 = MobileConv(w_dim, channels_in // 4, channels_out, resolution)
        self.conv2 = MobileConv(w_dim, channels_out, channels_out, resolution)
