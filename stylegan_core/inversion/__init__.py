"""Photographs back into latents."""

from .delta import Delta, apply_delta
from .optimize import InversionResult, Inverter, invert
from .options import PRESETS, InversionOptions
from .tune_options import TUNE_PRESETS, TuneOptions
from .tuning import Tuned, Tuner, tune

__all__ = [
    "PRESETS", "TUNE_PRESETS", "Delta", "InversionOptions", "InversionResult", "Inverter", "TuneOptions", "Tuned", "Tuner",
    "apply_delta", "invert", "tune",
]
