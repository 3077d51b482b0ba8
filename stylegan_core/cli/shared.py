"""What every command does: models by name, files checked before work, a bar, licences and losses in words."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from torch import Tensor
from tqdm import tqdm

from ..assets import asset_path
from ..checkpoints import check_target, load
from ..errors import InvalidInput, printable
from ..networks.generators.base import Generator
from ..networks.info import joined_licences
from ..pictures.files import SUFFIXES, write_image
from ..pictures.sheets import contact_sheet

COLUMNS = 4
"""Of a sheet of results."""


def load_kind(name: str, kind: str, device: str = "cpu") -> Any:
    """A model file or a built-in's name -> its network, of one kind. Raises LoadError, InvalidInput."""
    model: Any = load(model_path(name), device)
    if getattr(model, "kind", "") != kind:
        raise InvalidInput(f"{name} holds a network of kind {getattr(model, 'kind', 'unknown')} but one of kind {kind} is "
                           f"needed; give another file.")
    return model


def load_generator(name: str, device: str = "cpu") -> Generator:
    """A model file or a built-in's name -> its generator. Raises LoadError, InvalidInput."""
    model = load(model_path(name), device)
    if not isinstance(model, Generator):
        kind = getattr(model, "kind", "network")
        raise InvalidInput(f"{name} holds a {kind} but a generator is needed; give a StyleGAN file.")
    return model


def model_path(name: str) -> Path:
    """A file that is there, else a built-in's. Raises InvalidInput."""
    path = Path(name)
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder; give a model file.")
    if path.exists():
        return path
    if path.suffix or len(path.parts) > 1:
        raise InvalidInput(f"{path} does not exist; check the path.")
    return asset_path(name)


def check_pictures(files: list[Path], overwrite: bool) -> None:
    """Whether all these pictures may be written. Raises InvalidInput."""
    for path in files:
        check_target(path, SUFFIXES, overwrite, add=False)


def write_row(images: Tensor, path: Path, overwrite: bool) -> None:
    """Pictures [N, C, H, W] as one file: the only one as it is, several as a sheet."""
    write_image(images if len(images) == 1 else contact_sheet(images, min(COLUMNS, len(images))), path, overwrite)


class Bar:
    """An on_step that draws a progress bar from the first step on; nothing is drawn for work that is refused."""

    def __init__(self, name: str) -> None:
        self.name, self.bar = name, None

    def __call__(self, i: int, n: int, preview: Tensor | None = None) -> None:
        if self.bar is None:
            self.bar = tqdm(total=n, desc=self.name, leave=False)
        self.bar.update(i - self.bar.n)
        if i == n:
            self.bar.close()


def licence_line(*models: Any) -> list[str]:
    """A line on the licences that what is made of the models inherits; none where their files say nothing."""
    licence = joined_licences(model.info.licence for model in models)
    return [] if licence == "unknown" else [f"licence: {licence}"]


def losses_text(losses: dict[str, Tensor]) -> str:
    """Losses [B] by name -> their means in brackets; empty without any."""
    means = ", ".join(f"{name} {float(value.mean()):.3f}" for name, value in losses.items())
    return f" ({means})" if means else ""


def say(text: str) -> None:
    """Lines to stdout that leave bars whole, in the characters that it has; names of files may hold what moves a terminal."""
    encoding = sys.stdout.encoding or "utf-8"
    text = "\n".join(map(printable, text.split("\n")))
    tqdm.write(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()
