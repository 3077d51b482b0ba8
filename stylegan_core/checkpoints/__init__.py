"""Checkpoints: any known file in, safetensors out. Files are read as data; nothing in them is ever run."""

from .building import build
from .containers import Contents, read_file, sha256_of
from .facts import HEADINGS, Facts, inspect
from .layout import Bundle, Canonical, Layout
from .layouts import LAYOUTS
from .loading import load
from .safetensors_file import read_json, write_safetensors
from .saving import lineage, save

__all__ = ["HEADINGS", "LAYOUTS", "Bundle", "Canonical", "Contents", "Facts", "Layout", "build", "inspect", "lineage", "load",
           "read_file", "read_json", "save", "sha256_of", "write_safetensors"]
