"""StyleGAN2 as NVIDIA's PyTorch repositories pickle it; our canonical names are theirs."""

from __future__ import annotations

import re

from ...errors import LoadError
from ..layout import ConvertedState, Layout, Rename, SourceState, check_resolution, keep, rename_keys, same_everywhere, taps_of

FILTER = r"synthesis\..*\.resample_filter"
TENSORS_ONLY = "The file keeps tensors only; if the network clamped its activations, the limit (usually 256) is lost."
SAME_EVERYWHERE = {
    "conv_clamp": r"synthesis\.b\d+\.(?:conv\d|torgb)\.conv_clamp",
    "activation": r"synthesis\.b\d+\.conv\d\.activation",
    "architecture": r"synthesis\.b\d+\.architecture",
    "use_noise": r"synthesis\.b\d+\.conv\d\.use_noise",
    "lr_multiplier": r"mapping\.fc\d+\.bias_gain",
}
"""Config field -> the pickled layers' own attribute; a pickle's keyword arguments leave defaults out, the layers don't."""


def stylegan2_from_nvidia(state: SourceState) -> ConvertedState:
    """Drop the filters after reading their taps; take what shapes can't tell from the layers' attributes."""
    resolution = check_resolution(max(state.indices(r"synthesis\.b(\d+)\..*")))
    renames: list[Rename] = [(key, key, keep) for key in state.tensors if not re.fullmatch(FILTER, key)]
    surplus = [key for key in state.tensors if not key.startswith(("mapping.", "synthesis.b"))]
    if surplus:
        raise LoadError(
            f"The file has {', '.join(surplus[:5])}, which an NVIDIA StyleGAN2 does not have; it comes from a "
            "modified network, which is not supported."
        )
    tensors, source_keys = rename_keys(state, renames, "an NVIDIA StyleGAN2", ignore=FILTER)
    facts = {"img_resolution": resolution, **same_everywhere(state, SAME_EVERYWHERE)}
    filters = {key: t for key, t in state.tensors.items() if re.fullmatch(FILTER, key)}
    facts["resample_kernel"] = taps_of(filters)
    return ConvertedState(tensors, facts, source_keys, () if state.attributes else (TENSORS_ONLY,))


LAYOUT = Layout(
    name="nvidia-stylegan2", family="stylegan2", title="an NVIDIA StyleGAN2",
    tells=(r"synthesis\.b4\.const", r"synthesis\.b4\.conv1\.affine\.weight", r"synthesis\.b\d+\.torgb\.weight",
           r"mapping\.fc0\.weight"),
    never=(r"synthesis\.input\..*", r"synthesis\.b\d+\.conv\d\.depthwise"),
    convert=stylegan2_from_nvidia,
)
