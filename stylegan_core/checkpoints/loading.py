"""file -> plain tensors -> (family, layout) -> config -> network."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import AtelierError, InvalidInput, LoadError, UnsupportedCheckpoint
from ..networks import FAMILIES
from ..networks.generators.base import plain_generator
from ..networks.info import ModelInfo
from ..ops.memory_format import arrange
from .borrowing import with_borrowed
from .building import blank, fill
from .checksums import UNVERIFIED, UNVERIFIED_SENTENCE
from .containers import Contents, read_file, with_file
from .detect import find_layout
from .fact_types import check_facts
from .hashing import hash_beside
from .latents_file import refuse_latents
from .layout import ConvertedState, Layout, SourceState, keep, rename_keys
from .layouts import LAYOUTS
from .safetensors_file import read_json
from .saving import plain_config
from .tensors import FLOATS, LazyTensor, check_unfolded, plausible
from .training_facts import training_facts
from .unwrap import Which, inner_networks, unwrap

OWN_LAYOUT = "atelier"
READERS = 2
"""Threads: one reads a tensor while the other compares the one before."""
NO_NETWORKS = {"directions": "semantic directions", "delta": "the difference of a tuned model from its base",
               "training_state": "the state of a training run"}
"""Other things this project writes, by the family in their metadata."""


@dataclass(frozen=True)
class Detected:
    """A file understood: everything loading needs, weights still unread."""

    contents: Contents
    layout: str
    family: str
    config: Any
    converted: ConvertedState
    info: ModelInfo
    part: str


def detect(path: str | Path, which: Which = "ema", resolution: int | None = None) -> Detected:
    """File -> family, layout, config, weights unread. Raises LoadError and its kinds, each naming the file."""
    return detect_in(read_file(path), which, resolution)


def detect_in(contents: Contents, which: Which = "ema", resolution: int | None = None) -> Detected:
    """detect, for a file that is open already."""
    try:
        refuse_latents(contents)
        own = read_json(contents.metadata)
        found = _detect_own(contents, own) if own else _detect_foreign(contents, which, resolution)
        _check_wanted(found, which, resolution)
        return found if contents.checked else replace(found, info=_unverified(found.info))
    except LoadError as error:
        raise with_file(error, contents.path) from error


def _unverified(info: ModelInfo) -> ModelInfo:
    return replace(info, notes={**info.notes, UNVERIFIED: UNVERIFIED_SENTENCE})


def _check_wanted(found: Detected, which: Which, resolution: int | None) -> None:
    """Refuse what is not the part or the size that was asked for."""
    if found.layout == OWN_LAYOUT and which == "decoder":
        raise LoadError("The file was saved by StyleGAN Atelier and holds one network; load it as it is (which=\"ema\").")
    if which == "discriminator" and FAMILIES[found.family][1].kind != which:
        raise LoadError(f"The file holds a {found.family} and no discriminator; choose the training file it was saved with.")
    drawn = getattr(found.config, "img_resolution", resolution)
    if resolution and drawn != resolution:
        raise LoadError(f"The file's network has {drawn} px and {resolution} px were asked for; leave the size to the file.")


def _detect_foreign(contents: Contents, which: Which, resolution: int | None) -> Detected:
    try:
        state = replace(unwrap(contents.tree, which), file=contents.path.name, resolution=resolution)
        state, layout = _layout_of(state, which)
    except LoadError:
        refuse_latents(contents, whatever=True)
        raise
    converted = layout.convert(state)
    warnings = [*converted.notes, *_odd_types(converted)]
    notes = ({"warnings": warnings} if warnings else {}) | training_facts(state)
    info = ModelInfo(layout.family, layout.name, str(contents.path), notes=notes)
    return Detected(contents, layout.name, layout.family, configure(layout.family, converted), converted, info, state.part)


def _layout_of(state: SourceState, which: Which) -> tuple[SourceState, Layout]:
    """The layout of a network, or of the one that a trainer keeps inside its own under a prefix (PyTorch Lightning)."""
    try:
        return state, find_layout(state)
    except UnsupportedCheckpoint:
        for inner in inner_networks(state, which):
            for layout in LAYOUTS:
                if layout.matches(inner):
                    return inner, layout
        raise


def _odd_types(converted: ConvertedState) -> list[str]:
    """A sentence on weights stored otherwise than trainers store them."""
    odd = sorted({str(t.dtype).removeprefix("torch.") for t in converted.tensors.values() if t.dtype in FLOATS} - {"float32"})
    return [f"The file stores weights as {' and '.join(odd)}; they are used as float32."] if odd else []


def _detect_own(contents: Contents, own: Mapping[str, Any]) -> Detected:
    family, stored = own.get("family"), own.get("config")
    if isinstance(family, str) and family in NO_NETWORKS:
        raise UnsupportedCheckpoint(f"The file holds {NO_NETWORKS[family]}, not a network; use it with its model.")
    if not isinstance(family, str) or family not in FAMILIES or not isinstance(stored, dict):
        raise UnsupportedCheckpoint(
            f"The file holds a network of family {str(family)[:40]!r} and {', '.join(FAMILIES)} are known; update "
            "StyleGAN Atelier."
        )
    inner = stored.get("mapping")
    facts = {**stored, **inner} if isinstance(inner, dict) else stored
    tree = with_borrowed(own, contents.tree)
    tensors, source_keys = rename_keys(SourceState(tree), [(key, key, keep) for key in tree], family)
    converted = ConvertedState(tensors, facts, source_keys)
    config = configure(family, converted)
    expected = plain_config(config)
    if wrong := [key for key in stored if key in expected and expected[key] != stored[key]]:
        raise LoadError(
            f"The file's metadata gives {wrong[0]} = {str(stored[wrong[0]])[:80]} but its tensors mean "
            f"{str(expected[wrong[0]])[:80]}; the file is damaged."
        )
    return Detected(contents, OWN_LAYOUT, family, config, converted, _info_of(own, contents), "")


def _info_of(own: Mapping[str, Any], contents: Contents) -> ModelInfo:
    """Recorded source and hash; a file without them is its own source."""
    parents, notes, sha256 = own.get("parents"), own.get("notes"), str(own.get("sha256") or "")
    return ModelInfo(
        family=own["family"], layout=OWN_LAYOUT, sha256=sha256,
        source=str(own.get("source", "")) if sha256 else str(contents.path),
        parents=tuple(p for p in parents if isinstance(p, dict)) if isinstance(parents, list) else (),
        licence=str(own.get("licence", "unknown")), notes=notes if isinstance(notes, dict) else {},
    )


def configure(family: str, converted: ConvertedState) -> Any:
    """Config.from_shapes, its complaints in the file's own names."""
    try:
        check_facts(FAMILIES[family][0], converted.facts)
        return FAMILIES[family][0].from_shapes(converted.shapes, converted.facts)
    except (AtelierError, ValueError, LookupError, ArithmeticError) as error:
        text = str(error)
        for ours, theirs in sorted(converted.source_keys.items(), key=lambda pair: -len(pair[0])):
            text = text.replace(ours, theirs)
        kind = type(error) if isinstance(error, LoadError) else LoadError
        raise kind(text) from error


