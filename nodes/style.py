"""Styles: loaded, picked, blended, walked through, sampled, recommended."""

from __future__ import annotations

import weakref
from functools import partial

import torch
from comfy_api.latest import io

from .. import stylegan_core as sg
from . import files
from .choices import choices
from .images import blocked, preview_text, to_core, to_image
from .loading import load_kind
from .progress import progress, tell
from .residency import Resident, on_device
from .schema import MAX_SEED, advanced, schema
from .types import Latent, StyleGAN, StyleSampler
from .types import Style as StyleWire

MODEL_TIP = "A DualStyleGAN, from Load DualStyleGAN."
NO_SAMPLER = ("No style sampler is in ComfyUI/models/stylegan; put a sampler.pt there and press R, or "
              "pick styles by number: some published styles come without a sampler.")
UNLINKED = "Link a DualStyleGAN to Pick Style to see the styles."


def dual_on_device(model: Resident, batch: int = 1) -> sg.DualStyleGAN:
    """The DualStyleGAN of a wire, on its device. Raises InvalidInput for another model."""
    if not isinstance(model.core, sg.DualStyleGAN):
        raise sg.InvalidInput(f"A {model.core.kind} was linked where a DualStyleGAN is needed; use Load DualStyleGAN.")
    on_device(model, batch=batch)
    return model.core


def file_input(builtin: str, tooltip: str) -> io.Combo.Input:
    """A combo of model files, a built-in first."""
    names = files.model_names((builtin,))
    return io.Combo.Input("file", options=names, default=names[0], tooltip=tooltip)


class LoadDualStyleGAN(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Load DualStyleGAN", "style", shows=True,
            description="Loads a DualStyleGAN from models/stylegan, or the pack's own: a face generator with a second path "
                        "that gives its faces the style of an exemplar. Nothing in the file is ever executed.",
            search_aliases=["exemplar style transfer", "cartoon", "caricature", "anime portrait", "generator.pt"],
            inputs=[file_input("dualstylegan", "The built-in model, or a file of ComfyUI/models/stylegan such as "
                                               "cartoon/generator.pt. Press R after adding one.")],
            outputs=[StyleGAN.Output("model", tooltip="The DualStyleGAN, for the style nodes."),
                     StyleGAN.Output("base", tooltip="The plain face generator inside it, for Sample StyleGAN Latents, "
                                                     "Generate StyleGAN Image and inversion; its latents fit the "
                                                     "DualStyleGAN."),
                     io.String.Output("facts", tooltip="Size, source and licence, as text.")])

    @classmethod
    def fingerprint_inputs(cls, file: str) -> tuple[str, int, int]:
        return files.fingerprint(files.model_path(file))

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        core = load_kind("dualstylegan", file)
        facts = sg.describe(core)
        base = Resident(core.base)
        return io.NodeOutput(Resident(core, (base,)), base, facts, ui=preview_text(facts))


class LoadStyleCodes(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Load Style Codes", "style", shows=True,
            description="Loads a bank of style codes: the pack's own, or published files such as exstyle_code.npy, "
                        "refined_exstyle_code.npy and instyle_code.npy, which are read without executing anything.",
            search_aliases=["exstyle_code", "instyle_code", "style bank", "exemplars"],
            inputs=[file_input("styles", "The built-in styles, or a file of ComfyUI/models/stylegan such as "
                                         "cartoon/refined_exstyle_code.npy. Press R after adding one.")],
            outputs=[StyleWire.Output("styles", tooltip="All styles of the file, with their names."),
                     Latent.Output("latents", tooltip="The same codes as latents: what is needed of instyle_code.npy, which "
                                                      "holds the faces behind the style pictures."),
                     io.String.Output("names", tooltip="Number and name of each style, one a line.")])

    @classmethod
    def fingerprint_inputs(cls, file: str) -> tuple[str, int, int]:
        return files.fingerprint(files.model_path(file))

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        styles = sg.Styles.of(load_kind("style_bank", file))
        names = "\n".join(f"{i}  {name}" for i, name in enumerate(styles.names))
        return io.NodeOutput(styles, styles.codes, names, ui=preview_text(names))


class SaveStyleCodes(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Save Style Codes", "style", is_output_node=True,
            description="Writes styles, loaded, sampled, blended or refined, as one safetensors file in output/stylegan. Load "
                        "Style Codes lists it.",
            search_aliases=["export style", "convert exstyle_code"],
            inputs=[
                StyleWire.Input("styles", tooltip="The styles to save, with their names."),
                io.String.Input("name", default="my_styles", tooltip="File name in output/stylegan; sub/name makes a folder. A "
                                                                     "number is appended, nothing is overwritten."),
            ],
            outputs=[io.String.Output("path", tooltip="Path of the file that was written.")])

    @classmethod
    def execute(cls, styles: sg.Styles, name: str) -> io.NodeOutput:
        path = sg.save(styles.bank(), files.new_output(files.MODELS, name))
        return io.NodeOutput(str(path), ui=preview_text(f"saved {path.name}"))


