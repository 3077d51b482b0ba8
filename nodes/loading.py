"""Files by kind: each kind has its own loading node, and the others name it."""

from __future__ import annotations

from typing import Any

from .. import stylegan_core as sg
from . import files

LOADERS = {"encoder": "Load GAN Encoder", "dualstylegan": "Load DualStyleGAN", "style_bank": "Load Style Codes",
           "style_sampler": "Load Style Sampler"}
"""Kind -> the node that loads it; StyleGANs of every family come through Load StyleGAN."""
NOT_LOADED = {"identity": "Inversion Options finds it by itself",
              "discriminator": "it draws nothing: choose the generator of the same training"}
GENERATORS = "Load StyleGAN"
OWN_LAYOUTS = ("atelier", "memory")
"""Of files this pack wrote: they hold one network, and no decoder to ask for."""


def load_with(node: str, name: str, which: str = "ema", resolution: int = 0) -> Any:
    """A file by its name in a combo -> its network, if this node is the one that loads such. Raises InvalidInput, LoadError."""
    path = files.model_path(name)
    model: Any = sg.load(path, which=which, resolution=resolution or None)  # type: ignore[arg-type]
    loader = LOADERS.get(model.kind, GENERATORS)
    if loader == node and model.kind not in NOT_LOADED:
        return model
    remedy = NOT_LOADED.get(model.kind, f"use {loader}")
    if node == GENERATORS and model.kind in ("encoder", "dualstylegan") and model.info.layout not in OWN_LAYOUTS:
        remedy += ', or set weights to "decoder" for the generator inside'
    raise sg.InvalidInput(f"{name} holds a network of kind {model.kind}, which {node} can't load; {remedy}.")
