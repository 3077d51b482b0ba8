"""MobileStyleGAN: this package's own names, from the OpenVINO reader or a bare state dict."""

from __future__ import annotations

from ..layout import Bundle, Canonical, Layout, check_resolution, keep, move_keys


def convert(bundle: Bundle) -> Canonical:
    """Nothing to move: the names are canonical already."""
    check_resolution(8 << len([key for key in bundle.tensors if key.endswith(".up.affine.weight")]))
    moved = move_keys(bundle, [(key, key, keep) for key in bundle.tensors], "a MobileStyleGAN")
    return Canonical(moved["tensors"], {}, moved["origin"])


LAYOUT = Layout(
    name="mobilestylegan", family="mobilestylegan", title="a MobileStyleGAN",
    tells=(r"synthesis\.const", r"synthesis\.b4\.conv1\.weight", r"synthesis\.b8\.conv1\.depthwise",
           r"synthesis\.head\.weight"),
    convert=convert,
)
