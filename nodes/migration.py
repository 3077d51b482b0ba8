"""Nodes of other StyleGAN packs -> ours, for hosts that can replace what is missing in a graph (docs/migration.md).

Their first output is our first output, so outputs need no mapping; hosts that map them trip over chains of replaced nodes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from comfy_api.latest import io


@dataclass(frozen=True)
class Replacement:
    new: str
    widgets: tuple[str, ...]
    """The old node's widgets, in the order in which a saved graph holds their values."""
    inputs: dict[str, str]
    """Our inputs by the old ones."""
    values: dict[str, Any] = field(default_factory=dict)
    """Our inputs that the old node had not."""


CONTROL = "control_after_generate"
REPLACED = {
    "LoadStyleGAN": Replacement("AtelierLoadStyleGAN", ("stylegan_file",), {"file": "stylegan_file"}),
    "GenerateStyleGANLatent": Replacement(
        "AtelierSampleLatents", ("seed", CONTROL, "class_label", "batch_size"),
        {"model": "model", "seed": "seed", "class_label": "class_label", "batch_size": "batch_size"}, {"truncation_psi": 1.0}),
    "StyleGANSampler": Replacement(
        "AtelierGenerateImage", ("noise_mode", "seed", CONTROL),
        {"model": "model", "latents": "latent", "noise": "noise_mode"}),
    "StyleGANLatentFromBatch": Replacement("AtelierPickLatents", ("index",), {"latents": "latent", "indices": "index"}),
}


async def register() -> None:
    """Tell the host, if it knows replacements."""
    if not hasattr(io, "NodeReplace"):
        return
    from comfy_api.latest import ComfyAPI

    for old, found in REPLACED.items():
        await ComfyAPI().node_replacement.register(io.NodeReplace(
            new_node_id=found.new, old_node_id=old, old_widget_ids=list(found.widgets),
            input_mapping=[*({"new_id": ours, "old_id": theirs} for ours, theirs in found.inputs.items()),
                           *({"new_id": ours, "set_value": value} for ours, value in found.values.items())]))
