"""StyleGAN2 as rosinality/stylegan2-pytorch stores it: training files, converted files, and all that derive from it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch

from ...errors import LoadError
from ..layout import (
    ConvertedState,
    Layout,
    Rename,
    SourceState,
    check_resolution,
    drop_first,
    flat,
    keep,
    rename_keys,
    scalar,
    square,
    taps_of,
)
from ..tensors import LazyTensor

KERNEL = r"(?:.*\.)?(?:blur|upsample|downsample)\.kernel"
LATENT_AVG = r"latent_avg|mean_latent|w_avg"
MAX_ROWS = 64
AVERAGES = ("latent_avg", "mean_latent", "w_avg")


def renames(blocks: int, mapping_layers: int) -> Iterator[Rename]:
    """The key map of a network with `blocks` upsampling blocks (resolution 4 * 2**blocks)."""
    for i in range(mapping_layers):
        yield f"style.{i + 1}.weight", f"mapping.fc{i}.weight", keep
        yield f"style.{i + 1}.bias", f"mapping.fc{i}.bias", keep
    yield "input.input", "synthesis.b4.const", drop_first
    yield from _conv("conv1", "b4.conv1", 0)
    yield from _rgb("to_rgb1", "b4.torgb")
    for k in range(blocks):
        yield from _conv(f"convs.{2 * k}", f"b{8 << k}.conv0", 2 * k + 1)
        yield from _conv(f"convs.{2 * k + 1}", f"b{8 << k}.conv1", 2 * k + 2)
        yield from _rgb(f"to_rgbs.{k}", f"b{8 << k}.torgb")


def _conv(theirs: str, ours: str, noise: int) -> Iterator[Rename]:
    yield f"{theirs}.conv.weight", f"synthesis.{ours}.weight", drop_first
    yield f"{theirs}.conv.modulation.weight", f"synthesis.{ours}.affine.weight", keep
    yield f"{theirs}.conv.modulation.bias", f"synthesis.{ours}.affine.bias", keep
    yield f"{theirs}.noise.weight", f"synthesis.{ours}.noise_strength", scalar
    yield f"{theirs}.activate.bias", f"synthesis.{ours}.bias", flat
    yield f"noises.noise_{noise}", f"synthesis.{ours}.noise_const", square


def _rgb(theirs: str, ours: str) -> Iterator[Rename]:
    yield f"{theirs}.conv.weight", f"synthesis.{ours}.weight", drop_first
    yield f"{theirs}.conv.modulation.weight", f"synthesis.{ours}.affine.weight", keep
    yield f"{theirs}.conv.modulation.bias", f"synthesis.{ours}.affine.bias", keep
    yield f"{theirs}.bias", f"synthesis.{ours}.bias", flat


def stylegan2_from_rosinality(state: SourceState) -> ConvertedState:
    """Rosinality's names -> this package's; blur kernels become resample_kernel, latent_avg becomes w_avg."""
    convs, heads = state.indices(r"convs\.(\d+)\..*"), state.indices(r"to_rgbs\.(\d+)\..*")
    blocks = max([i // 2 + 1 for i in convs] + [i + 1 for i in heads])
    check_resolution(4 << min(blocks, 32))
    layers = len(state.indices(r"style\.(\d+)\.weight"))
    tensors, source_keys = rename_keys(state, renames(blocks, layers), "a rosinality StyleGAN2",
                                       ignore=f"{KERNEL}|{LATENT_AVG}", optional=r"noises\..*")
    average = next((state.tensors[name] for name in AVERAGES if name in state.tensors), None)
    if average is not None:
        tensors["mapping.w_avg"] = _average(average, tensors[f"mapping.fc{layers - 1}.bias"].numel)
    notes = _fill_noise(tensors)
    kernels = {key: t for key, t in state.tensors.items() if re.fullmatch(KERNEL, key)}
    facts = {"scaled_demodulation": True, "conv_clamp": None, "resample_kernel": taps_of(kernels)}
    return ConvertedState(tensors, facts, source_keys, notes)


def _average(found: LazyTensor, w_dim: int) -> LazyTensor:
    """latent_avg as [w], [1, w] or one row a layer -> [w]."""
    if found.shape[-1:] != (w_dim,) or found.numel > MAX_ROWS * w_dim:
        raise LoadError(
            f"latent_avg has shape {list(found.shape)} but the mapping gives {w_dim} values; the file mixes two "
            "models."
        )
    return LazyTensor((w_dim,), found.dtype, lambda: found.read().reshape(-1, w_dim).mean(dim=0))


def _fill_noise(tensors: dict[str, LazyTensor]) -> tuple[str, ...]:
    """Old forks store no noise maps; seeded ones keep "const" noise repeatable."""
    absent = [key for key in tensors if key.endswith("noise_strength") and key.replace("strength", "const") not in tensors]
    height, width = tensors["synthesis.b4.const"].shape[-2:]
    for i, key in enumerate(sorted(absent)):
        scale = int(key.split(".")[1][1:]) // 4
        size = (height * scale, width * scale)
        draw = lambda size=size, i=i: torch.randn(size, generator=torch.Generator().manual_seed(i))  # noqa: E731
        tensors[key.replace("strength", "const")] = LazyTensor(size, torch.float32, draw)
    return (f"The file stores no noise maps for {len(absent)} layers; fixed ones were drawn.",) if absent else ()


LAYOUT = Layout(
    name="rosinality-stylegan2", family="stylegan2", title="a rosinality StyleGAN2",
    tells=(r"input\.input", r"conv1\.conv\.weight", r"to_rgbs\.\d+\.conv\.weight", r"style\.1\.weight"),
    never=(r".*(?:iwt|dwt).*", r"res\..*"),
    convert=stylegan2_from_rosinality,
)
