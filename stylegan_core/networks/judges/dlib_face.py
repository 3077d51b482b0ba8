"""dlib's face recognition ResNet (King 2017): 150 px RGB faces -> 128 numbers; same person below 0.6 apart.

29 convolutions in residual blocks after He et al. 2016; shortcuts have no weights: where a block shrinks, the input is
averaged 2 x 2, and missing channels, rows and columns count as zero.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...assets import load_asset
from ..undrawn import Undrawn

INPUT_SIZE = 150
EMBEDDING_SIZE = 128
MEAN = (122.782, 117.001, 104.298)
"""Mean colour of 0 to 255, subtracted before division by 255."""
FFHQ_BOX = (176 / 1024, 276 / 1024, 866 / 1024, 955 / 1024)
"""x0, y0, x1, y1 as shares of the FFHQ frame: where the network's own face chip lies, on average."""
BLOCKS = (
    ("conv32_1", 32, 32), ("conv32_2", 32, 32), ("conv32_3", 32, 32),
    ("conv64_down", 32, 64), ("conv64_1", 64, 64), ("conv64_2", 64, 64), ("conv64_3", 64, 64),
    ("conv128_down", 64, 128), ("conv128_1", 128, 128), ("conv128_2", 128, 128),
    ("conv256_down", 128, 256), ("conv256_1", 256, 256), ("conv256_2", 256, 256), ("conv256_down_out", 256, 256),
)
"""Name, channels in, channels out; "_down" shrinks by two."""


def chip(faces: Tensor) -> Tensor:
    """[B, C, S, S] in FFHQ's frame -> the FFHQ_BOX of each, [B, C, INPUT_SIZE, INPUT_SIZE]."""
    x0, y0, x1, y1 = (round(share * faces.shape[-1]) for share in FFHQ_BOX)
    chip = faces[..., y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
    size = (INPUT_SIZE, INPUT_SIZE)
    return functional.interpolate(chip, size=size, mode="bilinear", antialias=True, align_corners=False)


class ResidualBlock(nn.Module):
    """[B, C, h, w] -> [B, C', h, w], or half as large; batch norms are part of the weights."""

    def __init__(self, channels_in: int, channels_out: int, shrink: bool) -> None:
        super().__init__()
        self.shrink = shrink
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, *((2, 0) if shrink else (1, 1)))
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(functional.relu(self.conv1(x)))
        if self.shrink:
            x = functional.avg_pool2d(x, 2)
        size = [max(a, b) for a, b in zip(x.shape[1:], y.shape[1:], strict=True)]
        return functional.relu(_grow(x, size) + _grow(y, size))


def _grow(x: Tensor, size: list[int]) -> Tensor:
    """Zeros after the last channel, row and column up to `size`."""
    missing = [want - have for want, have in zip(size, x.shape[1:], strict=True)]
    return functional.pad(x, [0, missing[2], 0, missing[1], 0, missing[0]])


class IdentityNet(nn.Module):
    """[B, 3, 150, 150] in [-1, 1] -> [B, 128]; the scale layers are folded into the convolutions."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.stem = nn.Conv2d(3, 32, 7, stride=2)
        self.blocks = nn.ModuleDict({name: ResidualBlock(a, b, "_down" in name) for name, a, b in BLOCKS})
        self.fc = nn.Linear(256, EMBEDDING_SIZE, bias=False)
        self.requires_grad_(False).eval()

    @classmethod
    def embedded(cls) -> IdentityNet:
        """The network that travels with the package, in float32."""
        with Undrawn():
            self = cls()
        stored = _dequantized(load_asset("identity"))
        convs = {f"{block}.{conv}": f"blocks.{block}.{conv}" for block, _, _ in BLOCKS for conv in ("conv1", "conv2")}
        convs["conv32_down"] = "stem"
        tensors = {"fc.weight": stored["fc"]}
        for theirs, ours in convs.items():
            scale, shift = stored[f"{theirs}.scale"], stored[f"{theirs}.shift"]
            tensors[f"{ours}.weight"] = stored[f"{theirs}.weight"] * scale.view(-1, 1, 1, 1)
            tensors[f"{ours}.bias"] = stored[f"{theirs}.bias"] * scale + shift
        self.load_state_dict(tensors)
        return self

    def forward(self, faces: Tensor) -> Tensor:
        x = ((faces + 1) * 127.5 - self.mean) / 255
        x = functional.max_pool2d(functional.relu(self.stem(x)), 3, 2)
        for block in self.blocks.values():
            x = block(x)
        return self.fc(x.mean((2, 3)))


def _dequantized(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """NAME of uint8 with NAME.range = (scale, minimum) -> scale * NAME + minimum; the others as they are."""
    out = {}
    for name, value in stored.items():
        if name.endswith(".range"):
            continue
        span = stored.get(f"{name}.range")
        out[name] = value.float() if span is None else value.float() * span[0] + span[1]
    return out
