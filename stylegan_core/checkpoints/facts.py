"""What a file holds, told without building a network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import LoadError
from .containers import Contents, read_file
from .latents_file import FoundCodes, find_latents
from .loading import Detected, detect_in
from .unwrap import Which

TITLES = {
    "stylegan1": "StyleGAN1", "stylegan2": "StyleGAN2", "stylegan3-t": "StyleGAN3-T", "stylegan3-r": "StyleGAN3-R",
    "mobilestylegan": "MobileStyleGAN", "dualstylegan": "DualStyleGAN", "encoder": "GAN encoder",
    "identity": "identity network", "style_bank": "style codes", "style_sampler": "style sampler",
    "discriminator": "discriminator", "latents": "latents",
}
HEADINGS = ("kind", "size", "styles", "classes", "parameters", "images seen", "licence")
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
    """Nominal, as layers are named."""
    size: tuple[int, int] | None = None
    """(height, width) of the image where it is not square."""
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
    def pixels(self) -> str:
        """"1024 px", "1024 x 512 px" (width first) or nothing."""
        if self.size:
            return f"{self.size[1]} x {self.size[0]} px"
        return f"{self.resolution} px" if self.resolution else ""

    @property
    def images_seen(self) -> int | None:
        """Real images shown in training, where the file tells."""
        seen = self.notes.get("images_seen")
        return seen if isinstance(seen, int) and seen > 0 else None

    @property
    def classes(self) -> int:
        """Number of class labels, 0 for an unconditional model."""
        return self.c_dim or 0

    def row(self) -> tuple[str, ...]:
        """The cells below HEADINGS."""
        seen = f"{self.images_seen / 1e6:.1f} M" if self.images_seen else ""
        return (TITLES.get(self.kind, self.kind), self.pixels, str(self.num_ws or ""), str(self.classes or ""),
                f"{self.parameters / 1e6:.1f} M", seen, self.licence)

    def sentence(self) -> str:
        """E.g. "StyleGAN2, 1024 px, 18 styles, 30.4 M parameters, 25.0 M images seen, licence: unknown"."""
        if self.family == "latents":
            size = f"{self.num_ws} rows of {self.w_dim}" if self.num_ws else f"vectors of {self.w_dim}"
            return f"{self.notes['entries']} latents in {self.notes['space']}, {size}"
        parts = [TITLES.get(self.kind, self.kind)]
        parts += [self.pixels] if self.pixels else []
        parts += [f"{self.num_ws} {'styles' if self.pixels else 'rows'}"] if self.num_ws else []  # a bank's are its codes
        parts += [f"{self.classes} classes"] if self.classes else []
        parts += {1: ["gray"], 4: ["RGBA"]}.get(self.img_channels or 3, [])
        parts += [f"{self.parameters / 1e6:.1f} M parameters"]
        parts += [f"{self.images_seen / 1e6:.1f} M images seen"] if self.images_seen else []
        return ", ".join([*parts, f"licence: {self.licence}"])


def inspect(path: str | Path, which: Which = "ema", resolution: int | None = None) -> Facts:
    """What the file holds: milliseconds for safetensors, no network is built, no weight is read.

    which, resolution: as for load. Raises LoadError, UnsafeCheckpoint or UnsupportedCheckpoint, as load does.
    """
    contents = read_file(path)
    found = _find(contents, which, resolution)
    if isinstance(found, FoundCodes):
        count, *rows, width = found.shape
        return Facts(contents.path, "latents", "latents", found.layout, contents.container, math.prod(found.shape),
                     num_ws=rows[0] if rows else None, w_dim=width, notes={"space": found.space, "entries": count})
    config, info = found.config, found.info
    mapping = getattr(config, "mapping", None)
    return Facts(
        path=found.contents.path, family=found.family, kind=getattr(config, "kind", found.family), layout=found.layout,
        container=found.contents.container, parameters=count_parameters(found.converted.shapes),
        resolution=getattr(config, "img_resolution", None), size=_size_of(config), num_ws=getattr(config, "num_ws", None),
        z_dim=getattr(mapping, "z_dim", None), w_dim=getattr(mapping, "w_dim", None), c_dim=getattr(mapping, "c_dim", None),
        channels=tuple(getattr(config, "channels", ())), img_channels=getattr(config, "img_channels", None),
        part=found.part, licence=info.licence, parents=info.parents, source=Path(info.source).name, sha256=info.sha256,
        notes=info.notes,
    )


def _find(contents: Contents, which: Which, resolution: int | None) -> FoundCodes | Detected:
    if latents := find_latents(contents):
        return latents
    try:
        return detect_in(contents, which, resolution)
    except LoadError:
        if latents := find_latents(contents, whatever=True):
            return latents
        raise


def _size_of(config: Any) -> tuple[int, int] | None:
    """(height, width) of images that are not square."""
    size = config.size(config.img_resolution) if hasattr(config, "const_size") else (0, 0)
    return size if size[0] != size[1] else None


def count_parameters(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Trainable numbers: everything but BUFFERS."""
    return sum(math.prod(shape) for key, shape in shapes.items() if key.rsplit(".", 1)[-1] not in BUFFERS)
