"""Which networks a measure is taken over: a user's own where a folder has them, else those that travel with the package."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from ..checkpoints.containers import read_file
from ..checkpoints.unwrap import unwrap
from ..losses.perceptual import LPIPS
from .features import OpenFeatures
from .inception import Inception

INCEPTION = ("pt_inception-2015-12-05-*.pth", "*inception*.safetensors", "inception-2015-12-05.pt")
"""The plain state dict, a conversion of it; NVIDIA's TorchScript copy is a program and refused with a sentence that says so."""
VGG_TRUNK, VGG_HEADS = "vgg16*.pth", "vgg.pth"


def best_features(folder: str | Path | None = None) -> nn.Module:
    """Inception of 2015 from the folder, which makes FID and KID what they are, else the open network. Raises LoadError."""
    path = _first(folder, *INCEPTION)
    return OpenFeatures() if path is None else Inception(tensors_of(path))


def best_perceptual(folder: str | Path | None = None) -> LPIPS:
    """LPIPS over VGG16 (torchvision's trunk and the published heads) from the folder, else over AlexNet. Raises LoadError."""
    trunk, heads = _first(folder, VGG_TRUNK), _first(folder, VGG_HEADS)
    return LPIPS.embedded() if trunk is None or heads is None else LPIPS.vgg(tensors_of(trunk), tensors_of(heads))


def tensors_of(path: Path) -> dict[str, Tensor]:
    """The state dict of a network's file, wrappers taken off. Raises LoadError."""
    return {key: lazy.read() for key, lazy in unwrap(read_file(path).tree).tensors.items()}


def _first(folder: str | Path | None, *patterns: str) -> Path | None:
    if folder is None:
        return None
    return next((path for pattern in patterns for path in sorted(Path(folder).glob(pattern))), None)
