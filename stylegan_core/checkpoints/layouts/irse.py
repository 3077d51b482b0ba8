"""The IR-SE50 identity network as published (model_ir_se50.pth): a bare state dict, with or without counters."""

from __future__ import annotations

import re

from ..layout import Bundle, Canonical, Layout, keep, move_keys

COUNTER = r".*\.num_batches_tracked"


def convert(bundle: Bundle) -> Canonical:
    """The names are canonical; counters go."""
    keys = [key for key in bundle.tensors if not re.fullmatch(COUNTER, key)]
    moved = move_keys(bundle, [(key, key, keep) for key in keys], "an IR-SE50", ignore=COUNTER)
    return Canonical(moved["tensors"], {}, moved["origin"])


LAYOUT = Layout(
    name="ir-se50", family="identity", title="an IR-SE50 identity network",
    tells=(r"input_layer\.0\.weight", r"body\.0\.res_layer\.5\.fc1\.weight", r"output_layer\.3\.weight"),
    convert=convert,
)
