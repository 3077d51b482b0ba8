"""The x4 clean-line network: a picture four times enlarged, its grain gone, its lines closed.

Eighteen 3x3 convolutions of 64 channels at the small size, a pixel shuffle, and the enlarged picture added: the compact
form of Real-ESRGAN (Wang et al. 2021, 2107.10833) that its authors trained on animation frames.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..assets import load_asset
from .undrawn import Undrawn

SCALE = 4
REACH = 18
"""Pixels of the input that an output pixel may depend on, to each side: one a convolution."""


class LineNetwork(nn.Module):
    """x [B, 3, H, W] in [0, 1] -> [B, 3, 4H, 4W], about [0, 1], unclamped."""

    def __init__(self, width: int = 64, depth: int = REACH) -> None:
        super().__init__()
        widths = [3, *[width] * (depth - 1), 3 * SCALE**2]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in zip(widths, widths[1:], strict=False))
        self.prelus = nn.ModuleList(nn.PReLU(width) for _ in range(depth - 1))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for conv, prelu in zip(self.convs, self.prelus, strict=False):
            y = prelu(conv(y))
        return F.pixel_shuffle(self.convs[-1](y), SCALE) + F.interpolate(x, scale_factor=SCALE, mode="nearest")

    @classmethod
    def embedded(cls) -> LineNetwork:
        """The network that travels with the package, in eval mode, without gradients."""
        with Undrawn():
            network = cls()
        network.load_state_dict({key: t.float() for key, t in load_asset("line_x4").items()})
        return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
