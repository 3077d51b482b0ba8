"""A photograph to a toon, end to end: detect, align, invert in the base, render in a blend, paste back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from torch import Tensor

from .blending import Mode, Side, Strength, blend, layer_weight, pair_of, strength_note
from .errors import InvalidInput
from .faces.batch import FacePlace, Outline, WhenNone, Which, check_which, pasting_notes, return_faces, take_faces
from .faces.paste import FEATHER, check_amounts
from .inversion.encode import PortraitEncoder, encode, whitened
from .inversion.optimize import Inverter
from .inversion.options import PRESETS, InversionOptions
from .inversion.state import InversionResult
from .latents import SPACES, Latents, Space
from .networks.encoders.compact import CompactEncoder
from .networks.generators.base import Generator
from .options import of_preset
from .pictures.rendering import render
from .runtime import PRECISIONS, OnStep, Precision, at_precision


@dataclass(frozen=True)
class ToonOptions:
    """What a person may choose. Raises InvalidInput, when made, for what is out of range."""

    swap: float = 1024
    """Pixels at which the models change over; 1024 takes every layer of the toon."""
    mode: Mode = "swap"
    width: float | None = None
    coarse: Side = "other"
    """Which model gives the layers up to `swap`: other (the toon) for its shapes, base for its colours and strokes."""
    space: Space = "w+"
    inversion: InversionOptions | str | None = "standard"
    """Optimization, options or a preset's name; None takes the encoder's codes as they are."""
    every_face: bool = False
    """Every face of the photograph, in place of `which`."""
    when_none: WhenNone = "error"
    feather: float = FEATHER
    color_match: float = 0.0
    which: Which = "largest"
    """Faces taken: largest, all, or numbers such as "0, 2", largest first; the others stay as they are."""
    outline: Outline = "head"
    """What of a toon is pasted: head, oval or square."""
    grain: float = 0.0
    """How much of the photograph's grain the toon is given, 0 to 1."""
    precision: Precision = "float32"
    """Of the convolutions, drawing and inverting: see runtime.at_precision."""
    strength: Strength = 1.0
    """How far to go from the photograph's base to the toon (see blend). One number above 1 exaggerates shapes alone."""
    whole: bool = False
    """The whole picture drawn: what surrounds the toons passes the clean-line network (see redrawn)."""

    def __post_init__(self) -> None:
        layer_weight(self.swap, self.mode, self.width, self.coarse)
        pair_of(self.strength)
        check_which(self.which)
        check_amounts(self.feather, self.color_match, self.grain)
        of_preset(self.inversion, PRESETS, "Inversion")
        for name, value, known in (("space", self.space, SPACES), ("when_none", self.when_none, get_args(WhenNone)),
                                   ("outline", self.outline, get_args(Outline)), ("precision", self.precision, PRECISIONS)):
            if value not in known:
                raise InvalidInput(f'Toonify got {name} "{value}"; use {", ".join(known)}.')

    @property
    def layers_strength(self) -> tuple[float, float]:
        """Of the layers up to 32 px, and above."""
        coarse, fine = pair_of(self.strength)
        return coarse, min(fine, 1.0)

    @property
    def pasting(self) -> dict[str, Any]:
        """What return_faces takes of these."""
        names = ("feather", "color_match", "outline", "grain", "whole")
        return {name: getattr(self, name) for name in names}

    @property
    def faces(self) -> Which:
        return "all" if self.every_face else self.which


@dataclass(frozen=True, eq=False)
class Toonified:
    """Every stage of one photograph. N faces, largest first."""

    crops: Tensor
    """[N, 3, size, size], aligned."""
    places: tuple[FacePlace, ...]
    latents: Latents
    inversions: Tensor
    """[N, 3, size, size], what the base makes of the latents."""
    losses: dict[str, Tensor]
    """Per face [N] by name; empty without optimization."""
    toons: Tensor
    """[N, 3, size, size]."""
    pasted: Tensor
    """[1, 3, H, W]: the photograph with its toons."""
    mask: Tensor
    """[1, 1, H, W], where it changed."""
    notes: tuple[str, ...] = ()
    """Sentences on losses that could not be used, or faces that failed."""


def toonify(photo: Tensor, base: Generator, toon: Generator, options: ToonOptions | None = None,
            on_step: OnStep | None = None, encoder: PortraitEncoder | None = None,
            folders: Sequence[str | Path] = ()) -> Toonified:
    """photo [1, 3, H, W] in [-1, 1] -> its faces as the blend of base and toon draws them, all results on the CPU.

    encoder: where the inversion starts, in place of the mean face. on_step(i, n, inversions so far) runs through the
    optimization, by far the longest stage. folders: of the loss networks that options name. Raises FaceNotFound,
    BlendMismatch, LatentMismatch, InvalidInput.
    """
    options = options or ToonOptions()
    if photo.ndim != 4 or photo.shape[:2] != (1, 3):
        raise InvalidInput(f"Toonify got a photograph of shape {tuple(photo.shape)} but needs [1, 3, height, width].")
    if base.c_dim and options.inversion is not None:
        raise InvalidInput(f"The base draws {base.c_dim} classes and toonify can't tell which one a face is of; use a base "
                           f"without classes, or invert with a class and draw its latents with the blend.")
    blended = blend(base, toon, options.swap, options.mode, options.width, options.coarse, strength=options.layers_strength)
    crops, places = take_faces(photo, base.img_resolution, options.faces, options.when_none)
    found = _inverted(base, crops, options, on_step, encoder, folders)
    toons = render(blended, found.latents, precision=options.precision).clamp(-1, 1)
    drawn = found.images if found.images.shape == toons.shape else render(base, found.latents).clamp(-1, 1)
    near = drawn if options.inversion is not None else None  # an encoder's picture differs from hair as much as from a hat
    pasted, mask = return_faces(photo, toons, places, seen=near, **options.pasting)
    notes = (*found.notes, strength_note(options.strength), *pasting_notes(mask, places))
    return Toonified(crops, tuple(places), found.latents, drawn, found.losses, toons, pasted, mask, tuple(filter(None, notes)))


def _inverted(base: Generator, crops: Tensor, options: ToonOptions, on_step: OnStep | None,
              encoder: PortraitEncoder | None, folders: Sequence[str | Path]) -> InversionResult:
    start = None if encoder is None else encode(encoder, crops, base)
    base = at_precision(base, options.precision, None if start is None else start.ws(base))
    if options.inversion is not None:
        steps = of_preset(options.inversion, PRESETS, "Inversion")
        system = None
        if isinstance(encoder, CompactEncoder) and steps.natural and options.space.startswith("w"):
            system = whitened(encoder)
        return Inverter(base, crops, options.space, steps, start, folders=folders, system=system).run(on_step)
    if start is None:
        raise InvalidInput("Toonify got neither an encoder nor an optimization to invert with; give one of them.")
    return InversionResult(start, render(base, start).clamp(-1, 1), {}, {}, 0, ())
