"""Directions in latent space: found, looked at, applied, loaded, saved."""

from __future__ import annotations

from comfy_api.latest import io

from .. import stylegan_core as sg
from . import files
from .image import CHUNK
from .images import preview_text, to_image
from .latent import RANGES
from .progress import progress, tell_of_rows
from .residency import Resident, on_device
from .schema import MAX_SEED, RESOLUTIONS, advanced, schema
from .types import Direction, Latent, StyleGAN

AS_FOUND = "as found"
RANGE_TIP = ("coarse: 4-8 px, pose and head shape; middle: 16-32 px, features and hair; fine: 64 px on, color and light; "
             "custom: from_px to to_px.")


def custom_range() -> list[io.Combo.Input]:
    """The two advanced widgets of a range of one's own."""
    return [advanced(io.Combo.Input(name, options=RESOLUTIONS, default=px, tooltip=f"{which} resolution of a custom range."))
            for name, px, which in (("from_px", "4", "First"), ("to_px", "32", "Last"))]


class FindDirections(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Find Directions", "latent",
            description="Finds directions along which a model's pictures change most, without any labels. Look at them with "
                        "Direction Preview Grid, walk along them with Apply Direction.",
            search_aliases=["sefa", "ganspace", "pca", "semantic factorization", "edit face"],
            inputs=[
                StyleGAN.Input("model", tooltip="The generator to search."),
                io.Combo.Input("method", options=["sefa", "pca"], default="sefa",
                               tooltip="sefa: from the weights of the chosen layers, often one change at a time. pca: the main "
                                       "ways in which its random faces differ, often several at once."),
                io.Combo.Input("layers", options=["all", *RANGES], default="coarse", tooltip=f"Where to search. {RANGE_TIP}"),
                io.Int.Input("count", default=8, min=1, max=64, tooltip="How many directions, strongest first."),
                io.Int.Input("seed", default=0, min=0, max=MAX_SEED, control_after_generate=False,
                             tooltip="Seed of the random faces that pca compares, and that give strength its unit."),
                *custom_range(),
            ],
            outputs=[Direction.Output("directions", tooltip="The directions; strength 1 is one standard deviation of random "
                                                            "faces.")])

    @classmethod
    def execute(cls, model: Resident, method: str, layers: str, count: int, seed: int, from_px: str = "4",
                to_px: str = "32") -> io.NodeOutput:
        on_device(model)
        where = f"{from_px}-{to_px}" if layers == "custom" else layers
        return io.NodeOutput(sg.find_directions(model.core, method, where, count, seed))  # type: ignore[arg-type]


class DirectionPreviewGrid(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Direction Preview Grid", "latent", shows=True,
            description="One picture of what directions do, a row each, to choose one by eye.",
            search_aliases=["contact sheet", "direction sweep", "sefa grid"],
            inputs=[
                StyleGAN.Input("model", tooltip="The generator that draws."),
                Direction.Input("directions", tooltip="From Find Directions or Load Directions."),
                Latent.Input("latents", optional=True, tooltip="The face to change, the first of these; the average face "
                                                               "otherwise."),
                io.Float.Input("strength", default=3.0, min=0.0, max=100.0, step=0.1,
                               tooltip="The row goes from minus to plus this strength."),
                io.Int.Input("columns", default=5, min=1, max=15, tooltip="Pictures in a row."),
                io.Int.Input("max_directions", default=8, min=1, max=64, tooltip="At most this many directions are shown."),
                advanced(io.Int.Input("cell_size", default=160, min=32, max=1024, step=16,
                                      tooltip="Pixels of one picture in the grid.")),
            ],
            outputs=[io.Image.Output("grid", tooltip="Rows: directions, by name. Columns: strengths.")])

    @classmethod
    def execute(cls, model: Resident, directions: sg.Directions, strength: float, columns: int, max_directions: int,
                latents: sg.Latents | None = None, cell_size: int = 160) -> io.NodeOutput:
        on_device(model, batch=CHUNK)
        steps = progress()
        grid = to_image(sg.direction_grid(model.core, directions, latents, strength, columns, max_directions, cell_size,
                                          chunk=CHUNK, on_step=steps))
        return io.NodeOutput(grid, ui=steps.result(grid, cls))


