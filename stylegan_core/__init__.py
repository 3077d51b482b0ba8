"""StyleGAN 1/2/3, MobileStyleGAN and DualStyleGAN in plain torch: load, sample, blend, invert, toonify.

    import stylegan_core as sg
    base, toon = sg.load(sg.builtin("base")), sg.load(sg.builtin("toon"))
    images = sg.render(sg.blend(base, toon, 32), sg.Latents(sg.sample_z([0, 1], base.z_dim), "z", base), 0.7)
"""

from .assets import asset_path as builtin
from .assets import example_portrait
from .blending import Blender, blend, blend_many
from .checkpoints import inspect, load, save
from .contact_sheet import blend_grid, contact_sheet
from .description import describe
from .errors import (
    AtelierError,
    BlendMismatch,
    FaceNotFound,
    InvalidInput,
    LatentMismatch,
    LoadError,
    UnsafeCheckpoint,
    UnsupportedCheckpoint,
)
from .faces import align_face, detect_faces, paste_face
from .faces.batch import outline_faces, return_faces, take_faces
from .images import read_image, write_image
from .inversion import PRESETS, InversionOptions, InversionResult, Inverter, invert
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
from .networks.style_bank import StyleBank
from .networks.style_weights import format_weights, parse_weights
from .networks.stylegan3 import input_transform
from .parsing import parse_curve, parse_indices
from .pipeline import Toonified, ToonOptions, toonify
from .rendering import render
from .stylization import (
    Destylized,
    DestylizeOptions,
    Destylizer,
    Refined,
    RefineOptions,
    blend_styles,
    destylize,
    join_styles,
    refine_style,
    style_grid,
    transfer_style,
)

__all__ = [
    "PRESETS", "AtelierError", "BlendMismatch", "Blender", "DestylizeOptions", "Destylized", "Destylizer",
    "DualStyleGAN", "FaceNotFound", "InvalidInput", "InversionOptions", "InversionResult", "Inverter", "LatentMismatch",
    "Latents", "LoadError", "ModelSignature", "RefineOptions", "Refined", "StyleBank", "ToonOptions", "Toonified",
    "UnsafeCheckpoint", "UnsupportedCheckpoint", "align_face", "blend", "blend_grid", "blend_many", "blend_styles",
    "builtin", "class_label", "contact_sheet", "describe", "destylize", "detect_faces", "example_portrait",
    "format_weights", "input_transform", "inspect", "interpolate", "invert", "join_styles", "lerp", "load", "mix",
    "mix_latents", "outline_faces", "parse_curve", "parse_indices", "parse_weights", "paste_face", "read_image",
    "refine_style", "render", "return_faces", "rows_between", "sample_z", "save", "slerp", "style_grid", "take_faces",
    "toonify", "transfer_style", "write_image",
]
