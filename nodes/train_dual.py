"""A DualStyleGAN made at home from drawings of one style, and a sampler of styles like a bank's."""

from __future__ import annotations

from dataclasses import replace

from comfy_api.latest import io
from torch import Tensor

from .. import stylegan_core as sg
from ..stylegan_core.latents.signature import fingerprint
from ..stylegan_core.training import PictureSet
from ..stylegan_core.training.data import some_of
from ..stylegan_core.training.dual import STAGE_3
from ..stylegan_core.training.dual_options import AUTO, PRESETS
from ..stylegan_core.training.dual_recipe import STAGES, OnStage, train_dual
from ..stylegan_core.training.dual_start import start_from
from ..stylegan_core.training.style_sampler import check_sampler, fit_sampler
from . import files
from .images import preview_text, to_image
from .progress import Progress, progress, saving_on_interrupt
from .residency import Resident, on_device
from .schema import MAX_SEED, advanced, schema
from .style import MODEL_TIP, dual_on_device
from .types import Encoder, Latent, StyleGAN, StyleSampler, TrainingData
from .types import Style as StyleWire

GRADIENT_FACTOR = 16
"""Activations of a DualStyleGAN, a discriminator and their judges kept for the backward pass, against a plain rendering's."""
LARGEST = 0x3FFFFFFF
"""Of seeds as training takes them."""
TICKS = 1000
"""Of the bar, one stage."""


class TrainDualStyleGAN(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Train DualStyleGAN", "train", shows=True,
            description="Drawings of one style become a DualStyleGAN, a bank of their styles, the faces behind them and a "
                        "sampler (Yang et al. 2022). Every stage keeps what it has: after a Cancel, running again goes on.",
            search_aliases=["exemplar training", "destylize folder", "style bank", "dualstylegan"],
            inputs=[
                StyleGAN.Input("base", tooltip="The face generator to build on, which stays as it is; or a DualStyleGAN, such "
                                               "as generator-pretrain.pt, which is gone on from."),
                Encoder.Input("encoder", tooltip="An encoder of the base, from Load GAN Encoder."),
                TrainingData.Input("data", tooltip="From Training Data: 10 or more drawings, better 100 to 300, aligned, at "
                                                   "the base's size or from 256 px up."),
                io.Combo.Input("preset", options=list(PRESETS)[::-1], default="draft",
                               tooltip="draft shows the whole way once, small takes a night on a CPU at 256 px, published is "
                                       "the paper's, for a GPU. The report says what the smaller ones give up."),
                io.Combo.Input("kind", options=[AUTO, *STAGE_3], default=AUTO,
                               tooltip="Whose weights the drawings' stage takes; auto: by how far they are from faces."),
                io.String.Input("run", default="my_dual", tooltip="Name of the run, a folder in output/stylegan_training; its "
                                                                  "files and previews lie there too."),
                io.Boolean.Input("resume", default=True, tooltip="Go on with the run of this name; off: refuse one."),
                StyleGAN.Input("styled", optional=True, tooltip="The base fine-tuned on the drawings, where you have it; "
                                                                "else it is made first."),
                advanced(io.Int.Input("seed", default=0, min=0, max=MAX_SEED, control_after_generate=False,
                                      tooltip="Seed of the run.")),
                advanced(io.Boolean.Input("faces", default=True, tooltip="Drawings without a face behind them are left out; "
                                                                         "off for a base that draws other things.")),
                advanced(io.Float.Input("length", default=1.0, min=0.001, max=100.0, step=0.001, round=False,
                                        tooltip="Times the preset's steps in every stage.")),
                advanced(io.Int.Input("drawings", default=0, min=0, max=100000,
                                      tooltip="At most so many of the drawings, for a first try; 0: all.")),
            ],
            outputs=[StyleGAN.Output("model", tooltip="For Transfer Exemplar Style and the other style nodes."),
                     StyleWire.Output("styles", tooltip="The drawings' refined styles, under their names."),
                     Latent.Output("intrinsic", tooltip="The face behind each drawing."),
                     StyleSampler.Output("sampler", tooltip="For Sample Style."),
                     io.Image.Output("preview", tooltip="Four faces under four of the styles, the plain faces first."),
                     io.String.Output("report", tooltip="Drawings used and left out, what the preset gave up.")])

    @classmethod
    def execute(cls, base: Resident, encoder: Resident, data: PictureSet, preset: str, kind: str, run: str, resume: bool,
                styled: Resident | None = None, seed: int = 0, faces: bool = True, length: float = 1.0,
                drawings: int = 0) -> io.NodeOutput:
        folder, bar, seed = files.run_folder(run), progress(), seed & LARGEST
        device = on_device(base, encoder, *([styled] if styled else []), batch=GRADIENT_FACTOR)
        dual = base.core if isinstance(base.core, sg.DualStyleGAN) else None
        options = replace(PRESETS[preset].scaled(length).on(device), kind=kind, seed=seed, faces=faces)
        start = None if dual is None else start_from(dual, data.resolution, seed)
        told = f"The training was interrupted; with resume on, {folder.name} goes on where it stopped."
        with saving_on_interrupt(lambda: told):
            found = train_dual(base.core if dual is None else dual.base, some_of(data, drawings), encoder.core, folder,
                               options, resume, None if styled is None else styled.core, start, on_step=staged(bar))
        preview = to_image(found.preview)
        sampler = None if found.sampler is None else Resident(found.sampler)
        return io.NodeOutput(Resident(found.model), found.styles, found.faces, sampler, preview, found.report,
                             ui=bar.result(preview, cls))


