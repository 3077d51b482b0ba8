"""StyleGAN3, T and R, as NVIDIA's PyTorch repository pickles it; our canonical names are theirs, filters included."""

from __future__ import annotations

import re
from collections.abc import Callable

from ...errors import LoadError
from ...networks.generators.stylegan3 import StyleGAN3Config
from ..layout import ConvertedState, Layout, SourceState, check_resolution, keep, rename_keys, same_everywhere
from ..tensors import LazyTensor

WEIGHT = r"synthesis\.L\d+_\d+_\d+\.weight"
NETWORK_FACTS = {"synthesis.num_critical": "num_critical", "synthesis.margin_size": "margin",
                 "synthesis.output_scale": "output_scale", "synthesis.input.bandwidth": "first_cutoff"}
LAYER_FACTS = {"conv_clamp": r"synthesis\.L\d+_\d+_\d+\.conv_clamp", "lr_multiplier": r"mapping\.fc\d+\.bias_gain"}
"""Config field -> the pickled modules' own attributes; a pickle's keyword arguments leave defaults out."""


def is_radial(state: SourceState) -> bool:
    """R has 1x1 convolutions and 2-D filters; T has 3x3 convolutions and separable ones."""
    shapes = {key: t.shape for key, t in state.tensors.items()}
    named = {name: shapes[key] for key in shapes for name in ("weight", "down_filter")
             if re.fullmatch(rf"synthesis\.L0_\d+_\d+\.{name}", key)}
    return len(named["down_filter"]) == 2 if "down_filter" in named else named.get("weight", ())[-1:] == (1,)


def stylegan3_from_nvidia(state: SourceState) -> ConvertedState:
    """Names stay; filters a bare state dict lacks are designed anew."""
    check_resolution(max((int(key.split("_")[1]) for key in state.tensors if re.fullmatch(WEIGHT, key)), default=0))
    surplus = [key for key in state.tensors if not key.startswith(("mapping.", "synthesis."))]
    if surplus:
        raise LoadError(f"The file has {', '.join(surplus[:5])}, which an NVIDIA StyleGAN3 does not have; "
                        f"it comes from a modified network, which is not supported.")
    tensors, source_keys = rename_keys(state, [(key, key, keep) for key in state.tensors], "an NVIDIA StyleGAN3")
    facts = {"radial": is_radial(state), **same_everywhere(state, LAYER_FACTS)}
    facts |= {name: state.attributes[key] for key, name in NETWORK_FACTS.items() if key in state.attributes}
    notes = () if state.attributes else ("The file keeps tensors only; activations are clamped at 256, NVIDIA's default.",)
    config = StyleGAN3Config.from_shapes({key: t.shape for key, t in tensors.items()}, facts)
    for plan in config.plan():
        for name, design in zip(("up_filter", "down_filter"), plan.filters(config.filter_size), strict=True):
            if design is not None:
                lazy = LazyTensor(tuple(design.shape), design.dtype, lambda design=design: design)
                tensors.setdefault(f"synthesis.{plan.name}.{name}", lazy)
    return ConvertedState(tensors, facts, source_keys, notes)


def _row(letter: str, accepts: Callable[[SourceState], bool]) -> Layout:
    return Layout(
        name=f"nvidia-stylegan3-{letter}", family=f"stylegan3-{letter}", title=f"an NVIDIA StyleGAN3-{letter.upper()}",
        tells=(r"synthesis\.input\.freqs", r"synthesis\.input\.affine\.weight", WEIGHT, r"mapping\.fc0\.weight"),
        convert=stylegan3_from_nvidia, accepts=accepts,
    )


T, R = _row("t", lambda state: not is_radial(state)), _row("r", is_radial)
