"""DualStyleGAN as its authors store it: a rosinality generator under `generator.`, the extrinsic path beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ...errors import LoadError
from ..layout import ConvertedState, Layout, Rename, SourceState, keep, rename_keys
from . import rosinality2

INSIDE = "generator."
STRUCTURE_PLACES = 7
MODRES = (("conv.0.weight", "conv0.weight"), ("conv.1.bias", "conv0.bias"),
          ("norm.style.weight", "conv0.affine.weight"), ("norm.style.bias", "conv0.affine.bias"),
          ("conv2.0.weight", "conv1.weight"), ("conv2.1.bias", "conv1.bias"),
          ("norm2.style.weight", "conv1.affine.weight"), ("norm2.style.bias", "conv1.affine.bias"))


def renames(transform_layers: int, places: int) -> Iterator[Rename]:
    """The key map of the extrinsic path: T_s, seven residual blocks, one color transform a row above."""
    for i in range(transform_layers):
        for leaf in ("weight", "bias"):
            yield f"style.{i + 1}.{leaf}", f"transform.fc{i}.{leaf}", keep
    for k in range(min(places, STRUCTURE_PLACES)):
        for theirs, ours in MODRES:
            yield f"res.{k}.{theirs}", f"structure.{k}.{ours}", keep
    for k in range(STRUCTURE_PLACES, places):
        for leaf in ("weight", "bias"):
            yield f"res.{k}.{leaf}", f"color.{k - STRUCTURE_PLACES}.{leaf}", keep


def dualstylegan_from_published(state: SourceState) -> ConvertedState:
    """The generator through rosinality's map, the extrinsic path through ours. Raises LoadError."""
    inside = {k.removeprefix(INSIDE): t for k, t in state.tensors.items() if k.startswith(INSIDE)}
    outside = {k: t for k, t in state.tensors.items() if not k.startswith(INSIDE)}
    base = rosinality2.stylegan2_from_rosinality(replace(state, tensors=inside))
    places = len(state.indices(r"res\.(\d+)\..*"))
    if places <= STRUCTURE_PLACES:
        raise LoadError(f"The extrinsic path has {places} places and needs more than {STRUCTURE_PLACES}; "
                        f"the file is incomplete.")
    depth = len(state.indices(r"style\.(\d+)\.weight"))
    own, own_keys = rename_keys(replace(state, tensors=outside), renames(depth, places), "a DualStyleGAN",
                                ignore=rosinality2.LATENT_AVG)
    tensors = {f"base.{k}": t for k, t in base.tensors.items()} | own
    source_keys = {f"base.{k}": INSIDE + v for k, v in base.source_keys.items()} | own_keys
    return ConvertedState(tensors, base.facts, source_keys, base.notes)


LAYOUT = Layout(
    name="dualstylegan", family="dualstylegan", title="a DualStyleGAN",
    tells=(r"generator\.input\.input", r"res\.0\.conv\.0\.weight", r"res\.0\.norm\.style\.weight", r"style\.1\.weight"),
    convert=dualstylegan_from_published,
)
