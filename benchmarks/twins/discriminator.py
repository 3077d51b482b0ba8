"""StyleGAN2's discriminator read off its state dict, from plain operations only."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from . import ops as plain


def score(model, images: Tensor, c: Tensor | None = None) -> Tensor:
    """What a Discriminator `model` says of images."""
    config, state = model.config, model.state_dict(keep_vars=True)
    taps = torch.tensor(config.resample_kernel).to(images)
    kernel = torch.outer(taps, taps) if taps.ndim == 1 else taps
    kernel = kernel / kernel.sum()
    t = kernel.shape[0]
    act, act_gain = plain.ACTIVATIONS[config.activation]

    def raw(name, x, pad=0):
        weight = state[f"{name}.weight"]
        return F.conv2d(x, weight / math.sqrt(weight[0].numel()), padding=pad)

    def finish(name, x, gain=1.0):
        x = act(x + state[f"{name}.bias"][:, None, None]) * act_gain * gain
        return x if config.conv_clamp is None else x.clamp(-config.conv_clamp * gain, config.conv_clamp * gain)

    def halve(x):
        return plain.upfirdn(x, kernel, down=2, pad=((t - 1) // 2, (t - 2) // 2))

    def conv_down(name, x, gain=1.0):
        x = raw(name, plain.upfirdn(x, kernel, pad=((t - 1) // 2 + 1, (t - 2) // 2 + 1)))[:, :, ::2, ::2]
        return finish(name, x, gain)

    def dense(name, x):
        weight = state[f"{name}.weight"]
        return x @ weight.t() / math.sqrt(weight.shape[1]) + state[f"{name}.bias"]

    x, image = None, images
    for r in config.resolutions:
        if f"b{r}.fromrgb.weight" in state:
            y = finish(f"b{r}.fromrgb", raw(f"b{r}.fromrgb", image))
            x = y if x is None else x + y
        if r == 4:
            break
        image, half, before = halve(image), math.sqrt(0.5), x
        x = finish(f"b{r}.conv0", raw(f"b{r}.conv0", x, 1))
        residual = config.architecture == "resnet"
        x = conv_down(f"b{r}.conv1", x, half if residual else 1.0)
        if residual:  # a 1x1 convolution and an FIR commute
            x = x + halve(raw(f"b{r}.skip", before)) * half
    x = torch.cat([x, *deviations(config, x)], dim=1)
    x = finish("b4.conv", raw("b4.conv", x, 1)).flatten(1)
    x = dense("b4.out", act(dense("b4.fc", x)) * act_gain)
    return x if c is None else (x * label_vector(config, state, c)).sum(1, keepdim=True) / math.sqrt(x.shape[1])


def deviations(config, x: Tensor):
    """One more feature for each part of the features: the mean standard deviation within each sample's group."""
    b, parts = len(x), config.stddev_channels
    groups = b // min(config.group_size or b, b)
    for part in range(parts):
        width = x.shape[1] // parts
        mine = x[:, part * width : (part + 1) * width]
        rows = []
        for i in range(b):
            group = torch.stack([mine[j] for j in range(b) if j % groups == i % groups])
            rows.append((group.var(dim=0, correction=0) + 1e-8).sqrt().mean().expand(1, 1, *x.shape[2:]))
        yield torch.cat(rows)


def label_vector(config, state, c: Tensor) -> Tensor:
    def unit(x):
        return x / (x.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()

    x = unit(c @ state["mapping.embed.weight"].t() / math.sqrt(c.shape[1]) + state["mapping.embed.bias"])
    for i in range(config.mapping.num_layers):
        weight = state[f"mapping.fc{i}.weight"]
        x = 0.01 * (x @ weight.t() / math.sqrt(weight.shape[1]) + state[f"mapping.fc{i}.bias"])
        x = F.leaky_relu(x, 0.2) * math.sqrt(2)
    return x
