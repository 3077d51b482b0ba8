"""Networks whose features stand for pictures in a measure, each under the name its numbers must carry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..assets import load_asset
from ..networks.judges.features import FeatureTrunk, alexnet, enlarge_to, imagenet_normalize
from ..runtime import OnStep


class OpenFeatures(nn.Module):
    """images [B, 1 or 3, H, W] in [-1, 1] -> [B, 256]: AlexNet's last convolution, averaged over the picture.

    The weights travel with the package. Numbers over these features are not FID or KID, whose network is Inception.
    """

    name = "AlexNet"

    def __init__(self) -> None:
        super().__init__()
        tensors = load_asset("lpips_alex")
        self.trunk = FeatureTrunk(alexnet().with_taps((4,))).load(tensors)
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> Tensor:
        images = images.expand(-1, 3, -1, -1)
        if images.shape[-1] > 256:  # one size, so that models of several resolutions compare
            images = functional.interpolate(images, size=(256, 256), mode="bilinear", antialias=True, align_corners=False)
        return self.trunk(imagenet_normalize(enlarge_to(images, self.trunk.config.min_size)))[-1].mean(dim=(2, 3))


@torch.no_grad()
def features_of(network: nn.Module, batches: Iterable[Tensor], total: int, on_step: OnStep | None = None) -> Tensor:
    """Features [N, d] float32 of pictures that come in batches; never more than a batch in memory."""
    device = next(iter(network.parameters())).device
    found, done = [], 0
    for images in batches:
        found.append(network(images.to(device)).float().cpu())
        done += len(images)
        if on_step is not None:
            on_step(done, total, None)
    return torch.cat(found)


def in_batches(total: int, size: int = 16) -> Iterator[range]:
    """0..total in runs of `size`."""
    return (range(i, min(i + size, total)) for i in range(0, total, size))
