"""Every number of pivotal tuning, and the presets."""

from __future__ import annotations

from dataclasses import dataclass

from ..engine import ramp
from ..losses.reconstruction import LossWeights
from ..options import check_numbers

RISE, FALL = 0.05, 0.25
"""Parts of the run over which the learning rate rises and falls."""


@dataclass(frozen=True)
class TuneOptions:
    """Defaults are the "standard" preset. A weight of 0 leaves its loss out."""

    steps: int = 120
    lr: float = 5e-3
    """Adam's peak learning rate in units of each weight's root mean square: families scale their weights differently."""
    lpips: float = 1.0
    l2: float = 1.0
    identity: float = 0.2
    """Weight of the distance between face embeddings; holds what an inversion won by it."""
    stop: float = 0.02
    """Stop when LPIPS is no more than this for every image; 0: never."""
    rank: int = 16
    """Rank of what is added to a weight matrix, less where the delta would outgrow `share`; 0: train whole weights, as Roich
    et al. do, and take them apart afterwards."""
    share: float = 0.15
    """Most numbers in the delta, as a share of the model's."""
    tolerance: float = 0.02
    """What LPIPS may lose, relatively, to ranks cut off and to 16 bits."""
    locality: float = 0.0
    """Weight of the loss that keeps faces near the pivots as they were (0.1 in the paper)."""
    reach: float = 1.5
    """How far from a pivot those faces lie, in spreads of w (the paper's alpha = 30 is 1.5 in the FFHQ model)."""
    loss_size: int = 256
    """Losses see images shrunk by area to at most so many pixels."""
    chunk: int = 4
    """Images in one pass at most (a CPU takes large ones singly); halved when memory runs out."""
    seed: int = 0

    def __post_init__(self) -> None:
        check_numbers(self, "Tuning", ("steps", "chunk", "loss_size"))

    def learning_rate(self, t: float) -> float:
        """Rate at progress t (0..1): an inversion's rise, plateau and fall."""
        return self.lr * ramp(t, RISE, FALL)

    def losses(self) -> LossWeights:
        """What the reconstruction loss takes of these."""
        return LossWeights(self.lpips, self.l2, self.identity)


TUNE_PRESETS: dict[str, TuneOptions] = {
    "draft": TuneOptions(steps=50, stop=0.04),
    "standard": TuneOptions(),
    "high": TuneOptions(steps=350, rank=32, stop=0.0),
}
