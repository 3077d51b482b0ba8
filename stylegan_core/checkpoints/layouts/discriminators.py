"""StyleGAN2 discriminators as NVIDIA's PyTorch and TensorFlow codes and rosinality store them, one row each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ...errors import UnsupportedCheckpoint
from ..layout import ConvertedState, Layout, Rename, SourceState, check_resolution, keep, rename_keys, same_everywhere, taps_of
from .nvidia2 import TENSORS_ONLY
from .tensorflow2 import kernel, transpose

NVIDIA_KEY = r"(?:b\d+|mapping)\..*"
NVIDIA_FILTER = r"b\d+\.(?:\w+\.)?resample_filter"
NVIDIA_DOWN_FILTER = r"b\d+\.(?:conv1|skip)\.resample_filter"
"""The other layers' filters are defaults that nothing uses."""
NVIDIA_LAYERS = {"conv_clamp": r"b\d+\.(?:fromrgb|conv\d?)\.conv_clamp", "activation": r"b\d+\.(?:fromrgb|conv\d?)\.activation",
                 "architecture": r"b\d+\.architecture", "lr_multiplier": r"mapping\.fc\d+\.bias_gain",
                 "group_size": r"b4\.mbstd\.group_size"}
TENSORFLOW_ARGUMENTS = {"mbstd_group_size": "group_size", "nonlinearity": "activation", "architecture": "architecture",
                        "conv_clamp": "conv_clamp"}
ROSINALITY_KERNEL = r"convs\.\d+\.(?:conv2|skip)\.0\.kernel"
BLOCK = (("conv1.0.weight", "conv0.weight"), ("conv1.1.bias", "conv0.bias"), ("conv2.1.weight", "conv1.weight"),
         ("conv2.2.bias", "conv1.bias"), ("skip.1.weight", "skip.weight"))


def from_nvidia(state: SourceState) -> ConvertedState:
    """The names are canonical; filters go after their taps are read."""
    check_resolution(max(state.indices(r"b(\d+)\..*")))
    keys = [key for key in state.tensors if re.fullmatch(NVIDIA_KEY, key) and not re.fullmatch(NVIDIA_FILTER, key)]
    renames = [(key, key, keep) for key in keys]
    tensors, source_keys = rename_keys(state, renames, "an NVIDIA discriminator", ignore=NVIDIA_FILTER)
    facts = same_everywhere(state, NVIDIA_LAYERS)
    facts["resample_kernel"] = taps_of({k: t for k, t in state.tensors.items() if re.fullmatch(NVIDIA_DOWN_FILTER, k)})
    return ConvertedState(tensors, facts, source_keys, () if state.attributes else (TENSORS_ONLY,))


def from_rosinality(state: SourceState) -> ConvertedState:
    """convs.0 looks at the image, convs.1 is the block of the highest resolution."""
    blocks = max(state.indices(r"convs\.(\d+)\.conv1\..*"))
    resolution = check_resolution(4 << min(blocks, 32))
    tensors, source_keys = rename_keys(state, rosinality_renames(blocks, resolution), "a rosinality discriminator",
                                       ignore=ROSINALITY_KERNEL)
    kernels = {key: t for key, t in state.tensors.items() if re.fullmatch(ROSINALITY_KERNEL, key)}
    return ConvertedState(tensors, {"resample_kernel": taps_of(kernels)}, source_keys)


def rosinality_renames(blocks: int, resolution: int) -> Iterator[Rename]:
    """(their key, ours, what becomes of the tensor) of a discriminator of so many residual blocks."""
    yield "convs.0.0.weight", f"b{resolution}.fromrgb.weight", keep
    yield "convs.0.1.bias", f"b{resolution}.fromrgb.bias", keep
    for i in range(1, blocks + 1):
        for theirs, ours in BLOCK:
            yield f"convs.{i}.{theirs}", f"b{resolution >> (i - 1)}.{ours}", keep
    yield "final_conv.0.weight", "b4.conv.weight", keep
    yield "final_conv.1.bias", "b4.conv.bias", keep
    for i, ours in enumerate(("fc", "out")):
        for leaf in ("weight", "bias"):
            yield f"final_linear.{i}.{leaf}", f"b4.{ours}.{leaf}", keep


def from_tensorflow(state: SourceState) -> ConvertedState:
    """TensorFlow's names and axes; strided convolutions run the same way in both. Raises UnsupportedCheckpoint."""
    resolution = check_resolution(max(state.indices(r"(\d+)x\1/.*")))
    outputs = state.tensors["Output/weight"].shape[-1:]
    if outputs != (1,):
        raise UnsupportedCheckpoint(f"The TensorFlow discriminator gives {list(outputs)} numbers an image where one without "
                                    "classes gives 1; conditional ones are read from NVIDIA's PyTorch files only.")
    tensors, source_keys = rename_keys(state, _tensorflow_renames(resolution), "a TensorFlow discriminator", ignore="lod",
                      optional=r".*/(?:FromRGB/.*|Skip/weight)")
    arguments = {ours: state.attributes.get(f"static_kwargs.{theirs}") for theirs, ours in TENSORFLOW_ARGUMENTS.items()}
    facts: dict[str, Any] = {name: value for name, value in arguments.items() if value is not None}
    taps = [state.attributes.get(f"static_kwargs.resample_kernel.{i}") for i in range(16)]
    facts |= {"resample_kernel": tuple(t for t in taps if t is not None)} if taps[0] is not None else {}
    return ConvertedState(tensors, facts, source_keys)


def _tensorflow_renames(resolution: int) -> Iterator[Rename]:
    while resolution >= 4:
        scope, ours = f"{resolution}x{resolution}", f"b{resolution}"
        layers = {"FromRGB": "fromrgb", **({"Conv": "conv"} if resolution == 4 else {"Conv0": "conv0", "Conv1_down": "conv1"})}
        for theirs, name in layers.items():
            yield f"{scope}/{theirs}/weight", f"{ours}.{name}.weight", kernel
            yield f"{scope}/{theirs}/bias", f"{ours}.{name}.bias", keep
        yield f"{scope}/Skip/weight", f"{ours}.skip.weight", kernel
        resolution //= 2
    for theirs, name in (("4x4/Dense0", "fc"), ("Output", "out")):
        yield f"{theirs}/weight", f"b4.{name}.weight", transpose
        yield f"{theirs}/bias", f"b4.{name}.bias", keep


NVIDIA = Layout(
    name="nvidia-discriminator", family="discriminator", title="an NVIDIA discriminator",
    tells=(r"b4\.conv\.weight", r"b4\.fc\.weight", r"b4\.out\.weight", r"b\d+\.fromrgb\.weight"),
    convert=from_nvidia,
)
ROSINALITY = Layout(
    name="rosinality-discriminator", family="discriminator", title="a rosinality discriminator",
    tells=(r"convs\.0\.0\.weight", r"convs\.1\.conv1\.0\.weight", r"final_conv\.0\.weight", r"final_linear\.0\.weight"),
    never=(r".*(?:iwt|dwt).*",),
    convert=from_rosinality,
)
TENSORFLOW = Layout(
    name="tensorflow-discriminator", family="discriminator", title="a TensorFlow discriminator",
    tells=(r"\d+x\d+/FromRGB/weight", r"\d+x\d+/Conv1_down/weight", r"4x4/Dense0/weight", r"Output/weight"),
    convert=from_tensorflow,
)
