"""A photograph to a toon, end to end: detect, align, invert in the base, render in a blend, paste back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .blending import Mode, Side, blend
from .errors import InvalidInput
from .faces.batch import FacePlace, WhenNone, return_faces, take_faces
from .inversion.optimize import InversionResult, invert
from .inversion.options import InversionOptions
from .latents import Space
from .networks.base import Generator
from .rendering import render
from .runtime import OnStep


@dataclass(frozen=True)
class ToonOptions:
    """What a person may choose."""

    swap: float = 32
    """Pixels at which the models change over."""
    mode: Mode = "swap"
    width: float | None = None
    coarse: Side = "other"
    """Which model gives the layers up to `swap`: other (the toon) for its shapes, base for its colours and strokes."""
    space: Space = "w+"
    inversion: InversionOptions | str = "standard"
    every_face: bool = False
    when_none: WhenNone = "error"
    feather: float = 0.12
    color_match: float = 0.0


@dataclass(frozen=True, eq=False)
class Toonified:
    """Every stage of one photograph. N faces, largest first."""

    crops: Tensor
    """[N, 3, size, size], aligned."""
    places: tuple[FacePlace, ...]
    inversion: InversionResult
    toons: Tensor
    """[N, 3, size, size]."""
    pasted: Tensor
    """[1, 3, H, W]: the photograph with its toons."""
    mask: Tensor
    """[1, 1, H, W], where it changed."""


def toonify(photo: Tensor, base: Generator, toon: Generator, options: ToonOptions | None = None,
            on_step: OnStep | None = None) -> Toonified:
    """photo [1, 3, H, W] in [-1, 1] -> its faces as the blend of base and toon draws them, all results on the CPU.

    on_step(i, n, inversions so far) runs through the inversion, by far the longest stage.
    Raises FaceNotFound, BlendMismatch, InvalidInput.
    """
    options = options or ToonOptions()
    if photo.ndim != 4 or photo.shape[:2] != (1, 3):
        raise InvalidInput(f"Toonify got a photograph of shape {tuple(photo.shape)} but needs [1, 3, height, width].")
    blended = blend(base, toon, options.swap, options.mode, options.width, options.coarse)
    crops, places = take_faces(photo, base.img_resolution, options.every_face, options.when_none)
    found = invert(base, crops, options.space, options=options.inversion, on_step=on_step)
    toons = render(blended, found.latents).clamp(-1, 1)
    pasted, mask = paste(photo, toons, places, options)
    return Toonified(crops, tuple(places), found, toons, pasted, mask)


@torch.no_grad()
def paste(photo: Tensor, toons: Tensor, places: Sequence[FacePlace], options: ToonOptions) -> tuple[Tensor, Tensor]:
    """Toons [N, 3, s, s] into their photograph -> image [1, 3, H, W], mask [1, 1, H, W]."""
    return return_faces(photo, toons, places, options.feather, options.color_match)
