"""The IR-SE50 identity network as published (model_ir_se50.pth): a bare state dict, with or without counters."""

from __future__ import annotations

import re

from ..layout import ConvertedState, Layout, SourceState, keep, rename_keys

COUNTER = r".*\.num_batches_tracked"


def ir_se50_without_counters(state: SourceState) -> ConvertedState:
    """The names are canonical; counters go."""
    keys = [key for key in state.tensors if not re.fullmatch(COUNTER, key)]
    tensors, source_keys = rename_keys(state, [(key, key, keep) for key in keys], "an IR-SE50", ignore=COUNTER)
    return ConvertedState(tensors, {}, source_keys)


LAYOUT = Layout(
    name="ir-se50", family="identity", title="an IR-SE50 identity network",
    tells=(r"input_layer\.0\.weight", r"body\.0\.res_layer\.5\.fc1\.weight", r"output_layer\.3\.weight"),
    convert=ir_se50_without_counters,
)
