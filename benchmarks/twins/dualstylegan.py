"""DualStyleGAN over StyleGAN2 as published (2203.13248, section 3.2): every block's statistics anew for each picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan_core.networks.dualstylegan import DualStyleGAN
from stylegan_core.networks.generators.stylegan2 import StyleGAN2

from .textbook import blur_by_planes, synthesize

PLACES = ("b4.conv1", "b8.conv0", "b8.conv1", "b16.conv0", "b16.conv1", "b32.conv0", "b32.conv1")


def draw(dual: DualStyleGAN, ws: Tensor, style: Tensor, weights: Sequence[float]) -> Tensor:
    """Content and style ws [B, num_ws, w_dim] -> [B, 3, H, W]; the first seven weights are the structure's."""
    state, scale = dict(dual.state_dict()), 1 / math.sqrt(ws.shape[2])
    x = style * (style.square().mean(-1, keepdim=True) + 1e-8).rsqrt()
    for i in range(2):
        x = x @ state[f"transform.fc{i}.weight"].t() * (0.01 * scale) + state[f"transform.fc{i}.bias"] * 0.01
        x = F.leaky_relu(x, 0.2) * math.sqrt(2)

    def normalized(features: Tensor, row: Tensor, name: str) -> Tensor:
        both = row @ state[f"{name}.affine.weight"].t() + state[f"{name}.affine.bias"]
        gamma, beta = both[:, :, None, None].chunk(2, 1)
        weight = state[f"{name}.weight"]
        y = F.conv2d(gamma * F.instance_norm(features) + beta, weight / math.sqrt(weight[0].numel()), padding=1)
        return F.leaky_relu(y + state[f"{name}.bias"].view(1, -1, 1, 1), 0.2) * math.sqrt(2)

    def residual(name: str, features: Tensor) -> Tensor:
        if name not in PLACES:
            return features
        k = PLACES.index(name)
        y = normalized(features, x[:, k], f"structure.{k}.conv0")
        return features + weights[k] * normalized(y, x[:, k], f"structure.{k}.conv1")

    rows = list(ws.unbind(1))
    for i, weight in enumerate(weights[7:]):
        toned = style[:, 7 + i] @ state[f"color.{i}.weight"].t() * scale + state[f"color.{i}.bias"]
        rows[7 + i] = weight * toned + (1 - weight) * rows[7 + i]
    return synthesize(cast(StyleGAN2, dual.base), torch.stack(rows, dim=1), blur_by_planes, residual)
