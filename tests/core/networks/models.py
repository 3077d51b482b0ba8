"""Small random networks for tests; every parameter moves the picture."""

from __future__ import annotations

import dataclasses

import torch

from stylegan_core.networks.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from stylegan_core.networks.mapping import MappingConfig


def tiny_stylegan2(seed: int = 0, channels=(8, 6, 4, 3), w_dim: int = 12, mapping: dict | None = None, **fields) -> StyleGAN2:
    """A StyleGAN2 of 4 * 2**(len(channels) - 1) px with random weights, biases, noise strengths and w_avg."""
    config = StyleGAN2Config(
        mapping=MappingConfig(**{"z_dim": 10, "w_dim": w_dim, "num_ws": 2 * len(channels), "num_layers": 2, "hidden_dim": 9,
                                 **(mapping or {})}),
        img_resolution=4 << (len(channels) - 1), channels=tuple(channels), **fields)
    model = StyleGAN2(config)
    shake(model, seed)
    return model.requires_grad_(False)


@torch.no_grad()
def shake(model: torch.nn.Module, seed: int) -> None:
    """Seeded values for every parameter and noise map, none of them zero."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if name.endswith(("resample_kernel", "w_avg")):
            continue
        drawn = torch.randn(tensor.shape, generator=generator)
        scale = 100.0 if name.startswith("mapping.fc") else 0.3 if name.endswith(("bias", "strength")) else 1.0
        tensor.copy_(drawn * scale + (1.0 if name.endswith("affine.bias") else 0.0))
    model.w_avg = torch.randn(model.w_dim, generator=generator)


def shapes(model: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in model.state_dict().items()}


def facts(config) -> dict:
    return {f.name: getattr(config, f.name) for f in dataclasses.fields(config) if f.name != "mapping"}
