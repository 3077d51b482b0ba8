"""How near an inversion came, to look at."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from .. import stylegan_core as sg
from .images import preview_images, to_core, to_image
from .schema import advanced, schema
from .types import History


class ReconstructionReport(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Reconstruction Report", "measure", is_output_node=True,
            description="Photograph, inversion, their difference and the loss curve side by side, with LPIPS, L2 and "
                        "identity as numbers.",
            search_aliases=["compare inversion", "lpips", "loss curve", "difference image"],
            inputs=[
                io.Image.Input("photograph", tooltip="The aligned faces that were inverted."),
                io.Image.Input("reconstruction", tooltip="What came out, as many pictures; any size."),
                History.Input("history", optional=True, tooltip="From Invert by Optimization: adds the loss curves."),
                advanced(io.Int.Input("cell_size", default=256, min=64, max=1024, step=16,
                                      tooltip="Pixels of one picture in the report.")),
            ],
            outputs=[io.Image.Output("report", tooltip="One row an image: photograph, inversion, difference times 4, loss "
                                                       "curves."),
                     io.String.Output("numbers", tooltip="LPIPS, L2 and identity distance of each image, as text.")])

    @classmethod
    def execute(cls, photograph: torch.Tensor, reconstruction: torch.Tensor, history: dict | None = None,
                cell_size: int = 256) -> io.NodeOutput:
        found = sg.report(to_core(photograph), to_core(reconstruction), history, cell_size)
        picture = to_image(found.picture)
        return io.NodeOutput(picture, found.text, ui=preview_images(picture, cls))


NODES = (ReconstructionReport,)
