"""How good a generator is, in numbers that say over which network they were taken."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..stylegan_core.faces.checks import check_side
from ..stylegan_core.metrics import best_separability, compare_sets, path_length, sample_pictures
from ..stylegan_core.metrics.networks import best_features, best_perceptual
from ..stylegan_core.metrics.path_length import Space
from ..stylegan_core.metrics.plot import plot_measures
from . import files
from .images import preview_images, to_core, to_image
from .progress import progress
from .residency import Resident, on_device
from .schema import MAX_SEED, advanced, schema
from .types import StyleGAN

AT_ONCE = 8
WORD = 0xFFFFFFFF
"""At which the core's seeds wrap."""


def seed_input(what: str) -> io.Int.Input:
    """Whose seed, as the tooltip says."""
    return io.Int.Input("seed", default=0, min=0, max=MAX_SEED, control_after_generate=False, tooltip=f"Seed of the {what}.")


def outputs() -> list:
    """Of every measuring node."""
    return [io.Image.Output("plot", tooltip="The numbers as a picture."),
            io.String.Output("numbers", tooltip="Each measure with its network and counts.")]


def measured(measures: list, node: type) -> io.NodeOutput:
    """Measures as a plot, which the node shows, and a line each."""
    picture = to_image(plot_measures(measures))
    return io.NodeOutput(picture, "\n".join(map(str, measures)), ui=preview_images(picture, node))


class FID(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "FID", "measure", is_output_node=True,
            description="How far a model's pictures are from real ones: Frechet and kernel distance, precision, recall. They "
                        "are called FID and KID only where Inception's weights lie in models/stylegan_metrics.",
            search_aliases=["kid", "frechet", "precision recall", "quality"],
            inputs=[
                StyleGAN.Input("model", tooltip="The generator to measure."),
                io.Image.Input("images", tooltip="Real pictures, better hundreds of them; a few say little."),
                io.Int.Input("count", default=200, min=4, max=100000, tooltip="Pictures to draw; compare only equal counts."),
                seed_input("drawn pictures"),
            ],
            outputs=outputs())

    @classmethod
    def execute(cls, model: Resident, images: torch.Tensor, count: int, seed: int) -> io.NodeOutput:
        device = on_device(model, batch=AT_ONCE)
        network = best_features(files.metrics_folder()).to(device)
        fakes = sample_pictures(model.core, count, seed & WORD)
        reals = to_core(images)
        check_side(reals, "A picture")
        return measured(compare_sets(reals.split(16), len(images), fakes, count, network=network, on_step=progress()), cls)


class PerceptualPathLength(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Perceptual Path Length", "measure", is_output_node=True,
            description="How evenly pictures change along a path between two latents (Karras et al. 2019); lower is smoother.",
            search_aliases=["ppl", "smoothness"],
            inputs=[
                StyleGAN.Input("model", tooltip="The generator to measure."),
                io.Int.Input("count", default=200, min=4, max=100000, tooltip="Paths; the papers take 100000."),
                io.Combo.Input("space", options=["w", "z"], default="w", tooltip="Where the paths run."),
                seed_input("paths"),
                advanced(io.Boolean.Input("ends_only", default=False, tooltip="Measure at the paths' beginnings only.")),
                advanced(io.Boolean.Input("whole_picture", default=False,
                                          tooltip="Over the whole picture, as StyleGAN2's paper does; off: the face.")),
            ],
            outputs=outputs())

    @classmethod
    def execute(cls, model: Resident, count: int, space: Space, seed: int, ends_only: bool = False,
                whole_picture: bool = False) -> io.NodeOutput:
        on_device(model, batch=AT_ONCE)
        distance = best_perceptual(files.metrics_folder())
        measure, _ = path_length(model.core, count, space, ends_only, not whole_picture, seed & WORD, distance,
                                 on_step=progress())
        return measured([measure], cls)


class LinearSeparability(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Linear Separability", "measure", is_output_node=True,
            description="How well one straight cut through the latents parts faces by an attribute (Karras et al. 2019); 1 is "
                        "best. With NVIDIA's 40 classifiers in models/stylegan_metrics the published measure, else attributes "
                        "that can be measured in the picture, under their own name.",
            search_aliases=["disentanglement", "ls", "attributes"],
            inputs=[
                StyleGAN.Input("model", tooltip="The generator to measure."),
                io.Int.Input("count", default=2000, min=16, max=400000,
                             tooltip="Samples, more than twice the latents' dimensions; the paper takes 200000."),
                seed_input("samples"),
            ],
            outputs=outputs())

    @classmethod
    def execute(cls, model: Resident, count: int, seed: int) -> io.NodeOutput:
        on_device(model, batch=AT_ONCE)
        return measured(best_separability(model.core, files.metrics_folder(), count, seed & WORD, on_step=progress()), cls)


NODES = (FID, PerceptualPathLength, LinearSeparability)