def staged(bar: Progress) -> OnStage:
    """One bar over all stages of the recipe."""
    def on_step(stage: str, i: int, n: int, shown: Tensor | None) -> None:
        bar(TICKS * STAGES.index(stage) + TICKS * i // max(n, 1), TICKS * len(STAGES), shown)

    return on_step


class TrainStyleSampler(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Train Style Sampler", "train", shows=True,
            description="A network that draws new styles like those of a bank, shapes and colors apart. Minutes on a CPU.",
            search_aliases=["sampling network", "random style", "sampler.pt"],
            inputs=[
                StyleGAN.Input("model", tooltip=MODEL_TIP),
                StyleWire.Input("styles", tooltip="The bank it learns from; ten styles and more."),
                io.Int.Input("epochs", default=0, min=0, max=100000, tooltip="0: as published, 500 000 codes seen in all."),
                io.Int.Input("seed", default=0, min=0, max=MAX_SEED, control_after_generate=False,
                             tooltip="Seed of the network."),
            ],
            outputs=[StyleSampler.Output("sampler", tooltip="For Sample Style."),
                     io.String.Output("report", tooltip="How many of the bank's styles it reaches, and how new draws are.")])

    @classmethod
    def execute(cls, model: Resident, styles: sg.Styles, epochs: int, seed: int) -> io.NodeOutput:
        dual, seed = dual_on_device(model), seed & LARGEST
        styles.codes.check(dual.base)
        codes = styles.codes if styles.codes.space in ("z+", "w+") else styles.on(dual).codes
        folder = files.output_folder(files.TRAINING)
        folder.mkdir(parents=True, exist_ok=True)
        state = folder / f"sampler-{fingerprint({'codes': codes.tensor})}.safetensors"
        told = "The sampler was interrupted; run the same again to go on."
        with saving_on_interrupt(lambda: told):
            sampler = fit_sampler(codes.to("cpu"), dual.rows[0], epochs or None, seed, state, progress())
        sampler.info = dual.info.child(sampler.kind)
        state.unlink(missing_ok=True)
        report = str(check_sampler(sampler, codes)) if len(codes) > 1 else "One style has no neighbours to measure draws by."
        return io.NodeOutput(Resident(sampler), report, ui=preview_text(report))


NODES = (TrainDualStyleGAN, TrainStyleSampler)
