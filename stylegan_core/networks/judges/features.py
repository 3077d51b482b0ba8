"""ImageNet feature trunks whose activations perceptual losses compare: AlexNet, VGG16, VGG19.

Canonical keys are torchvision's (`features.{i}.weight`), so its files load as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import LoadError


@dataclass(frozen=True)
class Conv:
    """A convolution followed by ReLU."""

    width: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1


@dataclass(frozen=True)
class Pool:
    """Max pooling by two."""

    kernel: int = 2


@dataclass(frozen=True)
class TrunkConfig:
    """A chain of convolutions and poolings; `taps` counts convolutions from 0."""

    name: str
    chain: tuple[Conv | Pool, ...]
    taps: tuple[int, ...]
    min_size: int
    """Smallest image side that leaves every tap at least one pixel."""

    @property
    def tap_widths(self) -> tuple[int, ...]:
        widths = [step.width for step in self.chain if isinstance(step, Conv)]
        return tuple(widths[t] for t in self.taps)

    def with_taps(self, taps: Iterable[int]) -> TrunkConfig:
        return TrunkConfig(self.name, self.chain, tuple(taps), self.min_size)


def alexnet() -> TrunkConfig:
    """AlexNet (one-tower form) with all five ReLUs tapped."""
    chain = (Conv(64, 11, 4, 2), Pool(3), Conv(192, 5, 1, 2), Pool(3), Conv(384), Conv(256), Conv(256))
    return TrunkConfig("alexnet", chain, (0, 1, 2, 3, 4), min_size=31)


def _vgg(name: str, convs: Sequence[int], widths: Sequence[int], taps: tuple[int, ...]) -> TrunkConfig:
    chain: list[Conv | Pool] = []
    for count, width in zip(convs, widths, strict=True):
        chain += [*([Conv(width)] * count), Pool()]
    return TrunkConfig(name, tuple(chain[:-1]), taps, min_size=16)


VGG_WIDTHS = (64, 128, 256, 512, 512)


def vgg16(widths: Sequence[int] = VGG_WIDTHS) -> TrunkConfig:
    """VGG16 tapped at relu1_2, 2_2, 3_3, 4_3, 5_3 (LPIPS)."""
    return _vgg("vgg16", (2, 2, 3, 3, 3), widths, (1, 3, 6, 9, 12))


def vgg19(widths: Sequence[int] = VGG_WIDTHS) -> TrunkConfig:
    """VGG19 tapped at relu1_1, 2_1, 3_1, 4_1, 5_1 (contextual and feature losses)."""
    return _vgg("vgg19", (2, 2, 4, 4, 4), widths, (0, 2, 4, 8, 12))


def vgg19_of(tensors: Mapping[str, Tensor]) -> TrunkConfig:
    """The VGG19 that a torchvision-style state dict holds, whatever its widths."""
    widths = [t.shape[0] for key, t in tensors.items() if key.endswith(".weight") and t.ndim == 4]
    return vgg19([widths[i] for i in (0, 2, 4, 8, 12)] if len(widths) >= 13 else VGG_WIDTHS)


class FeatureTrunk(nn.Module):
    """Image [B, 3, H, W], already normalised -> the tapped ReLU activations, shallow first.

    Convolutions and poolings past the last tap are neither built nor run.
    """

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self.config = config
        self.features = nn.ModuleDict()
        self.steps: list[tuple[str, Pool | Conv]] = []
        last, seen, index, width = max(config.taps), 0, 0, 3
        for step in config.chain:
            if seen > last:
                break
            if isinstance(step, Conv):
                conv = nn.Conv2d(width, step.width, step.kernel, step.stride, step.padding)
                self.features[str(index)] = conv
                width, seen = step.width, seen + 1
            self.steps.append((str(index), step))
            index += 2 if isinstance(step, Conv) else 1

    def forward(self, x: Tensor) -> list[Tensor]:
        out, seen = [], 0
        for name, step in self.steps:
            if isinstance(step, Pool):
                x = functional.max_pool2d(x, step.kernel, 2)
                continue
            x = functional.relu(self.features[name](x))
            if seen in self.config.taps:
                out.append(x)
            seen += 1
        return out

    def load(self, tensors: Mapping[str, Tensor]) -> FeatureTrunk:
        """Take `features.{i}.weight|bias` out of a torchvision-style state dict; the classifier's keys are ignored."""
        mine = self.state_dict()
        missing = sorted(k for k in mine if k not in tensors or tensors[k].shape != mine[k].shape)
        if missing:
            raise LoadError(
                f'The feature file has no "{missing[0]}" of shape {tuple(mine[missing[0]].shape)}, which '
                f"{self.config.name} needs; give torchvision's {self.config.name} weights."
            )
        self.load_state_dict({k: tensors[k].to(v.dtype) for k, v in mine.items()})
        return self


def enlarge_to(x: Tensor, size: int) -> Tensor:
    """Bilinearly enlarge images [B, C, H, W] whose shorter side is below `size`; others pass untouched."""
    short = min(x.shape[-2:])
    if short >= size:
        return x
    target = [max(size, round(side * size / short)) for side in x.shape[-2:]]
    return functional.interpolate(x, size=target, mode="bilinear", align_corners=False)


def imagenet_normalize(x: Tensor) -> Tensor:
    """[-1, 1] -> ImageNet statistics (mean .485 .456 .406, std .229 .224 .225 of [0, 1])."""
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], device=x.device, dtype=x.dtype)
    return (x - (2 * mean - 1).view(1, 3, 1, 1)) / (2 * std).view(1, 3, 1, 1)
