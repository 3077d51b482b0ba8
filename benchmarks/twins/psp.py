"""pSp's and e4e's encoder in the published arithmetic: one head at a time, batch norms by themselves, gates as convolutions
(Richardson et al. 2021, 2008.00951, figure 2 and appendix; Deng et al. 2019 for the trunk)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylegan_core.networks.encoders.psp import Encoder
from stylegan_core.networks.judges.irse import Bottleneck, IRSETrunk


def batch_norm(x: Tensor, norm: nn.Module) -> Tensor:
    return F.batch_norm(x, norm.get_buffer("running_mean"), norm.get_buffer("running_var"), norm.get_parameter("weight"),
                        norm.get_parameter("bias"))


def bottleneck(block: Bottleneck, x: Tensor) -> Tensor:
    before, conv1, slope, conv2, after, gate = block.res_layer
    y = F.prelu(F.conv2d(batch_norm(x, before), conv1.weight.contiguous(), padding=1), slope.weight)  # type: ignore
    y = batch_norm(F.conv2d(y, conv2.weight.contiguous(), stride=block.stride, padding=1), after)  # type: ignore
    squeezed = F.adaptive_avg_pool2d(y, 1)
    y = y * F.conv2d(F.relu(F.conv2d(squeezed, gate.fc1.weight)), gate.fc2.weight).sigmoid()  # type: ignore
    if block.shortcut_layer is None:
        return F.max_pool2d(x, 1, block.stride) + y
    conv, norm = block.shortcut_layer
    return batch_norm(F.conv2d(x, conv.weight, stride=block.stride), norm) + y  # type: ignore


def pyramid(trunk: IRSETrunk, x: Tensor) -> list[Tensor]:
    conv, norm, slope = trunk.input_layer
    x = F.prelu(batch_norm(F.conv2d(x, conv.weight.contiguous(), padding=1), norm), slope.weight)  # type: ignore
    found = []
    for i, block in enumerate(trunk.body):
        x = bottleneck(block, x)  # type: ignore
        if i in trunk.trunk_config.stage_ends[1:]:
            found.append(x)
    return found


def raw(encoder: Encoder, x: Tensor) -> Tensor:
    """[B, 3, 256, 256] -> rows [B, num_ws, w_dim], without the average; IR-SE trunks."""
    assert isinstance(encoder.trunk, IRSETrunk)
    fine, middle, coarse = pyramid(encoder.trunk, x)
    maps = [coarse]
    for conv, features in zip(encoder.lateral, (middle, fine), strict=True):
        up = F.interpolate(maps[-1], features.shape[-2:], mode="bilinear", align_corners=True)
        maps.append(up + F.conv2d(features, conv.weight, conv.bias))  # type: ignore
    rows = []
    for heads in encoder.heads:
        group = heads.group  # type: ignore
        for k in range(group.styles):
            y, mine = maps[group.level], slice(k * group.width, (k + 1) * group.width)
            for conv in heads.convs:  # type: ignore
                y = F.leaky_relu(F.conv2d(y, conv.weight[mine].contiguous(), conv.bias[mine], 2, 1), 0.01)  # type: ignore
            rows.append(F.linear(y.flatten(1), heads.weight[k] / math.sqrt(group.width), heads.bias[k]))  # type: ignore
    if not encoder.config.progressive:
        return torch.stack(rows, 1)
    return torch.stack([rows[0], *(rows[0] + row for row in rows[1:])], 1)
