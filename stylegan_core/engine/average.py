"""Moving averages of weights: what a training gives away is their mean over its last steps, steadier than the last."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def halflife_decay(images: float, halflife: float, shown: float | None = None, rampup: float | None = None) -> float:
    """Decay of a step that shows `images`: after `halflife` images the old average counts half (0: a plain copy).

    rampup: share of the images `shown` before that the half-life may not exceed, so that the start is soon forgotten
    (Karras et al. 2020, 2006.06676).
    """
    if rampup is not None and shown is not None:
        halflife = min(halflife, shown * rampup)
    return 0.5 ** (images / max(halflife, 1e-8))


def ramped_decay(step: int, most: float) -> float:
    """Decay of step 0, 1, ...: a mean over about the last tenth of the steps, and no more than `most`."""
    return min(most, (step + 1) / (step + 10))


@torch.no_grad()
def move_average(average: nn.Module, network: nn.Module, decay: float, buffers: bool = True) -> None:
    """Parameters of `average` go towards those of network; its buffers become network's, unless `buffers` is off."""
    own = dict(network.named_parameters())
    for name, mean in average.named_parameters():
        mean.copy_(own[name].lerp(mean, decay))
    if buffers:
        known = dict(network.named_buffers())
        for name, buffer in average.named_buffers():
            buffer.copy_(known[name])


class Average:
    """Moving averages of tensors by name, outside any network."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.own = dict(tensors)
        self.tensors = {name: tensor.detach().clone() for name, tensor in tensors.items()}

    @torch.no_grad()
    def move(self, decay: float) -> None:
        for name, mean in self.tensors.items():
            mean.copy_(self.own[name].lerp(mean, decay))

    @torch.no_grad()
    def apply(self) -> None:
        """Give what was averaged its average."""
        for name, mean in self.tensors.items():
            self.own[name].copy_(mean)

    @torch.no_grad()
    def copy_into(self, network: nn.Module) -> None:
        """Give a copy of the network whose parameters were averaged, by the same names, their averages."""
        own = dict(network.named_parameters())
        for name, mean in self.tensors.items():
            own[name].copy_(mean)
