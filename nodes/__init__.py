"""The pack's nodes, one file a group. Only these modules know ComfyUI."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import face, image, invert, latent, model

NODES: tuple[type[io.ComfyNode], ...] = (*model.NODES, *latent.NODES, *image.NODES, *face.NODES, *invert.NODES)


class AtelierExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return list(NODES)
