"""Rows of ws by resolution, mixing of rows, straight and spherical interpolation."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from ..errors import InvalidInput
from .signature import LatentModel, ModelSignature
from .value import Latents

RANGES = {"coarse": (1, 8), "middle": (16, 32), "fine": (64, 1 << 20), "all": (1, 1 << 20)}
"""Named ranges in px, both ends included (Karras et al. 2019, 1812.04948, section 3.1)."""

_PX_RANGE = re.compile(r"(\d+)(?:\s*-\s*(\d+)?)?(?:\s*px)?")


def rows_between(generator: LatentModel, where: str) -> list[int]:
    """Rows of ws whose layers lie in `where`: "coarse", "middle", "fine", "all", "8-32", "64-", "16", or a comma list.

    A row that styles a convolution counts at that convolution's resolution, else at its image head's, so ranges that
    don't overlap in px share no row. Raises InvalidInput.
    """
    by_row: dict[int, int] = {}
    for layer in sorted(generator.layers, key=lambda layer: layer.kind == "rgb"):
        if layer.row is not None:
            by_row.setdefault(layer.row, layer.resolution)
    spans = px_spans(where)
    rows = sorted(row for row, px in by_row.items() if any(lo <= px <= hi for lo, hi in spans))
    if not rows:
        known = sorted(set(by_row.values()))
        raise InvalidInput(f'No layer lies in "{where}"; this model has layers at {", ".join(map(str, known))} px.')
    return rows


def px_spans(where: str) -> list[tuple[int, int]]:
    """The ranges in px, both ends included, that a text as in rows_between names. Raises InvalidInput."""
    return [_px_span(part) for part in where.split(",")]


def _px_span(text: str) -> tuple[int, int]:
    name = text.strip().lower()
    if name in RANGES:
        return RANGES[name]
    match = _PX_RANGE.fullmatch(name)
    if match is None:
        raise InvalidInput(f'"{text}" is no layer range; use {", ".join(RANGES)}, or pixels such as "8-32".')
    low = int(match[1])
    high = int(match[2]) if match[2] else (1 << 20 if "-" in name else low)
    return min(low, high), max(low, high)


def mix(ws_a: Tensor, ws_b: Tensor, rows: Iterable[int] | slice) -> Tensor:
    """ws_a [A, rows, dim] with `rows` taken from ws_b [B, rows, dim] (A = B, or one of them 1). Raises InvalidInput."""
    sizes = {len(ws_a), len(ws_b)}
    if ws_a.ndim != 3 or ws_a.shape[1:] != ws_b.shape[1:] or (len(sizes) == 2 and 1 not in sizes):
        raise InvalidInput(
            f"Styles of shapes {tuple(ws_a.shape)} and {tuple(ws_b.shape)} can't be mixed; give as many rows of the "
            f"same width, and batches of one size (or one of size 1)."
        )
    chosen = list(range(ws_a.shape[1]))[rows] if isinstance(rows, slice) else list(rows)
    if any(not 0 <= r < ws_a.shape[1] for r in chosen):
        raise InvalidInput(f"Rows {chosen} were asked of {ws_a.shape[1]} styles; use 0 to {ws_a.shape[1] - 1}.")
    batch = max(len(ws_a), len(ws_b))
    mixed = ws_a.expand(batch, -1, -1).clone()
    mixed[:, chosen] = ws_b.expand(batch, -1, -1)[:, chosen].to(mixed)
    return mixed


def lerp(a: Tensor, b: Tensor, t: float | Tensor) -> Tensor:
    """a + t (b - a), elementwise."""
    return a + t * (b - a)


def slerp(a: Tensor, b: Tensor, t: float | Tensor) -> Tensor:
    """Along the great circle from a to b [..., dim] at t (0..1); lengths are interpolated linearly (Shoemake 1985).

    Straight where the two are nearly parallel or opposite, where the circle is not defined.
    """
    na, nb = a.norm(dim=-1, keepdim=True), b.norm(dim=-1, keepdim=True)
    ua, ub = a / na.clamp_min(1e-12), b / nb.clamp_min(1e-12)
    angle = 2 * torch.atan2((ua - ub).norm(dim=-1, keepdim=True), (ua + ub).norm(dim=-1, keepdim=True))
    sine = angle.sin()
    on_circle = (((1 - t) * angle).sin() * ua + (t * angle).sin() * ub) / sine.clamp_min(1e-12)
    return torch.where(sine > 1e-4, on_circle * lerp(na, nb, t), lerp(a, b, t))


def mix_latents(a: Latents, b: Latents, generator: LatentModel, where: str, c: Tensor | None = None) -> Latents:
    """a with the rows of range `where` (see rows_between) from b -> w+, with a's noise when the batch is a's."""
    a = a.fit(generator)
    ws = mix(a.ws(generator, c=c), b.ws(generator, c=c), rows_between(generator, where))
    noise = a.noise if a.noise is None or all(len(n) in (1, len(ws)) for n in a.noise) else None
    return Latents(ws, "w+", ModelSignature.of(generator), noise)


def interpolate(latents: Latents, steps: int, mode: Literal["auto", "lerp", "slerp"] = "auto",
                loop: bool = False) -> Latents:
    """`steps` codes evenly along the path through the batch's entries, ends included.

    mode auto: slerp for z and z+ (their length means nothing), lerp for w and w+. loop: the path returns to its start,
    which is not repeated. Noise maps follow by slerp, which keeps their strength. Raises InvalidInput.
    """
    keys = len(latents)
    if steps < 1 or keys < 1 or mode not in ("auto", "lerp", "slerp"):
        raise InvalidInput(
            f'Interpolation got {steps} steps, {keys} latents and mode "{mode}"; give at least one of each, and one of '
            f"the modes auto, lerp and slerp."
        )
    segments = keys if loop else keys - 1
    path = torch.linspace(0, segments, steps + 1)[:-1] if loop else torch.linspace(0, segments, steps)
    start = path.floor().long().clamp(max=max(segments - 1, 0))
    end, t = (start + 1) % keys, path - start
    if keys == 1:
        end, t = start, torch.zeros(steps)
    between = slerp if mode == "slerp" or (mode == "auto" and latents.space.startswith("z")) else lerp
    tensor, device = latents.tensor, latents.tensor.device
    t = t.to(device)
    mixed = between(tensor[start], tensor[end], t.reshape(-1, *[1] * (tensor.ndim - 1)))
    return replace(latents, tensor=mixed, noise=_mixed_noise(latents.noise, start, end, t))


def _mixed_noise(noise: tuple[Tensor, ...] | None, start: Tensor, end: Tensor, t: Tensor) -> tuple[Tensor, ...] | None:
    if noise is None:
        return None
    mixed = [slerp(n[start].flatten(1), n[end].flatten(1), t[:, None]) if len(n) > 1 else n for n in noise]
    return tuple(m.reshape(-1, *n.shape[1:]) for m, n in zip(mixed, noise, strict=True))
