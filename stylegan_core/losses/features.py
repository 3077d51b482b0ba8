"""Losses between the feature maps of two pictures: where they lie (perceptual), and how strong they are (style).

Johnson et al. 2016 (1603.08155) compare activations place by place; 2203.13248 (section 3.3) compares their channel means, too,
and calls it feature matching. Gatys et al. 2016 compare which channels go together, wherever they do: a texture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from einops import rearrange
from torch import Tensor, nn
from torch.linalg import vector_norm
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


def gram(features: Tensor) -> Tensor:
    """[B, C, h, w] -> [B, C, C]: mean over places of the products of channels."""
    flat = features.flatten(2)
    return flat @ flat.mT / flat.shape[-1]


def style_distance(a: Sequence[Tensor], b: Sequence[Tensor], tiles: int = 1) -> Tensor:
    """Mean over layers and tiles of |gram(a) - gram(b)| / |gram(b)| (Frobenius) -> [B]: 0 where textures agree, wherever they
    lie in a tile. tiles: parts across and down, no more than a layer has places."""
    losses = [_gram_distance(x, y, min(tiles, *x.shape[2:])) for x, y in zip(a, b, strict=True)]
    return sum(losses[1:], losses[0]) / len(losses)


def _gram_distance(x: Tensor, y: Tensor, tiles: int) -> Tensor:
    """[B]; what is left over at the right and below is left out."""
    h, w = (n // tiles for n in x.shape[2:])
    mine, theirs = (gram(rearrange(f[..., : h * tiles, : w * tiles], "b c (i h) (j w) -> (b i j) c h w", h=h, w=w))
                    for f in (x, y))
    off = vector_norm(mine - theirs, dim=(1, 2)) / (vector_norm(theirs, dim=(1, 2)) + 1e-8)
    return off.view(len(x), -1).mean(1)
