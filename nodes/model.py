"""Load, save and blend generators."""

from __future__ import annotations

import weakref
from functools import partial
from typing import Any

from comfy_api.latest import io

from .. import stylegan_core as sg
from ..stylegan_core.blending import strength_note
from . import files
from .choices import choices
from .images import preview_text, to_image
from .loading import GENERATOR, load_kind
from .progress import progress, tell
from .residency import Resident, on_device
from .schema import RESOLUTIONS, advanced, schema
from .types import Latent, StyleGAN

MODES = ["swap", "smooth", "linear"]
SIDES = ["other", "base"]
CURVES = ("4:1, 16:1, 64:0", "4:0, 64:0, 128:1", "4:0, 128:0, 256:1")
"""Of a second, third and fourth model."""
STRIP_CELL, STRIP_COLUMNS = 160, 3


class LoadStyleGAN(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        names = files.model_names()
        return schema(
            "Load StyleGAN", "model", shows=True,
            description="Loads a StyleGAN from models/stylegan, output/stylegan, or the pack itself. Nothing in the "
                        "file is ever executed.",
            search_aliases=["gan", "stylegan2", "toonify", "checkpoint", "pkl"],
            inputs=[
                io.Combo.Input("file", options=names, default=names[0],
                               tooltip="A built-in model, or a file of ComfyUI/models/stylegan (.safetensors, .pkl, "
                                       ".pt). Press R after adding one."),
                advanced(io.Combo.Input("weights", options=["ema", "raw", "decoder"], default="ema",
                                        tooltip="ema: the averaged weights, which give the best pictures; raw: those "
                                                "of the last training step, where a file has both; decoder: the "
                                                "generator inside an encoder's or DualStyleGAN's file.")),
                advanced(io.Int.Input("resolution", default=0, min=0, max=4096, optional=True,
                                      tooltip="0: as the file tells. Its pixels, for rosinality's first StyleGAN, whose "
                                              "files hold 1024 px whatever they were trained to.")),
            ],
            outputs=[StyleGAN.Output("model", tooltip="The generator."),
                     io.String.Output("facts", tooltip="Family, size, source and licence, as text.")])

    @classmethod
    def fingerprint_inputs(cls, file: str, weights: str = "ema", resolution: int = 0) -> tuple[str, int, int]:
        return files.fingerprint(files.model_path(file))

    @classmethod
    def execute(cls, file: str, weights: str = "ema", resolution: int = 0) -> io.NodeOutput:
        core = load_kind(GENERATOR, file, weights, resolution)
        facts = sg.describe(core)
        return io.NodeOutput(Resident(core), facts, ui=preview_text(facts))


class SaveStyleGAN(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Save StyleGAN", "model", is_output_node=True,
            description="Writes a model, a blend too, as one safetensors file in output/stylegan, with its parents "
                        "and their licences. Load StyleGAN lists it.",
            search_aliases=["convert checkpoint", "export stylegan"],
            inputs=[
                StyleGAN.Input("model", tooltip="The generator to save."),
                io.String.Input("name", default="my_model",
                                tooltip="File name in output/stylegan; sub/name makes a folder. A number is "
                                        "appended, nothing is overwritten."),
                advanced(io.String.Input("notes", default="", multiline=True,
                                         tooltip="Free text kept in the file: what it is, who made it.")),
            ],
            outputs=[io.String.Output("path", tooltip="Path of the file that was written.")])

    @classmethod
    def execute(cls, model: Resident, name: str, notes: str = "") -> io.NodeOutput:
        path = files.new_output(files.MODELS, name)
        sg.save(model.core, path, {"notes": {**model.core.info.notes, "comment": notes}} if notes else None)
        return io.NodeOutput(str(path), ui=preview_text(f"saved {path.name}\nlicence: {model.core.info.licence}"))


class BlendByResolution(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Blend StyleGANs by Resolution", "model", title="Toonify: Blend StyleGANs by Resolution",
            description="Takes the coarse layers from one model and the fine ones from another (Pinkney and Adler "
                        "2020): toon structure with photographic texture, or the reverse.",
            search_aliases=["layer swap", "toonify", "network interpolation", "merge stylegan"], shows=True,
            inputs=[
                StyleGAN.Input("base", tooltip="The model whose mapping is kept; latents of it fit the blend."),
                StyleGAN.Input("other", tooltip="A model fine-tuned from base, or with the same parent."),
                io.Combo.Input("swap_at", options=RESOLUTIONS, default="32",
                               tooltip="Layers up to this many pixels come from the coarse side, finer ones from the "
                                       "other model."),
                io.Combo.Input("coarse", options=SIDES, default="other",
                               tooltip="Which model gives the coarse layers (shape, pose, proportions). The other "
                                       "one gives texture."),
                io.Combo.Input("mode", options=MODES, default="swap",
                               tooltip="swap: a hard switch, no copy. smooth, linear: a soft ramp around swap_at."),
                advanced(io.Float.Input("width", default=1.0, min=0.05, max=8.0, step=0.05,
                                        tooltip="Width of the soft ramp, in doublings of resolution; unused by swap.")),
                advanced(io.Combo.Input("mapping", options=["base", "other"], default="base",
                                        tooltip="Whose mapping network turns z into w.")),
                advanced(io.Combo.Input("convention", options=["paper", "pinkney"], default="paper",
                                        tooltip="paper: swap_at belongs to the coarse side. pinkney: counts as the "
                                                "published script does.")),
                io.Float.Input("strength", default=1.0, min=0.0, max=3.0, step=0.05, optional=True,
                               display_mode=io.NumberDisplay.slider,
                               tooltip="0: base. 1: the blend. Beyond 1: exaggerated, base + strength * (other - base)."),
                advanced(io.Float.Input("strength_above_32", default=-1.0, min=-1.0, max=1.0, step=0.05,
                                        tooltip="Strength of the layers above 32 px, which draw what the coarser ones shape; "
                                                "-1: as strength. Held at 1, since they break beyond.")),
                Latent.Input("latents", optional=True, tooltip="Faces: the first is drawn at every swap point, at strength 1, "
                                                               "and swap_at is chosen by its picture."),
            ],
            outputs=[StyleGAN.Output("blended", tooltip="The blend. It shares its parents' weights where it can.")])

    @classmethod
    def execute(cls, base: Resident, other: Resident, swap_at: str, coarse: str, mode: str, width: float = 1.0,
                mapping: str = "base", convention: str = "paper", strength: float = 1.0, strength_above_32: float = -1.0,
                latents: sg.Latents | None = None) -> io.NodeOutput:
        on_device(base, other)
        how = strength if strength_above_32 < 0 else (strength, strength_above_32)
        core = sg.blend(base.core, other.core, int(swap_at), mode, width, coarse, mapping, convention, strength=how)
        tell(filter(None, [core.info.notes.get("warning"), strength_note(how)]))
        shown = None if latents is None else swap_choices(base, other, latents, (coarse, mode, width, mapping, convention), cls)
        return io.NodeOutput(Resident(core, (base, other)), ui=shown)


def swap_choices(base: Resident, other: Resident, latents: sg.Latents, how: tuple, node: type) -> Any:
    """The first face at every swap point, to choose one by its picture; drawn once for all of them."""
    finest = min(base.core.img_resolution, other.core.img_resolution)
    points = [point for point in RESOLUTIONS if int(point) <= finest]
    of = (weakref.ref(other), weakref.ref(latents), how)
    pictures = base.drawn(of, lambda: sg.swap_strip(base.core, other.core, latents, [int(p) for p in points], *how,
                                                    cell=STRIP_CELL, on_step=progress()))
    labels = [f"{point} px" for point in points]
    sheet = sg.contact_sheet(pictures, STRIP_COLUMNS, captions=labels)
    return choices(sheet, pictures, "swap_at", points, labels, False, node)


class BlendByCurve(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        curve = "Weight of this model by pixels, such as 4:1, 16:1, 64:0. Between the given pixels it is interpolated."
        return schema(
            "Blend StyleGANs by Curve", "model",
            description="Blends two to four models with a free weight for each resolution. What the weights leave of "
                        "1 comes from base.",
            search_aliases=["layer swap", "network interpolation", "merge stylegan"],
            inputs=[
                StyleGAN.Input("base", tooltip="The model whose mapping is kept; it fills what the others leave."),
                StyleGAN.Input("other", tooltip="A model related to base."),
                io.String.Input("curve", default=CURVES[0], tooltip=curve),
                StyleGAN.Input("other_2", optional=True, tooltip="A third model, related to base."),
                io.String.Input("curve_2", default=CURVES[1], optional=True, tooltip=curve),
                StyleGAN.Input("other_3", optional=True, tooltip="A fourth model, related to base."),
                io.String.Input("curve_3", default=CURVES[2], optional=True, tooltip=curve),
            ],
            outputs=[StyleGAN.Output("blended", tooltip="The blend.")])

    @classmethod
    def execute(cls, base: Resident, other: Resident, curve: str, other_2: Resident | None = None, curve_2: str = CURVES[1],
                other_3: Resident | None = None, curve_3: str = CURVES[2]) -> io.NodeOutput:
        pairs = [(model, text) for model, text in ((other, curve), (other_2, curve_2), (other_3, curve_3)) if model]
        parents = (base, *(model for model, _ in pairs))
        on_device(*parents)
        core = sg.blend_many(base.core, [(model.core, sg.parse_curve(text)) for model, text in pairs])
        tell(filter(None, [core.info.notes.get("warning")]))
        return io.NodeOutput(Resident(core, parents))


class BlendPreviewGrid(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Blend Preview Grid", "model", shows=True,
            description="One picture of every swap point in both directions, or of a row of strengths, to choose swap_at or "
                        "strength by eye.",
            search_aliases=["layer swap grid", "toonify grid", "contact sheet"],
            inputs=[
                StyleGAN.Input("base", tooltip="The model whose mapping is kept."),
                StyleGAN.Input("other", tooltip="A model related to base."),
                Latent.Input("latents", tooltip="Faces to show, two rows each."),
                io.Int.Input("cell_size", default=160, min=32, max=1024, step=16,
                             tooltip="Pixels of one picture in the grid."),
                io.Int.Input("max_faces", default=2, min=1, max=16, tooltip="At most this many of the latents are "
                                                                            "shown."),
                advanced(io.Combo.Input("mode", options=MODES, default="swap", tooltip="How the two models meet: "
                                                                                       "hard, or by a ramp.")),
                io.Combo.Input("shows", options=["swap points", "strengths"], default="swap points", optional=True,
                               tooltip="swap points: where the models change over, in both directions. strengths: from the "
                                       "base (0) over the other model (1) to exaggeration."),
            ],
            outputs=[io.Image.Output("grid", tooltip="Columns: up to how many pixels the coarse side reaches; rows, for each "
                                                     "face: other coarse, then base coarse. Or a column a strength.")])

    @classmethod
    def execute(cls, base: Resident, other: Resident, latents: sg.Latents, cell_size: int, max_faces: int,
                mode: str = "swap", shows: str = "swap points") -> io.NodeOutput:
        on_device(base, other, batch=max_faces)
        shown, steps = latents.pick(range(min(max_faces, len(latents)))), progress()
        drawn = sg.strength_grid if shows == "strengths" else partial(sg.blend_grid, mode=mode)
        grid = to_image(drawn(base.core, other.core, shown, cell=cell_size, on_step=steps))
        return io.NodeOutput(grid, ui=steps.result(grid, cls))


NODES = (LoadStyleGAN, SaveStyleGAN, BlendByResolution, BlendByCurve, BlendPreviewGrid)
