"""ResNet-34 (He et al. 2016, 1512.03385) without its max pooling: the lighter trunk of ReStyle encoders (2104.02699)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import LoadError
from ..batch_norm import BatchNorm
from ..shapes import Shapes, count_of, shape_of


@dataclass(frozen=True)
class ResNet34Config:
    """Stem (stride 2) and four stages of basic blocks; the last three start with stride 2."""

    widths: tuple[int, ...] = (64, 128, 256, 512)
    depths: tuple[int, ...] = (3, 4, 6, 3)
    channels_in: int = 6

    @classmethod
    def from_shapes(cls, shapes: Shapes, prefix: str = "") -> ResNet34Config:
        """Keys below `prefix` -> config. Raises LoadError."""
        stem = shape_of(shapes, f"{prefix}conv1.weight", 4)
        blocks = count_of(shapes, f"{prefix}body.{{}}.conv1.weight")
        if blocks != sum(cls.depths):
            raise LoadError(f"The network has {blocks} residual blocks; {sum(cls.depths)} make a ResNet-34.")
        ends = [sum(cls.depths[: i + 1]) - 1 for i in range(4)]
        widths = tuple(shape_of(shapes, f"{prefix}body.{i}.conv1.weight", 4)[0] for i in ends)
        return cls(widths, channels_in=stem[1])

    def blocks(self) -> Iterator[tuple[int, int, int]]:
        """(channels in, channels out, stride) of every block."""
        before = self.widths[0]
        for stage, (width, depth) in enumerate(zip(self.widths, self.depths, strict=True)):
            for i in range(depth):
                yield before, width, 2 if stage and i == 0 else 1
                before = width


class BasicBlock(nn.Module):
    """ReLU(shortcut + BN conv ReLU BN conv)."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False), BatchNorm(channels)
        self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False), BatchNorm(channels)
        if stride != 1 or channels_in != channels:
            self.downsample = nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride, bias=False), BatchNorm(channels))

    def forward(self, x: Tensor) -> Tensor:
        short = self.downsample(x) if hasattr(self, "downsample") else x
        return F.relu(short + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class ResNet34(nn.Module):
    """Stem and body, with IRSETrunk's `pyramid`."""

    def __init__(self, config: ResNet34Config) -> None:
        super().__init__()
        width = config.widths[0]
        self.conv1, self.bn1 = nn.Conv2d(config.channels_in, width, 7, 2, 3, bias=False), BatchNorm(width)
        self.relu = nn.PReLU(width)
        self.body = nn.ModuleList(BasicBlock(*block) for block in config.blocks())
        self.taps = {sum(config.depths[: i + 1]) - 1 for i in (1, 2, 3)}

    def pyramid(self, x: Tensor) -> list[Tensor]:
        """x [B, channels_in, H, W] -> the last three stages' outputs, at H/4, H/8 and H/16."""
        x, found = self.relu(self.bn1(self.conv1(x))), []
        for i, block in enumerate(self.body):
            x = block(x)
            if i in self.taps:
                found.append(x)
        return found
