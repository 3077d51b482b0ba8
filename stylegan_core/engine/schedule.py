"""How fast a run learns as it goes on."""

from __future__ import annotations

import math


def ramp(t: float, rise: float = 0.0, fall: float = 1.0, start: float = 0.0, floor: float = 0.0) -> float:
    """Share of the peak rate at progress t (0..1): linear rise, plateau, cosine fall (Karras et al. 2020, 1912.04958, app. D).

    rise, fall: first and last parts of the run over which it happens; 0: at once. start: progress at which the rise begins, of
    a run gone on with, where Adam's averages begin anew. floor: what the fall ends at.
    """
    left = min(1.0, (1 - t) / fall) if fall else 1.0
    risen = min(1.0, (t - start) / rise) if rise else 1.0
    return (floor + (1 - floor) * (0.5 - 0.5 * math.cos(math.pi * left))) * risen


def ramp_of_step(step: int, steps: int, warm_up: int = 0, floor: float = 0.0) -> float:
    """The same for step 0..steps - 1 of a training: `warm_up` steps of rise, and a cosine over the whole run."""
    return ramp(step / steps, floor=floor) * (min(1.0, (step + 1) / warm_up) if warm_up else 1.0)
