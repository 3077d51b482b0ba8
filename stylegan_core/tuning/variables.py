"""The variables of pivotal tuning: what is added to each weight of a synthesis network."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ..networks.generators.base import Generator
from .delta import PREFIX, Part, expand

SMALLEST_UNIT = 0.05
"""For weights that are zero or nearly so, such as fresh biases."""


class DeltaVariables:
    """One part for each weight, in units of the weight's root mean square, so that one learning rate fits all of them.

    A matrix of [O, I] gets U [O, r] = 0 and V [r, I], normal with variance 1 / r: a step of Adam then moves a weight by
    about the learning rate. What the factors would not make smaller, such as biases, is trained as it is. Depthwise kernels
    stay: they filter, they do not draw, and to change them burns a grid into every other face.
    """

    def __init__(self, model: Generator, rank: int, share: float, draw: torch.Generator) -> None:
        """rank: of U and V, lowered (to 1 at least) until the parts hold no more than `share` of the model's numbers; 0:
        none are factored."""
        self.base = {name: weight.detach() for name, weight in model.synthesis.named_parameters()
                     if weight.ndim != 4 or weight.shape[1] > 1}
        self.limit = int(share * sum(p.numel() for p in model.parameters()))
        self.units = {name: max(float(w.square().mean().sqrt()), SMALLEST_UNIT) for name, w in self.base.items()}
        while rank > 1 and sum(_numbers(w, rank) for w in self.base.values()) > self.limit:
            rank -= 1
        self.rank = rank
        self._parts = {name: _zero(weight, rank, draw) for name, weight in self.base.items()}

    @property
    def leaves(self) -> list[Tensor]:
        return [leaf for part in self._parts.values() for leaf in part]

    def weights(self, parts: Mapping[str, Part] | None = None) -> dict[str, Tensor]:
        """The synthesis network's weights with `parts` (named as `parts` names them) added; None: with the variables,
        differentiably."""
        added = self.parts(self._parts) if parts is None else parts
        return {name: weight + expand(added[PREFIX + name], weight.shape).to(weight) if PREFIX + name in added else weight
                for name, weight in self.base.items()}

    def parts(self, variables: Mapping[str, Part]) -> dict[str, Part]:
        """What variables add, by the weights' names in the model."""
        return {PREFIX + name: (part[0] * self.units[name], *part[1:]) for name, part in variables.items()}

    def snapshot(self) -> dict[str, Part]:
        """A copy of the variables as they are."""
        return {name: tuple(leaf.detach().clone() for leaf in part) for name, part in self._parts.items()}


def _factored(weight: Tensor, rank: int) -> bool:
    return weight.ndim > 1 and 0 < rank * (len(weight) + weight[0].numel()) < weight.numel()


def _numbers(weight: Tensor, rank: int) -> int:
    return rank * (len(weight) + weight[0].numel()) if _factored(weight, rank) else weight.numel()


def _zero(weight: Tensor, rank: int, draw: torch.Generator) -> Part:
    if not _factored(weight, rank):
        return (torch.zeros_like(weight).requires_grad_(True),)
    down = torch.randn(rank, weight[0].numel(), generator=draw) / math.sqrt(rank)
    return (weight.new_zeros(len(weight), rank).requires_grad_(True), down.to(weight).requires_grad_(True))
