"""The discriminator a transfer starts with: the parent's own where its file has one, else a fresh one."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..assets import asset_path
from ..checkpoints import load
from ..errors import LoadError
from ..latents import mapping_hash
from ..networks import Discriminator, DiscriminatorConfig, StyleGAN1Discriminator, StyleGAN1DiscriminatorConfig
from ..networks.generators.base import Generator
from ..networks.mapping import FullyConnected, MappingConfig

M = TypeVar("M", bound=nn.Module)
BUILT_IN = "discriminator"
FRESH = ("The model's file has no discriminator that fits, so a fresh one learns along; expect the first thousand pictures to "
         "teach it alone, and every tensor of it to start from random numbers.")
SIZES = {"full": (16384, 512), "small": (4096, 128)}
"""Channels times pixels of a fresh discriminator, and channels at most; small: for a CPU."""


def find_discriminator(base: Generator, resolution: int, dtype: torch.dtype = torch.float32,
                       seed: int = 0) -> tuple[nn.Module, str]:
    """(discriminator that looks at `resolution` px, a sentence on where it is from). seed: of a fresh one's weights."""
    found = own_discriminator(base, resolution, dtype)
    if found is not None:
        return found, f"The discriminator is the one of {Path(found.info.source).name or 'the model'}."  # type: ignore[union-attr]
    size = "small" if resolution <= 128 or base.kind == "mobilestylegan" else "full"
    return fresh_discriminator(base, resolution, size, seed).to(dtype), FRESH


def own_discriminator(base: Generator, resolution: int, dtype: torch.dtype = torch.float32) -> nn.Module | None:
    """The discriminator of base's file, else the one that travels with the package where base belongs to its family."""
    source = Path(base.info.source) if base.info.source else None
    found: list[nn.Module] = []
    with suppress(LoadError):
        if source is not None and source.is_file():
            found.append(load(source, dtype=dtype, which="discriminator"))
    with suppress(LoadError):
        built_in = load(asset_path(BUILT_IN), dtype=dtype)
        if built_in.info.notes.get("mapping_hash") == mapping_hash(base.mapping):  # type: ignore[union-attr]
            found.append(built_in)
    return next((judge for judge in found if _fits(judge, base, resolution)), None)


def layer_features(judge: Discriminator, images: Tensor) -> list[Tensor]:
    """What each block of a discriminator gives for images [B, C, R, R], fine to coarse; before samples are compared."""
    found: list[Tensor] = []
    blocks = [judge.get_submodule(f"b{side}.conv1") for side in judge.config.resolutions[:-1]]
    def keep(_: nn.Module, __: object, x: Tensor) -> None:
        found.append(x)

    hooks = [block.register_forward_hook(keep) for block in blocks]
    try:
        judge(images)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _fits(found: nn.Module, base: Generator, resolution: int) -> bool:
    same = getattr(found, "c_dim", 0) == base.c_dim
    return same and (found.img_resolution, found.img_channels) == (resolution, base.img_channels)


def fresh_discriminator(base: Generator, resolution: int, size: str = "full", seed: int = 0) -> nn.Module:
    """Seeded random weights in the shape that suits the base's family."""
    with torch.random.fork_rng(devices=[]):
        return draw_weights(_shaped(base, resolution, size), seed)


def draw_weights(network: M, seed: int) -> M:
    """Give a network's weights and noise maps seeded random numbers; biases and strengths stay as they were made."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            weight = getattr(module, "weight", None)
            if isinstance(weight, nn.Parameter):  # equalized: normal over the multiplier of the learning rate
                gain = module.bias_gain if isinstance(module, FullyConnected) else 1.0
                weight.copy_(torch.randn(weight.shape, generator=draw) / gain)
            if isinstance(noise := getattr(module, "noise_const", None), Tensor):
                noise.copy_(torch.randn(noise.shape, generator=draw))
    return network


def _shaped(base: Generator, resolution: int, size: str) -> nn.Module:
    levels = resolution.bit_length() - 2
    area, most = SIZES[size]
    channels = tuple(min(most, area // (4 << i)) for i in range(levels))
    if base.kind == "stylegan1":
        return StyleGAN1Discriminator(StyleGAN1DiscriminatorConfig(channels, base.img_channels, base.c_dim))
    mapping = MappingConfig(0, base.c_dim, channels[0], 1, 8, channels[0]) if base.c_dim else None
    return Discriminator(DiscriminatorConfig(resolution, channels, base.img_channels, mapping=mapping))


def frozen_layers(discriminator: nn.Module, count: int) -> set[str]:
    """Names of the first `count` layers from the picture (fromrgb, then conv0, conv1, skip of each block)."""
    resolution = int(discriminator.img_resolution)  # type: ignore[arg-type]
    order = [f"b{resolution}.fromrgb"]
    while resolution > 4:
        order += [f"b{resolution}.{name}" for name in ("conv0", "conv1", "skip")
                  if hasattr(discriminator.get_submodule(f"b{resolution}"), name)]
        resolution //= 2
    return set(order[:count])
