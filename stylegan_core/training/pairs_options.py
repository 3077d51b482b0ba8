"""Every number of training on pairs."""

from __future__ import annotations

from dataclasses import dataclass

from ..engine import ramp_of_step
from ..errors import InvalidInput
from ..latents.mixing import px_spans
from ..options import check_numbers


@dataclass(frozen=True)
class PairsOptions:
    """Every number of a run; a weight of 0 leaves its loss out."""

    steps: int = 360
    batch: int = 1
    lr: float = 4e-4
    """Adam's rate (betas 0.9, 0.99) after the warm-up; falls along a cosine to `last_rate` of it."""
    warmup: int = 20
    last_rate: float = 0.1
    resolutions: str = "64-"
    """Layers that learn, in px as in rows_between ("fine", "-32", "64-", "all"); the others stay the base's."""
    l1: float = 1.0
    reduced: float = 1.0
    reduced_size: int = 256
    """Pixels a side of the whole picture at which `reduced` compares."""
    differences: float = 1.0
    lpips: float = 0.0
    lpips_size: int = 256
    """LPIPS sees pictures reduced by area to at most so many pixels a side."""
    style: float = 0.0
    """Textures alike wherever they lie (Gram matrices): for strokes and hatching, whose places nobody can foresee."""
    style_tiles: int = 4
    """Parts across and down in which textures are compared, each with its own: so strokes keep their direction."""
    crop: int = 0
    """Pixels a side of the part of the picture that a step draws; 0: all of it. Parts cost less than their share."""
    ema_halflife: float = 20.0
    """Steps after which a weight counts half in the average that is the result; 0: no average."""
    held_out: float = 0.1
    """Share of the pairs that are only scored on; at least one, none where there are fewer than four."""
    bfloat16: bool = False
    """Convolutions in 16 bits where the device has them: 1.5 times as fast on a CPU with AVX512-BF16."""
    seed: int = 0

    def __post_init__(self) -> None:
        check_numbers(self, "Training on pairs", ("steps", "batch", "reduced_size", "lpips_size", "style_tiles"))
        if self.held_out > 0.5 or not any((self.l1, self.reduced, self.differences, self.lpips, self.style)):
            raise InvalidInput("Training on pairs holds out at most half of them, and needs one loss with a weight above 0.")
        px_spans(self.resolutions)

    def rate(self, step: int) -> float:
        """Learning rate of step 0, 1, ...: linear warm-up, then half a cosine down to last_rate."""
        return self.lr * ramp_of_step(step, self.steps, self.warmup, self.last_rate)