def load(path: str | Path, device: str | torch.device = "cpu", dtype: torch.dtype | None = None,
         which: Which = "ema", resolution: int | None = None) -> nn.Module:
    """A checkpoint of any known family and layout -> network in eval mode, without gradients.

    dtype: type of all weights; None is float32 whatever the file stores. which: "ema" (default), "raw", "decoder" for the
    generator inside an encoder's file, or "discriminator". resolution: size in pixels of a network whose file does not tell
    (rosinality's StyleGAN1); others refuse a wrong one. The file is only ever read as data. Raises LoadError,
    UnsafeCheckpoint, UnsupportedCheckpoint, or InvalidInput for a device or dtype that can't be.
    """
    device, dtype = _check_target(device, dtype)
    found = detect(path, which, resolution)
    try:
        contents = found.contents
        with ThreadPoolExecutor(1 + READERS, "loading") as pool:  # reading and comparing let go of the interpreter
            building = pool.submit(blank, found.family, found.config)
            tensors = _read_all(found, dtype, pool)
            network: Any = building.result()
        hashed = None if found.info.sha256 else hash_beside(contents.path, contents.stamp)
        network.info = replace(found.info, hashed=hashed)
        if (inside := plain_generator(network)) is not network:
            inside.info = replace(network.info, family=inside.kind)
        contents.close()
        return arrange(fill(network, tensors, found.converted.source_keys), device).to(device)
    except LoadError as error:
        raise with_file(error, found.contents.path) from error
    except (RuntimeError, MemoryError) as error:
        raise LoadError(f"{found.contents.path.name} can't be loaded to {device}: {error}") from error


def _check_target(device: str | torch.device, dtype: torch.dtype | None) -> tuple[torch.device, torch.dtype]:
    try:
        target = torch.device(device)
        torch.empty(0, device=target)
        if target.type == "meta":
            raise RuntimeError("it holds no numbers")
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        raise InvalidInput(
            f"Device {device!r} is not available here; use \"cpu\" or an installed accelerator."
        ) from error
    if dtype is not None and dtype not in FLOATS:
        raise InvalidInput(f"Type {dtype!r} can't hold weights; use torch.float32, float16 or bfloat16.")
    return target, dtype or torch.float32


def _read_all(found: Detected, dtype: torch.dtype, pool: ThreadPoolExecutor) -> dict[str, Tensor]:
    """Every weight as a contiguous tensor of `dtype` in memory of its own, all finite."""
    lazy = found.converted.tensors
    check_unfolded(sum(t.nbytes for t in lazy.values()), found.contents.size)
    _check_types(found)

    def read(tensor: LazyTensor) -> tuple[Tensor, bool]:
        whole = tensor.read().to(dtype).contiguous()
        return whole, plausible(whole)  # at once, while the checksum's pass has it in the cache

    results = dict(zip(lazy, pool.map(read, lazy.values()), strict=True))
    tensors = {key: whole for key, (whole, _) in results.items()}
    if bad := [found.converted.source_keys.get(key, key) for key, (_, good) in results.items() if not good]:
        raise LoadError(
            f"The weights {', '.join(bad[:5])} hold NaN, infinite or absurdly large numbers, which would draw broken images; "
            "training diverged or the file is damaged, use another snapshot."
        )
    return tensors


def _check_types(found: Detected) -> None:
    """Raise UnsupportedCheckpoint for weights that are no floating-point numbers in order, saying what they are."""
    odd: dict[str, list[str]] = {}
    for key, t in found.converted.tensors.items():
        if t.form or t.dtype not in FLOATS:
            name = str(t.dtype).removeprefix("torch.")
            kind = t.form or ("complex numbers" if t.dtype.is_complex else f"whole numbers ({name})")
            odd.setdefault(kind, []).append(found.converted.source_keys.get(key, key))
    for kind, keys in odd.items():
        raise UnsupportedCheckpoint(f"The weights {', '.join(key[:80] for key in keys[:5])} are stored as {kind}, which no "
                                    f"StyleGAN is computed in; the file is quantized or of another network: choose one in "
                                    f"float32 or float16.")
