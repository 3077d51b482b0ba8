"""The projector as publications write it down (Karras et al. 2020, appendix D): the twin that the benchmark runs beside ours.

Every image's weights are modulated and convolved as one group each, so that backward passes through all of them; the
targets' features are computed anew at each step; the spread of w comes from 10 000 samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan_core.networks.generators.stylegan2 import StyleGAN2

SAMPLES = 10_000


def blur(x: Tensor, taps: Tensor, pad: tuple[int, int], gain: float = 1.0) -> Tensor:
    kernel = torch.outer(taps, taps) / taps.sum() ** 2 * gain
    x = F.pad(x, (*pad, *pad))
    return F.conv2d(x, kernel.to(x).expand(x.shape[1], 1, -1, -1), groups=x.shape[1])


def blur_by_planes(x: Tensor, taps: Tensor, pad: tuple[int, int], gain: float = 1.0) -> Tensor:
    """The same with every channel as a picture of its own, [B * C, 1, H, W]: rosinality's form without compiled operators."""
    planes = x.reshape(-1, 1, *x.shape[2:])
    found = blur(planes, taps, pad, gain)
    return found.reshape(*x.shape[:2], *found.shape[2:])


Blur = Callable[..., Tensor]


def modulated(x: Tensor, weight: Tensor, style: Tensor, taps: Tensor, up: bool = False, demodulate: bool = True,
              fir: Blur = blur) -> Tensor:
    """One group an image."""
    batch, (out, into, k, _) = len(x), weight.shape
    w = weight / math.sqrt(into * k * k) * style[:, None, :, None, None]
    if demodulate:
        w = w * (w.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    x = x.reshape(1, batch * into, *x.shape[2:])
    if up:
        w = w.transpose(1, 2).reshape(batch * into, out, k, k)
        x = F.conv_transpose2d(x, w, stride=2, groups=batch)
        x = x.reshape(batch, out, *x.shape[2:])
        return fir(x, taps, (1, 1), 4.0)
    x = F.conv2d(x, w.reshape(batch * out, into, k, k), padding=k // 2, groups=batch)
    return x.reshape(batch, out, *x.shape[2:])


def synthesize(model: StyleGAN2, ws: Tensor, fir: Blur = blur, after: Callable[[str, Tensor], Tensor] | None = None) -> Tensor:
    """The image of a skip-architecture StyleGAN2 with its stored noise, [B, num_ws, w_dim] -> [B, 3, H, W].

    fir: `blur`, with which it is NVIDIA's reference path, or `blur_by_planes`, rosinality's. after(name, features): see
    the twin of DualStyleGAN.
    """
    state, taps = model.synthesis.state_dict(keep_vars=True), torch.tensor(model.config.resample_kernel)

    def style(name: str, row: int) -> Tensor:
        return ws[:, row] @ state[f"{name}.affine.weight"].t() / math.sqrt(ws.shape[2]) + state[f"{name}.affine.bias"]

    x, image, row = state["b4.const"].expand(len(ws), -1, -1, -1), None, 0
    for resolution in model.config.resolutions:
        for name in [f"b{resolution}.conv0", f"b{resolution}.conv1"][resolution == 4 :]:
            x = modulated(x, state[f"{name}.weight"], style(name, row), taps, name.endswith("conv0"), fir=fir)
            x = x + state[f"{name}.noise_const"] * state[f"{name}.noise_strength"] + state[f"{name}.bias"].view(1, -1, 1, 1)
            x, row = F.leaky_relu(x, 0.2) * math.sqrt(2), row + 1
            x = x if after is None else after(name, x)
        name = f"b{resolution}.torgb"
        y = modulated(x, state[f"{name}.weight"], style(name, row), taps, demodulate=False)
        y = y + state[f"{name}.bias"].view(1, -1, 1, 1)
        image = y if image is None else y + upsampled(image, taps, fir)
    assert image is not None
    return image


def upsampled(image: Tensor, taps: Tensor, fir: Blur = blur) -> Tensor:
    wide = image.new_zeros(*image.shape[:2], 2 * image.shape[2], 2 * image.shape[3])
    wide[..., ::2, ::2] = image
    return fir(wide, taps, (2, 1), 4.0)


def project(model: StyleGAN2, targets: Tensor, distance: Callable[[Tensor, Tensor], Tensor], steps: int, l2: float = 0.1,
            lr: float = 0.1, seed: int = 0) -> Iterator[Tensor]:
    """Losses [B] of each step, as the loop goes; targets [B, 3, H, H] at the model's resolution, in w+, noise fixed."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        w = model.mapping.to_w(torch.randn(SAMPLES, model.z_dim, generator=draw))
        mean = w.mean(0)
        spread = float((w - mean).square().sum(1).mean().sqrt())
    code = mean.expand(len(targets), model.num_ws, -1).clone().requires_grad_(True)
    optimizer = torch.optim.Adam([code], lr=lr)
    for i in range(steps):
        t = i / steps
        optimizer.param_groups[0]["lr"] = lr * (0.5 - 0.5 * math.cos(math.pi * min(1, (1 - t) / 0.25))) * min(1, t / 0.05)
        strength = spread * 0.05 * max(0, 1 - t / 0.75) ** 2
        images = synthesize(model, code + strength * torch.randn(code.shape, generator=draw))
        losses = distance(images, targets) + l2 * (images - targets).square().mean((1, 2, 3))
        optimizer.zero_grad()
        losses.sum().backward()
        optimizer.step()
        yield losses.detach()
