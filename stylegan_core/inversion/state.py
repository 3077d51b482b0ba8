"""What an inversion keeps of each image, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..engine import Best, Plateau
from ..latents import Latents


@dataclass(frozen=True, eq=False)
class InversionResult:
    """The best codes met, as they were when their loss was measured."""

    latents: Latents
    """With the optimized noise maps, if those were optimized; `model.synthesis` of both gives `images`."""
    images: Tensor
    """[B, C, H, W] rendered from `latents` at the model's own resolution."""
    losses: dict[str, Tensor]
    """Per image [B]: each loss of the best step, unweighted, and their weighted "total"."""
    history: dict[str, Tensor]
    """The same by step, [steps_done, B]; NaN before the first step of this run, and from the step on at which an image
    stopped."""
    steps_done: int
    """Of the schedule; an earlier run's (`start_step`) count too."""
    notes: tuple[str, ...] = ()
    """What the user should know: an image that failed, a network that another stood in for."""


class ImageState:
    """One image's variables, its best state, and how long it has waited for a better one."""

    def __init__(self, code: Tensor, maps: list[Tensor], losses: int, tolerance: float) -> None:
        self.code, self.maps = code.requires_grad_(True), [m.requires_grad_(True) for m in maps]
        self.best = Best(self._snapshot(0), torch.full((losses,), float("nan")))
        self.plateau = Plateau(tolerance)
        self.failed = False

    def begin_again(self) -> None:
        """What was best no longer counts: the losses mean something else from here on."""
        self.best.total = float("inf")
        self.plateau = Plateau(self.plateau.tolerance)

    def fail(self) -> None:
        """Stop here; the best state stays."""
        self.failed = True
        for leaf in self.leaves:
            leaf.grad = None

    @property
    def leaves(self) -> list[Tensor]:
        return [self.code, *self.maps]

    def note(self, losses: Tensor, push: Tensor) -> None:
        """Keep this step, as it was rendered, if it is the best. losses end in the total."""
        total = float(losses[-1])
        self.best.offer(total, losses.clone(), lambda: self._snapshot(push))
        self.plateau.note(total)

    def _snapshot(self, push: Tensor | int) -> tuple[Tensor, list[Tensor]]:
        return (self.code + push).detach(), [m.detach().clone() for m in self.maps]
