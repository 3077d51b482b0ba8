"""MobileStyleGAN (2104.04767) layer by layer, as published: activations scaled, everything NCHW, the batch at once."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def inverse_haar(x: Tensor) -> Tensor:
    """[B, 4C, H, W] -> [B, C, 2H, 2W]; C channels of LL, then LH, HL, HH of each channel in turn."""
    b, c4, h, w = x.shape
    low, high = x[:, : c4 // 4], x[:, c4 // 4 :].reshape(b, c4 // 4, 3, h, w)
    rows = [torch.stack([a + d, a - d], dim=3).reshape(b, c4 // 4, 2 * h, w)
            for a, d in ((low, high[:, :, 0]), (high[:, :, 1], high[:, :, 2]))]
    return torch.stack([rows[0] + rows[1], rows[0] - rows[1]], dim=4).reshape(b, c4 // 4, 2 * h, 2 * w) * 0.5


def synthesize(model: torch.nn.Module, ws: Tensor, noise: list[Tensor] | None = None) -> Tensor:
    """ws [B, num_ws, w_dim] -> image; noise in place of the stored maps, an empty list for none."""
    tensors = dict(model.synthesis.state_dict())  # type: ignore[operator, union-attr]
    rows, maps = iter(ws.unbind(1)), None if noise is None else iter(noise)

    def styled(x: Tensor, name: str, gain: float = 1.0) -> Tensor:
        style = F.linear(next(rows), tensors[f"{name}.affine.weight"], tensors[f"{name}.affine.bias"]) * gain
        return x * style[:, :, None, None]

    def conv(x: Tensor, name: str) -> Tensor:
        x = styled(x, name, 1 / math.sqrt(9 * x.shape[1]))
        weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        if f"{name}.depthwise" in tensors:
            x = F.conv2d(x, tensors[f"{name}.depthwise"], padding=1, groups=x.shape[1])
        x = F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)
        map_ = tensors[f"{name}.noise_const"] if maps is None else next(maps, torch.zeros(()))
        return F.leaky_relu(x + map_, 0.2)

    x = conv(tensors["const"].expand(len(ws), -1, -1, -1), "b4.conv1")
    size = 8
    while f"b{size}.conv1.weight" in tensors:
        x = conv(conv(inverse_haar(styled(x, f"b{size}.up")), f"b{size}.conv1"), f"b{size}.conv2")
        size *= 2
    x = styled(x, "head", 1 / math.sqrt(x.shape[1]))
    return inverse_haar(F.conv2d(x, tensors["head.weight"], tensors["head.bias"]))
