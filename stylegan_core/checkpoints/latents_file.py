"""Latents on disk: this project's safetensors, NVIDIA's .npz, and what other projects' inversions leave behind."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InvalidInput, LoadError, UnsupportedCheckpoint
from ..latents import SPACES, LatentModel, Latents, ModelSignature, Space
from .containers import Contents, read_file, with_file
from .json_text import parse_json
from .layouts.style_codes import STYLE_CODES
from .npy_file import ROOT
from .safetensors_file import read_json, write_safetensors
from .tensors import FLOATS, LazyTensor, check_unfolded
from .unwrap import walk
from .writing import check_target, write_bytes

FAMILY = "latents"
OLD_FORMAT = "stylegan-atelier-latents"
"""What version 0.1 called its files, and looks for: still written beside this version's metadata."""
SUFFIXES = (".safetensors", ".npz")
READ_SUFFIXES = (".safetensors", ".sft", ".npz", ".npy", ".pt", ".pth")
NAMES = ("w", "ws", "w_plus", "w+", "wp", "latent", "latents", "latent_in", "latent_code", "latent_codes", "dlatents",
         "projected_w", "w_pivot", "codes", "z", "zs", "z_plus", "z+", "zp")
"""What inversions call their codes; other arrays beside them are passed over. Those in z begin with it."""
DIRECTION = re.compile(r"boundary|direction", re.IGNORECASE)
"""What files and arrays of directions are called, which have a latent's shape."""
ROWS = range(8, 27, 2)
"""Rows that a StyleGAN of 32 to 16384 px has: so many vectors of one size are one latent in w+, not a batch in w."""
NAMES_OF_Z = tuple(name for name in NAMES if name[0] == "z")
BY_PICTURE = re.compile(r"^$|(?:^|\.)\d+$|\.(?:png|jpe?g|webp|bmp|tiff?)$", re.IGNORECASE)
"""Names of arrays that are pictures or numbers of them."""
MIN_WIDTH = 16
MAX_CODES = 100_000
LATENTS_NAME = re.compile(r"latent|projected|(?:^|[_.-])ws?(?:_?plus|\+)?$|inversion|pivot", re.IGNORECASE)


@dataclass(frozen=True)
class FoundCodes:
    """Codes of a file, unread."""

    tensors: tuple[LazyTensor, ...]
    layout: str
    space: Space
    shape: tuple[int, ...]
    """Of all of them as one batch."""


def save_latents(latents: Latents, path: str | Path, overwrite: bool = False) -> Path:
    """Write latents; returns the path (suffix .safetensors added unless it is .npz). Raises InvalidInput, SaveError.

    safetensors: `latents`, `noise.0` ..., space and model signature as metadata, checksums. npz: NVIDIA's form, "w"
    [B, num_ws, w_dim], which holds neither z nor noise maps.
    """
    target = check_target(path, SUFFIXES, overwrite)
    if target.suffix.lower() == ".npz":
        return write_bytes(target, _npz(latents), overwrite)
    tensors = {"latents": latents.tensor} | {f"noise.{i}": n for i, n in enumerate(latents.noise or ())}
    facts = {"space": latents.space, "model": asdict(latents.model) if latents.model else None}
    return write_safetensors(target, tensors, {"family": FAMILY, **facts}, overwrite, {"format": OLD_FORMAT, "latents": facts})


def _npz(latents: Latents) -> memoryview:
    ws = latents.tensor.detach().float().cpu()
    if latents.space.startswith("z") or not (ws.ndim == 3 or latents.model):
        raise InvalidInput(f"NVIDIA's .npz holds w+ and these latents are in {latents.space}; bring them to w+ first (truncate "
                           f"with psi 1), or save them as .safetensors.")
    if ws.ndim == 2 and latents.model:
        ws = ws[:, None].repeat(1, latents.model.num_ws, 1)
    out = io.BytesIO()
    np.savez(out, w=ws.numpy())
    return out.getbuffer()


