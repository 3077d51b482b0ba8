"""A file may leave out a network that travels with the package, and name it instead: asset, its sha256, and the prefix its
tensors take. The built-in DualStyleGAN borrows its base that way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..assets import asset_path
from ..errors import LoadError
from .containers import read_file
from .hashing import sha256_of
from .tensors import LazyTensor

KEY = "borrows"


def borrowed(own: Mapping[str, Any]) -> dict[str, LazyTensor]:
    """Tensors that the metadata of one of our files calls for, unread; none where it calls for none. Raises LoadError."""
    wanted = own.get(KEY)
    if wanted is None:
        return {}
    match wanted:
        case {"asset": str(name), "sha256": str(sha256), "prefix": str(prefix)}:
            path = asset_path(name)
            if sha256_of(path) != sha256:
                raise LoadError(f'The file builds on another version of the built-in "{name}"; update StyleGAN Atelier, or '
                                f"save the whole model with the version it was made with.")
            return {f"{prefix}{key}": tensor for key, tensor in read_file(path).tree.items()}
    raise LoadError(f"The file's metadata borrows {str(wanted)[:80]}, which is no built-in network; it is damaged.")


def lend(asset: str, prefix: str) -> dict[str, Any]:
    """Metadata entry for a file that leaves out `asset`, whose tensors it knows as PREFIX + key."""
    return {KEY: {"asset": asset, "sha256": sha256_of(asset_path(asset)), "prefix": prefix}}
