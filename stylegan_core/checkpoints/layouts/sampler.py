"""The style sampler as published (sampler.pt): state dicts of the color and the structure network."""

from __future__ import annotations

from ..layout import Bundle, Canonical, Layout, keep, move_keys

RENAMED = {"lin1": "fc0", "bn1": "bn0", "lin2": "fc1", "bn2": "bn1", "lin_out": "fc2"}
COUNTER = r".*\.num_batches_tracked"


def convert(bundle: Bundle) -> Canonical:
    """Layers renamed, batch-norm counters dropped."""
    moves = []
    for part in ("structure", "color"):
        for theirs, ours in RENAMED.items():
            norm = ("weight", "bias", "running_mean", "running_var")
            leaves = norm if theirs.startswith("bn") else ("weight",)
            moves += [(f"{part}.{theirs}.{leaf}", f"{part}.{ours}.{leaf}", keep) for leaf in leaves]
    moved = move_keys(bundle, moves, "a style sampler", ignore=COUNTER)
    return Canonical(moved["tensors"], {}, moved["origin"])


LAYOUT = Layout(
    name="style-sampler", family="style_sampler", title="a style sampler",
    tells=(r"structure\.lin1\.weight", r"color\.lin1\.weight", r"structure\.lin_out\.weight"),
    convert=convert,
)
