"""StyleGAN, the first, as NVIDIA's TensorFlow code pickles it: variables of Gs and of its two components."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ...errors import UnsupportedCheckpoint
from ..layout import (
    ConvertedState,
    Layout,
    Rename,
    SourceState,
    Transform,
    check_resolution,
    drop_first,
    flat,
    keep,
    rename_keys,
    scalar,
    square,
)
from ..tensors import LazyTensor

FUSED_AUTO = 128
"""fused_scale "auto": blocks from this many px up double their size inside a transposed convolution."""
ABLATIONS = {
    "use_styles": True, "const_input_layer": True, "use_noise": True, "use_instance_norm": True,
    "use_pixel_norm": False, "use_wscale": True, "normalize_latents": True,
    "nonlinearity": "lrelu", "mapping_nonlinearity": "lrelu",
    "blur_filter.0": 1, "blur_filter.1": 2, "blur_filter.2": 1,
}
"""What the published networks were trained with; anything else is another network."""


def transpose(tensor: LazyTensor) -> LazyTensor:
    """[in, out] -> [out, in]."""
    return tensor.permute(1, 0)


def to_oihw(tensor: LazyTensor) -> LazyTensor:
    """[h, w, in, out] -> [out, in, h, w]."""
    return tensor.permute(3, 2, 0, 1)


def mirrored(tensor: LazyTensor) -> LazyTensor:
    """to_oihw and turned by half a circle: a fused upsampling kernel is the mirror image of the one after doubling."""
    return to_oihw(tensor).map(lambda t: t.flip(2, 3))


def before_gain(tensor: LazyTensor) -> LazyTensor:
    """The gain sqrt(2) multiplies the bias too in our mapping, not so in the first StyleGAN's."""
    return tensor.map(lambda t: t / math.sqrt(2))


def with_one(tensor: LazyTensor) -> LazyTensor:
    """[2C] scales, then shifts: scales are stored without their 1."""
    return tensor.map(_add_one)


