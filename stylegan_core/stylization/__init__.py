"""DualStyleGAN at work: exemplar transfer, destylization, refinement, recommendation (Yang et al. 2022, 2203.13248)."""

from .destylize import Destylized, DestylizeOptions, Destylizer, destylize
from .manner import nearest_manner
from .recommend import Recommendation, recommend_styles, recommendation_sheet, suggest_weights
from .refine import Refined, Refinement, RefineOptions, Refiner, refine_style
from .styles import Styles, average_face, lay_out_styles, style_pictures, style_sheet
from .transfer import (
    PRESETS,
    Preset,
    blend_styles,
    choose_weights,
    join_styles,
    preset_color,
    style_grid,
    transfer_style,
)

__all__ = ["PRESETS", "DestylizeOptions", "Destylized", "Destylizer", "Preset", "Recommendation", "RefineOptions", "Refined",
           "Refinement", "Refiner", "Styles", "average_face", "blend_styles", "choose_weights", "destylize", "join_styles",
           "lay_out_styles", "nearest_manner", "preset_color", "recommend_styles", "recommendation_sheet", "refine_style",
           "style_grid", "style_pictures", "style_sheet", "suggest_weights", "transfer_style"]
