"""The pack's nodes, one file a group. Only these modules know ComfyUI."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import (
    direction,
    encode,
    face,
    image,
    invert,
    latent,
    measure,
    migration,
    model,
    report,
    style,
    stylize,
    train,
    train_dual,
    tune,
    video,
)

NODES: tuple[type[io.ComfyNode], ...] = (
    *model.NODES, *latent.NODES, *image.NODES, *face.NODES, *invert.NODES, *encode.NODES, *report.NODES,
    *tune.NODES, *direction.NODES, *video.NODES, *style.NODES, *stylize.NODES, *train.NODES, *train_dual.NODES, *measure.NODES)


class AtelierExtension(ComfyExtension):
    async def on_load(self) -> None:
        await migration.register()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return list(NODES)
