"""StyleGAN2 as NVIDIA's TensorFlow code pickles it (configs E and F, and the TensorFlow ADA port), without TensorFlow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from ..layout import (
    ConvertedState,
    Layout,
    Rename,
    SourceState,
    check_resolution,
    drop_first,
    keep,
    rename_keys,
    scalar,
    square,
)
from ..tensors import LazyTensor

SCOPE = re.compile(r"synthesis/(\d+)x(\d+)/.+")
SYNTHESIS_ARGUMENTS = {
    "conv_clamp": "conv_clamp", "nonlinearity": "activation", "resample_kernel": "resample_kernel",
    "architecture": "architecture", "mapping_lrmul": "lr_multiplier",
}
"""Keyword argument of the pickled network -> config field."""


def transpose(tensor: LazyTensor) -> LazyTensor:
    """[in, out] -> [out, in]."""
    return tensor.permute(1, 0)


def kernel(tensor: LazyTensor) -> LazyTensor:
    """[h, w, in, out] -> [out, in, h, w]."""
    return tensor.permute(3, 2, 0, 1)


def flipped_kernel(tensor: LazyTensor) -> LazyTensor:
    """kernel, turned by 180 degrees: TensorFlow's transposed convolution runs the other way."""
    return kernel(tensor).map(lambda w: w.flip(2, 3))


def plus_one(tensor: LazyTensor) -> LazyTensor:
    """TensorFlow adds 1 to the style bias when it runs; ours stores it."""

    def add(bias: Tensor) -> Tensor:
        return bias + 1

    return tensor.map(add)


FIRST = (("Conv", "conv1", kernel),)
LATER = (("Conv0_up", "conv0", flipped_kernel), ("Conv1", "conv1", kernel))


def renames(scopes: dict[int, str], mapping_layers: int) -> Iterator[Rename]:
    """The key map; `scopes` names the variable scope of each resolution ("64x64")."""
    for i in range(mapping_layers):
        yield f"mapping/Dense{i}/weight", f"mapping.fc{i}.weight", transpose
        yield f"mapping/Dense{i}/bias", f"mapping.fc{i}.bias", keep
    yield "mapping/LabelConcat/weight", "mapping.embed.weight", transpose
    yield "mapping/LabelEmbed/weight", "mapping.embed.weight", transpose
    yield "mapping/LabelEmbed/bias", "mapping.embed.bias", keep
    yield "dlatent_avg", "mapping.w_avg", keep
    noise = 0
    for resolution, scope in scopes.items():
        ours = f"synthesis.b{resolution}"
        if resolution == 4:
            yield f"synthesis/{scope}/Const/const", f"{ours}.const", drop_first
        for theirs, name, transform in FIRST if resolution == 4 else LATER:
            yield from _styled(f"synthesis/{scope}/{theirs}", f"{ours}.{name}", transform)
            yield f"synthesis/{scope}/{theirs}/noise_strength", f"{ours}.{name}.noise_strength", scalar
            yield f"synthesis/noise{noise}", f"{ours}.{name}.noise_const", square
            noise += 1
        yield from _styled(f"synthesis/{scope}/ToRGB", f"{ours}.torgb", kernel)
        yield f"synthesis/{scope}/Skip/weight", f"{ours}.skip.weight", flipped_kernel


def _styled(theirs: str, ours: str, transform: Any) -> Iterator[Rename]:
    yield f"{theirs}/weight", f"{ours}.weight", transform
    yield f"{theirs}/mod_weight", f"{ours}.affine.weight", transpose
    yield f"{theirs}/mod_bias", f"{ours}.affine.bias", plus_one
    yield f"{theirs}/bias", f"{ours}.bias", keep


OPTIONAL = r"mapping/Label.*|dlatent_avg|.*/ToRGB/.*|.*/Skip/weight|.*/noise_strength|synthesis/noise\d+"


def scopes_of(state: SourceState) -> dict[int, str]:
    """{4: "4x4", 8: "8x8", ...}; forks with another shape name scopes "{h}x{w}", which only grow by two as well."""
    found = {(int(m[1]), int(m[2])) for m in map(SCOPE.fullmatch, state.tensors) if m and len(m[1]) < 6 and len(m[2]) < 6}
    return {4 << i: f"{h}x{w}" for i, (h, w) in enumerate(sorted(found))}


def facts_of(state: SourceState) -> dict[str, Any]:
    """Config fields from the network's keyword arguments, which may be incomplete; components' own ones come last."""
    facts: dict[str, Any] = {}
    for prefix in ("static_kwargs.", "mapping/static_kwargs/", "synthesis/static_kwargs/"):
        for theirs, ours in SYNTHESIS_ARGUMENTS.items():
            value = state.attributes.get(prefix + theirs)
            facts |= {ours: value} if value is not None else {}
        taps = [state.attributes.get(f"{prefix}resample_kernel{prefix[-1]}{i}") for i in range(16)]
        facts |= {"resample_kernel": tuple(t for t in taps if t is not None)} if taps[0] is not None else {}
    return facts


def stylegan2_from_tensorflow(state: SourceState) -> ConvertedState:
    """TensorFlow's names and axes -> this package's."""
    scopes = scopes_of(state)
    check_resolution(max(scopes, default=0))
    layers = len(state.indices(r"mapping/Dense(\d+)/weight"))
    tensors, source_keys = rename_keys(state, renames(scopes, layers), "a TensorFlow StyleGAN2",
                                       ignore=r"(?:synthesis/)?lod", optional=OPTIONAL)
    facts = {"scaled_demodulation": True, "conv_clamp": None, **facts_of(state)}
    return ConvertedState(tensors, facts, source_keys)


LAYOUT = Layout(
    name="tensorflow-stylegan2", family="stylegan2", title="a TensorFlow StyleGAN2",
    tells=(r"synthesis/\d+x\d+/Const/const", r"synthesis/\d+x\d+/Conv/mod_weight", r"synthesis/\d+x\d+/ToRGB/weight",
           r"mapping/Dense0/weight"),
    never=(r"synthesis/.*ToRGB_lod\d+/.*", r"synthesis/.*StyleMod.*"),
    convert=stylegan2_from_tensorflow,
)
