"""A photograph back into latents."""

from __future__ import annotations

import dataclasses

import torch
from comfy_api.latest import io

from .. import stylegan_core as sg
from .images import preview_images, to_core, to_image
from .progress import progress
from .residency import Resident, on_device
from .schema import MAX_SEED, advanced, schema
from .types import InversionOptions, Latent, StyleGAN

GRADIENT_FACTOR = 6
"""Activations kept for the backward pass, against those of a plain rendering; a copy of the weights is in it too."""
STANDARD = sg.PRESETS["standard"]


class InvertByOptimization(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Invert by Optimization", "invert",
            description="Finds the latents whose picture is the given face, by optimizing them. The preview shows "
                        "how far it is; Cancel works at every step.",
            search_aliases=["projector", "gan inversion", "photo to latent", "embed image"],
            inputs=[
                StyleGAN.Input("model", tooltip="The generator to invert into: the base, not the toon."),
                io.Image.Input("image", tooltip="Square, aligned faces, as Align Faces gives them; a batch is "
                                                "inverted at once."),
                io.Combo.Input("space", options=["w+", "w", "z", "z+"], default="w+",
                               tooltip="w+: one code a layer, the closest likeness. w: one code, easier to edit. z, "
                                       "z+: before the mapping."),
                io.Combo.Input("quality", options=["draft", "standard", "high"], default="standard",
                               tooltip="How long it tries. Inversion Options replaces it, when linked."),
                io.Int.Input("seed", default=0, min=0, max=MAX_SEED, control_after_generate=False,
                             tooltip="Seed of the optimization's noise; the same seed gives the same result."),
                Latent.Input("start", optional=True, tooltip="Latents to begin from, one or as many as images; the "
                                                             "average face otherwise."),
                InversionOptions.Input("options", optional=True, tooltip="Every number of the optimization, from "
                                                                         "Inversion Options."),
            ],
            outputs=[Latent.Output("latents", tooltip="Latents of the faces, with their noise where that was "
                                                      "optimized."),
                     io.Image.Output("reconstruction", tooltip="What the model renders from them.")])

    @classmethod
    def execute(cls, model: Resident, image: torch.Tensor, space: str, quality: str, seed: int,
                start: sg.Latents | None = None, options: sg.InversionOptions | None = None) -> io.NodeOutput:
        device = on_device(model, batch=GRADIENT_FACTOR * len(image))
        chosen = dataclasses.replace(options or sg.PRESETS[quality], seed=seed)
        found = sg.invert(model.core, to_core(image).to(device), space, options=chosen, start=start, on_step=progress())
        pictures = to_image(found.images)
        return io.NodeOutput(found.latents, pictures, ui=preview_images(pictures, cls))


class InversionOptionsNode(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        def weight(name: str, top: float, tooltip: str) -> io.Float.Input:
            return io.Float.Input(name, default=getattr(STANDARD, name), min=0.0, max=top, step=0.01, tooltip=tooltip)

        def count(name: str, low: int, top: int, tooltip: str) -> io.Int.Input:
            return io.Int.Input(name, default=getattr(STANDARD, name), min=low, max=top, tooltip=tooltip)

        return schema(
            "Inversion Options", "invert",
            description="Every number of Invert by Optimization. The defaults are its standard quality.",
            inputs=[
                count("steps", 1, 20000, "Optimization steps; 80 is a draft, 1000 is thorough."),
                weight("lpips", 10.0, "Weight of the perceptual distance: likeness of structure and texture."),
                weight("l2", 10.0, "Weight of the squared pixel difference: likeness of color and light."),
                weight("identity", 10.0, "Weight of the distance between face embeddings: keeps the person "
                                         "recognizable."),
                io.Boolean.Input("optimize_noise", default=STANDARD.optimize_noise,
                                 tooltip="Fit the noise maps too: sharper, but those details do not follow into "
                                         "other models."),
                advanced(io.Boolean.Input("natural", default=STANDARD.natural,
                                          tooltip="Move in coordinates that fit the space: fewer steps, better blends.")),
                advanced(weight("lr", 1.0, "Peak learning rate.")),
                advanced(weight("deviation", 10.0, "Keeps the rows of w+ or z+ near each other: less exact, easier "
                                                   "to edit and blend.")),
                advanced(weight("perturbation", 1.0, "Random push of the codes in the first part, which avoids bad "
                                                     "solutions.")),
                advanced(weight("noise_regularization", 1e7, "Keeps optimized noise maps from drawing the picture.")),
                advanced(count("patience", 0, 20000, "Stop an image that has not improved for so many steps; 0: "
                                                     "never.")),
                advanced(count("loss_size", 16, 1024, "The losses compare pictures of at most so many pixels.")),
                advanced(count("chunk", 1, 256, "Images in one pass; halves by itself when memory runs out.")),
            ],
            outputs=[InversionOptions.Output("options", tooltip="For Invert by Optimization.")])

    @classmethod
    def execute(cls, **numbers: float) -> io.NodeOutput:
        return io.NodeOutput(sg.InversionOptions(**numbers))  # type: ignore[arg-type]


NODES = (InvertByOptimization, InversionOptionsNode)
