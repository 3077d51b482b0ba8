"""StyleGAN, the first, as rosinality/style-based-gan-pytorch stores it: running averages and training files.

Its constants differ from NVIDIA's; all but two (epsilon, bias before the blur) fold into the weights exactly.
Files always hold all nine levels, 4 to 1024 px, trained or not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import torch
from torch import Tensor

from ...errors import LoadError
from ..layout import ConvertedState, Layout, Rename, SourceState, Transform, check_resolution, drop_first, keep, rename_keys
from ..tensors import LazyTensor

BLUR = r"generator\.progression\.\d+\.conv1\.\d+\.weight(?:_flip)?"
LEVEL = r"generator\.progression\.(\d+)\..*"
TRAINING_FILE = re.compile(r"train_step-(\d)\.model")
ZERO_AT_FIRST = ("noise1.weight_orig", "noise2.weight_orig", "conv2.conv.bias")
LR_MULTIPLIER = 0.01


def scaled(factor: float) -> Transform:
    """Multiply: equalized learning rates with another constant."""
    return lambda tensor: tensor.map(lambda t: t * factor)


def fused(tensor: LazyTensor) -> LazyTensor:
    """[in, out, 3, 3] of a transposed convolution that averages four shifts -> [out, in, 3, 3] after doubling."""
    return tensor.permute(1, 0, 2, 3).map(lambda t: t.flip(2, 3) / 4)


def noise_strength(tensor: LazyTensor) -> LazyTensor:
    """[1, C, 1, 1] with equalized learning rate -> [C]."""
    return tensor.reshape(tensor.numel).map(lambda t: t * math.sqrt(2 / max(len(t), 1)))


def renames(state: SourceState, levels: int, mapping_layers: list[int]) -> Iterator[Rename]:
    """The key map of the first `levels` levels; style.{1, 3, ...} are the mapping's linear layers."""
    for i, index in enumerate(mapping_layers):
        yield f"style.{index}.linear.weight_orig", f"mapping.fc{i}.weight", scaled(1 / LR_MULTIPLIER)
        yield f"style.{index}.linear.bias", f"mapping.fc{i}.bias", scaled(1 / (LR_MULTIPLIER * math.sqrt(2)))
    for i in range(levels):
        theirs, ours = f"generator.progression.{i}", f"synthesis.b{4 << i}"
        if i == 0:
            yield f"{theirs}.conv1.input", f"{ours}.const", drop_first
        elif f"{theirs}.conv1.1.conv.weight_orig" in state.tensors:
            yield f"{theirs}.conv1.1.conv.weight_orig", f"{ours}.conv0.weight", keep
            yield f"{theirs}.conv1.1.conv.bias", f"{ours}.conv0.bias", keep
        else:
            yield f"{theirs}.conv1.0.weight", f"{ours}.conv0.weight", fused
            yield f"{theirs}.conv1.0.bias", f"{ours}.conv0.bias", keep
        yield f"{theirs}.conv2.conv.weight_orig", f"{ours}.conv1.weight", keep
        yield f"{theirs}.conv2.conv.bias", f"{ours}.conv1.bias", keep
        for j in (0, 1):
            style = f"{theirs}.adain{j + 1}.style.linear"
            yield f"{theirs}.noise{j + 1}.weight_orig", f"{ours}.conv{j}.noise_strength", noise_strength
            yield f"{style}.weight_orig", f"{ours}.conv{j}.affine.weight", scaled(math.sqrt(2))
            yield f"{style}.bias", f"{ours}.conv{j}.affine.bias", keep
        yield f"generator.to_rgb.{i}.conv.weight_orig", f"{ours}.torgb.weight", scaled(math.sqrt(2))
        yield f"generator.to_rgb.{i}.conv.bias", f"{ours}.torgb.bias", keep


def stylegan1_from_rosinality(state: SourceState) -> ConvertedState:
    """Rosinality's names -> this package's, up to the highest level that was trained."""
    stored = len(state.indices(LEVEL))
    levels, how = trained_levels(state, stored)
    resolution = check_resolution(2 << levels)
    above = "|".join(rf"generator\.(?:progression|to_rgb)\.{i}\..*" for i in range(levels, stored)) or "(?!)"
    key_map = renames(state, levels, state.indices(r"style\.(\d+)\.linear\.weight_orig"))
    tensors, source_keys = rename_keys(state, key_map, "a rosinality StyleGAN", ignore=f"{BLUR}|{above}")
    width = tensors["synthesis.b4.const"].shape[:1]
    tensors["synthesis.b4.conv0.bias"] = LazyTensor(width, torch.float32, lambda: torch.zeros(width))
    for i in range(levels):
        for layer in ("conv0", "conv1"):
            tensors[f"synthesis.b{4 << i}.{layer}.noise_const"] = _noise(4 << i)
    notes = (f"The file holds levels up to {2 << stored} px; {resolution} px are used ({how}).",
             "The file stores no noise maps; fixed ones were drawn, one a resolution.")
    facts = {"norm_eps": 1e-5, "bias_before_blur": True, "lr_multiplier": LR_MULTIPLIER}
    return ConvertedState(tensors, facts, source_keys, notes)


def trained_levels(state: SourceState, stored: int) -> tuple[int, str]:
    """(levels training reached, how that is known): an untrained level's biases and noise weights are still 0.

    Raises LoadError when the user's size is none of the file's.
    """
    if state.resolution:
        level = state.resolution.bit_length() - 2
        if not 1 <= level <= stored or state.resolution != 2 << level:
            raise LoadError(f"The file holds levels of 4 to {2 << stored} px and {state.resolution} px were asked for; use a "
                            "power of two among them.")
        return level, "as asked for"
    step = TRAINING_FILE.fullmatch(state.file)
    if step and int(step[1]) < stored:
        return int(step[1]) + 1, "the file's name tells the training step"
    for level in range(stored, 1, -1):
        keys = [f"generator.progression.{level - 1}.{name}" for name in ZERO_AT_FIRST]
        if any(bool(state.tensors[key].read().any()) for key in keys if key in state.tensors):
            return level, "levels above are untrained" if level < stored else "all seem trained"
    return stored, "all seem trained"


def _noise(side: int) -> LazyTensor:
    def draw() -> Tensor:
        return torch.randn(side, side, generator=torch.Generator().manual_seed(side))

    return LazyTensor((side, side), torch.float32, draw)


LAYOUT = Layout(
    name="rosinality-stylegan1", family="stylegan1", title="a rosinality StyleGAN",
    tells=(r"generator\.progression\.0\.conv1\.input", r"generator\.progression\.0\.adain1\.style\.linear\.weight_orig",
           r"generator\.to_rgb\.0\.conv\.weight_orig", r"style\.1\.linear\.weight_orig"),
    convert=stylegan1_from_rosinality,
)
