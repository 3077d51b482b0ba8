"""Loss networks from files that the user has; without them the embedded ones stand in, and a note says so."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..checkpoints import load
from ..checkpoints.containers import read_file
from ..checkpoints.unwrap import unwrap
from ..errors import LoadError
from ..losses.identity import ArcFaceLoss
from ..losses.perceptual import LPIPS
from .options import InversionOptions

IR_SE50 = "model_ir_se50.pth"
VGG_TRUNK, VGG_HEADS = "vgg16*.pth", "vgg.pth"
"""torchvision's VGG16 weights, and the published heads of LPIPS version 0.1."""


def loss_networks(options: InversionOptions, folders: Sequence[str | Path],
                  given: Collection[str] = ()) -> tuple[dict[str, nn.Module], list[str]]:
    """The networks that `options` names beyond the embedded ones, by option name, from the first folder that has them.

    given: option names for which the caller has a network. What is missing or broken is left out, with a note to the user
    that says so.
    """
    found: dict[str, nn.Module] = {}
    notes = []
    for name, choice, weight in (("lpips", options.lpips_network, options.lpips),
                                 ("identity", options.identity_network, options.identity)):
        if not weight or choice not in FROM_FILES or name in given:
            continue
        patterns, make, instead = FROM_FILES[choice]
        paths = [_first(folders, pattern) for pattern in patterns]
        missing = " and ".join(pattern for pattern, path in zip(patterns, paths, strict=True) if path is None)
        try:
            if missing:
                raise LoadError(f"{missing} is not in the models folder")
            found[name] = make(*paths)
        except LoadError as error:
            notes.append(f"{choice} can't be used for {name}: {str(error).rstrip('.')}; {instead} takes its place.")
    return found, notes


def _first(folders: Sequence[str | Path], pattern: str) -> Path | None:
    return next((path for folder in folders for path in sorted(Path(folder).glob(pattern))), None)


def _arcface(path: Path) -> nn.Module:
    network: Any = load(path)
    if network.kind != "identity":
        raise LoadError(f"{path.name} holds a network of kind {network.kind}, not an IR-SE50")
    return ArcFaceLoss(network)


def _lpips_vgg(trunk: Path, heads: Path) -> nn.Module:
    return LPIPS.vgg(_tensors(trunk), _tensors(heads))


def _tensors(path: Path) -> dict[str, Tensor]:
    return {key: tensor.read() for key, tensor in unwrap(read_file(path).tree).tensors.items()}


FROM_FILES: dict[str, tuple[tuple[str, ...], Callable[..., nn.Module], str]] = {
    "ir_se50": ((IR_SE50,), _arcface, "the embedded identity network"),
    "vgg": ((VGG_TRUNK, VGG_HEADS), _lpips_vgg, "the embedded LPIPS-Alex"),
}
"""Choice in the options -> its files, what makes a loss of them, what stands in."""