def load_latents(path: str | Path, space: Space | None = None, model: LatentModel | None = None) -> Latents:
    """Latents of a file; it is only read as data.

    Ours, NVIDIA's projected_w.npz, e4e's latents.pt, PTI's 0.pt, the dicts by picture of pSp and ReStyle (latents.npy, one
    batch in the dict's order), rosinality's projector files, bare arrays in .npy and .pt. space: of a file that doesn't tell;
    None goes by shape: [B, 1, dim] and [B, dim] are w, [B, rows, dim] and as many vectors as a model has rows are w+.
    model: a generator that they must fit. Raises LoadError, InvalidInput, LatentMismatch.
    """
    if space is not None and space not in SPACES:
        raise InvalidInput(f'Latent space "{space}" is unknown; use one of {", ".join(SPACES)}.')
    contents = read_file(path)
    try:
        found = _own(contents) or _foreign(contents, space, model.num_ws if model else None)
        contents.close()
    except LoadError as error:
        raise with_file(error, contents.path) from error
    except InvalidInput as error:
        raise with_file(LoadError(str(error)), contents.path) from error
    if model is not None:
        found.check(model)
    return found


def find_latents(contents: Contents, whatever: bool = False) -> FoundCodes | None:
    """What latents a file holds, unread; None for a file that is no latents file by its metadata, its form or its name.

    whatever: it holds no known network, so that codes by an inversion's names or by picture are enough.
    """
    facts = _facts(contents)
    if facts is not None:
        lazy = contents.tree.get("latents")
        space = facts.get("space")
        return FoundCodes((lazy,), "atelier", space, lazy.shape) if isinstance(lazy, LazyTensor) and space in SPACES else None
    stem, tree = contents.path.stem, contents.tree
    named = bool(LATENTS_NAME.search(stem)) and not STYLE_CODES.search(stem)
    is_latents = contents.container == "npz" or isinstance(tree, LazyTensor) or (contents.container == "npy" and named)
    try:
        return _codes(contents, None, None) if is_latents or whatever and _looks_like_codes(_named(tree)) else None
    except LoadError:
        return None


def _looks_like_codes(named: Mapping[str, LazyTensor]) -> bool:
    return any(_last(name) in NAMES for name in named) or all(BY_PICTURE.search(name) for name in named)


def _last(name: str) -> str:
    return name.rsplit(".", 1)[-1].lower()


def refuse_latents(contents: Contents, whatever: bool = False) -> None:
    """Raise UnsupportedCheckpoint for a file of latents where a network is wanted. whatever: see find_latents."""
    if found := find_latents(contents, whatever):
        raise UnsupportedCheckpoint(f"The file holds latents in {found.space} ({found.layout}), not a network; use it with "
                                    f"Load StyleGAN Latents.")


def _facts(contents: Contents) -> Mapping[str, Any] | None:
    """The metadata of latents of ours, of this version's form or the one before."""
    own = read_json(contents.metadata)
    if own is not None:
        return own if own.get("family") == FAMILY else None
    if contents.metadata.get("format") != OLD_FORMAT:
        return None
    try:
        facts = parse_json(contents.metadata.get("latents", ""))
    except ValueError as error:
        raise LoadError(f"The metadata of the latents is no JSON ({error}); save them again.") from error
    return facts if isinstance(facts, dict) else {}


def _own(contents: Contents) -> Latents | None:
    facts = _facts(contents)
    if facts is None:
        if read_json(contents.metadata):
            raise LoadError("The file holds no latents; give a file made by Save StyleGAN Latents, or another inversion's.")
        return None
    tree = contents.tree
    try:
        signature = ModelSignature(**facts["model"]) if facts["model"] else None
        check_unfolded(sum(t.nbytes for t in tree.values()), contents.size)
        noise = tuple(_numbers(tree[f"noise.{i}"]) for i in range(len(tree) - 1))
        return Latents(_numbers(tree["latents"]), facts["space"], signature, noise or None)
    except (KeyError, TypeError) as error:
        raise LoadError(f"The file contradicts itself ({error}); save the latents again.") from error


