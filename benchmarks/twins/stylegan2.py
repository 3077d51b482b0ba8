"""StyleGAN2's synthesis read off its state dict, block by block, from plain operations only."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from . import ops as plain


def synthesize(model, ws: Tensor, noise: list[Tensor] | None = None) -> Tensor:
    """The image of a StyleGAN2 `model`; noise None takes the stored maps, [] takes none."""
    config, state = model.config, model.synthesis.state_dict(keep_vars=True)
    taps = torch.tensor(config.resample_kernel)
    kernel = torch.outer(taps, taps) if taps.ndim == 1 else taps
    kernel = kernel / kernel.sum()
    act, act_gain = plain.ACTIVATIONS[config.activation]
    clamp = config.conv_clamp
    maps = None if noise is None else iter(noise)
    t = kernel.shape[0]

    def upsample(x):
        return plain.upfirdn(x, kernel, up=2, pad=((t + 1) // 2, (t - 2) // 2), gain=4.0)

    def style(name, w):
        return w @ state[f"{name}.affine.weight"].t() / math.sqrt(config.mapping.w_dim) + state[f"{name}.affine.bias"]

    def clip(x, gain=1.0):
        return x if clamp is None else x.clamp(-clamp * gain, clamp * gain)

    def conv(name, x, w, up, gain=1.0):
        weight = state[f"{name}.weight"]
        weight = weight / math.sqrt(weight[0].numel()) if config.scaled_demodulation else weight
        x = plain.modulated_conv(x, weight, style(name, w), kernel=kernel if up else None)
        if config.use_noise:
            if maps is None:
                x = x + state[f"{name}.noise_const"] * state[f"{name}.noise_strength"]
            elif noise:
                x = x + next(maps) * state[f"{name}.noise_strength"]
        return clip(act(x + state[f"{name}.bias"][:, None, None]) * act_gain * gain, gain)

    def rgb(name, x, w):
        weight = state[f"{name}.weight"] / math.sqrt(state[f"{name}.weight"].shape[1])
        return clip(plain.modulated_conv(x, weight, style(name, w), state[f"{name}.bias"], demodulate=False))

    x, image, row = state["b4.const"].expand(len(ws), -1, -1, -1), None, 0
    for resolution in config.resolutions:
        b, residual = f"b{resolution}", None
        if resolution > 4:
            if config.architecture == "resnet":
                skip = state[f"{b}.skip.weight"]
                residual = upsample(torch.conv2d(x, skip / math.sqrt(skip.shape[1]))) * math.sqrt(0.5)
            x = conv(f"{b}.conv0", x, ws[:, row], True)
            row += 1
        x = conv(f"{b}.conv1", x, ws[:, row], False, 1.0 if residual is None else math.sqrt(0.5))
        row += 1
        x = x if residual is None else x + residual
        if config.architecture == "skip" or resolution == config.img_resolution:
            y = rgb(f"{b}.torgb", x, ws[:, row])
            image = y if image is None else upsample(image) + y
    assert image is not None
    return image