class ApplyDirection(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        def strength(name: str, default: float, tooltip: str) -> io.Float.Input:
            return io.Float.Input(name, default=default, min=-100.0, max=100.0, step=0.1, tooltip=tooltip)

        return schema(
            "Apply Direction", "latent",
            description="Moves latents along a direction, to one strength or in a sweep: every latent becomes a batch of all "
                        "strengths.",
            search_aliases=["edit latent", "interfacegan", "attribute slider", "direction sweep"],
            inputs=[
                StyleGAN.Input("model", tooltip="The generator the latents are for."),
                Latent.Input("latents", tooltip="The faces to change: sampled, or inverted from a photograph."),
                Direction.Input("directions", tooltip="From Find Directions or Load Directions."),
                io.String.Input("which", default="0", tooltip="Name or number (from 0) of the direction, such as smile or 3."),
                strength("strength_from", -3.0, "First strength of the sweep; 0 is the face as it is."),
                strength("strength_to", 3.0, "Last strength of the sweep, and the only one with 1 step."),
                io.Int.Input("steps", default=5, min=1, max=1000, tooltip="Pictures of a sweep; 1: strength_to alone."),
                io.Combo.Input("layers", options=[AS_FOUND, "all", *RANGES], default=AS_FOUND,
                               tooltip=f"Layers to change. as found: where the direction says. {RANGE_TIP}"),
                *custom_range(),
            ],
            outputs=[Latent.Output("moved", tooltip="Latents in w+: all strengths of the first, then all of the next.")])

    @classmethod
    def execute(cls, model: Resident, latents: sg.Latents, directions: sg.Directions, which: str, strength_from: float,
                strength_to: float, steps: int, layers: str, from_px: str = "4", to_px: str = "32") -> io.NodeOutput:
        on_device(model)
        where = f"{from_px}-{to_px}" if layers == "custom" else None if layers == AS_FOUND else layers
        tell_of_rows(model.core, latents)
        strengths = sg.even_steps(strength_from, strength_to, steps)
        return io.NodeOutput(sg.apply_direction(latents, directions, which, strengths, model.core, where).to("cpu"))


class LoadDirections(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        names = files.direction_names()
        return schema(
            "Load Directions", "latent", shows=True,
            description="Reads directions that Save Directions wrote, boundaries in .npy, .pt or .safetensors, or the pack's "
                        "own. Nothing in the file is ever executed.",
            search_aliases=["interfacegan boundary", "latent direction", "npy", "import directions"],
            inputs=[
                io.Combo.Input("file", options=names, default=names[0],
                               tooltip="The named directions of the built-in base, or a file of ComfyUI/models/"
                                       "stylegan_directions. Press R after adding one."),
                StyleGAN.Input("model", optional=True, tooltip="Checks that they fit, and tells a boundary of w+ from a stack "
                                                               "of directions."),
            ],
            outputs=[Direction.Output("directions", tooltip="The directions."),
                     io.String.Output("names", tooltip="Their names, one a line, for Apply Direction.")])

    @classmethod
    def fingerprint_inputs(cls, file: str, model: Resident | None = None) -> tuple[str, int, int]:
        return files.fingerprint(files.direction_path(file))

    @classmethod
    def execute(cls, file: str, model: Resident | None = None) -> io.NodeOutput:
        found = sg.Directions.load(files.direction_path(file), model.core.num_ws if model else None)
        if model:
            found.check(model.core)
        names = "\n".join(found.names)
        return io.NodeOutput(found, names, ui=preview_text(names))


class SaveDirections(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Save Directions", "latent", is_output_node=True,
            description="Writes directions, with the model they fit, to output/stylegan_directions. Load Directions lists "
                        "them.",
            search_aliases=["export directions"],
            inputs=[
                Direction.Input("directions", tooltip="The directions to save."),
                io.String.Input("name", default="my_directions",
                                tooltip="File name in output/stylegan_directions. A number is appended, nothing is "
                                        "overwritten."),
                io.String.Input("keep", default="", tooltip="Which ones, with a name each if you like: 0 = smile, 3, 5 = age. "
                                                            "Empty: all."),
            ],
            outputs=[io.String.Output("path", tooltip="Path of the file that was written.")])

    @classmethod
    def execute(cls, directions: sg.Directions, name: str, keep: str = "") -> io.NodeOutput:
        path = files.new_output(files.DIRECTIONS, name)
        directions.renamed(keep).save(path)
        return io.NodeOutput(str(path), ui=preview_text(f"saved {path.name}"))


NODES = (FindDirections, DirectionPreviewGrid, ApplyDirection, LoadDirections, SaveDirections)