class PickStyle(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Pick Style", "style", shows=True,
            description="Takes one or more styles by number or name. With a model linked, it draws all the styles, to be "
                        "chosen by their pictures.",
            search_aliases=["select style", "style id", "exemplar", "style thumbnails"],
            inputs=[
                StyleWire.Input("styles", tooltip="The styles to choose from."),
                io.String.Input("which", default="0", tooltip="Number from 0, or name; several as 0, 5-8 or a.jpg, b.jpg."),
                StyleGAN.Input("model", optional=True, tooltip=f"{MODEL_TIP} It draws the sheet."),
                Latent.Input("faces", optional=True, tooltip="Faces to draw the sheet on: one, or one a style (the latents of "
                                                             "instyle_code.npy). The average face otherwise."),
                advanced(io.Combo.Input("sheet_of", options=["all", "picked"], default="all",
                                        tooltip="Draw all the styles, or only those that were picked, which is faster.")),
                advanced(io.Int.Input("cell_size", default=160, min=32, max=1024, step=16,
                                      tooltip="Pixels of one picture in the sheet.")),
            ],
            outputs=[StyleWire.Output("style", tooltip="The chosen styles, in the order given."),
                     io.Image.Output("sheet", tooltip="The styles as one picture; needs a model."),
                     io.String.Output("names", tooltip="Names of the chosen styles, one a line.")])

    @classmethod
    def execute(cls, styles: sg.Styles, which: str, model: Resident | None = None, faces: sg.Latents | None = None,
                sheet_of: str = "all", cell_size: int = 160) -> io.NodeOutput:
        numbers = styles.numbers(which)
        picked = styles.pick(numbers)
        names = "\n".join(picked.names)
        if model is None:
            return io.NodeOutput(picked, blocked(UNLINKED), names, ui=preview_text(names))
        numbers = list(range(len(styles))) if sheet_of == "all" else numbers
        shown, captions = styles if sheet_of == "all" else picked, styles.captions(numbers)
        pictures = sg.style_pictures(dual_on_device(model, batch=4), shown, faces, cell_size, on_step=progress())
        sheet = sg.lay_out_styles(pictures, captions, cell_size)
        return io.NodeOutput(picked, to_image(sheet), names,
                             ui=choices(sheet, pictures, "which", [str(n) for n in numbers], captions, True, cls))


