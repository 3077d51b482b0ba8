"""What an inversion minimizes: one value per image and loss; the targets' features are computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InvalidInput
from ..losses.identity import IdentityLoss
from ..losses.perceptual import LPIPS, spatial_mean
from ..losses.regularizers import noise_regularization
from .options import InversionOptions


def resize_area(images: Tensor, size: int) -> Tensor:
    """[B, C, H, W] -> [B, C, size, size]: area means when shrinking (exact for whole factors), else bicubic."""
    if images.shape[-2:] == (size, size):
        return images
    if images.shape[-1] > size:
        return F.interpolate(images, (size, size), mode="area")
    return F.interpolate(images, (size, size), mode="bicubic", align_corners=False)


def to_rgb(images: Tensor) -> Tensor:
    """[B, 1|3|4, H, W] -> [B, 3, H, W]: gray repeats, alpha is left out."""
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images[:, :3]


EMBEDDED: dict[str, Callable[[], nn.Module]] = {"lpips": LPIPS.embedded, "identity": IdentityLoss.embedded}
"""By option name: modules with features(images) -> list of [B, ...], and (features, features) -> distance [B]."""


OFFSETS = ((0, 0), (2, 1), (1, 3), (3, 2))
"""Rows and columns cut off at the top left, step by step: every phase of AlexNet's stride of 4 in both axes."""


class Objective:
    """Weighted losses of a fixed batch of targets [B, 3, H, W] in [-1, 1]."""

    def __init__(self, targets: Tensor, size: int, options: InversionOptions, distances: Mapping[str, Any],
                 weight: Tensor | None = None) -> None:
        """distances: the networks of EMBEDDED, or others with the same methods, by option name.

        weight [B, 1, size, size]: how much each pixel counts in l2 and lpips. LPIPS weighs its distance maps instead of
        seeing masked pictures: the edge of a mask would be a contour that both pictures share, and all of weight 1 is
        plain LPIPS exactly. Identity always sees the whole face, which is what its network knows.
        """
        self.size, self.options, self.weight = size, options, weight
        self.targets = resize_area(targets, size)
        self.distances = {name: net for name, net in distances.items() if getattr(options, name)}
        with torch.no_grad():
            self.features = {name: [net.features(view) for view in self._views(name, self.targets)]
                             for name, net in self.distances.items()}

    def _views(self, name: str, images: Tensor) -> list[Tensor]:
        """The picture at each offset for a jittered LPIPS, else the picture."""
        if name != "lpips" or not self.options.jitter or self.size < 32:
            return [images]
        inner = self.size - 3
        return [images[..., y : y + inner, x : x + inner] for y, x in OFFSETS]

    def names(self, rows: bool, maps: bool) -> tuple[str, ...]:
        """The losses in order, "total" last. rows: the code has rows; maps: noise is optimized. Raises InvalidInput."""
        present = {**dict.fromkeys(self.distances, True), "l2": True, "deviation": rows, "noise_regularization": maps}
        names = [name for name, there in present.items() if there and getattr(self.options, name)]
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
            weight = () if self.weight is None or name != "lpips" else (self._views(name, self.weight)[view][ids],)
            losses[name] = net([f[ids] for f in self.features[name][view]], net.features(views[view]), *weight)
        if self.options.l2:
            weight = None if self.weight is None else self.weight[ids]
            losses["l2"] = spatial_mean((small - self.targets[ids]).square(), weight).mean(1)
        if self.options.deviation and code.ndim == 3:
            losses["deviation"] = (code - code.mean(1, keepdim=True)).square().mean((1, 2))
        if maps and self.options.noise_regularization:
            losses["noise_regularization"] = noise_regularization(maps)
        return losses

    def total(self, losses: dict[str, Tensor]) -> Tensor:
        """[B]: the weighted sum."""
        return torch.stack([getattr(self.options, name) * value for name, value in losses.items()]).sum(0)
