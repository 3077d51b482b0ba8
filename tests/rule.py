"""Weights and inputs drawn by rule: numpy's PCG64 seeded with [crc32(key), seed], one stream a tensor."""

from __future__ import annotations

import zlib
from math import prod

import numpy as np
import torch

from stylegan_core.checkpoints.building import build
from stylegan_core.checkpoints.detect import find_layout
from stylegan_core.checkpoints.layout import SourceState
from stylegan_core.checkpoints.loading import configure
from stylegan_core.checkpoints.tensors import LazyTensor


def rng(key: str, seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([zlib.crc32(key.encode()), seed]))


def fill(entry: dict, seed: int) -> torch.Tensor:
    """One manifest entry -> its tensor."""
    shape, n = entry["shape"], prod(entry["shape"])
    if entry["kind"] == "normal":
        values = entry["mean"] + entry["std"] * rng(entry["key"], seed).standard_normal(n)
    elif entry["kind"] == "normal_halves":
        values = entry["std"] * rng(entry["key"], seed).standard_normal(n)
        values[: n // 2] += entry["mean_first"]
        values[n // 2 :] += entry["mean_second"]
    elif entry["kind"] == "normal_eye":
        values = entry["std"] * rng(entry["key"], seed).standard_normal(n) + entry["eye"] * np.eye(*shape).ravel()
    elif entry["kind"] == "uniform":
        values = entry["lo"] + (entry["hi"] - entry["lo"]) * rng(entry["key"], seed).random(n)
    elif entry["kind"] == "literal":
        values = np.asarray(entry["value"])
    else:
        values = np.full(n, entry["value"])
    return torch.from_numpy(np.asarray(values).astype(entry["dtype"]).reshape(shape))


def normal(key: str, shape: tuple[int, ...], seed: int, mean: float = 0, std: float = 1) -> torch.Tensor:
    """A named input, float32."""
    return torch.from_numpy((mean + std * rng(key, seed).standard_normal(prod(shape))).astype(np.float32).reshape(shape))


def network(tensors: dict[str, torch.Tensor], opts: dict | None = None, file: str = "memory.pt",
            dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    """The network of a published state dict, through the layout table."""
    lazy = {key: LazyTensor(tuple(t.shape), t.dtype, lambda t=t: t) for key, t in tensors.items()}
    state = SourceState(lazy, {f"opts.{key}": value for key, value in (opts or {}).items()}, file=file)
    layout = find_layout(state)
    converted = layout.convert(state)
    weights = {key: t.read().to(dtype) for key, t in converted.tensors.items()}
    return build(layout.family, configure(layout.family, converted), weights).to(dtype)


def fill_all(manifest: dict) -> dict[str, torch.Tensor]:
    return {entry["key"]: fill(entry, manifest["seed"]) for entry in manifest["entries"]}


def keys_of(tensors: dict[str, torch.Tensor]) -> dict[str, str]:
    """Published name of a state dict -> name in our network."""
    lazy = {key: LazyTensor(tuple(t.shape), t.dtype, lambda t=t: t) for key, t in tensors.items()}
    state = SourceState(lazy, {}, file="memory.pt")
    return {theirs: ours for ours, theirs in find_layout(state).convert(state).source_keys.items()}
