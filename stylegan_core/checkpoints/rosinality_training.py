"""rosinality's training files: generators, discriminator and both Adam states, read and written."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InvalidInput, LoadError
from .containers import Contents, read_file, with_file
from .layout import drop_first, flat, scalar, square
from .layouts.discriminators import rosinality_renames
from .layouts.dualstylegan import INSIDE
from .layouts.rosinality2 import renames
from .loading import detect
from .pickle_names import Record
from .tensors import LazyTensor
from .unwrap import Which, unwrap
from .writing import write_file

Adam = dict[str, dict[str, Tensor]]
"""Canonical parameter name -> step, exp_avg, exp_avg_sq."""

PARTS = ("style", "input", "conv1", "to_rgb1", "convs", "to_rgbs", "noises")
LEAVES = ("bias", "upsample.kernel", "conv.weight", "conv.blur.kernel", "conv.modulation.weight", "conv.modulation.bias",
          "noise.weight", "activate.bias")
"""Order in which rosinality's modules list their tensors; Adam counts in it."""
BUFFER = re.compile(r".*kernel|noises\..*")
NUMBERED = re.compile(r"(\d+)\.pt")


@dataclass(frozen=True)
class TrainingState:
    """What a training file holds beside its networks."""

    adam: dict[str, Adam | None]
    """"G" and "D"; None where the file has no optimizer."""
    iteration: int
    """Of the file's name; 0 when it tells none."""
    ada_p: float
    args: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_training(path: str | Path) -> TrainingState:
    """The optimizers and settings of a training file. Raises LoadError when an optimizer is not of its network."""
    contents = read_file(path)
    tree = contents.tree if isinstance(contents.tree, dict) else {}
    number = NUMBERED.fullmatch(Path(path).name)
    args = tree.get("args")
    try:
        adam = {"G": _adam(contents, tree.get("g_optim"), "raw"), "D": _adam(contents, tree.get("d_optim"), "discriminator")}
    except LoadError as error:
        raise with_file(error, contents.path) from error
    absent = [name for tag, name in (("G", "generator's"), ("D", "discriminator's")) if adam[tag] is None]
    notes = (f"The file carries no state of the {' and '.join(absent)} optimizer; Adam starts anew.",) if absent else ()
    p = tree.get("ada_aug_p", 0.0)
    return TrainingState(adam, int(number[1]) if number else 0, float(p.read() if isinstance(p, LazyTensor) else p),
                         dict(args.state) if isinstance(args, Record) else {}, notes)


def _adam(contents: Contents, stored: Any, which: Which) -> Adam | None:
    """Index i of the file is the i-th parameter of the network's own order."""
    if not isinstance(stored, dict) or not stored.get("state"):
        return None
    our_keys = {theirs: ours for ours, theirs in detect(contents.path, which).converted.source_keys.items()}
    order = _in_order([key for key in unwrap(contents.tree, which).tensors if not BUFFER.fullmatch(key)])
    shapes = detect(contents.path, which).converted.shapes
    state = stored["state"]
    if sorted(state) != list(range(len(order))):
        raise LoadError(f"The file's optimizer follows {len(state)} tensors and its {which} network has {len(order)} "
                        f"({order[0]} ... {order[-1]}); the file mixes two runs, use one as the trainer wrote it.")
    found: Adam = {}
    for index, key in enumerate(order):
        entry, name = state[index], our_keys[key]
        read = {k: v.read() if isinstance(v, LazyTensor) else torch.tensor(float(v)) for k, v in entry.items()}
        for moment in ("exp_avg", "exp_avg_sq"):
            if moment not in read or read[moment].numel() != torch.Size(shapes[name]).numel():
                raise LoadError(f"The optimizer's {moment} of {key} does not fit the tensor; the file mixes two runs.")
            read[moment] = read[moment].reshape(shapes[name])
        found[name] = {"step": read["step"], "exp_avg": read["exp_avg"], "exp_avg_sq": read["exp_avg_sq"]}
    return found


def _in_order(keys: list[str]) -> list[str]:
    """Those that Adam counts, as it counts them: of a DualStyleGAN the residual path and T_s without the generator inside."""
    if not any(key.startswith(INSIDE) for key in keys):
        return keys
    return [key for part in ("res.", "style.") for key in keys if key.startswith(part)]


