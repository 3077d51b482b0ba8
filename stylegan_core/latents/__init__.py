"""Latents as plain data: codes, the spaces they lie in, the model they fit, their rows by resolution."""

from .codes import SPACES, Space, class_label, codes_to_ws, random_labels, sample_z, truncate
from .mixing import RANGES, interpolate, lerp, mix, mix_latents, rows_between, slerp
from .signature import LatentModel, ModelSignature, carry_note, carry_rows, fingerprint, mapping_hash
from .value import Latents

__all__ = [
    "RANGES", "SPACES", "LatentModel", "Latents", "ModelSignature", "Space", "carry_note", "carry_rows", "class_label",
    "codes_to_ws", "fingerprint", "interpolate", "lerp", "mapping_hash", "mix", "mix_latents", "random_labels",
    "rows_between", "sample_z", "slerp", "truncate",
]
