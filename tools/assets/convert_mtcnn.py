"""MTCNN's three networks from the package facenet_pytorch 2.6.0 -> assets/mtcnn.safetensors.

python -m tools.assets.convert_mtcnn UNPACKED/facenet_pytorch/data

The file's first dense layers read the feature map in (column, row, channel) order; ours in (channel, row, column), so
that flattening needs no permutation.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from .common import half, main, write_asset

NETS = ("pnet", "rnet", "onet")


FIRST_DENSE = {"rnet.dense4.weight": 64, "onet.dense5.weight": 128}
"""Layers that read a 3 x 3 map, with its channels."""


def channels_first(name: str, tensor: Tensor) -> Tensor:
    if name not in FIRST_DENSE:
        return tensor
    return tensor.view(-1, 3, 3, FIRST_DENSE[name]).permute(0, 3, 2, 1).flatten(1)


def convert(folder: Path) -> None:
    sources = [folder / f"{net}.pt" for net in NETS]
    tensors = {
        f"{net}.{name}": channels_first(f"{net}.{name}", tensor)
        for net, path in zip(NETS, sources, strict=True)
        for name, tensor in torch.load(path, map_location="cpu", weights_only=True).items()
    }
    write_asset("mtcnn", half(tensors), sources, {"source": "facenet_pytorch 2.6.0", "licence": "MIT"})


if __name__ == "__main__":
    main(convert, __doc__ or "")
