"""What a file holds, told without building a network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .loading import detect
from .unwrap import Which

TITLES = {
    "stylegan1": "StyleGAN1", "stylegan2": "StyleGAN2", "stylegan3-t": "StyleGAN3-T", "stylegan3-r": "StyleGAN3-R",
    "mobilestylegan": "MobileStyleGAN", "dualstylegan": "DualStyleGAN", "encoder": "GAN encoder",
    "identity": "identity network", "style_bank": "style codes", "style_sampler": "style sampler",
    "discriminator": "discriminator",
}
BUFFERS = ("w_avg", "noise_const", "up_filter", "down_filter", "magnitude_ema", "transform", "freqs", "phases",
           "running_mean", "running_var", "num_batches_tracked")
"""Last names of tensors that are no parameters."""


@dataclass(frozen=True)
class Facts:
    """One file, in figures; absent ones are None."""

    path: Path
    family: str
    """Key of networks.FAMILIES."""
    kind: str
    """model.kind once loaded."""
    layout: str
    container: str
    parameters: int
    resolution: int | None = None
    num_ws: int | None = None
    z_dim: int | None = None
    w_dim: int | None = None
    c_dim: int | None = None
    channels: tuple[int, ...] = ()
    """Feature widths, coarse to fine."""
    img_channels: int | None = None
    part: str = ""
    """Which entry of a training file is meant."""
    licence: str = "unknown"
    parents: tuple[dict[str, Any], ...] = ()
    source: str = ""
    sha256: str = ""
    """Of the file this model was first read from, as recorded; empty for files of others (see sha256_of)."""
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def classes(self) -> int:
        """Number of class labels, 0 for an unconditional model."""
        return self.c_dim or 0

    def sentence(self) -> str:
        """E.g. "StyleGAN2, 1024 px, 18 styles, 30.4 M parameters, licence: unknown"."""
        parts = [TITLES.get(self.kind, self.kind)]
        parts += [f"{self.resolution} px"] if self.resolution else []
        parts += [f"{self.num_ws} styles"] if self.num_ws else []
        parts += [f"{self.classes} classes"] if self.classes else []
        parts += {1: ["gray"], 4: ["RGBA"]}.get(self.img_channels or 3, [])
        return ", ".join([*parts, f"{self.parameters / 1e6:.1f} M parameters", f"licence: {self.licence}"])


def inspect(path: str | Path, which: Which = "ema") -> Facts:
    """What the file holds: milliseconds for safetensors, no network is built, no weight is read.

    Raises LoadError, UnsafeCheckpoint or UnsupportedCheckpoint, as load does.
    """
    found = detect(path, which)
    config, info = found.config, found.info
    mapping = getattr(config, "mapping", None)
    return Facts(
        path=found.contents.path, family=found.family, kind=getattr(config, "kind", found.family), layout=found.layout,
        container=found.contents.container, parameters=count_parameters(found.canonical.shapes),
        resolution=getattr(config, "img_resolution", None), num_ws=getattr(config, "num_ws", None),
        z_dim=getattr(mapping, "z_dim", None), w_dim=getattr(mapping, "w_dim", None), c_dim=getattr(mapping, "c_dim", None),
        channels=tuple(getattr(config, "channels", ())), img_channels=getattr(config, "img_channels", None),
        part=found.part, licence=info.licence, parents=info.parents, source=Path(info.source).name, sha256=info.sha256,
        notes=info.notes,
    )


def count_parameters(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Trainable numbers: everything but BUFFERS."""
    return sum(math.prod(shape) for key, shape in shapes.items() if key.rsplit(".", 1)[-1] not in BUFFERS)
