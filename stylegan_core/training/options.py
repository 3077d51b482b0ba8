"""What shapes a training step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..engine import halflife_decay
from ..errors import InvalidInput
from ..options import check_numbers


@dataclass(frozen=True)
class TrainOptions:
    """Of one optimizer step. Raises InvalidInput when a field is out of range."""

    lr: float = 0.002
    """Before the correction for lazy regularization, as are the betas."""
    betas: tuple[float, float] = (0.0, 0.99)
    eps: float = 1e-8
    r1_gamma: float = 10.0
    pl_weight: float = 2.0
    pl_decay: float = 0.01
    """How fast the mean path length follows."""
    G_reg_interval: int | None = 4
    """Iterations between path length phases; None: no such phase, so no correction."""
    D_reg_interval: int | None = 16
    batch_size: int = 16
    """Images of one iteration, over all processes."""
    ema_kimg: float = 10.0
    """Half-life of the averaged generator in thousands of images."""
    ema_rampup: float | None = None
    """Share of the images shown that the half-life may not exceed."""
    ema_decay: float | None = None
    """A fixed decay an iteration in place of the half-life (rosinality); buffers are then not copied."""
    D_lr: float | None = None
    """The discriminator's rate where it differs."""
    w_avg_beta: float = 0.995
    """How slowly w_avg follows the mapping's outputs; 1 leaves it alone."""

    def __post_init__(self) -> None:
        check_numbers(self, "Training")
        if self.lr <= 0 or self.eps <= 0 or not all(0 <= b < 1 for b in self.betas) or (self.D_lr or self.lr) <= 0:
            raise InvalidInput(f"Adam can't run at a rate of {self.lr} with betas {self.betas}; use a rate above 0, betas in "
                               f"0..1, usually 0.002 and (0, 0.99).")
        if self.batch_size < 1 or any(n is not None and n < 1 for n in (self.G_reg_interval, self.D_reg_interval)):
            raise InvalidInput(f"A batch of {self.batch_size} with regularization every {self.G_reg_interval} and "
                               f"{self.D_reg_interval} iterations can't be; use numbers from 1 on.")
        if self.r1_gamma < 0 or self.pl_weight < 0 or not 0 <= self.w_avg_beta <= 1 or not 0 <= self.pl_decay <= 1:
            raise InvalidInput(f"Weights of {self.r1_gamma} (R1) and {self.pl_weight} (path length) can't be; use 0 or more.")
        if self.ema_kimg < 0 or not 0 <= (self.ema_decay or 0) <= 1:
            raise InvalidInput(f"An average over {self.ema_kimg} thousand images can't be; use 0 or more.")

    def gain(self, tag: str) -> int:
        """What the regularization of "G" or "D" is multiplied by for running so seldom."""
        return (self.G_reg_interval if tag == "G" else self.D_reg_interval) or 1

    def adam(self, tag: str) -> dict[str, Any]:
        """lr r, betas^r with r = n / (n + 1): n main steps share one Adam with one regularization step (appendix B)."""
        interval = self.G_reg_interval if tag == "G" else self.D_reg_interval
        r = interval / (interval + 1) if interval else 1.0
        lr = self.lr if tag == "G" or self.D_lr is None else self.D_lr
        return {"lr": lr * r, "betas": (self.betas[0] ** r, self.betas[1] ** r), "eps": self.eps}

    def ema_beta(self, images_before: int) -> float:
        """Decay of the averaged generator in the iteration before which so many images were shown."""
        if self.ema_decay is not None:
            return self.ema_decay
        return halflife_decay(self.batch_size, 1000 * self.ema_kimg, images_before, self.ema_rampup)
