"""Full-size goldens: weights drawn by the manifest's rules, images compared at sampled pixels, means and a small copy."""

from __future__ import annotations

import zlib

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def rule_tensors(golden) -> dict[str, Tensor]:
    """Every tensor of manifest.json, float32, under the file's own key."""
    made = {}
    for entry in golden.json("manifest.json")["tensors"]:
        key, shape = entry["key"], entry["shape"]
        if entry["rule"] == "normal":
            drawn = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode()))).standard_normal(shape)
            values = drawn * entry["mul"] + entry["add"]
        elif entry["rule"] == "value":
            values = np.asarray(entry["value"], np.float64).reshape(shape)
        else:
            values = golden.array(f"buf:{key}")
        made[key] = torch.from_numpy(np.asarray(values, dtype=np.float32).copy())
    return made


def assert_image(golden, case: str, image: Tensor, tolerance: float) -> None:
    """image [1, C, H, W] against what expected.npz keeps of the case: pixels, channel means and deviations, 64 x 64 copy."""
    peak = float(golden.array(f"{case}_absmax"))
    pixels = image.flatten()[golden.tensor(f"{case}_idx").long()]
    assert (pixels - golden.tensor(f"{case}_val")).abs().max() <= tolerance * peak
    small = F.adaptive_avg_pool2d(image, 64)[0]
    assert (small - golden.tensor(f"{case}_ds64").float().reshape(small.shape)).abs().max() <= 1e-3 * peak
    for name, got in (("mean", image.mean(dim=(0, 2, 3))), ("std", image.std(dim=(0, 2, 3), correction=0))):
        assert (got - golden.tensor(f"{case}_{name}").flatten()).abs().max() <= 1e-4 * peak
