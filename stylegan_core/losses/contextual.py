"""The contextual loss (Mechrez et al. 2018, 1803.02077): do two pictures hold the same features, wherever they lie?"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..assets import load_asset
from ..networks.judges.features import FeatureTrunk, alexnet, enlarge_to, imagenet_normalize, vgg19_of

BAND = 0.2


def contextual_loss(x: Tensor, y: Tensor, band: float = BAND) -> Tensor:
    """Features x (prediction) and y (target) [B, C, h, w] -> [B], from 0 (every target feature is met).

    Cosine distances about the mean of y over the whole batch, as published; relative to each prediction's nearest
    target, softened by `band`. Half precision is widened: the nearest distance may be near 0.
    """
    if x.dtype in (torch.float16, torch.bfloat16):
        x, y = x.float(), y.float()
    center = y.mean((0, 2, 3), keepdim=True)
    x, y = (functional.normalize((f - center).flatten(2), dim=1) for f in (x, y))
    return torch.stack([_one(a, b, band) for a, b in zip(x, y, strict=True)])


def _one(x: Tensor, y: Tensor, band: float) -> Tensor:
    """Unit features [C, N] and [C, M] -> scalar; one image at a time, for the N x M table is large."""
    distance = 1 - x.T @ y
    relative = distance / (distance.amin(1, keepdim=True) + 1e-5)
    likeness = torch.softmax((1 - relative) / band, dim=1)
    return -torch.log(likeness.amax(0).mean() + 1e-5)


class ContextualLoss(nn.Module):
    """images [B, 3, H, W] in [-1, 1] -> [B]: contextual loss between one layer's activations; weights frozen."""

    def __init__(self, trunk: FeatureTrunk, band: float = BAND) -> None:
        """trunk: its last tap is compared."""
        super().__init__()
        self.trunk, self.band = trunk, band
        self.requires_grad_(False).eval()

    @classmethod
    def embedded(cls) -> ContextualLoss:
        """On AlexNet's second convolution, whose weights travel with the package."""
        return cls(FeatureTrunk(alexnet().with_taps((1,))).load(_trunk_of(load_asset("lpips_alex"))))

    @classmethod
    def vgg(cls, trunk: Mapping[str, Tensor]) -> ContextualLoss:
        """On VGG19's relu3_1, as published, from torchvision's state dict. Raises LoadError."""
        return cls(FeatureTrunk(vgg19_of(trunk).with_taps((4,))).load(trunk))

    def features(self, images: Tensor) -> Tensor:
        """[B, C, h, w]; compute once for a fixed target and hand it to forward."""
        return self.trunk(imagenet_normalize(enlarge_to(images, self.trunk.config.min_size)))[-1]

    def forward(self, images: Tensor, target: Tensor) -> Tensor:
        """target: images, or the result of features()."""
        y = self.features(target) if target.shape[1] == 3 else target
        return contextual_loss(self.features(images), y, self.band)


def _trunk_of(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: t for key, t in tensors.items() if key.startswith("features.")}