class BlendStyles(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        more = [StyleWire.Input(f"styles_{i}", optional=True, tooltip="More styles to blend in.") for i in (2, 3, 4)]
        return schema(
            "Blend Styles", "style",
            description="Mixes several styles into one, or takes the shapes of one and the colors of another.",
            search_aliases=["style fusion", "mix styles", "merge styles"],
            inputs=[
                StyleGAN.Input("model", tooltip=MODEL_TIP),
                StyleWire.Input("styles_1", tooltip="One or more styles; those of the other inputs follow in order."),
                io.String.Input("shares", default="1, 1", tooltip="How much of each style, in their order: 1, 1 is half and "
                                                                  "half, 3, 1 three parts to one."),
                io.String.Input("color_shares", default="", tooltip="Shares for the colors where they differ: shares 1, 0 with "
                                                                    "color_shares 0, 1 takes the shapes of the first style and "
                                                                    "the colors of the second. Empty: as shares."),
                *more,
            ],
            outputs=[StyleWire.Output("style", tooltip="One style, in w+.")])

    @classmethod
    def execute(cls, model: Resident, styles_1: sg.Styles, shares: str, color_shares: str,
                styles_2: sg.Styles | None = None, styles_3: sg.Styles | None = None,
                styles_4: sg.Styles | None = None) -> io.NodeOutput:
        dual = dual_on_device(model)
        given = [styles.on(dual) for styles in (styles_1, styles_2, styles_3, styles_4) if styles is not None]
        colors = sg.parse_numbers(color_shares) if color_shares.strip() else None
        return io.NodeOutput(sg.Styles.combine(given).blend(dual, sg.parse_numbers(shares), colors).to("cpu"))


class InterpolateStyles(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Interpolate Styles", "style",
            description="Walks from style to style in even steps, for a filmstrip or a video. Give Transfer Exemplar Style as "
                        "many faces (Interpolate Latents) or one.",
            search_aliases=["style morph", "style walk", "animation"],
            inputs=[
                StyleGAN.Input("model", tooltip=MODEL_TIP),
                StyleWire.Input("styles", tooltip="The stations of the walk, two or more: Pick Style with 0, 5, 9."),
                io.Int.Input("frames", default=8, min=1, max=10000, tooltip="How many styles the walk has, ends included."),
                io.Boolean.Input("loop", default=False, tooltip="Walk back to the first style, for a video that repeats."),
            ],
            outputs=[StyleWire.Output("walk", tooltip="The steps as one batch of styles.")])

    @classmethod
    def execute(cls, model: Resident, styles: sg.Styles, frames: int, loop: bool) -> io.NodeOutput:
        return io.NodeOutput(styles.walk(dual_on_device(model), frames, loop).to("cpu"))


class LoadStyleSampler(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Load Style Sampler", "style", shows=True,
            description="Loads the small network that draws new styles like those of a bank.",
            search_aliases=["sampler.pt", "random style"],
            inputs=[file_input("style_sampler", "The built-in sampler, or a file of ComfyUI/models/stylegan such as "
                                                "cartoon/sampler.pt. Press R after adding one.")],
            outputs=[StyleSampler.Output("sampler", tooltip="For Sample Style."),
                     io.String.Output("facts", tooltip="What it is, as text.")])

    @classmethod
    def fingerprint_inputs(cls, file: str) -> tuple[str, int, int] | str:
        return file if file == files.NO_FILE else files.fingerprint(files.model_path(file))

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        if file == files.NO_FILE:
            raise sg.InvalidInput(NO_SAMPLER)
        core = load_kind("style_sampler", file)
        facts = sg.describe(core)
        return io.NodeOutput(Resident(core), facts, ui=preview_text(facts))


class SampleStyle(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Sample Style", "style",
            description="Draws new styles. With Sample StyleGAN Latents and Transfer Exemplar Style it makes new portraits, of "
                        "which face, shapes or colors can be held.",
            search_aliases=["random style", "portrait generator"],
            inputs=[
                StyleSampler.Input("sampler", tooltip="From Load Style Sampler."),
                io.Int.Input("seed", default=0, min=0, max=MAX_SEED, control_after_generate=True,
                             tooltip="Seed of the first style; the others take the seeds after it."),
                io.Int.Input("batch_size", default=4, min=1, max=4096, tooltip="How many styles."),
                io.Combo.Input("hold", options=["nothing", "structure", "color"], default="nothing",
                               tooltip="structure: all share the shapes of the first; color: all share its colors."),
            ],
            outputs=[StyleWire.Output("styles", tooltip="The new styles, named after their seeds.")])

    @classmethod
    def execute(cls, sampler: Resident, seed: int, batch_size: int, hold: str) -> io.NodeOutput:
        on_device(sampler)
        codes = sampler.core.sample(batch_size, seed, hold == "structure", hold == "color").to("cpu")
        return io.NodeOutput(sg.Styles(codes, tuple(f"seed {seed + i}" for i in range(batch_size))))


class RecommendStyle(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Recommend Style", "style", shows=True,
            description="Ranks styles for a photograph and suggests weights: among exemplars of similar proportions and pose, "
                        "those that keep both the person and the style.",
            search_aliases=["best style", "style ranking", "suggest weights"],
            inputs=[
                StyleGAN.Input("model", tooltip=MODEL_TIP),
                io.Image.Input("image", tooltip="One aligned photograph, as Align Faces gives it."),
                Latent.Input("latents", tooltip="Its latents, from an inversion or encoder."),
                StyleWire.Input("styles", tooltip="The styles to choose from."),
                io.Int.Input("count", default=5, min=1, max=64, tooltip="How many to recommend."),
                Latent.Input("faces", optional=True, tooltip="The faces behind the styles (the latents of instyle_code.npy), "
                                                             "one each: a better measure of shape and pose."),
            ],
            outputs=[StyleWire.Output("best", tooltip="The best style."),
                     io.String.Output("weights", tooltip="Weights suggested for it, for weights of Transfer Exemplar Style."),
                     StyleWire.Output("ranked", tooltip="All recommended styles, best first."),
                     io.Image.Output("sheet", tooltip="The photograph in each of them."),
                     io.String.Output("report", tooltip="Scores and weights, one style a line.")])

    @classmethod
    def execute(cls, model: Resident, image: torch.Tensor, latents: sg.Latents, styles: sg.Styles, count: int,
                faces: sg.Latents | None = None) -> io.NodeOutput:
        photo, dual, steps = to_core(image), dual_on_device(model, batch=4), progress()
        of = (weakref.ref(styles), None if faces is None else weakref.ref(faces))  # the next photograph finds them drawn
        found = sg.recommend_styles(photo, latents, dual, styles, count, faces, on_step=steps,
                                    remember=partial(model.drawn, of))
        tell(sg.alignment_notes(photo))
        ranked = styles.pick([r.index for r in found])
        sheet = to_image(sg.recommendation_sheet(photo, found))
        report = "\n".join(r.sentence(place + 1) for place, r in enumerate(found))
        return io.NodeOutput(ranked.pick([0]), sg.format_weights(found[0].weights), ranked, sheet, report,
                             ui=steps.result(sheet, cls))


NODES = (LoadDualStyleGAN, LoadStyleCodes, SaveStyleCodes, PickStyle, BlendStyles, InterpolateStyles, LoadStyleSampler,
         SampleStyle, RecommendStyle)
