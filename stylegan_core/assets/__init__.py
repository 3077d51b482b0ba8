"""Networks that travel with the package: NAME.safetensors beside a model card NAME.md."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from ..errors import LoadError

FOLDER = Path(__file__).parent
ALIASES = {"toon": "figurine"}
"""Names of earlier versions, and what replaces them for ever."""


def asset_path(name: str) -> Path:
    """The file of an embedded network; raises LoadError naming those there are."""
    name = ALIASES.get(name, name)
    known = {path.stem: path for path in sorted(FOLDER.glob("*.safetensors"))}
    if name not in known:
        raise LoadError(f'No embedded network is called "{name}"; choose one of: {", ".join(known) or "none"}.')
    return known[name]


def load_asset(name: str) -> dict[str, Tensor]:
    """Tensors of an embedded network on the CPU, as stored (fp16 mostly)."""
    return load_file(asset_path(name))


def example_portrait() -> Path:
    """The bundled photograph: astronaut Eileen Collins (NASA, public domain)."""
    return FOLDER / "astronaut.jpg"
