"""Sample, truncate, mix, interpolate, combine, pick, save and load latents."""

from __future__ import annotations

from comfy_api.latest import io

from .. import stylegan_core as sg
from . import files
from .images import preview_text
from .progress import tell_of_rows
from .residency import Resident, on_device
from .schema import MAX_SEED, RESOLUTIONS, advanced, schema
from .types import Latent, StyleGAN

UP_TO = ["all", *RESOLUTIONS]
PSI_TIP = ("How far to go from the average face: 0 is the average, 0.7 a good picture, 1 the model's full variety, "
           "negative the opposite face.")
UP_TO_TIP = "Truncate only layers up to this many pixels; finer ones keep their full variety."
RANGES = ["coarse", "middle", "fine", "custom"]
FROM_FILE = "from the file"


def cutoff(model: Resident, up_to: str) -> int | None:
    """The number of rows that style layers up to so many pixels; None for all."""
    return None if up_to == "all" else len(sg.rows_between(model.core, f"1-{up_to}"))


class SampleLatents(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Sample Latents", "latent", title="Sample StyleGAN Latents",
            description="Draws random latents. Seed 42 is the same face as in NVIDIA's scripts; a batch takes the "
                        "seeds that follow.",
            search_aliases=["random face", "stylegan seed", "generate latent", "truncation psi"],
            inputs=[
                StyleGAN.Input("model", tooltip="The generator the latents are for."),
                io.Int.Input("seed", default=0, min=0, max=MAX_SEED, control_after_generate=True,
                             tooltip="Seed of the first latent; the others take the seeds after it."),
                io.Int.Input("batch_size", default=1, min=1, max=4096, tooltip="How many latents."),
                io.Float.Input("truncation_psi", default=0.7, min=-2.0, max=2.0, step=0.05, tooltip=PSI_TIP),
                advanced(io.Combo.Input("truncate_up_to", options=UP_TO, default="all", tooltip=UP_TO_TIP)),
                advanced(io.Int.Input("class_label", default=-1, min=-1, max=100000,
                                      tooltip="Class of a conditional model, from 0; -1 for models without classes.")),
            ],
            outputs=[Latent.Output("latents", tooltip="Latents in w+, truncated.")])

    @classmethod
    def execute(cls, model: Resident, seed: int, batch_size: int, truncation_psi: float, truncate_up_to: str = "all",
                class_label: int = -1) -> io.NodeOutput:
        on_device(model)
        z = sg.Latents(sg.sample_z(range(seed, seed + batch_size), model.core.z_dim), "z", model.core)
        c = sg.class_label(model.core, class_label)
        w = z.truncate(model.core, truncation_psi, cutoff(model, truncate_up_to), c)
        return io.NodeOutput(w.to("cpu"))


class TruncateLatents(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Truncate Latents", "latent",
            description="Pulls latents toward the average face, or pushes them away from it.",
            search_aliases=["truncation trick", "psi"],
            inputs=[
                StyleGAN.Input("model", tooltip="The generator whose average face is the centre."),
                Latent.Input("latents", tooltip="The latents to change."),
                io.Float.Input("truncation_psi", default=0.7, min=-2.0, max=2.0, step=0.05, tooltip=PSI_TIP),
                io.Combo.Input("truncate_up_to", options=UP_TO, default="all", tooltip=UP_TO_TIP),
            ],
            outputs=[Latent.Output("truncated", tooltip="The same batch in w+.")])

    @classmethod
    def execute(cls, model: Resident, latents: sg.Latents, truncation_psi: float, truncate_up_to: str) -> io.NodeOutput:
        on_device(model)
        tell_of_rows(model.core, latents)
        truncated = latents.truncate(model.core, truncation_psi, cutoff(model, truncate_up_to))
        return io.NodeOutput(truncated.to("cpu"))


class MixStyles(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Mix Styles", "latent",
            description="Takes pose and shape from one face and, in the layers you choose, the style of another.",
            search_aliases=["style mixing", "blend latents"],
            inputs=[
                StyleGAN.Input("model", tooltip="The generator both latents are for."),
                Latent.Input("latents", tooltip="The faces that are kept elsewhere."),
                Latent.Input("style", tooltip="The faces that give the chosen layers; as many as latents, or one."),
                io.Combo.Input("layers", options=RANGES, default="fine",
                               tooltip="coarse: 4-8 px, pose and head shape; middle: 16-32 px, features and hair; "
                                       "fine: 64 px on, color and texture; custom: from_px to to_px."),
                advanced(io.Combo.Input("from_px", options=RESOLUTIONS, default="64",
                                        tooltip="First resolution of a custom range.")),
                advanced(io.Combo.Input("to_px", options=RESOLUTIONS, default="1024",
                                        tooltip="Last resolution of a custom range.")),
            ],
            outputs=[Latent.Output("mixed", tooltip="Latents in w+.")])

    @classmethod
    def execute(cls, model: Resident, latents: sg.Latents, style: sg.Latents, layers: str, from_px: str = "64",
                to_px: str = "1024") -> io.NodeOutput:
        on_device(model)
        tell_of_rows(model.core, latents, style)
        where = f"{from_px}-{to_px}" if layers == "custom" else layers
        return io.NodeOutput(sg.mix_latents(latents, style, model.core, where).to("cpu"))


