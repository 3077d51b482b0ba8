"""Named style codes: picked, blended, walked through, shown as a sheet. What travels between nodes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InvalidInput
from ..latents import Latents, ModelSignature, interpolate
from ..networks.dualstylegan import DualStyleGAN
from ..networks.style_bank import Role, StyleBank, style_index
from ..networks.style_weights import Weights
from ..options import parse_indices
from ..pictures.sheets import contact_sheet
from ..runtime import OnStep
from .transfer import blend_styles, transfer_style

SHEET_COLUMNS = 6
_SPAN = re.compile(r"\d+\s*-\s*\d+")


@dataclass(frozen=True, eq=False)
class Styles:
    """Style codes, one a row of the batch, and what each is called."""

    codes: Latents
    """Extrinsic codes, mostly z+ or w+."""
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.codes) != len(self.names):
            raise InvalidInput(f"{len(self.names)} names came for {len(self.codes)} styles; give one name a style.")

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def of(cls, bank: StyleBank) -> Styles:
        """All styles of a bank."""
        return cls(bank.latents(), tuple(bank.names))

    @classmethod
    def numbered(cls, codes: Latents, name: str = "style") -> Styles:
        """Codes without names of their own: "style 0", "style 1" ..."""
        return cls(codes, tuple(f"{name} {i}" for i in range(len(codes))))

    def bank(self, role: Role = "extrinsic") -> StyleBank:
        """The same as a bank, which sg.save writes; names that occur twice get a number. Raises InvalidInput."""
        names: list[str] = []
        for name in self.names:
            numbered = (f"{name} ({i})" for i in itertools.count(2))
            names.append(name if name not in names else next(n for n in numbered if n not in names))
        return StyleBank.of(self.codes, names, role)

    def pick(self, which: str | Sequence[int | str]) -> Styles:
        """Styles by number or name, in the order given; text such as "3", "0, 5-8" or "053.jpg, 4". Raises InvalidInput."""
        chosen = self.numbers(which)
        return Styles(self.codes.pick(chosen), tuple(self.names[i] for i in chosen))

    def numbers(self, which: str | Sequence[int | str]) -> list[int]:
        """What pick picks, by number from 0. Raises InvalidInput."""
        parts = which.split(",") if isinstance(which, str) else which
        chosen = [i for part in parts if str(part).strip() for i in self._numbers(part)]
        if not chosen:
            raise InvalidInput(f"No style was named; pick one from 0 to {len(self) - 1}, or several such as \"0, 3\".")
        return chosen

    def _numbers(self, part: int | str) -> list[int]:
        text = part.strip() if isinstance(part, str) else part
        spans = isinstance(text, str) and text not in self.names and _SPAN.fullmatch(text)
        return [style_index(self.names, number) for number in (parse_indices(str(text)) if spans else [text])]

    def on(self, dual: DualStyleGAN) -> Styles:
        """The same in w+, on the model's device. Raises LatentMismatch."""
        return Styles(Latents(self.codes.ws(dual.base), "w+", ModelSignature.of(dual.base)), self.names)

    def to(self, device: torch.device | str) -> Styles:
        return Styles(self.codes.to(device), self.names)

    @staticmethod
    def combine(parts: Sequence[Styles]) -> Styles:
        """One batch after the other, all of one space. Raises InvalidInput, LatentMismatch."""
        return Styles(Latents.combine([part.codes for part in parts]), tuple(name for part in parts for name in part.names))

    def blend(self, dual: DualStyleGAN, shares: Sequence[float], color_shares: Sequence[float] | None = None) -> Styles:
        """All of them as one style; see blend_styles."""
        mixed = blend_styles(dual, self.codes, shares, color_shares)
        used = [any(pair) for pair in zip(shares, color_shares or shares, strict=True)]
        return Styles(mixed, (" + ".join(name for name, in_it in zip(self.names, used, strict=True) if in_it),))

    def captions(self, numbers: Sequence[int] | None = None) -> list[str]:
        """Number and name of each, or of those with these numbers."""
        return [f"{i}  {self.names[i]}" for i in (range(len(self)) if numbers is None else numbers)]

    def walk(self, dual: DualStyleGAN, frames: int, loop: bool = False) -> Styles:
        """`frames` styles evenly on the way from each to the next, straight in w+. Raises InvalidInput, LatentMismatch."""
        return Styles.numbered(interpolate(self.on(dual).codes, frames, "lerp", loop), "frame")


def style_pictures(dual: DualStyleGAN, styles: Styles, faces: Latents | None = None, cell: int = 160,
                   weights: Weights = 1.0, on_step: OnStep | None = None) -> Tensor:
    """Every style on a face -> [styles, 3, s, s] in about [-1, 1], s at most `cell`; faces as of style_sheet.

    Raises InvalidInput, LatentMismatch.
    """
    behind = average_face(dual) if faces is None else faces
    return transfer_style(dual, behind, styles.codes, weights, on_step=on_step, size=cell)


def style_sheet(dual: DualStyleGAN, styles: Styles, faces: Latents | None = None, cell: int = 160,
                weights: Weights = 1.0, on_step: OnStep | None = None) -> Tensor:
    """Every style on a face, numbered and named -> one picture [1, 3, h, w] in [-1, 1].

    faces: one, or one a style (the intrinsic codes of the bank give the likeness of its pictures); None: the average face.
    Raises InvalidInput, LatentMismatch.
    """
    return lay_out_styles(style_pictures(dual, styles, faces, cell, weights, on_step), styles.captions(), cell)


def lay_out_styles(pictures: Tensor, captions: Sequence[str], cell: int = 160) -> Tensor:
    """[styles, 3, s, s] -> one picture [1, 3, h, w] with a caption below each."""
    return contact_sheet(pictures, min(SHEET_COLUMNS, len(pictures)), cell=cell, captions=captions)


def average_face(dual: DualStyleGAN) -> Latents:
    """The model's mean code, [1] in w."""
    return Latents(dual.w_avg[None].float(), "w", ModelSignature.of(dual.base))
