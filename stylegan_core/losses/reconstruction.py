"""What is minimized when pictures are to become given ones: one value per image and loss; the targets' features once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..engine import frozen, weighted_total
from ..errors import InvalidInput
from ..ops.resize import resize_area, to_rgb
from .identity import IdentityLoss
from .perceptual import LPIPS, spatial_mean
from .regularizers import noise_regularization

EMBEDDED: dict[str, Callable[[], nn.Module]] = {"lpips": LPIPS.embedded, "identity": IdentityLoss.embedded}
"""By the weight's name: modules with features(images) -> list of [B, ...], and (features, features) -> distance [B]."""
OFFSETS = ((0, 0), (2, 1), (1, 3), (3, 2))
"""Rows and columns cut off at the top left, step by step: every phase of AlexNet's stride of 4 in both axes."""


@dataclass(frozen=True)
class LossWeights:
    """A weight of 0 leaves its loss out, and its network unloaded."""

    lpips: float = 1.0
    l2: float = 1.0
    identity: float = 0.0
    deviation: float = 0.0
    """Of the mean squared distance of a code's rows from their mean, in units of the codes' variance."""
    noise_regularization: float = 0.0
    jitter: bool = True
    """Let LPIPS see the pictures from four offsets in turn; its strided layers else leave a fine grid in the result."""


def judging_networks(weights: LossWeights, given: Mapping[str, nn.Module], like: Tensor) -> dict[str, nn.Module]:
    """Private copies of the networks that `weights` asks for, by name, the given ones before the embedded ones; on the device
    and in the dtype of `like`."""
    return {name: frozen(given.get(name) or make(), like) for name, make in EMBEDDED.items() if getattr(weights, name)}


class ReconstructionLoss:
    """Weighted losses of a fixed batch of targets [B, 3, H, W] in [-1, 1]."""

    def __init__(self, targets: Tensor, size: int, weights: LossWeights, distances: Mapping[str, Any],
                 region: Tensor | None = None) -> None:
        """distances: the networks of EMBEDDED, or others with the same methods, by the weight's name.

        region [B, 1, size, size]: how much each pixel counts in l2 and lpips. LPIPS weighs its distance maps instead of
        seeing masked pictures: the edge of a mask would be a contour that both pictures share, and all of weight 1 is
        plain LPIPS exactly. Identity always sees the whole face, which is what its network knows.
        """
        self.size, self.weights, self.region = size, weights, region
        self.targets = resize_area(targets, size)
        self.distances = {name: net for name, net in distances.items() if getattr(weights, name)}
        with torch.no_grad():
            self.features = {name: [net.features(view) for view in self._views(name, self.targets)]
                             for name, net in self.distances.items()}

    def _views(self, name: str, images: Tensor) -> list[Tensor]:
        """The picture at each offset for a jittered LPIPS, else the picture."""
        if name != "lpips" or not self.weights.jitter or self.size < 32:
            return [images]
        inner = self.size - 3
        return [images[..., y : y + inner, x : x + inner] for y, x in OFFSETS]

    def names(self, rows: bool, maps: bool) -> tuple[str, ...]:
        """The losses in order, "total" last. rows: the code has rows; maps: noise is optimized. Raises InvalidInput."""
        present = {**dict.fromkeys(self.distances, True), "l2": True, "deviation": rows, "noise_regularization": maps}
        names = [name for name, there in present.items() if there and getattr(self.weights, name)]
        if not set(names) & {*self.distances, "l2"}:
            raise InvalidInput("Inversion got weights 0 for lpips, l2 and identity; give at least one of them a weight.")
        return (*names, "total")

    def __call__(self, images: Tensor, ids: list[int], maps: list[Tensor], code: Tensor,
                 turn: int = 0) -> dict[str, Tensor]:
        """Losses [len(ids)] by name, unweighted, of images [len(ids), C, h, w] against targets `ids`.

        maps: the unit noise maps [len(ids), 1, h, w], none where they are not optimized.
        code: [len(ids), (rows,) dim], scaled to unit variance. turn: number of the step, which chooses the offset.
        """
        small = resize_area(to_rgb(images), self.size)
        losses = {}
        for name, net in self.distances.items():
            views = self._views(name, small)
            view = turn % len(views)
            region = () if self.region is None or name != "lpips" else (self._views(name, self.region)[view][ids],)
            losses[name] = net([f[ids] for f in self.features[name][view]], net.features(views[view]), *region)
        if self.weights.l2:
            region = None if self.region is None else self.region[ids]
            losses["l2"] = spatial_mean((small - self.targets[ids]).square(), region).mean(1)
        if self.weights.deviation and code.ndim == 3:
            losses["deviation"] = (code - code.mean(1, keepdim=True)).square().mean((1, 2))
        if maps and self.weights.noise_regularization:
            losses["noise_regularization"] = noise_regularization(maps)
        return losses

    def total(self, losses: dict[str, Tensor]) -> Tensor:
        """[B]: the weighted sum."""
        return weighted_total(losses, asdict(self.weights))
