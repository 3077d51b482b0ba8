"""Latents moved along a direction, and pictures of what directions do."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import InvalidInput
from ..latents import Latents, ModelSignature, rows_between
from ..networks.generators.base import Generator
from ..pictures.rendering import render
from ..pictures.sheets import contact_sheet
from ..runtime import OnStep
from .value import Directions


@torch.no_grad()
def apply_direction(latents: Latents, directions: Directions, which: int | str, strengths: float | Sequence[float],
                    model: Generator, rows: str | None = None, psi: float = 1.0, c: Tensor | None = None) -> Latents:
    """Every latent at every strength -> [len(latents) * len(strengths)] latents in w+: all strengths of the first, then
    all of the second, and so on. An inversion's noise goes along.

    which: a direction's name or number. rows: layers to change, "4-32" px or a range name; None: where the direction
    says. psi, c: truncation of the unmoved latents, and one-hot labels for z. Raises LatentMismatch, InvalidInput.
    """
    amounts = torch.tensor([strengths] if isinstance(strengths, (int, float)) else list(strengths), dtype=torch.float32)
    if not len(amounts) or not torch.isfinite(amounts).all():
        raise InvalidInput(f"A direction got the strengths {amounts.tolist()}; give at least one finite number.")
    directions, latents = directions.fit(model), latents.fit(model)
    index, ws = directions.find(which), latents.ws(model, psi, c=c)
    step = (directions.scale[index] * directions.tensor[index]).to(ws)
    chosen = rows_between(model, rows or directions.layers[index])
    move = torch.zeros_like(ws[0])
    move[chosen] = step.expand_as(move)[chosen]
    edited = ws[:, None] + amounts.to(ws)[:, None, None] * move
    repeated = None if latents.noise is None else [
        n if len(n) == 1 else n.repeat_interleave(len(amounts), 0) for n in latents.noise]
    return Latents(edited.flatten(0, 1), "w+", ModelSignature.of(model), repeated)


def even_steps(first: float, last: float, steps: int) -> list[float]:
    """`steps` numbers evenly from first to last; one step is `last` alone. Raises InvalidInput."""
    if steps < 1:
        raise InvalidInput(f"A sweep of {steps} steps was asked for; use at least 1.")
    return [last] if steps == 1 else torch.linspace(first, last, steps).tolist()


def direction_grid(model: Generator, directions: Directions, latents: Latents | None = None, strength: float = 3.0,
                   columns: int = 5, count: int = 8, cell: int = 160, rows: str | None = None, chunk: int = 8,
                   on_step: OnStep | None = None) -> Tensor:
    """The first `count` directions as one picture [1, 3, h, w] in [-1, 1]: a row each, from -strength to strength.

    latents: the first of them is the face shown; None shows the average. Raises LatentMismatch, InvalidInput.
    """
    if count < 1:
        raise InvalidInput(f"A grid of {count} directions was asked for; use at least 1.")
    face = latents.pick(0) if latents is not None else Latents(model.w_avg[None].detach(), "w", model)
    amounts = even_steps(-strength, strength, columns)
    shown = range(min(count, len(directions)))
    edited = Latents.combine([apply_direction(face, directions, i, amounts, model, rows) for i in shown])
    pictures = render(model, edited, chunk=chunk, on_step=on_step)
    return contact_sheet(pictures, columns, [f"{a:+g}" if a else "0" for a in amounts], directions.names[: len(shown)], cell)
