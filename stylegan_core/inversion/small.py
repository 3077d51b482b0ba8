"""Optimization in a small generator for a large one: the built-in 256 px base stands for its 1024 px parent."""

from __future__ import annotations

import torch
from torch import nn

from ..assets import asset_path
from ..checkpoints.loading import load
from ..latents.signature import ModelSignature
from ..networks.generators.base import Generator
from ..networks.generators.mobilestylegan import MobileStyleGAN

SMALL = "base-256"


def small_variant(model: Generator) -> Generator:
    """The built-in 256 px base where it has model's mapping and, up to 32 px, its layers; else model itself.

    Codes of w and w+ found in it are model's by the row rule (latents.carry_rows), at an eighth of the time a step.
    """
    first = next(model.parameters())
    if model.kind != MobileStyleGAN.kind or model.img_resolution <= 256 or first.is_meta:
        return model
    small: Generator = load(asset_path(SMALL))  # type: ignore[assignment]
    if not ModelSignature.of(small).carries(ModelSignature.of(model)) or not _same_shapes(small, model):
        return model
    return small.to(first.device)


def _same_shapes(small: nn.Module, model: nn.Module) -> bool:
    """Whether the layers up to 32 px, which make a face's shapes, hold the same numbers."""
    theirs = dict(model.named_parameters())
    return all(torch.equal(p.to(theirs[name]), theirs[name]) for name, p in small.named_parameters()
               if name.startswith(("synthesis.const", "synthesis.b4.", "synthesis.b8.", "synthesis.b16.", "synthesis.b32.")))
