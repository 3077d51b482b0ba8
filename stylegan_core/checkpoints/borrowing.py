"""A file may leave out tensors that travel with the package, and name the built-in file that has them.

    "borrows": {"asset": name, "sha256": of that file, "prefix": what its keys are preceded by here, "without": [prefixes]}

Keys that begin with one of `without` stay away. The file's own tensors go before borrowed ones, and a pair KEY.low_u [O, r],
KEY.low_v [r, I] of its own adds their product to the borrowed KEY. A built-in file may itself borrow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ..assets import asset_path
from ..errors import LoadError
from .containers import read_file
from .hashing import sha256_of
from .safetensors_file import read_json
from .tensors import LazyTensor

KEY = "borrows"
LOW = (".low_u", ".low_v")
FORMER = {"b196b6838c03ba19a8ee831869e1cc63f27354b59c603f8c098490e207deb860": "base-256"}
"""sha256 of built-in files of earlier versions -> the one that holds the same numbers today."""


def with_borrowed(own: Mapping[str, Any], tree: Mapping[str, LazyTensor]) -> dict[str, LazyTensor]:
    """The tensors of one of our files, whose metadata is `own`, and all it borrows, unread. Raises LoadError."""
    found = _borrowed(own)
    for key, tensor in tree.items():
        if not key.endswith(LOW):
            found[key] = tensor
    for key in sorted({key.rpartition(".")[0] for key in tree if key.endswith(LOW)}):
        found[key] = _moved(key, found.get(key), *(tree.get(key + suffix) for suffix in LOW))
    return found


def _borrowed(own: Mapping[str, Any]) -> dict[str, LazyTensor]:
    match own.get(KEY):
        case None:
            return {}
        case {"asset": str(name), "sha256": str(sha256), "prefix": str(prefix), **more}:
            name = FORMER.get(sha256, name)
            path, away = asset_path(name), more.get("without", [])
            if sha256_of(path) != sha256 and FORMER.get(sha256) != name:
                raise LoadError(f'The file builds on another version of the built-in "{name}"; update StyleGAN Atelier, or '
                                f"save the whole model with the version it was made with.")
            if isinstance(away, list) and all(isinstance(part, str) for part in away):
                contents = read_file(path)
                whole = with_borrowed(read_json(contents.metadata) or {}, contents.tree)
                return {f"{prefix}{key}": tensor for key, tensor in whole.items() if not key.startswith(tuple(away))}
    raise LoadError(f"The file's metadata borrows {str(own[KEY])[:80]}, which is no built-in network; it is damaged.")


def _moved(key: str, tensor: LazyTensor | None, u: LazyTensor | None, v: LazyTensor | None) -> LazyTensor:
    """tensor + U V, in float32."""
    if tensor is None or u is None or v is None or not tensor.shape or len(u.shape) != 2 or len(v.shape) != 2 \
            or (u.shape[0], v.shape[1], u.shape[1]) != (tensor.shape[0], tensor.numel // tensor.shape[0], v.shape[0]):
        raise LoadError(f"The file changes {key[:80]} by factors that do not fit it; it is damaged.")
    return LazyTensor(tensor.shape, torch.float32, lambda: tensor.read().float() + (
        u.read().float() @ v.read().float()).reshape(tensor.shape))


def lend(asset: str, prefix: str = "", without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Metadata entry for a file that leaves out `asset`, whose tensors it knows as PREFIX + key."""
    entry: dict[str, Any] = {"asset": asset, "sha256": sha256_of(asset_path(asset)), "prefix": prefix}
    return {KEY: {**entry, "without": list(without)} if without else entry}
