"""The parts of DualStyleGAN's extrinsic path (Yang et al. 2022, 2203.13248, section 3.2), and where they act."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InvalidInput
from .base import StyledLayer
from .mapping import FullyConnected, leaky_relu_gain
from .style_weights import STRUCTURE_PLACES

STRUCTURE_RESOLUTIONS = (4, 8, 8, 16, 16, 32, 32)
COARSE = STRUCTURE_RESOLUTIONS[-1]
"""Pixels up to which the extrinsic path acts on features, and above which on style vectors."""


def structure_layers(layers: Sequence[StyledLayer]) -> tuple[StyledLayer, ...]:
    """The seven layers a residual block follows: one at 4 px, the last two at 8, 16 and 32. Raises InvalidInput."""
    found: list[StyledLayer] = []
    for resolution in sorted(set(STRUCTURE_RESOLUTIONS)):
        at = [x for x in layers if x.resolution == resolution and x.kind in ("conv", "up") and x.row is not None]
        found += at[-2:]
    if len(found) != STRUCTURE_PLACES:
        raise InvalidInput(
            f"This generator has {len(found)} convolutions up to {COARSE} px but DualStyleGAN needs "
            f"{STRUCTURE_PLACES}; use a StyleGAN2 or MobileStyleGAN of at least {COARSE} px."
        )
    return tuple(found)


def color_rows(layers: Sequence[StyledLayer]) -> tuple[int, ...]:
    """Rows of ws whose styles take extrinsic color: all above 32 px, and the 32 px image head's."""
    return tuple(sorted({x.row for x in layers if x.row is not None
                         and (x.resolution > COARSE or (x.kind == "rgb" and x.resolution == COARSE))}))


class AdaINConv(nn.Module):
    """Instance norm, scale and shift from a style, 3x3 convolution, leaky ReLU: x [B, C, h, w] -> [B, out, h, w]."""

    def __init__(self, w_dim: int, channels: int, out: int) -> None:
        super().__init__()
        self.affine = nn.Linear(w_dim, 2 * channels)
        self.weight = nn.Parameter(torch.empty(out, channels, 3, 3).normal_(std=0.01))
        self.bias = nn.Parameter(torch.zeros(out))
        with torch.no_grad():
            self.affine.bias.copy_(torch.cat([torch.ones(channels), torch.zeros(channels)]))

    def statistics(self, style: Tensor) -> tuple[Tensor, Tensor]:
        """style [E, w_dim] -> (scale, shift) [E, C, 1, 1], with the convolution's run-time gain folded in."""
        both = self.affine(style)[:, :, None, None] / math.sqrt(9 * self.weight.shape[1])
        scale, shift = both.chunk(2, dim=1)
        return scale, shift

    def forward(self, x: Tensor, statistics: tuple[Tensor, Tensor]) -> Tensor:
        scale, shift = (s.to(x.dtype) for s in statistics)
        x = torch.addcmul(shift, F.instance_norm(x, eps=1e-5), scale)
        return leaky_relu_gain(F.conv2d(x, self.weight.to(x.dtype), self.bias.to(x.dtype), padding=1))


class ModRes(nn.Module):
    """Modulative residual block (2203.13248, section 3.2): x + weight * C2(A2(C1(A1(x)))); `hidden` channels between."""

    def __init__(self, w_dim: int, channels: int, hidden: int) -> None:
        super().__init__()
        self.conv0, self.conv1 = AdaINConv(w_dim, channels, hidden), AdaINConv(w_dim, hidden, channels)

    def statistics(self, style: Tensor) -> Statistics:
        return self.conv0.statistics(style), self.conv1.statistics(style)

    def forward(self, x: Tensor, statistics: Statistics, weight: float) -> Tensor:
        return torch.add(x, self.conv1(self.conv0(x, statistics[0]), statistics[1]), alpha=weight)


Statistics = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class Exemplar:
    """What the extrinsic path derives from style codes alone; compute it once, use it for every frame."""

    structure: tuple[Statistics, ...]
    """Seven blocks' (scale, shift) pairs, each [E, C, 1, 1]."""
    color: Tensor
    """[E, color rows, w_dim], the color rows after T_c."""

    def __len__(self) -> int:
        return len(self.color)


def near_identity(w_dim: int) -> FullyConnected:
    """T_c as stage I wants it: the identity, but for a little noise (section 3.3)."""
    layer = FullyConnected(w_dim, w_dim)
    with torch.no_grad():
        layer.weight.mul_(0.01).add_(torch.eye(w_dim, device=layer.weight.device), alpha=math.sqrt(w_dim))
    return layer
