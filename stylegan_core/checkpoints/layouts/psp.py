"""pSp, e4e and ReStyle encoders as their authors store them: `encoder.*`, `decoder.*`, opts, latent_avg."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from ...errors import LoadError
from ...latents import fingerprint
from ..layout import ConvertedState, Layout, Rename, SourceState, keep, rename_keys
from ..tensors import LazyTensor
from . import rosinality2

COUNTER = r".*\.num_batches_tracked"
HEADS = r"encoder\.styles\..*"
PROGRESSIVE = ("Encoder4Editing", "ProgressiveBackboneEncoder", "ResNetProgressiveBackboneEncoder")
PYRAMID_GROUPS = (3, 7)
"""The 16 px map serves rows 0 to 2, the 32 px map rows 3 to 6, the 64 px map the rest (2008.00951, section 3)."""
Z_PLUS_NAME = re.compile(r"^encoder$|z_?plus|z\+", re.IGNORECASE)
"""The files of w+ and z+ encoders differ in nothing but their names: DualStyleGAN publishes its z+ one as encoder.pt."""


def encoder_from_psp(state: SourceState) -> ConvertedState:
    """Heads stacked, the rest renamed; of the decoder only the fingerprint is kept, unless ReStyle needs it all."""
    tensors = state.tensors
    styles = len(state.indices(r"encoder\.styles\.(\d+)\.linear\.weight"))
    pyramid = "encoder.latlayer1.weight" in tensors
    inner = {k.removeprefix("decoder."): t for k, t in tensors.items() if k.startswith("decoder.")}
    own = {k: t for k, t in tensors.items() if not k.startswith("decoder.")}
    found, source_keys = rename_keys(replace(state, tensors=own), _renames(own), "an encoder",
                                     ignore=f"{HEADS}|{COUNTER}|{rosinality2.LATENT_AVG}")
    for g, rows in enumerate(_groups(styles, pyramid)):
        found |= _stacked(own, g, rows)
    if "latent_avg" in own:
        average = own["latent_avg"]
        found["latent_avg"] = average.reshape(1, *average.shape) if len(average.shape) == 1 else average
    facts = _facts(state, styles, average="latent_avg" in own)
    if inner:
        decoder = rosinality2.stylegan2_from_rosinality(replace(state, tensors=inner))
        mapping = {k.removeprefix("mapping."): t for k, t in decoder.tensors.items() if k.startswith("mapping.")}
        facts["mapping_hash"] = fingerprint({k: t.read() for k, t in mapping.items()})
        if _channels_in(own) == 6:
            found |= {f"decoder.{k}": t for k, t in decoder.tensors.items()}
            facts["decoder"] = decoder.facts
    return ConvertedState(found, facts, source_keys, _notes(facts, state, "latent_avg" in own))


def _renames(tensors: dict[str, LazyTensor]) -> Iterator[Rename]:
    """Trunk and lateral layers, one to one."""
    lateral = {"latlayer1": "lateral.0", "latlayer2": "lateral.1"}
    for key in tensors:
        if key.startswith("encoder.") and not re.fullmatch(f"{HEADS}|{COUNTER}", key):
            first, _, rest = key.removeprefix("encoder.").partition(".")
            yield key, f"{lateral[first]}.{rest}" if first in lateral else f"trunk.{first}.{rest}", keep


def _groups(styles: int, pyramid: bool) -> Iterator[range]:
    edges = [0, *(min(edge, styles) for edge in PYRAMID_GROUPS), styles] if pyramid else [0, styles]
    yield from (range(a, b) for a, b in zip(edges, edges[1:], strict=False) if a < b)


def _stacked(tensors: dict[str, LazyTensor], group: int, rows: range) -> dict[str, LazyTensor]:
    """The heads of `rows` as one: convolutions along their outputs, linear layers along a new axis. Raises LoadError."""
    def part(row: int, leaf: str) -> LazyTensor:
        key = f"encoder.styles.{row}.{leaf}"
        if key not in tensors:
            raise LoadError(f"The file lacks {key}, which an encoder has; it is incomplete, download it again.")
        return tensors[key]

    pattern = re.compile(rf"encoder\.styles\.{rows[0]}\.convs\.(\d+)\.weight")
    depths = sorted(int(match[1]) for match in map(pattern.fullmatch, tensors) if match)
    found = {}
    for leaf in ("weight", "bias"):
        for j, number in enumerate(depths):
            found[f"heads.{group}.convs.{j}.{leaf}"] = _join([part(r, f"convs.{number}.{leaf}") for r in rows], torch.cat)
        found[f"heads.{group}.{leaf}"] = _join([part(r, f"linear.{leaf}") for r in rows], torch.stack)
    return found


def _join(parts: Sequence[LazyTensor], how: Any) -> LazyTensor:
    shape = parts[0].shape
    if any(p.shape != shape for p in parts):
        raise LoadError(f"Style heads of one group differ in shape ({[list(p.shape) for p in parts]}); the file is damaged.")
    joined = (len(parts), *shape) if how is torch.stack else (len(parts) * shape[0], *shape[1:])
    return LazyTensor(joined, parts[0].dtype, lambda: how([p.read() for p in parts]))


def _channels_in(tensors: dict[str, LazyTensor]) -> int:
    stem = tensors.get("encoder.input_layer.0.weight") or tensors["encoder.conv1.weight"]
    return stem.shape[1]


def _facts(state: SourceState, styles: int, average: bool) -> dict[str, Any]:
    """What opts say, defaulted: device and paths in there concern somebody else's machine."""
    opts = {k.removeprefix("opts."): v for k, v in state.attributes.items() if k.startswith("opts.")}
    size = opts.get("output_size", opts.get("stylegan_size"))
    name = state.file.rsplit(".", 1)[0]
    start, space = opts.get("start_from_latent_avg"), "z+" if Z_PLUS_NAME.search(name) else "w+"
    return {
        "progressive": opts.get("encoder_type") in PROGRESSIVE or (not opts and "e4e" in name.lower()),
        "start_from_latent_avg": average or space == "w+" if start is None else bool(start),
        "model_resolution": size if isinstance(size, int) else 2 ** int(math.ceil((styles + 2) / 2)),
        "space": space,
    }


def _notes(facts: dict[str, Any], state: SourceState, average: bool) -> tuple[str, ...]:
    notes = (f"The file does not say whether its codes are z+ or w+; by its name they are read as {facts['space']}.",)
    if facts["start_from_latent_avg"] and not average:
        notes += ("The file carries no latent_avg; the average of the generator it is used with is taken.",)
    opts = any(key.startswith("opts.") for key in state.attributes)
    return notes if opts else (*notes, "The file carries no options; usual ones were taken.")


LAYOUT = Layout(
    name="psp-encoder", family="encoder", title="a pSp, e4e or ReStyle encoder",
    tells=(r"encoder\.(?:input_layer\.0|conv1)\.weight", r"encoder\.body\.0\..*", r"encoder\.styles\.0\.convs\.0\.weight",
           r"encoder\.styles\.0\.linear\.weight"),
    convert=encoder_from_psp,
)
