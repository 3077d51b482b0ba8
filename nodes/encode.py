"""A photograph to latents in one pass of a trained encoder."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from .. import stylegan_core as sg
from . import files
from .image import CHUNK
from .images import blocked, preview_text, to_core, to_image
from .loading import load_kind
from .progress import progress, tell
from .residency import Resident, on_device
from .schema import advanced, schema
from .types import Encoder, Latent, StyleGAN

UNLINKED = "Link a model to Invert with Encoder to see what it renders."


class LoadGANEncoder(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        names = files.model_names(("encoder",))
        return schema(
            "Load GAN Encoder", "invert", title="Load GAN Encoder (pSp, e4e)", shows=True,
            description="Loads a pSp, e4e or ReStyle encoder from models/stylegan, or the pack's own. Nothing in the "
                        "file is ever executed.",
            search_aliases=["psp", "e4e", "restyle", "pixel2style2pixel", "encoder4editing"],
            inputs=[io.Combo.Input("file", options=names, default=names[0],
                                   tooltip="The built-in encoder, or a file of ComfyUI/models/stylegan. Press R after "
                                           "adding one.")],
            outputs=[Encoder.Output("encoder", tooltip="The encoder."),
                     io.String.Output("facts", tooltip="What it is and which generator it was trained for, as text.")])

    @classmethod
    def fingerprint_inputs(cls, file: str) -> tuple[str, int, int]:
        return files.fingerprint(files.model_path(file))

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        core = load_kind("encoder", file)
        facts = sg.describe(core)
        return io.NodeOutput(Resident(core), facts, ui=preview_text(facts))


class InvertWithEncoder(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Invert with Encoder", "invert", shows=True,
            description="Turns aligned faces into latents at once. Close, not exact: link the latents to start of Invert "
                        "by Optimization for more likeness.",
            search_aliases=["gan inversion", "photo to latent", "psp", "e4e", "restyle"],
            inputs=[
                Encoder.Input("encoder", tooltip="From Load GAN Encoder."),
                io.Image.Input("image", tooltip="Aligned, square faces of any size, as Align Faces gives them."),
                StyleGAN.Input("model", optional=True,
                               tooltip="The generator the encoder was trained for, or a child of it (fine-tuned, "
                                       "blended, tuned): checks that they fit and renders the reconstruction."),
                advanced(io.Int.Input("passes", default=5, min=1, max=50,
                                      tooltip="ReStyle and the built-in encoder: how often they look at their own result and "
                                              "correct it; the built-in one four times at most, and only with a model.")),
                advanced(io.Int.Input("stage", default=-1, min=-1, max=25,
                                      tooltip="e4e only: the last row of the code that may differ from the first. 0: one "
                                              "code for all layers, easiest to edit; -1: all rows, closest.")),
            ],
            outputs=[Latent.Output("latents", tooltip="Latents of the faces, in the encoder's own space."),
                     io.Image.Output("reconstruction", tooltip="What the model renders from them; needs a model.")])

    @classmethod
    def execute(cls, encoder: Resident, image: torch.Tensor, model: Resident | None = None, passes: int = 5,
                stage: int = -1) -> io.NodeOutput:
        networks = [encoder, model] if model else [encoder]
        on_device(*networks, batch=min(CHUNK, len(image)))
        core, images, steps = model.core if model else None, to_core(image), progress()
        latents = sg.encode(encoder.core, images, core, passes, None if stage < 0 else stage, CHUNK, steps)
        tell(sg.alignment_notes(images))
        if model is None:
            return io.NodeOutput(latents, blocked(UNLINKED))
        pictures = to_image(sg.render(model.core, latents, chunk=CHUNK))
        return io.NodeOutput(latents, pictures, ui=steps.result(pictures, cls))


NODES = (LoadGANEncoder, InvertWithEncoder)
