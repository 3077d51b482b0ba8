"""Make a style of one's own: from pairs, from drawings, from one drawing."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from .. import stylegan_core as sg
from ..stylegan_core.engine import read_log
from ..stylegan_core.latents import random_labels
from ..stylegan_core.training import PairsOptions, PictureSet, TransferOptions, prepare_pictures
from ..stylegan_core.training.ada import SETS
from ..stylegan_core.training.data import data_sheet
from ..stylegan_core.training.encoder import EncoderOptions, train_encoder
from ..stylegan_core.training.one_drawing import OneDrawingOptions
from ..stylegan_core.training.pairs_run import learn_pairs
from ..stylegan_core.training.recipe import ONE, PRESETS, fine_tune
from ..stylegan_core.training.shown import plot_run
from . import files
from .images import CoreFrames, preview_images, to_core, to_image
from .progress import progress, saving_on_interrupt
from .residency import Resident, on_device
from .schema import MAX_SEED, RESOLUTIONS, advanced, schema
from .types import Encoder, Latent, StyleGAN, TrainingData, TrainingOptions

GRADIENT_FACTOR = 12
"""Activations of a generator and a discriminator kept for the backward pass, against those of a plain rendering."""
BATCH = 4
"""Pictures of a step for which room is asked; more go in rounds."""
PAIRS, USUAL, ENCODER, ONE_DRAWING = PairsOptions(), TransferOptions(), EncoderOptions(), OneDrawingOptions()
OF_PRESET = {"kimg": 0, "lr": 0, "freeze_d": -1, "pull_features": -1, "batch_size": 0, "tick_kimg": 0, "patience": -1,
             "r1_gamma": 0}
"""Values that leave a setting to the preset or a rule."""


class SampleTrainingPairs(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Sample Training Pairs", "train", shows=True,
            description="Faces of a model and their latents. Change the pictures with any other nodes, then connect both to "
                        "Fine-tune on Pairs: the model learns to draw what your graph makes of its faces.",
            search_aliases=["distill", "dataset", "training data"],
            inputs=[
                StyleGAN.Input("model", tooltip="The base that is to learn."),
                io.Int.Input("count", default=64, min=4, max=4096, tooltip="Faces. 50 teach a look, 200 make it sure."),
                io.Float.Input("psi", default=0.7, min=0.0, max=2.0, step=0.05,
                               tooltip="Variety of the faces: 0.7 is usual, 1 also brings odd ones."),
                io.Int.Input("seed", default=0, min=0, max=MAX_SEED, control_after_generate=False,
                             tooltip="Seed of the first face; the others follow."),
            ],
            outputs=[io.Image.Output("images", tooltip="The faces, to be changed by other nodes."),
                     Latent.Output("latents", tooltip="Their latents, in the same order.")])

    @classmethod
    def execute(cls, model: Resident, count: int, psi: float, seed: int) -> io.NodeOutput:
        on_device(model, batch=8)
        core = model.core
        codes = sg.Latents(sg.sample_z([(seed + i) & MAX_SEED for i in range(count)], core.z_dim), "z", core)
        ws = sg.Latents(codes.ws(core, psi, c=random_labels(core, count, seed)).cpu(), "w+", core)
        bar = progress()
        images = to_image(sg.render(core, ws, on_step=bar))
        return io.NodeOutput(images, ws, ui=bar.result(images[:4], cls))


class FineTuneOnPairs(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Fine Tune On Pairs", "train", title="Fine-tune on Pairs", shows=True,
            description="A child of a model that draws the given pictures for the given latents. A look is learnt in minutes. "
                        "Cancel keeps what it has learnt; the same run goes on there.",
            search_aliases=["distill", "train", "supervised", "style transfer training"],
            inputs=[
                StyleGAN.Input("model", tooltip="The base the latents belong to. It stays as it is."),
                Latent.Input("latents", tooltip="From Sample Training Pairs."),
                io.Image.Input("targets", tooltip="What the faces became, one a latent in the same order, in any size."),
                io.Int.Input("steps", default=PAIRS.steps, min=1, max=100000,
                             tooltip="More steps come nearer; a few hundred teach a rendering."),
                io.String.Input("layers", default=PAIRS.resolutions,
                                tooltip="Which layers learn: 64- for a rendering, all for shapes too, or pixels such as 8-32."),
                io.Int.Input("seed", default=0, min=0, max=MAX_SEED, control_after_generate=False,
                             tooltip="Seed of the order; the same seed gives the same child."),
                advanced(io.Float.Input("rate", default=PAIRS.lr, min=1e-6, max=0.1, step=1e-5, round=False,
                                        tooltip="Learning rate. Lower it when colors flicker.")),
                advanced(io.Float.Input("lpips", default=PAIRS.lpips, min=0.0, max=10.0, step=0.05,
                                        tooltip="Weight of the perceptual distance: crisper strokes, slower steps.")),
            ],
            outputs=[StyleGAN.Output("child", tooltip="For Generate Image, the blend nodes and Save StyleGAN."),
                     io.Image.Output("comparison", tooltip="Targets above what the child draws, held-out faces last."),
                     io.String.Output("report", tooltip="How near it came on faces it did not learn from.")])

    @classmethod
    def execute(cls, model: Resident, latents: sg.Latents, targets: torch.Tensor, steps: int, layers: str, seed: int,
                rate: float = PAIRS.lr, lpips: float = PAIRS.lpips) -> io.NodeOutput:
        options = PairsOptions(steps=steps, lr=rate, resolutions=layers, lpips=lpips, seed=seed & 0xFFFFFFFF)
        on_device(model, batch=GRADIENT_FACTOR)
        bar = progress()
        with saving_on_interrupt(lambda: "The training on pairs was interrupted; run it again as it is and it goes on."):
            found = learn_pairs(model.core, latents, CoreFrames(targets), options, files.output_folder(files.TRAINING), bar)
        pictures = to_image(found.comparison)
        return io.NodeOutput(Resident(found.model, (model,)), pictures, found.report, ui=bar.result(pictures, cls))


class TrainingDataNode(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Training Data", "train", shows=True,
            description="Checks the pictures a model is to learn from, cuts them square or aligns their faces, and shows what "
                        "is left. Pictures that can't be used are named, not fatal.",
            search_aliases=["dataset", "drawings", "prepare pictures"],
            inputs=[
                io.String.Input("folder", default="", tooltip="Folder, zip or picture in ComfyUI/input; empty: use images."),
                io.Combo.Input("resolution", options=RESOLUTIONS[3:], default="256",
                               tooltip="Side the pictures are brought to and judged at; not more than the model draws. Smaller "
                                       "trains faster."),
                io.Boolean.Input("align", default=False, tooltip="Turn and crop faces as photographs of FFHQ are."),
                io.Image.Input("images", optional=True, tooltip="Pictures in place of a folder."),
                advanced(io.String.Input("licence", default="unknown",
                                         tooltip="Licence of the pictures; goes into the model's licence chain.")),
            ],
            outputs=[TrainingData.Output("data", tooltip="For Fine-tune StyleGAN."),
                     io.Image.Output("sheet", tooltip="What it will learn from."),
                     io.String.Output("report", tooltip="How many pictures, and which were left out or changed.")])

    @classmethod
    def fingerprint_inputs(cls, folder: str, **_: object) -> tuple[str, str]:
        return folder, files.listing_fingerprint(folder)

    @classmethod
    def execute(cls, folder: str, resolution: str, align: bool, images: torch.Tensor | None = None,
                licence: str = "unknown") -> io.NodeOutput:
        source = to_core(images) if images is not None else files.input_source(folder)
        cache = files.output_folder(files.TRAINING) / "data"
        bar = progress()
        data = prepare_pictures(source, int(resolution), cache, align, on_step=bar).with_licence(licence)
        sheet = to_image(data_sheet(data))
        return io.NodeOutput(data, sheet, data.report(), ui=bar.result(sheet, cls))


class TrainingOptionsNode(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Training Options", "train",
            description="Settings of Fine-tune StyleGAN in place of its preset's.",
            search_aliases=["ada", "freeze-d", "learning rate"],
            inputs=[
                io.Float.Input("kimg", default=0.0, min=0.0, max=25000.0, step=0.001, round=False,
                               tooltip="Thousands of pictures to show in all; 0: the preset's."),
                io.String.Input("layers", default=USUAL.layers,
                                tooltip="Which layers learn: all, coarse, middle, fine, or pixels such as 4-32. Coarse or fine "
                                        "alone is what blending wants."),
                io.Combo.Input("augment", options=list(SETS), default=USUAL.augment,
                               tooltip="What the discriminator sees is changed at random (ADA), which keeps it from learning "
                                       "few pictures by heart. bgc: moves, turns and colors."),
                io.Int.Input("freeze_d", default=-1, min=-1, max=40,
                             tooltip="Layers of the discriminator, from the picture on, that stay as they are; 10 helps "
                                     "with few pictures. -1: the preset's."),
                io.Float.Input("pull_features", default=-1.0, min=-1.0, max=100.0, step=0.1,
                               tooltip="How strongly shapes are drawn to the parent's; -1: the preset's."),
                io.Int.Input("seed", default=0, min=0, max=MAX_SEED, control_after_generate=False, tooltip="Seed of the run."),
                advanced(io.Int.Input("batch_size", default=0, min=0, max=256, tooltip="Pictures a step; 0: the preset's.")),
                advanced(io.Float.Input("lr", default=0.0, min=0.0, max=0.1, step=1e-5, round=False,
                                        tooltip="Learning rate; 0: the preset's.")),
                advanced(io.Float.Input("r1_gamma", default=0.0, min=0.0, max=1000.0, step=0.01,
                                        tooltip="Weight of R1; 0: a rule by size and batch.")),
                advanced(io.Int.Input("path_length_every", default=0, min=0, max=64,
                                      tooltip="Steps between path length phases; 0: none, usual for short trainings.")),
                advanced(io.Float.Input("pull_weights", default=0.0, min=0.0, max=100.0, step=0.01,
                                        tooltip="How strongly each weight is drawn to the parent's.")),
                advanced(io.Boolean.Input("train_mapping", default=USUAL.train_mapping,
                                          tooltip="The mapping learns too; latents of the parent then no longer fit.")),
                advanced(io.Boolean.Input("mirror", default=USUAL.mirror, tooltip="Pictures are mirrored at random.")),
                advanced(io.Float.Input("tick_kimg", default=0.0, min=0.0, max=100.0, step=0.001, round=False,
                                        tooltip="Thousands of pictures between scores and samples; 0: the preset's.")),
                advanced(io.Int.Input("patience", default=-1, min=-1, max=1000,
                                      tooltip="Stop after so many scores without a better one; 0: never, -1: the preset's.")),
            ],
            outputs=[TrainingOptions.Output("options", tooltip="For Fine-tune StyleGAN.")])

    @classmethod
    def execute(cls, path_length_every: int = 0, **chosen: float | str | bool) -> io.NodeOutput:
        changes: dict[str, Any] = {name: value for name, value in chosen.items() if value != OF_PRESET.get(name)}
        changes |= {"G_reg_interval": path_length_every or None}
        TransferOptions(**changes)  # refuses what can't be, here
        return io.NodeOutput(changes)


class FineTuneStyleGAN(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Fine Tune StyleGAN", "train", title="Fine-tune StyleGAN", shows=True,
            description="A child of a model that draws like your pictures: 100 to 500 drawings, nothing paired, or one. "
                        "Cancel keeps what it has learnt, and running again goes on.",
            search_aliases=["train", "transfer learning", "ada", "toonify training", "jojogan", "one-shot"],
            inputs=[
                StyleGAN.Input("model", tooltip="The base. It stays as it is."),
                TrainingData.Input("data", tooltip="From Training Data. One drawing: the first picture."),
                io.Combo.Input("preset", options=list(PRESETS), default="quick",
                               tooltip="How long it trains, fitted to the number of pictures and the device. one drawing: the "
                                       "style of a single picture, in minutes. grow: a StyleGAN1 of the model's shape, from "
                                       "nothing."),
                io.String.Input("run", default="my_style", tooltip="Name of the run, a folder in output/stylegan_training."),
                io.Boolean.Input("resume", default=True, tooltip="Go on with the run of this name; off: refuse one."),
                TrainingOptions.Input("options", optional=True, tooltip="From Training Options; not for one drawing."),
                advanced(io.Combo.Input("structure", options=["kept", "taken"], default="kept",
                                        tooltip="One drawing: faces keep their shapes, or take the drawing's.")),
                advanced(io.Int.Input("steps", default=ONE_DRAWING.steps, min=1, max=20000, tooltip="One drawing: steps.")),
            ],
            outputs=[StyleGAN.Output("child", tooltip="The best by score, else the last."),
                     io.Image.Output("samples", tooltip="A sheet of what the child draws."),
                     io.String.Output("report", tooltip="Pictures used and left out, the best score, the licence.")])

    @classmethod
    def execute(cls, model: Resident, data: PictureSet, preset: str, run: str, resume: bool, options: dict | None = None,
                structure: str = "kept", steps: int = ONE_DRAWING.steps) -> io.NodeOutput:
        changes = {"structure": structure, "steps": steps} if preset == ONE else options or {}
        folder = files.run_folder(run)
        on_device(model, batch=GRADIENT_FACTOR * BATCH)
        bar = progress()
        with saving_on_interrupt(lambda: f"The training was interrupted; with resume on, {folder.name} goes on there."):
            found = fine_tune(model.core, data, folder, preset, resume, on_prepare=bar, on_step=bar, **changes)
        samples = to_image(found.grid)
        return io.NodeOutput(Resident(found.model), samples, found.report, ui=bar.result(samples, cls))


class TrainGANEncoder(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Train GAN Encoder", "train", shows=True,
            description="An encoder that turns photographs into latents at once, for any base, from the model's own samples. "
                        "Cancel keeps what it has learnt, and running again goes on.",
            search_aliases=["psp", "e4e", "train encoder", "inversion"],
            inputs=[
                StyleGAN.Input("model", tooltip="The base the encoder is for. It stays as it is."),
                io.Int.Input("steps", default=ENCODER.steps, min=1, max=1000000,
                             tooltip="Steps on codes alone; cheap, some thousands are usual."),
                io.Int.Input("image_steps", default=ENCODER.image_steps, min=0, max=1000000,
                             tooltip="Steps that compare pictures through the generator as well: slow, more likeness."),
                io.String.Input("run", default="my_encoder", tooltip="Name of the run, a folder in output/stylegan_training."),
                io.Boolean.Input("resume", default=True, tooltip="Go on with the run of this name; off: refuse one."),
                advanced(io.Int.Input("batch", default=ENCODER.batch, min=1, max=256, tooltip="Samples a step.")),
                advanced(io.Int.Input("seed", default=0, min=0, max=MAX_SEED, control_after_generate=False,
                                      tooltip="Seed of the samples.")),
            ],
            outputs=[Encoder.Output("encoder", tooltip="For Invert with Encoder; the file lies in the run's folder."),
                     io.Image.Output("comparison", tooltip="Unseen samples above what is drawn from their codes."),
                     io.String.Output("report", tooltip="How near it comes on unseen samples.")])

    @classmethod
    def execute(cls, model: Resident, steps: int, image_steps: int, run: str, resume: bool, batch: int = ENCODER.batch,
                seed: int = 0) -> io.NodeOutput:
        options = EncoderOptions(steps=steps, image_steps=image_steps, batch=batch, seed=seed & 0xFFFFFFFF)
        folder = files.run_folder(run)
        on_device(model, batch=GRADIENT_FACTOR)
        bar = progress()
        with saving_on_interrupt(lambda: f"The training was interrupted; with resume on, {folder.name} goes on there."):
            found = train_encoder(model.core, folder, options, resume, bar)
        pictures = to_image(found.comparison)
        return io.NodeOutput(Resident(found.encoder), pictures, found.report, ui=bar.result(pictures, cls))


class TrainingCurves(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Training Curves", "train", is_output_node=True,
            description="Losses and score of a training run, from its log.", search_aliases=["loss curve", "training log"],
            inputs=[io.String.Input("run", default="my_style", tooltip="Name of the run in output/stylegan_training."),
                    StyleGAN.Input("after", optional=True, tooltip="A model to wait for: connect the child of the training.")],
            outputs=[io.Image.Output("curves", tooltip="One point an entry of the log, on a logarithmic axis.")])

    @classmethod
    def fingerprint_inputs(cls, run: str, **_: object) -> tuple[str, int]:
        log = files.run_folder(run) / "log.jsonl"
        return run, log.stat().st_mtime_ns if log.is_file() else 0

    @classmethod
    def execute(cls, run: str, after: Resident | None = None) -> io.NodeOutput:
        picture = to_image(plot_run(read_log(files.run_folder(run))))
        return io.NodeOutput(picture, ui=preview_images(picture, cls))


NODES = (SampleTrainingPairs, FineTuneOnPairs, TrainingDataNode, TrainingOptionsNode, FineTuneStyleGAN, TrainGANEncoder,
         TrainingCurves)
