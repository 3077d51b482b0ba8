"""The style sampler as published (sampler.pt): state dicts of the color and the structure network."""

from __future__ import annotations

from ..layout import ConvertedState, Layout, SourceState, keep, rename_keys

RENAMED = {"lin1": "fc0", "bn1": "bn0", "lin2": "fc1", "bn2": "bn1", "lin_out": "fc2"}
COUNTER = r".*\.num_batches_tracked"


def sampler_from_published(state: SourceState) -> ConvertedState:
    """Layers renamed, batch-norm counters dropped."""
    renames = []
    for part in ("structure", "color"):
        for theirs, ours in RENAMED.items():
            norm = ("weight", "bias", "running_mean", "running_var")
            leaves = norm if theirs.startswith("bn") else ("weight",)
            renames += [(f"{part}.{theirs}.{leaf}", f"{part}.{ours}.{leaf}", keep) for leaf in leaves]
    tensors, source_keys = rename_keys(state, renames, "a style sampler", ignore=COUNTER)
    return ConvertedState(tensors, {}, source_keys)


LAYOUT = Layout(
    name="style-sampler", family="style_sampler", title="a style sampler",
    tells=(r"structure\.lin1\.weight", r"color\.lin1\.weight", r"structure\.lin_out\.weight"),
    convert=sampler_from_published,
)