def _add_one(bias: Tensor) -> Tensor:
    return torch.cat([bias[: len(bias) // 2] + 1, bias[len(bias) // 2 :]])


def renames(resolution: int, mapping_layers: int, labels: bool, fused_from: int) -> Iterator[Rename]:
    """The key map of a network of `resolution` px whose blocks from `fused_from` px up are fused."""
    yield "dlatent_avg", "mapping.w_avg", keep
    for i in range(mapping_layers):
        yield f"mapping/Dense{i}/weight", f"mapping.fc{i}.weight", transpose
        yield f"mapping/Dense{i}/bias", f"mapping.fc{i}.bias", before_gain
    if labels:
        yield "mapping/LabelConcat/weight", "mapping.embed.weight", transpose
    levels = int(math.log2(resolution)) - 1
    for i in range(levels):
        r = 4 << i
        scopes = ("Const", "Conv") if i == 0 else ("Conv0_up", "Conv1")
        transforms = (None if i == 0 else mirrored if r >= fused_from else to_oihw, to_oihw)
        for j, (scope, transform) in enumerate(zip(scopes, transforms, strict=True)):
            yield from _epilogue(f"synthesis/{r}x{r}/{scope}", f"synthesis.b{r}.conv{j}", transform)
            yield f"synthesis/noise{2 * i + j}", f"synthesis.b{r}.conv{j}.noise_const", square
        head = f"synthesis/ToRGB_lod{levels - 1 - i}"
        yield f"{head}/weight", f"synthesis.b{r}.torgb.weight", to_oihw
        yield f"{head}/bias", f"synthesis.b{r}.torgb.bias", flat
    yield "synthesis/4x4/Const/const", "synthesis.b4.const", drop_first


def _epilogue(theirs: str, ours: str, transform: Transform | None) -> Iterator[Rename]:
    if transform is not None:
        yield f"{theirs}/weight", f"{ours}.weight", transform
    yield f"{theirs}/Noise/weight", f"{ours}.noise_strength", flat
    yield f"{theirs}/bias", f"{ours}.bias", flat
    yield f"{theirs}/StyleMod/weight", f"{ours}.affine.weight", transpose
    yield f"{theirs}/StyleMod/bias", f"{ours}.affine.bias", with_one


def stylegan1_from_tensorflow(state: SourceState) -> ConvertedState:
    """TensorFlow's names -> this package's."""
    settings = _settings(state)
    resolution = check_resolution(max(state.indices(r"synthesis/(\d+)x\1/.*")))
    layers = len(state.indices(r"mapping/Dense(\d+)/weight"))
    fused = settings.get("fused_scale", "auto")
    fused_from = {True: 0, False: resolution + 1}.get(fused, FUSED_AUTO) if isinstance(fused, bool) else FUSED_AUTO
    key_map = renames(resolution, layers, state.has("mapping/LabelConcat/weight"), fused_from)
    tensors, source_keys = rename_keys(state, key_map, "a TensorFlow StyleGAN", ignore="lod|synthesis/lod",
                                       optional="dlatent_avg")
    # The network's own level of detail is what its components are run with.
    lod = state.tensors.get("lod") or state.tensors.get("synthesis/lod")
    level = float(scalar(lod).read()) if lod else 0.0
    notes = (f"The snapshot was taken while the network grew (level of detail {level:.2f}); its images are as soft.",)
    facts = {"lr_multiplier": settings.get("mapping_lrmul", 0.01), "lod": level}
    return ConvertedState(tensors, facts, source_keys, notes if level else ())


def _settings(state: SourceState) -> dict[str, Any]:
    """Keyword arguments of the network and its components. Raises UnsupportedCheckpoint for an ablated network."""
    named = re.compile(r"(?:(?:synthesis|mapping)/)?static_kwargs[./](.*)")
    found = {m[1].replace("/", "."): value for key, value in state.attributes.items() if (m := named.fullmatch(key))}
    for name, usual in ABLATIONS.items():
        if name in found and found[name] != usual:
            raise UnsupportedCheckpoint(f"The network was trained with {name} = {found[name]!r} where a StyleGAN has "
                                        f"{usual!r}; such variants are not supported, use a standard one.")
    return found


def discriminator_renames(resolution: int) -> Iterator[Rename]:
    """The key map of a discriminator; the kernels are stored before they are summed or averaged, fused or not."""
    layers = {"4x4/Conv": ("b4.conv", to_oihw), "4x4/Dense0": ("b4.fc", transpose), "4x4/Dense1": ("b4.out", transpose)}
    for level, r in enumerate(resolution >> i for i in range(int(math.log2(resolution)) - 1)):
        layers[f"FromRGB_lod{level}"] = (f"b{r}.fromrgb", to_oihw)
        if r > 4:
            layers |= {f"{r}x{r}/Conv0": (f"b{r}.conv0", to_oihw), f"{r}x{r}/Conv1_down": (f"b{r}.conv1", to_oihw)}
    for theirs, (ours, transform) in layers.items():
        yield f"{theirs}/weight", f"{ours}.weight", transform
        yield f"{theirs}/bias", f"{ours}.bias", flat


def discriminator_from_tensorflow(state: SourceState) -> ConvertedState:
    """TensorFlow's names -> this package's."""
    settings = _settings(state)
    resolution = check_resolution(max(state.indices(r"(\d+)x\1/.*")))
    if settings.get("mbstd_num_features", 1) != 1:
        raise UnsupportedCheckpoint("The discriminator tells the deviation of a batch by more than one feature, which is not "
                                    "supported; use a standard one.")
    tensors, source_keys = rename_keys(state, discriminator_renames(resolution), "a TensorFlow StyleGAN discriminator",
                                       ignore="lod")
    lod = state.tensors.get("lod")
    facts = {"lod": float(scalar(lod).read()) if lod else 0.0, "group_size": settings.get("mbstd_group_size", 4),
             "c_dim": settings.get("label_size", 0)}
    return ConvertedState(tensors, facts, source_keys)


DISCRIMINATOR = Layout(
    name="tensorflow-stylegan1-discriminator", family="stylegan1-discriminator", title="a TensorFlow StyleGAN discriminator",
    tells=(r"FromRGB_lod0/weight", r"4x4/Conv/weight", r"4x4/Dense0/weight", r"4x4/Dense1/weight"),
    accepts=lambda state: state.attributes.get("build_func_name") != "D_paper",  # Progressive GAN's, which does not blur
    convert=discriminator_from_tensorflow,
)
LAYOUT = Layout(
    name="tensorflow-stylegan1", family="stylegan1", title="a TensorFlow StyleGAN",
    tells=(r"synthesis/4x4/Const/StyleMod/weight", r"synthesis/4x4/Const/const", r"synthesis/ToRGB_lod0/weight",
           r"mapping/Dense0/weight"),
    convert=stylegan1_from_tensorflow,
)
