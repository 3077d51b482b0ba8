"""Photographs back into latents."""

from .optimize import InversionResult, Inverter, invert
from .options import PRESETS, InversionOptions

__all__ = ["PRESETS", "InversionOptions", "InversionResult", "Inverter", "invert"]
