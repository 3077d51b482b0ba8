"""Checkpoints: any known file in, safetensors out. Files are read as data; nothing in them is ever run."""

from .building import build
from .containers import MODEL_SUFFIXES, Contents, read_file
from .facts import HEADINGS, Facts, inspect
from .hashing import sha256_of
from .latents_file import READ_SUFFIXES as LATENT_SUFFIXES
from .latents_file import load_latents, save_latents
from .layout import ConvertedState, Layout, SourceState
from .layouts import LAYOUTS
from .loading import load
from .safetensors_file import SUFFIXES as SAFETENSORS
from .safetensors_file import read_json, write_safetensors
from .saving import lineage, save
from .writing import check_folder, check_target, write_bytes, write_file

__all__ = ["HEADINGS", "LATENT_SUFFIXES", "LAYOUTS", "MODEL_SUFFIXES", "SAFETENSORS", "Contents", "ConvertedState", "Facts",
           "Layout", "SourceState", "build", "check_folder", "check_target", "inspect", "lineage", "load", "load_latents",
           "read_file", "read_json", "save", "save_latents", "sha256_of", "write_bytes", "write_file", "write_safetensors"]
