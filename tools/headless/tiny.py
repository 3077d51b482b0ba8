"""Tiny models and pictures without faces: a world in which every node runs in moments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

import stylegan_core as sg
from stylegan_core.networks.generators.mobilestylegan import MobileStyleGAN, MobileStyleGANConfig
from stylegan_core.networks.mapping import MappingConfig

CONTRAST = 0.4
"""Standard deviation of a tiny model's pictures, which lie in about [-1, 1]."""


def tiny(seed: int, channels: tuple[int, ...] = (16, 16, 16), mapping_seed: int = 0) -> MobileStyleGAN:
    """A random 32 px generator; equal mapping seeds make relatives."""
    config = MobileStyleGANConfig(MappingConfig(16, 0, 16, 3 * len(channels) - 1, 2, 16), channels)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = MobileStyleGAN(config)
        torch.manual_seed(mapping_seed)
        model.mapping.load_state_dict(MobileStyleGAN(config).mapping.state_dict())
    for parameter in model.synthesis.parameters():
        parameter.data.mul_(0.7)
    with torch.no_grad():  # pictures of full contrast: two that differ must not round to the same gray
        ws = model.mapping(sg.sample_z(range(4), 16), truncation_psi=0.7)
        model.synthesis.head.weight.mul_(CONTRAST / model.synthesis(ws).std())
    return model.eval()


def write_tiny_models(folder: Path) -> None:
    """tiny_base and tiny_toon are relatives; tiny_stranger has another mapping; tiny_large another resolution."""
    for name, model in {"tiny_base": tiny(1), "tiny_toon": tiny(2), "tiny_stranger": tiny(3, mapping_seed=9),
                        "tiny_large": tiny(4, (16, 16, 16, 16))}.items():
        sg.save(model, folder / f"{name}.safetensors")


def write_picture(path: Path, width: int, height: int, mode: str = "RGB", seed: int = 0) -> None:
    """A picture without a face: smooth noise."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(90, 160, (4, 4, 4), dtype=np.uint8), "RGBA")
    small.resize((width, height), Image.Resampling.BICUBIC).convert(mode).save(path)
