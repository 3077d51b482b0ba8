"""Modulated convolution (1912.04958, section 2.2) in its two exact forms, and its demodulation.

    w'[o,i,k] = W[o,i,k] s[i],   w'' = w' rsqrt(sum_ik w'^2 + eps),   y = conv(x, w'')

One style: scale the weight, run a plain convolution. Many styles: scale the activations instead, one shared weight:
y[o] = d[o] conv(s x, W)[o]. Either way d = rsqrt(s^2 Wsq^T + eps) with Wsq[o,i] = sum_k W[o,i,k]^2: one small product.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .fir import conv_transpose_up2d


def exact(x: Tensor) -> Tensor:
    """At least float32: styles and demodulation never run in half precision."""
    return x if x.dtype == torch.float64 else x.float()


def squared_weight(weight: Tensor) -> Tensor:
    """W [O, I, kh, kw] -> Wsq [O, I] = sum_k W^2, at least float32. The sum over k is a matrix product: a third of the time."""
    squares = exact(weight).flatten(2).square()
    return squares @ squares.new_ones(squares.shape[2])


def demodulation(weight: Tensor, style: Tensor, eps: float = 1e-8) -> Tensor:
    """weight [O, I, kh, kw], style [B, I] -> d [B, O] = rsqrt(s^2 Wsq^T + eps), float32 or better."""
    style = exact(style)
    return (style.square() @ squared_weight(weight).to(style.dtype).t() + eps).rsqrt()


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None, kernel: Tensor | None) -> Tensor:
    if kernel is not None:
        return conv_transpose_up2d(x, weight, kernel, bias)
    return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)


def modulated_conv2d(x: Tensor, weight: Tensor, style: Tensor, bias: Tensor | None = None, *, demodulate: bool = True,
                     eps: float = 1e-8, gain: float = 1.0, kernel: Tensor | None = None) -> Tensor:
    """gain * (modulated convolution + bias), "same" padding; a fresh tensor.

    x [B, I, H, W]; weight [O, I, k, k], k odd; style [B, I], or [1, I] for all rows; bias [O].
    kernel: FIR [T, T] of sum 1, which makes it the upsampling convolution: [B, O, 2H, 2W] (k = 3).
    """
    d = demodulation(weight, style, eps) if demodulate else None
    bias = None if bias is None else (bias * gain).to(x.dtype)
    if _is_image_head(weight) and x.dtype != torch.float16:
        return _as_products(x, weight, style, d, bias, gain)
    if _scales_weight(weight, style):
        return _with_scaled_weight(x, weight, style, d, bias, gain, kernel)
    return _with_scaled_activations(x, weight, style, d, bias, gain, kernel)


def _is_image_head(weight: Tensor) -> bool:
    """1x1 with few outputs: a scaled weight for each image is far smaller than scaled activations."""
    return weight.shape[2:] == (1, 1) and 8 * weight.shape[0] <= weight.shape[1]


def _as_products(x: Tensor, weight: Tensor, style: Tensor, d: Tensor | None, bias: Tensor | None, gain: float) -> Tensor:
    """One matrix an image: [B, O, I] times [B, I, HW]."""
    scaled = exact(weight).flatten(1) * (exact(style) * gain)[:, None]
    scaled = (scaled if d is None else scaled * d[:, :, None]).to(x.dtype)
    if len(scaled) == 1 and x.dtype == torch.bfloat16:  # a product would copy the features first
        return F.conv2d(x, scaled[0, :, :, None, None], bias)
    y = (scaled @ x.flatten(2)).unflatten(2, x.shape[2:])
    return y if bias is None else y.add_(bias.view(1, -1, 1, 1))


def _scales_weight(weight: Tensor, style: Tensor) -> bool:
    """One style: yes, unless only the style is learned: scaling activations then saves the weight's backward pass."""
    if style.shape[0] != 1:
        return False
    return not (torch.is_grad_enabled() and style.requires_grad and not weight.requires_grad)


def _with_scaled_weight(x: Tensor, weight: Tensor, style: Tensor, d: Tensor | None, bias: Tensor | None, gain: float,
                        kernel: Tensor | None) -> Tensor:
    scale = exact(style) * (gain if d is None else d.t() * gain)
    weight = (weight * scale[:, :, None, None]).to(x.dtype)
    return _convolve(x, weight, bias, kernel)


def _with_scaled_activations(x: Tensor, weight: Tensor, style: Tensor, d: Tensor | None, bias: Tensor | None,
                             gain: float, kernel: Tensor | None) -> Tensor:
    after = torch.full((1, 1), gain, device=x.device) if d is None else d * gain
    style = exact(style)
    if x.dtype == torch.float16:  # keep sums over fan-in inside fp16's range; undone in `after`
        peak = style.abs().amax(dim=1, keepdim=True).clamp(min=1e-8) * math.sqrt(weight[0].numel())
        style, after = style / peak, after * peak
    y = _convolve(x * style.to(x.dtype)[:, :, None, None], weight.to(x.dtype), None, kernel)
    after = after.to(x.dtype)[:, :, None, None]
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (y, after, bias)):
        return y * after if bias is None else torch.addcmul(bias.view(1, -1, 1, 1), y, after)
    y = y.mul_(after)
    return y if bias is None else y.add_(bias.view(1, -1, 1, 1))
