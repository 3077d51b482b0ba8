"""The 128-d face recognition ResNet of @vladmandic/face-api 1.7.15 -> assets/identity.safetensors.

python -m tools.assets.convert_identity UNPACKED/package/model

The uint8 values are kept; `NAME` holds them and `NAME.range` the two float32 numbers (scale, minimum) that give
back value = scale * q + minimum.
"""

from __future__ import annotations

import json
from math import prod
from pathlib import Path

import numpy as np
import torch

from .common import main, write_asset

NAMES = {"conv/filters": "weight", "conv/bias": "bias", "scale/weights": "scale", "scale/biases": "shift"}
"""Last two parts of the package's names -> ours; the block and the convolution before them are kept."""

AXES = {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}
"""(in, out) and (row, column, in, out) -> torch's order."""


def our_name(name: str) -> str:
    """conv64_1/conv2/scale/biases -> conv64_1.conv2.shift; fc stays."""
    block, slash, rest = name.rpartition("/conv/") if "/conv/" in name else name.rpartition("/scale/")
    kind = (slash + rest).lstrip("/")
    return f"{block.replace('/', '.')}.{NAMES[kind]}" if block else name


def convert(folder: Path) -> None:
    manifest = folder / "face_recognition_model-weights_manifest.json"
    binary = folder / "face_recognition_model.bin"
    data, tensors, at = binary.read_bytes(), {}, 0
    for entry in json.loads(manifest.read_text())[0]["weights"]:
        quantization = entry.get("quantization")
        kind = np.dtype(np.uint8 if quantization else np.float32)
        count = prod(entry["shape"])
        value = torch.from_numpy(np.frombuffer(data, kind, count, at).reshape(entry["shape"]).copy())
        at += count * kind.itemsize
        name = our_name(entry["name"])
        tensors[name] = value.permute(AXES[value.ndim]).contiguous()
        if quantization:
            tensors[f"{name}.range"] = torch.tensor([quantization["scale"], quantization["min"]])
    if at != len(data):
        raise SystemExit(f"{binary.name} has {len(data)} bytes but its manifest describes {at}.")
    meta = {"source": "@vladmandic/face-api 1.7.15", "licence": "MIT; weights CC0-1.0 (dlib)"}
    write_asset("identity", tensors, [binary, manifest], meta)


if __name__ == "__main__":
    main(convert, __doc__ or "")
