"""Exemplar transfer: a photograph's content under a drawing's style (2203.13248, sections 3.2 and 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ..errors import InvalidInput
from ..latents import Latents, ModelSignature, mix
from ..networks.dualstylegan import ColorMode, DualStyleGAN
from ..networks.generators.base import NoiseMode
from ..networks.style_weights import STRUCTURE_PLACES, Weights, parse_weights
from ..ops.resize import resize_area
from ..pictures.rendering import random_maps
from ..runtime import OnStep, run_chunked


@dataclass(frozen=True)
class Preset:
    """Weights and color mode that suit a style."""

    weights: str
    color: ColorMode = "exemplar"


PRESETS: dict[str, Preset] = {
    "cartoon": Preset("[7*0.75, 11*1]"),
    "caricature": Preset("[18*1]"),
    "anime": Preset("[4*0, 3*0.75, 11*1]"),
    "arcane": Preset("[11*0.6, 7*1]", "photo-toned"),
}
"""The paper's (section 4) and, for arcane, its repository's example, which keeps the photograph's colors."""


def choose_weights(count: int, structure: float = 0.75, color: float = 1.0, preset: str = "",
                   text: str = "") -> tuple[float, ...]:
    """The model's `count` weights as a person gives them: `text` in the paper's notation if there is any, else a preset's,
    else one number for structure and one for color. Raises InvalidInput.
    """
    if text.strip():
        return parse_weights(text, count)
    if not preset:
        return parse_weights([structure] * STRUCTURE_PLACES + [color] * (count - STRUCTURE_PLACES), count)
    return parse_weights(_preset(preset).weights, count)


def preset_color(preset: str = "") -> ColorMode:
    """The color mode of a preset; the exemplar's colors without one. Raises InvalidInput."""
    return _preset(preset).color if preset else "exemplar"


def _preset(name: str) -> Preset:
    if name not in PRESETS:
        raise InvalidInput(f'There is no preset "{name}"; use one of {", ".join(PRESETS)}.')
    return PRESETS[name]


def transfer_style(dual: DualStyleGAN, intrinsic: Latents, extrinsic: Latents, weights: Weights = "[7*0.75, 11*1]",
                   color: ColorMode = "exemplar", truncation_psi: float = 1.0,
                   truncation_center: Literal["zero", "mean"] = "zero", noise_mode: NoiseMode = "const", seed: int = 0,
                   chunk: int = 4, on_step: OnStep | None = None, size: int | None = None) -> Tensor:
    """dual.synthesis in chunks -> [B, C, H, W] on the CPU. Batches pair up, or one of the two is 1.

    An exemplar that serves all photographs is prepared once. seed: of "random" noise. on_step(done, B, None). size: shrink
    the pictures to at most so many pixels a side as they are made, so that hundreds fit into memory.
    Raises InvalidInput, LatentMismatch.
    """
    for role, value in (("faces", intrinsic), ("styles", extrinsic)):
        if not isinstance(value, Latents):
            raise InvalidInput(f"The transfer got a {type(value).__name__} as {role} but needs latents; invert or encode the "
                               f"picture first.")
    batch = max(len(intrinsic), len(extrinsic))
    if not {len(intrinsic), len(extrinsic)} <= {1, batch}:
        raise InvalidInput(f"{len(intrinsic)} faces and {len(extrinsic)} styles can't be paired; give as many of each, "
                           f"one of either, or ask for a grid.")
    shared = dual.exemplar(extrinsic) if len(extrinsic) == 1 else None
    maps = random_maps(dual.base, batch, seed) if noise_mode == "random" else []

    def render(indices: Tensor) -> Tensor:
        chosen = indices.tolist()
        content = intrinsic.pick([i % len(intrinsic) for i in chosen])
        style = shared or extrinsic.pick(chosen)
        noise = [m[chosen].to(next(dual.parameters())) for m in maps] or None
        images = dual.synthesis(content, style, weights, color, truncation_psi, truncation_center, noise_mode, noise)
        return images if size is None or images.shape[-1] <= size else resize_area(images.cpu(), size)

    with torch.no_grad():
        return run_chunked(render, torch.arange(batch), chunk, "cpu", on_step)


def style_grid(dual: DualStyleGAN, intrinsic: Latents, extrinsic: Latents, weights: Weights = "[7*0.75, 11*1]",
               **options: Any) -> Tensor:
    """Every face under every style -> [faces * styles, C, H, W], one face after the other. options: of transfer_style."""
    faces = intrinsic.pick([i for i in range(len(intrinsic)) for _ in range(len(extrinsic))])
    styles = extrinsic.pick(list(range(len(extrinsic))) * len(intrinsic))
    return transfer_style(dual, faces, styles, weights, **options)


def blend_styles(dual: DualStyleGAN, styles: Latents, shares: Sequence[float],
                 color_shares: Sequence[float] | None = None) -> Latents:
    """Weighted mean of style codes in w+ (where straight lines look straight) -> one code [1] in w+.

    Shares need not sum to 1. color_shares: those of the color rows, where they differ from structure's; [1, 0] and [0, 1]
    give the structure of the first and the color of the second. Raises InvalidInput, LatentMismatch.
    """
    ws = styles.ws(dual.base)
    structure = _mean(ws, shares, dual)
    return structure if color_shares is None else join_styles(dual, structure, _mean(ws, color_shares, dual))


def _mean(ws: Tensor, shares: Sequence[float], dual: DualStyleGAN) -> Latents:
    total = float(sum(shares))
    if len(shares) != len(ws) or total <= 0 or min(shares) < 0:
        raise InvalidInput(f"{len(ws)} styles and {len(shares)} shares summing to {total:g} can't be blended; give one "
                           f"share from 0 on for each style, one above 0.")
    share = torch.tensor(shares, dtype=ws.dtype, device=ws.device)[:, None, None] / total
    return Latents((ws * share).sum(0, keepdim=True), "w+", ModelSignature.of(dual.base))


def join_styles(dual: DualStyleGAN, structure: Latents, color: Latents) -> Latents:
    """Structure rows of one style (or batch), color rows of another -> w+."""
    ws = mix(structure.ws(dual.base), color.ws(dual.base), dual.rows)
    return Latents(ws, "w+", ModelSignature.of(dual.base))