def write_training(path: str | Path, networks: Mapping[str, nn.Module], adam: Mapping[str, Adam], settings: Mapping[str, Any],
                   args: Mapping[str, Any], ada_p: float) -> Path:
    """Write {g, d, g_ema, g_optim, d_optim, args, ada_aug_p} whole or not at all; networks "G", "D" and "E".

    settings: "G" and "D" -> lr, betas, eps of its Adam. Raises InvalidInput for networks that rosinality's code has not.
    """
    tables = {tag: list(_discriminator_table(net) if tag == "D" else generator_table(net)) for tag, net in networks.items()}
    tree: dict[str, Any] = {key: _state(networks[tag], tables[tag]) for key, tag in (("g", "G"), ("d", "D"), ("g_ema", "E"))}
    for key, tag in (("g_optim", "G"), ("d_optim", "D")):
        names = [(theirs, ours, transform) for theirs, ours, transform in tables[tag] if ours and not BUFFER.fullmatch(theirs)]
        state = {i: _moments(adam[tag][ours], theirs, transform) for i, (theirs, ours, transform) in enumerate(names)
                 if ours in adam[tag]}
        group = {**settings[tag], "weight_decay": 0, "amsgrad": False, "maximize": False, "foreach": None, "capturable": False,
                 "differentiable": False, "fused": None, "params": list(range(len(names)))}
        tree[key] = {"state": state, "param_groups": [group]}
    tree |= {"args": argparse.Namespace(**args), "ada_aug_p": float(ada_p)}
    return write_file(Path(path), lambda file: torch.save(tree, file), overwrite=True)


Row = tuple[str, str, Any]
"""(rosinality's key, ours or "" for a resampling kernel, transform of the tensor or the kernel's gain)."""


def generator_table(generator: nn.Module) -> Iterator[Row]:
    """The keys of a StyleGAN2 in the order of rosinality's state dict, resampling kernels included."""
    config: Any = generator.config
    if getattr(generator, "kind", "") != "stylegan2" or config.architecture != "skip" or config.mapping.c_dim:
        raise InvalidInput("Only a StyleGAN2 without classes and with image heads at every resolution can be written for "
                           "rosinality's code; save this model as safetensors.")
    blocks = len(config.channels) - 1
    rows: list[Row] = list(renames(blocks, config.mapping.num_layers))
    rows += [(f"convs.{2 * i}.conv.blur.kernel", "", 4.0) for i in range(blocks)]
    rows += [(f"to_rgbs.{i}.upsample.kernel", "", 4.0) for i in range(blocks)]
    yield from sorted(rows, key=lambda row: _place(row[0]))


def _place(key: str) -> tuple[int, int, int]:
    part, _, leaf = key.partition(".")
    if part == "noises":
        return PARTS.index(part), int(leaf.split("_")[1]), 0
    if part in ("input", "style"):  # a layer's weight comes before its bias
        number, name = (leaf.split(".") + [""])[:2]
        return PARTS.index(part), int(number) if number.isdigit() else 0, int(name == "bias")
    number, _, rest = leaf.partition(".")
    counted = number.isdigit()
    return PARTS.index(part), int(number) if counted else 0, LEAVES.index(rest if counted else leaf)


def _discriminator_table(discriminator: nn.Module) -> Iterator[Row]:
    config: Any = discriminator.config
    if getattr(config, "architecture", "") != "resnet" or config.mapping is not None:
        raise InvalidInput("Only a residual StyleGAN2 discriminator without classes can be written for rosinality's code; "
                           "save this one as safetensors.")
    for row in rosinality_renames(len(config.channels) - 1, config.img_resolution):
        kernel = row[0].replace(".1.weight", ".0.kernel") if re.fullmatch(r"convs\.[1-9]\d*\.(conv2|skip)\.1\.weight", row[0]) \
            else ""
        if kernel:
            yield kernel, "", 1.0
        yield row


def _state(network: nn.Module, table: list[Row]) -> dict[str, Tensor]:
    own = network.state_dict()
    kernel: Tensor = network.get_buffer("resample_kernel" if "resample_kernel" in dict(network.named_buffers(recurse=False))
                                        else "synthesis.resample_kernel")
    return {theirs: _back(own[ours], theirs, transform) if ours else (kernel * transform).cpu().clone()
            for theirs, ours, transform in table}


def _moments(entry: Mapping[str, Tensor], theirs: str, transform: Any) -> dict[str, Tensor]:
    moments = {k: _back(entry[k], theirs, transform) for k in ("exp_avg", "exp_avg_sq")}
    return {"step": entry["step"].detach().cpu().float().clone(), **moments}


def _back(tensor: Tensor, theirs: str, transform: Any) -> Tensor:
    """Our tensor in the form rosinality's key has; the inverse of the transform that reading makes."""
    tensor = tensor.detach().cpu().clone()
    if transform is scalar:
        return tensor.reshape(1)
    if transform is square:
        return tensor[None, None]
    if transform is flat:
        return tensor if theirs.endswith("activate.bias") else tensor.view(1, -1, 1, 1)
    return tensor[None] if transform is drop_first else tensor


