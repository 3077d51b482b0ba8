"""MobileStyleGAN: this package's own names, from the OpenVINO reader or a bare state dict."""

from __future__ import annotations

from ..layout import ConvertedState, Layout, SourceState, check_resolution, keep, rename_keys


def mobilestylegan_as_named(state: SourceState) -> ConvertedState:
    """Nothing to move: the names are canonical already."""
    check_resolution(8 << len([key for key in state.tensors if key.endswith(".up.affine.weight")]))
    tensors, source_keys = rename_keys(state, [(key, key, keep) for key in state.tensors], "a MobileStyleGAN")
    return ConvertedState(tensors, {}, source_keys)


LAYOUT = Layout(
    name="mobilestylegan", family="mobilestylegan", title="a MobileStyleGAN",
    tells=(r"synthesis\.const", r"synthesis\.b4\.conv1\.weight", r"synthesis\.b8\.conv1\.depthwise",
           r"synthesis\.head\.weight"),
    convert=mobilestylegan_as_named,
)
