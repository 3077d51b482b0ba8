"""The model itself, bent towards one person: tuned, kept as a small delta, put on and taken off."""

from __future__ import annotations

import dataclasses

import torch
from comfy_api.latest import io

from .. import stylegan_core as sg
from . import files
from .images import preview_text, to_core, to_image
from .progress import progress, saving_on_interrupt, tell, tell_of_rows
from .residency import Resident, on_device
from .schema import MAX_SEED, advanced, schema
from .types import Delta, Latent, StyleGAN

GRADIENT_FACTOR = 8
"""Activations and weights kept for the backward pass, against those of a plain rendering."""
STANDARD = sg.TUNE_PRESETS["standard"]


class TuneModelToImage(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Tune Model to Image", "invert", title="Tune Model to Image (PTI)", shows=True,
            description="Moves the model's weights a little until it draws the photograph itself: details that no latents "
                        "reach (Roich et al. 2021, pivotal tuning). Connect the result of an inversion.",
            search_aliases=["pti", "pivotal tuning", "fine-tune to face", "personalize", "lora"],
            inputs=[
                StyleGAN.Input("model", tooltip="The generator the photograph was inverted into: the base, not the toon."),
                io.Image.Input("image", tooltip="The square, aligned faces that were inverted. Several pictures of one person "
                                                "make one better delta."),
                Latent.Input("latents", tooltip="Their latents, one an image, from an inversion. They stay as they are."),
                io.Combo.Input("quality", options=list(sg.TUNE_PRESETS), default="draft",
                               tooltip="How long it tries: draft is much like the photograph already."),
                io.Float.Input("protect_others", default=0.0, min=0.0, max=10.0, step=0.05,
                               tooltip="Keeps other faces as they were; 0.1 to 1 helps when much is edited afterwards, and "
                                       "takes twice the time."),
                io.Int.Input("seed", default=0, min=0, max=MAX_SEED, control_after_generate=False,
                             tooltip="Seed of the tuning; the same seed gives the same result."),
                advanced(io.Int.Input("steps", default=0, min=0, max=20000, tooltip="Steps in place of the quality's; 0: the "
                                                                                  "quality's.")),
                advanced(io.Float.Input("identity", default=STANDARD.identity, min=0.0, max=10.0, step=0.01,
                                        tooltip="Weight of the distance between face embeddings; 0 for other things than "
                                                "faces.")),
                advanced(io.Int.Input("rank", default=STANDARD.rank, min=0, max=512,
                                      tooltip="Freedom of each weight. More is closer and larger; 0 trains whole weights and "
                                              "takes them apart afterwards.")),
            ],
            outputs=[StyleGAN.Output("tuned", tooltip="The tuned model; the model that came in stays as it is."),
                     Delta.Output("delta", tooltip="What the tuning added, for Save Model Delta and Apply Model Delta."),
                     io.Image.Output("reconstruction", tooltip="What the tuned model renders from the latents.")])

    @classmethod
    def execute(cls, model: Resident, image: torch.Tensor, latents: sg.Latents, quality: str, protect_others: float, seed: int,
                steps: int = 0, identity: float = STANDARD.identity, rank: int = STANDARD.rank) -> io.NodeOutput:
        preset = sg.TUNE_PRESETS[quality]
        device = on_device(model, batch=GRADIENT_FACTOR * min(len(image), preset.chunk))
        options = dataclasses.replace(preset, steps=steps or preset.steps, locality=protect_others, identity=identity,
                                      rank=rank, seed=seed)
        tell_of_rows(model.core, latents)
        crops = to_core(image)
        tuner = sg.Tuner(model.core, latents, crops.to(device), options)
        steps = progress()
        with saving_on_interrupt(lambda: save_progress(tuner)):
            found = tuner.run(steps)
        tell(sg.alignment_notes(crops))
        pictures = to_image(found.images)
        tuned = Resident(sg.apply_delta(model.core, found.delta), (model,))
        return io.NodeOutput(tuned, found.delta, pictures, ui=steps.result(pictures, cls))


def save_progress(tuner: sg.Tuner) -> str | None:
    """Save the best so far of an interrupted tuning; says where."""
    if not tuner.steps_done:
        return None
    path = tuner.result().delta.save(files.new_output(files.DELTAS, "interrupted"))
    return (f"The tuning stopped after {tuner.steps_done} steps and its best is {path.name} in output/stylegan_deltas; use it "
            f"with Load Model Delta.")


class ApplyModelDelta(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Apply Model Delta", "invert",
            description="Puts a person's delta on a model. The model that comes in stays as it is, so several deltas can be "
                        "tried on one, and a blend takes them too.",
            search_aliases=["load lora", "personalize", "pti"],
            inputs=[
                StyleGAN.Input("model", tooltip="The model the delta was tuned on, or a child of it: a blend with the toon, a "
                                                "fine-tuned copy."),
                Delta.Input("delta", tooltip="From Tune Model to Image or Load Model Delta."),
                io.Float.Input("strength", default=1.0, min=-2.0, max=2.0, step=0.05,
                               tooltip="1: as tuned; 0: the model itself; between: halfway. -1 takes the delta off again."),
            ],
            outputs=[StyleGAN.Output("tuned", tooltip="The model with the delta.")])

    @classmethod
    def execute(cls, model: Resident, delta: sg.Delta, strength: float) -> io.NodeOutput:
        on_device(model)
        return io.NodeOutput(Resident(sg.apply_delta(model.core, delta, strength), (model,)))


class SaveModelDelta(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Save Model Delta", "invert", is_output_node=True,
            description="Writes a delta, with the model it belongs to and its licence, to output/stylegan_deltas. Load Model "
                        "Delta lists it.",
            search_aliases=["export delta"],
            inputs=[
                Delta.Input("delta", tooltip="The delta to save."),
                io.String.Input("name", default="my_face",
                                tooltip="File name in output/stylegan_deltas. A number is appended, nothing is overwritten."),
            ],
            outputs=[io.String.Output("path", tooltip="Path of the file that was written.")])

    @classmethod
    def execute(cls, delta: sg.Delta, name: str) -> io.NodeOutput:
        path = delta.save(files.new_output(files.DELTAS, name))
        licence = delta.origin.chain.get("licence", "unknown")
        return io.NodeOutput(str(path), ui=preview_text(f"saved {path.name}, {delta.nbytes / 1e6:.1f} MB\nlicence: {licence}"))


class LoadModelDelta(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Load Model Delta", "invert",
            description="Reads a delta that Save Model Delta wrote, from output/stylegan_deltas or models/stylegan_deltas.",
            search_aliases=["import delta"],
            inputs=[io.Combo.Input("file", options=files.delta_names(),
                                   tooltip="A file of a delta. Press R after saving one.")],
            outputs=[Delta.Output("delta", tooltip="The delta, for Apply Model Delta.")])

    @classmethod
    def fingerprint_inputs(cls, file: str) -> tuple[str, int, int]:
        return files.fingerprint(files.delta_path(file))

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        return io.NodeOutput(sg.Delta.load(files.delta_path(file)))


NODES = (TuneModelToImage, ApplyModelDelta, SaveModelDelta, LoadModelDelta)
