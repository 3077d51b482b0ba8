"""Files by kind: each kind has its own loading node, and the others name it."""

from __future__ import annotations

from typing import Any

from .. import stylegan_core as sg
from . import files

GENERATOR = "generator"
LOADERS = {GENERATOR: "Load StyleGAN", "encoder": "Load GAN Encoder", "dualstylegan": "Load DualStyleGAN",
           "style_bank": "Load Style Codes", "style_sampler": "Load Style Sampler"}
"""Kind -> the node that loads it, as it is called; StyleGANs of every family count as one kind."""
NOT_LOADED = {"identity": "Inversion Options finds it by itself",
              "discriminator": "it draws nothing: choose the generator of the same training"}
OWN_LAYOUTS = ("atelier", "memory")
"""Of files this pack wrote: they hold one network, and no decoder to ask for."""


def load_kind(kind: str, name: str, which: str = "ema", resolution: int = 0) -> Any:
    """A file by its name in a combo -> its network, if it is of the kind (a key of LOADERS). Raises InvalidInput, LoadError."""
    path = files.model_path(name)
    model: Any = sg.load(path, which=which, resolution=resolution or None)  # type: ignore[arg-type]
    found = model.kind if model.kind in (*LOADERS, *NOT_LOADED) else GENERATOR
    if found == kind:
        return model
    remedy = NOT_LOADED.get(found) or f"use {LOADERS[found]}"
    if kind == GENERATOR and model.kind in ("encoder", "dualstylegan") and model.info.layout not in OWN_LAYOUTS:
        remedy += ', or set weights to "decoder" for the generator inside'
    raise sg.InvalidInput(f"{name} holds a network of kind {model.kind}, which {LOADERS[kind]} can't load; {remedy}.")
