"""Losses between the feature maps of two pictures: where they lie (perceptual), and how strong they are (style).

Johnson et al. 2016 (1603.08155) compare activations place by place; 2203.13248 (section 3.3) compares their channel means, too,
and calls it feature matching.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from ..assets import load_asset
from ..networks.judges.features import FeatureTrunk, alexnet, enlarge_to, imagenet_normalize, vgg19_of

SIDE = 256
"""Pixels at which the published programs compare features."""


class Features(nn.Module):
    """images [B, 3, H, W] in [-1, 1] -> five activations, shallow first, of the picture averaged down to 256 px; frozen."""

    def __init__(self, trunk: FeatureTrunk) -> None:
        super().__init__()
        self.trunk = trunk
        self.requires_grad_(False).eval()

    @classmethod
    def embedded(cls) -> Features:
        """AlexNet's, which travel with the package."""
        weights = {k: t for k, t in load_asset("lpips_alex").items() if k.startswith("features.")}
        return cls(FeatureTrunk(alexnet()).load(weights))

    @classmethod
    def vgg(cls, trunk: Mapping[str, Tensor]) -> Features:
        """VGG19's relu1_1 to relu5_1, as published, from torchvision's state dict. Raises LoadError."""
        return cls(FeatureTrunk(vgg19_of(trunk)).load(trunk))

    def forward(self, images: Tensor) -> list[Tensor]:
        images = adaptive_avg_pool2d(images, SIDE) if images.shape[-1] > SIDE else images
        return self.trunk(imagenet_normalize(enlarge_to(images, self.trunk.config.min_size)))


def feature_distance(a: Sequence[Tensor], b: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Sum over layers of weight * mean |a - b| -> scalar; a, b: activations [B, C, h, w] of as many layers or more."""
    losses = [weight * (x - y).abs().mean() for x, y, weight in zip(a, b, weights, strict=False) if weight]
    return sum(losses[1:], losses[0])


def feature_matching(a: Sequence[Tensor], b: Sequence[Tensor], layers: Sequence[int]) -> Tensor:
    """Sum over `layers` of the mean squared difference of channel means -> scalar (2203.13248, section 3.3)."""
    losses = [(a[i].mean((2, 3)) - b[i].mean((2, 3))).square().mean() for i in layers]
    return sum(losses[1:], losses[0])
