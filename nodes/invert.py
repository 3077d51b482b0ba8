"""A photograph back into latents."""

from __future__ import annotations

import dataclasses

import torch
from comfy_api.latest import io

from .. import stylegan_core as sg
from . import files
from .images import to_core, to_image
from .progress import progress, saving_on_interrupt, tell
from .residency import Resident, on_device
from .schema import MAX_SEED, advanced, schema
from .types import History, InversionOptions, Latent, StyleGAN

GRADIENT_FACTOR = 6
"""Activations kept for the backward pass, against those of a plain rendering; a copy of the weights is in it too."""
STANDARD = sg.PRESETS["standard"]


class InvertByOptimization(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Invert by Optimization", "invert", shows=True,
            description="Finds the latents whose picture is the given face, by optimizing them. The preview shows "
                        "how far it is; what Cancel interrupts is kept in output/stylegan_latents.",
            search_aliases=["projector", "gan inversion", "photo to latent", "embed image"],
            inputs=[
                StyleGAN.Input("model", tooltip="The generator to invert into: the base, not the toon."),
                io.Image.Input("image", tooltip="Square, aligned faces, as Align Faces gives them; a batch is "
                                                "inverted at once."),
                io.Combo.Input("space", options=["w+", "w", "z", "z+"], default="w+",
                               tooltip="w+: one code a layer, the closest likeness. w: one code, easier to edit. z, "
                                       "z+: before the mapping."),
                io.Combo.Input("quality", options=["quick", "draft", "standard", "high"], default="standard",
                               tooltip="How long it tries; quick is a polish for an encoder's latents. Inversion Options "
                                       "replaces it, when linked."),
                io.Int.Input("seed", default=0, min=0, max=MAX_SEED, control_after_generate=False,
                             tooltip="Seed of the optimization's noise; the same seed gives the same result."),
                Latent.Input("start", optional=True, tooltip="Latents to begin from, one or as many as images: an "
                                                             "encoder's, or those of an interrupted run. The average "
                                                             "face otherwise."),
                io.Mask.Input("region", optional=True, tooltip="What of the picture counts: white does, black does "
                                                               "not. Cut out as the image is; everything otherwise."),
                InversionOptions.Input("options", optional=True, tooltip="Every number of the optimization, from "
                                                                         "Inversion Options."),
                advanced(io.Int.Input("class_label", default=-1, min=-1, max=100000,
                                      tooltip="Class of a conditional model, from 0; -1 for models without classes.")),
            ],
            outputs=[Latent.Output("latents", tooltip="Latents of the faces, with their noise where that was "
                                                      "optimized."),
                     io.Image.Output("reconstruction", tooltip="What the model renders from them."),
                     History.Output("history", tooltip="The losses of every step, for Reconstruction Report.")])

    @classmethod
    def execute(cls, model: Resident, image: torch.Tensor, space: str, quality: str, seed: int,
                start: sg.Latents | None = None, region: torch.Tensor | None = None,
                options: sg.InversionOptions | None = None, class_label: int = -1) -> io.NodeOutput:
        label = sg.class_label(model.core, class_label)
        chosen = dataclasses.replace(options or sg.PRESETS[quality], seed=seed)
        device = on_device(model, batch=GRADIENT_FACTOR * min(len(image), chosen.chunk))
        crops = to_core(image)
        inverter = sg.Inverter(model.core, crops.to(device), space, chosen, start, c=label, mask=region,
                               folders=files.model_folders())
        steps = progress()
        with saving_on_interrupt(lambda: save_progress(inverter)):
            found = inverter.run(steps)
        tell((*sg.alignment_notes(crops), *found.notes))
        pictures = to_image(found.images)
        return io.NodeOutput(found.latents.fit(model.core), pictures, found.history, ui=steps.result(pictures, cls))


def save_progress(inverter: sg.Inverter) -> str | None:
    """Save the best so far of an interrupted inversion; says how to go on."""
    if inverter.steps_done == inverter.options.start_step:
        return None
    path = files.new_output(files.LATENTS, "interrupted")
    inverter.latents().save(path)
    return (f"The inversion stopped after {inverter.steps_done} of {inverter.options.steps} steps and its best latents are "
            f"{path.name} in output/stylegan_latents; to go on, link Load StyleGAN Latents to start and set start_step to "
            f"{inverter.steps_done} in Inversion Options.")


def added_later() -> list[io.WidgetInput]:
    """Widgets that the first release had not: optional and last, so that its workflows still run."""
    alex = ("alex travels with the pack. vgg is smoother and slower; it needs vgg16*.pth (torchvision) and vgg.pth (LPIPS "
            "heads) in models/stylegan.")
    embedded = ("embedded travels with the pack. ir_se50 is the one encoders are trained with; it needs model_ir_se50.pth in "
                "models/stylegan.")
    return [
        io.Float.Input("landmarks", default=STANDARD.landmarks, min=0.0, max=100.0, step=0.5, optional=True,
                       tooltip="How much more the eyes, nose tip and mouth corners count than the rest of the picture; 0: "
                               "alike."),
        io.Combo.Input("lpips_network", options=["alex", "vgg"], default=STANDARD.lpips_network, optional=True, tooltip=alex),
        io.Combo.Input("identity_network", options=["embedded", "ir_se50"], default=STANDARD.identity_network, optional=True,
                       tooltip=embedded),
        io.Int.Input("start_step", default=0, min=0, max=20000, optional=True,
                     tooltip="Steps that an interrupted run has done; the schedule goes on there. Link its latents to start."),
        io.Int.Input("full_steps", default=STANDARD.full_steps, min=0, max=20000, optional=True,
                     tooltip="Built-in base only: how many of the steps, the last ones, run at 1024 px and not in its 256 px "
                             "variant; a quarter of them at most. Nearer, and slower."),
    ]


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
                *(advanced(later) for later in added_later()),
            ],
            outputs=[InversionOptions.Output("options", tooltip="For Invert by Optimization.")])

    @classmethod
    def execute(cls, **chosen: float | str) -> io.NodeOutput:
        return io.NodeOutput(sg.InversionOptions(**chosen))  # type: ignore[arg-type]


NODES = (InvertByOptimization, InversionOptionsNode)