def _numbers(lazy: LazyTensor) -> Tensor:
    if lazy.form or lazy.dtype not in FLOATS:
        raise LoadError(f"The latents are stored as {lazy.form or lazy.dtype}; expected floating-point numbers.")
    return lazy.read().float()


def _foreign(contents: Contents, space: Space | None, rows: int | None) -> Latents:
    found = _codes(contents, space, rows)
    check_unfolded(sum(t.nbytes for t in found.tensors), contents.size)
    parts = [_numbers(lazy) for lazy in found.tensors]
    return Latents(torch.cat([part.reshape(_batched_shape(tuple(part.shape), found.space)) for part in parts]), found.space)


def _codes(contents: Contents, space: Space | None, rows: int | None) -> FoundCodes:
    named = _named(contents.tree)
    chosen = {name: t for name, t in named.items() if _last(name) in NAMES} or named
    usable = [t for t in chosen.values() if 1 <= len(t.shape) <= 3 and t.numel and t.shape[-1] >= MIN_WIDTH]
    if not usable or len(usable) < len(chosen) or len(usable) > MAX_CODES:
        some = ", ".join(f"{name[:40] or 'an array'} {list(t.shape)}" for name, t in list(chosen.items())[:4]) or "no array"
        raise LoadError(f"The file holds {some}, and latents are [dim], [B, dim] or [B, rows, dim]; give a file made by Save "
                        f"StyleGAN Latents, or another inversion's.")
    if DIRECTION.search(contents.path.stem) or any(map(DIRECTION.search, chosen)):
        raise LoadError("The file is called a direction's, which is no latent though its shape is one; use it with Load "
                        "Directions, or give it another name.")
    wanted = space or _space_of(usable[0].shape, rows, next(iter(chosen)))
    sizes = [_batched_shape(t.shape, wanted) for t in usable]
    if len({size[1:] for size in sizes}) > 1:
        raise LoadError("The file's codes differ in size; a file of latents holds codes of one model.")
    return FoundCodes(tuple(usable), _layout_of(contents, len(usable)), wanted, (sum(s[0] for s in sizes), *sizes[0][1:]))


def _named(tree: Any) -> dict[str, LazyTensor]:
    """Every array of a file by its place."""
    tree = {str(i): part for i, part in enumerate(tree)} if isinstance(tree, (list, tuple)) else tree
    return {name.removeprefix(f"{ROOT}."): t for name, t in walk(tree) if isinstance(t, LazyTensor)}


def _space_of(shape: tuple[int, ...], rows: int | None, name: str) -> Space:
    """By the shape; z where the array is called so."""
    plus = len(shape) == 2 and shape[0] > 1 and (shape[0] in ROWS if rows is None else shape[0] == rows)
    if _last(name) in NAMES_OF_Z:
        return "z+" if plus or len(shape) == 3 and shape[1] > 1 else "z"
    return "w+" if plus or len(shape) == 3 and shape[1] > 1 else "w"


def _batched_shape(shape: tuple[int, ...], space: str) -> tuple[int, ...]:
    """The shape as a batch in `space`. Raises LoadError."""
    if space.endswith("+"):
        if len(shape) < 2:
            raise LoadError(f"The file holds {list(shape)}, one vector, and {space} has one for each row; choose w or z.")
        return shape if len(shape) == 3 else (1, *shape)
    if len(shape) == 3 and shape[1] != 1:
        raise LoadError(f"The file holds {list(shape)}, a vector for each row, and {space} has one for all; choose w+ or z+.")
    return (1, *shape) if len(shape) == 1 else (shape[0], shape[-1])


def _layout_of(contents: Contents, count: int) -> str:
    if contents.container == "npz":
        return "NVIDIA's projected_w.npz"
    if contents.container == "npy":
        return "codes by picture, as pSp and ReStyle save them" if count > 1 else "an array"
    return "a tensor, as e4e and PTI save it" if isinstance(contents.tree, LazyTensor) else "codes of another inversion"


class LatentFiles:
    """What Latents.save and Latents.load stand for: the value knows no file formats."""

    save = staticmethod(save_latents)
    load = staticmethod(load_latents)


Latents.files = LatentFiles()
