"""IR-SE50 (Deng et al. 2019, 1801.07698; squeeze and excitation after Hu et al. 2018): face encoders' and identity's trunk.

Canonical keys are the published files' (`input_layer.*`, `body.{i}.*`, `output_layer.*`) without batch-norm counters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import InvalidInput, LoadError
from ..batch_norm import BatchNorm
from ..info import ModelInfo
from ..shapes import Shapes, check_shapes, count_of, shape_of

DEPTHS: dict[int, tuple[int, ...]] = {24: (3, 4, 14, 3), 49: (3, 13, 30, 3)}
"""Blocks in all -> blocks a stage (IR-SE50, IR-SE100)."""
REDUCTION = 16
HEAD_INPUT = 112
"""Pixels a side the embedding head is made for."""
COUNTERS = "num_batches_tracked"
"""Batch-norm counters; older files carry none, and nothing here needs them."""


@dataclass(frozen=True)
class IRSEConfig:
    """Four stages; each halves the image at its first block. The stem is as wide as the first."""

    widths: tuple[int, ...] = (64, 128, 256, 512)
    depths: tuple[int, ...] = DEPTHS[24]
    channels_in: int = 3

    @classmethod
    def from_shapes(cls, shapes: Shapes, prefix: str = "") -> IRSEConfig:
        """Keys below `prefix` -> config. Raises LoadError."""
        stem = shape_of(shapes, f"{prefix}input_layer.0.weight", 4)
        blocks = count_of(shapes, f"{prefix}body.{{}}.res_layer.1.weight")
        if blocks not in DEPTHS:
            raise LoadError(f"The network has {blocks} residual blocks; {' or '.join(map(str, DEPTHS))} make an IR-SE.")
        starts = [sum(DEPTHS[blocks][:i]) for i in range(4)]
        widths = tuple(shape_of(shapes, f"{prefix}body.{i}.res_layer.1.weight", 4)[0] for i in starts)
        return cls(widths, DEPTHS[blocks], stem[1])

    def blocks(self) -> Iterator[tuple[int, int, int]]:
        """(channels in, channels out, stride) of every block."""
        before = self.widths[0]
        for width, depth in zip(self.widths, self.depths, strict=True):
            for i in range(depth):
                yield before, width, 2 if i == 0 else 1
                before = width

    @property
    def stage_ends(self) -> tuple[int, ...]:
        """Index of each stage's last block."""
        return tuple(sum(self.depths[: i + 1]) - 1 for i in range(len(self.depths)))


