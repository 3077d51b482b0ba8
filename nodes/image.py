"""Latents to pictures; pictures drawn in clean lines; the bundled portrait."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from .. import stylegan_core as sg
from ..stylegan_core.networks.line_network import LineNetwork
from .images import check_room, preview_images, to_core, to_image, with_alpha_of
from .progress import progress, tell_of_rows
from .residency import Resident, on_device, precision_on
from .schema import advanced, schema
from .types import Latent, StyleGAN

CHUNK = 8
MOTIONS = (
    ("translate_x", 1.0, 0.01, "StyleGAN3 only: move the picture sideways, in picture widths."),
    ("translate_y", 1.0, 0.01, "StyleGAN3 only: move the picture up or down, in picture heights."),
    ("rotate", 180.0, 1.0, "StyleGAN3 only: turn the picture, in degrees."),
)


class GenerateImage(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Generate Image", "image", title="Generate StyleGAN Image",
            description="Renders latents with a StyleGAN, one picture a latent.",
            search_aliases=["render stylegan", "synthesis", "stylegan sampler"],
            inputs=[
                StyleGAN.Input("model", tooltip="The generator: loaded, or a blend."),
                Latent.Input("latents", tooltip="What to render: sampled, mixed, or inverted from a photograph."),
                io.Combo.Input("noise", options=["const", "random", "none"], default="const",
                               tooltip="Fine detail such as single hairs. const: the model's own, or that of an "
                                       "inversion; random: drawn from noise_variant; none: smooth."),
                advanced(io.Int.Input("noise_variant", default=0, min=0, max=0xFFFFFFFF,
                                      tooltip="Number of the random detail; used by noise random only.")),
                advanced(io.Int.Input("at_once", default=CHUNK, min=1, max=256,
                                      tooltip="Pictures rendered together; halves by itself when memory runs out.")),
                *(advanced(io.Float.Input(name, default=0.0, min=-top, max=top, step=step, tooltip=tooltip))
                  for name, top, step, tooltip in MOTIONS),
            ],
            outputs=[io.Image.Output("image", tooltip="The pictures, one a latent.")])

    @classmethod
    def execute(cls, model: Resident, latents: sg.Latents, noise: str, noise_variant: int = 0,
                at_once: int = CHUNK, translate_x: float = 0.0, translate_y: float = 0.0, rotate: float = 0.0) -> io.NodeOutput:
        check_room(len(latents), model.core.img_resolution, model.core.img_resolution)
        on_device(model, batch=min(at_once, len(latents)))
        tell_of_rows(model.core, latents)
        moved = any((translate_x, translate_y, rotate))
        transform = sg.input_transform((translate_x, translate_y), rotate / 360) if moved else None
        images = sg.render(model.core, latents, noise_mode=noise, seed=noise_variant, transform=transform, chunk=at_once,
                           on_step=progress(), precision=precision_on(model))
        return io.NodeOutput(to_image(images))


class Finish(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Finish", "image", title="Finish in Clean Lines",
            description="Draws any picture anew as an animation film would: grain gone, shading smooth, lines closed. For "
                        "toons, styled portraits, or the whole picture.",
            search_aliases=["cartoon filter", "anime upscale", "real-esrgan", "line art", "denoise", "x4"],
            inputs=[
                io.Image.Input("image", tooltip="Toons, transfers, photographs; any size."),
                io.Combo.Input("size", options=["same", "x4"], default="same",
                               tooltip="same: drawn anew at its own size. x4: four times as wide and high, for small "
                                       "pictures."),
            ],
            outputs=[io.Image.Output("finished", tooltip="The pictures, drawn anew.")])

    @classmethod
    def execute(cls, image: torch.Tensor, size: str) -> io.NodeOutput:
        line, work = Resident(LineNetwork.embedded()), sg.finish if size == "x4" else sg.redrawn
        on_device(line)
        drawn = to_image(work(to_core(image), line.core, progress()))
        return io.NodeOutput(drawn if size == "x4" else with_alpha_of(drawn, image))


class LoadExamplePortrait(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Load Example Portrait", "image", shows=True,
            description="A public-domain photograph (NASA, astronaut Eileen Collins), so that the workflows run at "
                        "once. Replace it by Load Image for your own.",
            search_aliases=["astronaut", "test photo", "demo image"],
            inputs=[],
            outputs=[io.Image.Output("photograph", tooltip="The portrait, 512 px.")])

    @classmethod
    def execute(cls) -> io.NodeOutput:
        image = to_image(sg.read_image(sg.example_portrait()))
        return io.NodeOutput(image, ui=preview_images(image, cls))


NODES = (GenerateImage, Finish, LoadExamplePortrait)