class InterpolateLatents(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Interpolate Latents", "latent",
            description="Walks from latent to latent of a batch in even steps, for a filmstrip or a video.",
            search_aliases=["latent walk", "morph", "slerp", "animation"],
            inputs=[
                Latent.Input("latents", tooltip="The stations of the walk, two or more; Combine Latents joins single "
                                                "ones."),
                io.Int.Input("frames", default=8, min=1, max=10000, tooltip="How many latents the walk has, ends "
                                                                            "included."),
                io.Combo.Input("path", options=["auto", "lerp", "slerp"], default="auto",
                               tooltip="auto: along the sphere in z, straight in w. lerp: straight; slerp: along the "
                                       "sphere."),
                io.Boolean.Input("loop", default=False, tooltip="Walk back to the first latent, for a video that "
                                                                "repeats."),
            ],
            outputs=[Latent.Output("walk", tooltip="The steps as one batch.")])

    @classmethod
    def execute(cls, latents: sg.Latents, frames: int, path: str, loop: bool) -> io.NodeOutput:
        return io.NodeOutput(sg.interpolate(latents, frames, path, loop))


class CombineLatents(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        more = [Latent.Input(f"latents_{i}", optional=True, tooltip="More latents of the same space and "
                                                                    "model.") for i in (3, 4)]
        return schema(
            "Combine Latents", "latent",
            description="Joins batches of latents, one after the other.",
            search_aliases=["batch latents", "concatenate"],
            inputs=[Latent.Input("latents_1", tooltip="The first latents of the batch."),
                    Latent.Input("latents_2", tooltip="The latents after them."), *more],
            outputs=[Latent.Output("combined", tooltip="One batch.")])

    @classmethod
    def execute(cls, latents_1: sg.Latents, latents_2: sg.Latents, latents_3: sg.Latents | None = None,
                latents_4: sg.Latents | None = None) -> io.NodeOutput:
        parts = [part for part in (latents_1, latents_2, latents_3, latents_4) if part is not None]
        return io.NodeOutput(sg.Latents.combine(parts))


class PickLatents(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Pick Latents", "latent",
            description="Takes some latents out of a batch, in any order.",
            search_aliases=["select latent", "latent from batch", "split"],
            inputs=[
                Latent.Input("latents", tooltip="The batch to pick from."),
                io.String.Input("indices", default="0",
                                tooltip="Which ones, from 0: 3, or 0, 2, 5-8. -1 is the last; an index may repeat."),
            ],
            outputs=[Latent.Output("picked", tooltip="The chosen latents, in the order given.")])

    @classmethod
    def execute(cls, latents: sg.Latents, indices: str) -> io.NodeOutput:
        return io.NodeOutput(latents.pick(sg.parse_indices(indices)))


class SaveLatents(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Save Latents", "latent", title="Save StyleGAN Latents", is_output_node=True,
            description="Writes latents, with the model they fit and an inversion's noise, to "
                        "output/stylegan_latents. Load StyleGAN Latents lists them.",
            search_aliases=["export latent"],
            inputs=[
                Latent.Input("latents", tooltip="The latents to save."),
                io.String.Input("name", default="my_face",
                                tooltip="File name in output/stylegan_latents. A number is appended, nothing is "
                                        "overwritten."),
            ],
            outputs=[io.String.Output("path", tooltip="Path of the file that was written.")])

    @classmethod
    def execute(cls, latents: sg.Latents, name: str) -> io.NodeOutput:
        path = files.new_output(files.LATENTS, name)
        latents.save(path)
        return io.NodeOutput(str(path), ui=preview_text(f"saved {path.name}"))


class LoadLatents(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Load Latents", "latent", title="Load StyleGAN Latents",
            description="Reads latents that Save StyleGAN Latents wrote, from output/stylegan_latents or "
                        "models/stylegan_latents.",
            search_aliases=["import latent"],
            inputs=[io.Combo.Input("file", options=files.latent_names(),
                                   tooltip="A file of latents. Press R after saving one."),
                    advanced(io.Combo.Input("space", options=[FROM_FILE, "w", "w+", "z", "z+"], default=FROM_FILE,
                                            tooltip="Of a file that does not tell (another program's). from the file: as it "
                                                    "says, else by its shape."))],
            outputs=[Latent.Output("latents", tooltip="The latents, with their space and the model they fit.")])

    @classmethod
    def fingerprint_inputs(cls, file: str, space: str = FROM_FILE) -> tuple[str, int, int]:
        return files.fingerprint(files.latent_path(file))

    @classmethod
    def execute(cls, file: str, space: str = FROM_FILE) -> io.NodeOutput:
        return io.NodeOutput(sg.Latents.load(files.latent_path(file), None if space == FROM_FILE else space))


NODES = (SampleLatents, TruncateLatents, MixStyles, InterpolateLatents, CombineLatents, PickLatents, SaveLatents,
         LoadLatents)
