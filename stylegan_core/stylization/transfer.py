"""Exemplar transfer: a photograph's content under a drawing's style (2203.13248, sections 3.2 and 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InvalidInput
from ..latents import Latents, ModelSignature
from ..mixing import mix
from ..networks.base import NoiseMode
from ..networks.dualstylegan import ColorMode, DualStyleGAN
from ..networks.style_weights import Weights
from ..rendering import random_maps
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


def transfer_style(dual: DualStyleGAN, intrinsic: Latents, extrinsic: Latents, weights: Weights = "[7*0.75, 11*1]",
             color: ColorMode = "exemplar", truncation_psi: float = 1.0, noise_mode: NoiseMode = "const", seed: int = 0,
             chunk: int = 4, on_step: OnStep | None = None) -> Tensor:
    """dual.synthesis in chunks -> [B, C, H, W] on the CPU. Batches pair up, or one of the two is 1.

    An exemplar that serves all photographs is prepared once. seed: of "random" noise. on_step(done, B, None).
    Raises InvalidInput, LatentMismatch.
    """
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
        return dual.synthesis(content, style, weights, color, truncation_psi, noise_mode=noise_mode, noise=noise)

    with torch.no_grad():
        return run_chunked(render, torch.arange(batch), chunk, "cpu", on_step)


def style_grid(dual: DualStyleGAN, intrinsic: Latents, extrinsic: Latents, weights: Weights = "[7*0.75, 11*1]",
               color: ColorMode = "exemplar", chunk: int = 4, on_step: OnStep | None = None) -> Tensor:
    """Every face under every style -> [faces * styles, C, H, W], one face after the other."""
    faces = intrinsic.pick([i for i in range(len(intrinsic)) for _ in range(len(extrinsic))])
    styles = extrinsic.pick(list(range(len(extrinsic))) * len(intrinsic))
    return transfer_style(dual, faces, styles, weights, color, chunk=chunk, on_step=on_step)


def blend_styles(dual: DualStyleGAN, styles: Latents, shares: Sequence[float]) -> Latents:
    """Weighted mean of style codes in w+ (where straight lines look straight) -> one code. Shares need not sum to 1."""
    total = float(sum(shares))
    if len(shares) != len(styles) or total <= 0 or min(shares) < 0:
        raise InvalidInput(f"{len(styles)} styles and {len(shares)} shares summing to {total:g} can't be blended; give one "
                           f"share from 0 on for each style, one above 0.")
    ws = styles.ws(dual.base)
    share = torch.tensor(shares, dtype=ws.dtype, device=ws.device)[:, None, None] / total
    return Latents((ws * share).sum(0, keepdim=True), "w+", ModelSignature.of(dual.base))


def join_styles(dual: DualStyleGAN, structure: Latents, color: Latents) -> Latents:
    """Structure rows of one style (or batch), color rows of another -> w+."""
    ws = mix(structure.ws(dual.base), color.ws(dual.base), dual.rows)
    return Latents(ws, "w+", ModelSignature.of(dual.base))
