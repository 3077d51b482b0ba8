"""Latents -> pictures, in chunks that fit into memory."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InvalidInput
from ..latents import Latents
from ..networks.generators.base import Generator, NoiseMode, plain_generator
from ..runtime import OnStep, Precision, at_precision, run_chunked


@torch.no_grad()
def render(model: Generator, latents: Latents, truncation_psi: float = 1.0, truncation_cutoff: int | None = None,
           c: Tensor | None = None, noise_mode: NoiseMode = "const", seed: int = 0,
           transform: Tensor | None = None, chunk: int = 8, on_step: OnStep | None = None,
           precision: Precision = "float32") -> Tensor:
    """-> [B, C, H, W] float32 on the CPU, about [-1, 1], unclamped; rendered on the model's device.

    Noise maps that the latents carry take the place of the model's own while noise_mode is "const". seed: start of
    "random" noise, drawn image by image, so that none depends on the chunk. on_step(done, B, None). precision: of the
    convolutions, see runtime.at_precision.
    Raises LatentMismatch, InvalidInput.
    """
    model = plain_generator(model)
    ws = latents.ws(model, truncation_psi, truncation_cutoff, c)
    maps = latents.noise_for(model) if noise_mode == "const" else None
    if any(not torch.isfinite(layer).all() for layer in maps or ()):
        raise InvalidInput("The latents' noise maps hold NaN or infinite values; drop the noise, or make the latents again.")
    if noise_mode == "random":
        maps = [layer.to(ws) for layer in random_maps(model, len(ws), seed)]
    model = at_precision(model, precision, ws)
    spread = [m.expand(len(ws), -1, -1, -1) for m in maps or ()]
    poses = None if transform is None else transform.to(ws).expand(len(ws), 3, 3)

    def some(rows: Tensor, pose: Tensor | None, *noise: Tensor) -> Tensor:
        return model.synthesis(rows, noise_mode=noise_mode, noise=list(noise) or None, transform=pose)

    return run_chunked(some, [ws, poses, *spread], chunk, "cpu", on_step)


def random_maps(model: Generator, batch: int, seed: int) -> list[Tensor]:
    """Seeded noise maps [batch, 1, h, w], one a noise layer, drawn image by image."""
    draw = torch.Generator().manual_seed(seed)
    shapes = model.synthesis.noise_shapes()
    drawn = [[torch.randn(1, 1, *s, generator=draw) for s in shapes] for _ in range(batch)]
    return [torch.cat(layer) for layer in zip(*drawn, strict=True)]
