"""Pictures side by side with captions: blends by swap point, samples, comparisons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from einops import rearrange
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional

from ..blending import Convention, Mode, Side, blend
from ..errors import InvalidInput
from ..latents import Latents
from ..networks.generators.base import Generator
from ..runtime import OnStep
from .files import from_uint8, to_uint8
from .rendering import render

MARGIN = 4
STRENGTHS = (0.0, 0.5, 1.0, 1.5, 2.0)
PAPER, INK = (255, 255, 255), (30, 30, 30)
LONG, LINES = 60, 3
"""Characters and lines of a title at most: names out of files may be of any length."""


def contact_sheet(images: Tensor, columns: int, column_titles: Sequence[str] = (), row_titles: Sequence[str] = (),
                  cell: int | None = None, captions: Sequence[str] = ()) -> Tensor:
    """[N, 1 or 3, H, W] in [-1, 1], row by row -> one picture [1, 3, h, w].

    cell: width of each in pixels; None: theirs. captions: one below each picture.
    """
    if images.ndim != 4 or columns < 1 or not len(images):
        raise InvalidInput(f"A contact sheet got pictures of shape {tuple(images.shape)} and {columns} columns; "
                           f"give at least one of each.")
    column_titles, row_titles, captions = ([_shortened(text) for text in some]
                                           for some in (column_titles, row_titles, captions))
    pictures = _shrunk(images, cell or images.shape[3]).expand(-1, 3, -1, -1)
    height, width = pictures.shape[2:]
    font = ImageFont.load_default(max(11, width // 9))
    top, left = _title_space(column_titles, font)[1], _title_space(row_titles, font)[0]
    small = ImageFont.load_default(max(10, width // 13))
    below = _title_space(captions, small)[1]
    rows = -(-len(images) // columns)
    across, down = width + MARGIN, height + below + MARGIN
    sheet = Image.new("RGB", (left + columns * across + MARGIN, top + rows * down + MARGIN), PAPER)
    pen = ImageDraw.Draw(sheet)
    for i, picture in enumerate(pictures):
        at = left + MARGIN + i % columns * across, top + MARGIN + i // columns * down
        sheet.paste(Image.fromarray(to_uint8(picture)), at)
        if i < len(captions):
            place = at[0] + width / 2, at[1] + height + below / 2
            pen.multiline_text(place, _fitting(captions[i], small, width), INK, small, "mm", align="center")
    for i, text in enumerate(column_titles):
        place = left + MARGIN + i * across + width / 2, top / 2
        pen.text(place, text, fill=INK, font=font, anchor="mm")
    for i, text in enumerate(row_titles):
        place = left / 2, top + MARGIN + i * down + height / 2
        pen.text(place, text, fill=INK, font=font, anchor="mm", align="center")
    return from_uint8(np.array(sheet))


def _shrunk(images: Tensor, width: int) -> Tensor:
    size = (round(images.shape[2] * width / images.shape[3]), width)
    return functional.interpolate(images[:, :3].float(), size=size, mode="bilinear", antialias=True)


def _shortened(text: str) -> str:
    return "\n".join(line if len(line) <= LONG else f"{line[: LONG - 1]}…" for line in text.split("\n")[:LINES])


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Lines cut to a width in pixels."""
    lines = text.split("\n")
    for i, line in enumerate(lines):
        while len(line) > 2 and font.getlength(line) > width:
            line = line[:-2] + "…"
        lines[i] = line
    return "\n".join(lines)


def _title_space(titles: Sequence[str], font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> tuple[int, int]:
    """Width and height to leave for titles; 0 for none."""
    if not any(titles):
        return 0, 0
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    boxes = [pen.multiline_textbbox((0, 0), text, font=font) for text in titles]
    return round(max(b[2] for b in boxes)) + 4 * MARGIN, round(max(b[3] for b in boxes)) + 3 * MARGIN


def swap_points(base: Generator, other: Generator) -> list[int]:
    """The resolutions at which a swap of these two mixes them: all that both have but the finest."""
    shared = {layer.resolution for layer in base.layers} & {layer.resolution for layer in other.layers}
    return sorted(shared)[:-1]


@torch.no_grad()
def blend_grid(base: Generator, other: Generator, latents: Latents, cell: int = 160, mode: Mode = "swap",
               on_step: OnStep | None = None) -> Tensor:
    """Every swap point in both directions -> one picture [1, 3, h, w] in [-1, 1].

    Columns: up to how many px the coarse side reaches, from none to all. Rows, two a latent: other coarse, base coarse.
    """
    points = swap_points(base, other)
    columns: list[Tensor] = []
    for i, point in enumerate([0, *points, -1]):
        pair = _pair(base, other, point, mode)
        columns.append(rearrange([_shrunk(render(model, latents), cell) for model in pair], "side n c h w -> (n side) c h w"))
        if on_step is not None:
            on_step(i + 1, len(points) + 2, columns[-1])
    images = rearrange(columns, "column row c h w -> (row column) c h w")
    titles = ["none", *(f"{point} px" for point in points), "all"]
    rows = ["other\nup to", "base\nup to"] * len(latents)
    return contact_sheet(images, len(titles), titles, rows)


@torch.no_grad()
def strength_grid(base: Generator, other: Generator, latents: Latents, strengths: Sequence[float] = STRENGTHS, cell: int = 160,
                  on_step: OnStep | None = None) -> Tensor:
    """How far to go from base to other, a column each, and a row a latent -> one picture [1, 3, h, w] in [-1, 1].

    Layers above 32 px go to the other model at most, since they break beyond (see blend).
    """
    columns: list[Tensor] = []
    for i, strength in enumerate(strengths):
        model = blend(base, other, other.img_resolution, strength=(strength, strength))
        columns.append(_shrunk(render(model, latents), cell))
        if on_step is not None:
            on_step(i + 1, len(strengths), columns[-1])
    return contact_sheet(torch.stack(columns, dim=1).flatten(0, 1), len(strengths), [f"{s:g}" for s in strengths])


@torch.no_grad()
def swap_strip(base: Generator, other: Generator, latents: Latents, points: Sequence[int], coarse: Side = "other",
               mode: Mode = "swap", width: float | None = None, mapping: Side = "base", convention: Convention = "paper",
               cell: int = 160, on_step: OnStep | None = None) -> Tensor:
    """The first latent under the blend of each swap point -> [points, 3, s, s] in about [-1, 1], s at most `cell`."""
    shown, drawn = latents.pick([0]), []
    for point in points:
        picture = render(blend(base, other, point, mode, width, coarse, mapping, convention), shown)
        drawn.append(_shrunk(picture, min(cell, picture.shape[-1])))
        if on_step is not None:
            on_step(len(drawn), len(points), None)
    return torch.cat(drawn)


def _pair(base: Generator, other: Generator, point: int, mode: Mode) -> tuple[Generator, Generator]:
    """The swap at `point` in both directions; 0 and -1 are nothing and everything of the coarse side."""
    if point > 0:
        return blend(base, other, point, mode, coarse="other"), blend(base, other, point, mode, coarse="base")
    all_other = blend(base, other, other.img_resolution)  # on base's mapping, as the swaps are
    return (base, all_other) if point == 0 else (all_other, base)
