"""StyleGAN 1/2/3, MobileStyleGAN and DualStyleGAN in plain torch: load, sample, blend, invert, toonify.

    import stylegan_core as sg
    base, look = sg.load(sg.builtin("base")), sg.load(sg.builtin("figurine"))
    images = sg.render(sg.blend(base, look, 32), sg.Latents(sg.sample_z([0, 1], base.z_dim), "z", base), 0.7)
"""

from . import _early as _early
from .assets import asset_path as builtin
from .assets import example_portrait
from .blending import Blender, blend, blend_many
from .checkpoints import inspect, load, save
from .checkpoints.description import describe
from .directions import Directions, apply_direction, direction_grid, even_steps, find_directions
from .errors import (
    AtelierError,
    BlendMismatch,
    DeltaMismatch,
    FaceNotFound,
    InvalidInput,
    LatentMismatch,
    LoadError,
    SaveError,
    TrainingStopped,
    UnsafeCheckpoint,
    UnsupportedCheckpoint,
)
from .faces import align_face, detect_faces, paste_face
from .faces.batch import outline_faces, pasting_notes, return_faces, return_masks, take_faces
from .faces.detection import find_faces
from .faces.frame import alignment_notes
from .faces.head_mask import head_and_face, head_mask
from .faces.smoothing import smooth_over_time, take_video_faces, video_notes
from .inversion import PRESETS, InversionOptions, InversionResult, Inverter, invert
from .inversion.encode import PortraitEncoder, encode
from .inversion.report import Report, report
from .inversion.video import VideoInverter, VideoOptions, invert_video
from .latents import (
    Latents,
    ModelSignature,
    class_label,
    interpolate,
    lerp,
    mix,
    mix_latents,
    rows_between,
    sample_z,
    slerp,
)
from .networks.dualstylegan import DualStyleGAN
from .networks.generators.stylegan3 import input_transform
from .networks.style_bank import StyleBank
from .networks.style_weights import format_weights, parse_weights
from .options import parse_curve, parse_indices, parse_numbers
from .pictures.files import read_image, write_image
from .pictures.finish import finish, redrawn
from .pictures.moving_crop import moving_crop
from .pictures.rendering import render
from .pictures.sheets import blend_grid, contact_sheet, strength_grid, swap_strip
from .pipeline import Toonified, ToonOptions, toonify
from .runtime import at_drawing, at_precision
from .stylization import PRESETS as STYLE_PRESETS
from .stylization import (
    Destylized,
    DestylizeOptions,
    Destylizer,
    Recommendation,
    Refined,
    Refinement,
    RefineOptions,
    Styles,
    blend_styles,
    choose_weights,
    destylize,
    join_styles,
    lay_out_styles,
    preset_color,
    recommend_styles,
    recommendation_sheet,
    refine_style,
    style_grid,
    style_pictures,
    style_sheet,
    transfer_style,
)
from .tuning import TUNE_PRESETS, Delta, Tuned, TuneOptions, Tuner, apply_delta, tune
from .version import __version__ as __version__

__all__ = [
    "PRESETS", "STYLE_PRESETS", "TUNE_PRESETS", "AtelierError", "BlendMismatch", "Blender", "Delta", "DeltaMismatch",
    "DestylizeOptions", "Destylized", "Destylizer", "Directions", "DualStyleGAN", "FaceNotFound", "InvalidInput",
    "InversionOptions", "InversionResult", "Inverter", "LatentMismatch", "Latents", "LoadError", "ModelSignature",
    "PortraitEncoder", "Recommendation", "RefineOptions", "Refined", "Refinement", "Report", "SaveError", "StyleBank", "Styles",
    "ToonOptions", "Toonified", "TrainingStopped", "TuneOptions", "Tuned", "Tuner", "UnsafeCheckpoint", "UnsupportedCheckpoint",
    "VideoInverter", "VideoOptions", "align_face", "alignment_notes", "apply_delta", "apply_direction", "at_drawing",
    "at_precision", "blend",
    "blend_grid", "blend_many", "blend_styles", "builtin", "choose_weights", "class_label", "contact_sheet", "describe",
    "destylize", "detect_faces", "direction_grid", "encode", "even_steps", "example_portrait", "find_directions", "find_faces",
    "finish", "format_weights", "head_and_face", "head_mask", "input_transform", "inspect", "interpolate", "invert",
    "invert_video", "join_styles", "lay_out_styles", "lerp", "load", "mix", "mix_latents", "moving_crop", "outline_faces",
    "parse_curve", "parse_indices", "parse_numbers", "parse_weights", "paste_face", "pasting_notes",
    "preset_color", "read_image", "recommend_styles", "recommendation_sheet", "redrawn", "refine_style", "render", "report",
    "return_faces", "return_masks", "rows_between", "sample_z", "save", "slerp", "smooth_over_time", "strength_grid",
    "style_grid", "style_pictures", "style_sheet", "swap_strip", "take_faces", "take_video_faces", "toonify", "transfer_style",
    "tune", "video_notes", "write_image",
]