class SqueezeExcite(nn.Module):
    """Channels weighted by a gate computed from their means."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(width, width // REDUCTION, 1, bias=False)
        self.fc2 = nn.Conv2d(width // REDUCTION, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        # As matrix products: a convolution over one pixel takes a slow path on CPUs.
        squeezed = functional.relu(functional.linear(x.mean((2, 3)), self.fc1.weight.flatten(1)))
        return x * functional.linear(squeezed, self.fc2.weight.flatten(1)).sigmoid()[:, :, None, None]


class Bottleneck(nn.Module):
    """Shortcut plus BN, conv, PReLU, strided conv, BN, SE."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.shortcut_layer = None
        if width_in != width:
            self.shortcut_layer = nn.Sequential(nn.Conv2d(width_in, width, 1, stride, bias=False), BatchNorm(width))
        self.res_layer = nn.Sequential(
            BatchNorm(width_in),
            nn.Conv2d(width_in, width, 3, 1, 1, bias=False),
            nn.PReLU(width),
            nn.Conv2d(width, width, 3, stride, 1, bias=False),
            BatchNorm(width),
            SqueezeExcite(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        short = x[..., :: self.stride, :: self.stride] if self.shortcut_layer is None else self.shortcut_layer(x)
        return short + self.res_layer(x)


class IRSETrunk(nn.Module):
    """[B, channels_in, H, W] in [-1, 1] -> features of the last bottleneck, [B, 512, H/16, W/16], or of some on the way."""

    def __init__(self, config: IRSEConfig | None = None) -> None:
        super().__init__()
        self.trunk_config = config = config or IRSEConfig()
        width = config.widths[0]
        self.input_layer = nn.Sequential(
            nn.Conv2d(config.channels_in, width, 3, 1, 1, bias=False), BatchNorm(width), nn.PReLU(width))
        self.body = nn.Sequential(*(Bottleneck(*block) for block in config.blocks()))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.input_layer(x))

    def tapped(self, x: Tensor, taps: Sequence[int]) -> list[Tensor]:
        """Features after the bottlenecks numbered in `taps` (ascending, from 0), in that order."""
        x, out = self.input_layer(x), []
        for i, block in enumerate(list(self.body)[: max(taps) + 1]):
            x = block(x)
            if i in taps:
                out.append(x)
        return out

    def pyramid(self, x: Tensor) -> list[Tensor]:
        """The last three stages' outputs, at H/4, H/8 and H/16."""
        return self.tapped(x, self.trunk_config.stage_ends[1:])


@dataclass(frozen=True)
class IRSE50Config:
    """The trunk, and the length of the embedding."""

    trunk: IRSEConfig = IRSEConfig()
    embedding: int = 512

    @classmethod
    def from_shapes(cls, shapes: Shapes, facts: Mapping[str, Any] | None = None) -> IRSE50Config:
        """Canonical keys and shapes -> config. Raises LoadError."""
        config = cls(IRSEConfig.from_shapes(shapes), shape_of(shapes, "output_layer.3.weight", 2)[0])
        inputs = config.trunk.widths[-1] * (HEAD_INPUT // 16) ** 2
        check_shapes(shapes, [("output_layer.3.weight", (config.embedding, inputs))])
        return config


class IRSE50(IRSETrunk):
    """[B, 3, 112, 112] in [-1, 1] -> unit embeddings [B, 512]; always in evaluation mode, weights frozen."""

    kind: ClassVar[str] = "identity"

    def __init__(self, config: IRSE50Config | None = None, info: ModelInfo | None = None) -> None:
        config = config or IRSE50Config()
        super().__init__(config.trunk)
        self.config = config
        self.info = info or ModelInfo(family=self.kind)
        width, side = config.trunk.widths[-1], HEAD_INPUT // 16
        self.output_layer = nn.Sequential(
            BatchNorm(width), nn.Dropout(), nn.Flatten(), nn.Linear(width * side * side, config.embedding),
            BatchNorm(config.embedding))
        self.requires_grad_(False).eval()

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> IRSE50:
        """From the state dict of `model_ir_se50.pth`; batch-norm counters may be missing. Raises LoadError."""
        tensors = {key: t for key, t in tensors.items() if not key.endswith(COUNTERS)}
        config = IRSE50Config.from_shapes({key: tuple(t.shape) for key, t in tensors.items()})
        with torch.device("meta"):
            self = cls(config)
        load_tolerant(self, tensors, "IR-SE50")
        return self

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1:] != (3, HEAD_INPUT, HEAD_INPUT):
            raise InvalidInput(f"IR-SE50 got images of shape {tuple(x.shape)} but needs [batch, 3, 112, 112].")
        return functional.normalize(self.output_layer(super().forward(x)), dim=1)

    def train(self, mode: bool = True) -> IRSE50:
        """Stays in evaluation mode: its batch statistics are part of the weights."""
        return super().train(False)


def load_tolerant(module: nn.Module, tensors: Mapping[str, Tensor], what: str) -> None:
    """load_state_dict that names the first tensor that is missing or misshapen, and ignores surplus ones."""
    wanted = module.state_dict()
    for key, value in wanted.items():
        found = tensors.get(key)
        if found is None or found.shape != value.shape:
            seen = "nothing" if found is None else f"shape {tuple(found.shape)}"
            raise LoadError(f'The {what} file has {seen} for "{key}" where {tuple(value.shape)} is needed; '
                            f"give another file.")
    module.load_state_dict({k: tensors[k] for k in wanted}, assign=True)
