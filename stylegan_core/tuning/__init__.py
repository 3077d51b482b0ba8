"""A generator's weights moved a little until its pictures are the given ones; what was added, as a small file."""

from .delta import Delta, apply_delta
from .options import TUNE_PRESETS, TuneOptions
from .tuner import Tuned, Tuner, tune

__all__ = ["TUNE_PRESETS", "Delta", "TuneOptions", "Tuned", "Tuner", "apply_delta", "tune"]
