"""DualStyleGAN at work: exemplar transfer, destylization, refinement (Yang et al. 2022, 2203.13248)."""

from .destylize import Destylized, DestylizeOptions, Destylizer, destylize
from .refine import Refined, RefineOptions, Refiner, refine_style
from .transfer import PRESETS, Preset, blend_styles, join_styles, style_grid, transfer_style

__all__ = ["PRESETS", "DestylizeOptions", "Destylized", "Destylizer", "Preset", "RefineOptions", "Refined", "Refiner",
           "blend_styles", "destylize", "join_styles", "refine_style", "style_grid", "transfer_style"]
