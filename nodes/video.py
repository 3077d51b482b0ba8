"""A face's video: cut out steadily, inverted frame by frame; a clip made of a still."""

from __future__ import annotations

import dataclasses

import torch
from comfy_api.latest import io

from .. import stylegan_core as sg
from . import files
from .images import CoreFrames, check_room, to_core, to_image
from .invert import GRADIENT_FACTOR
from .progress import progress, saving_on_interrupt, tell
from .residency import Resident, on_device
from .schema import MAX_SEED, advanced, schema
from .types import Encoder, Faces, InversionOptions, Latent, StyleGAN

NEXT = sg.VideoOptions()


class AlignVideoFaces(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Align Video Faces", "video",
            description="Follows one face through the frames of a video and cuts it out upright and without trembling, as "
                        "StyleGAN's faces are. Short losses are bridged; frames without it stay as they were.",
            search_aliases=["face tracking", "video face crop", "stabilize face", "ffhq align"],
            inputs=[
                io.Image.Input("frames", tooltip="The frames in order, of one shot."),
                io.Int.Input("size", default=256, min=16, max=2048, step=16,
                             tooltip="Pixels of a crop: the resolution of the model that will see it."),
                io.Float.Input("smoothing", default=3.0, min=0.0, max=60.0, step=0.5,
                               tooltip="Frames on each side that steady the crop; 0: none. More for a calm shot."),
                StyleGAN.Input("size_of", optional=True, tooltip="Take the size of this model instead."),
                advanced(io.Int.Input("smallest", default=0, min=0, max=2048,
                                      tooltip="Side of the smallest face to look for, in pixels; 0: a 22nd of the picture.")),
                advanced(io.Float.Input("fps", default=24.0, min=1.0, max=1000.0, step=1.0, optional=True,
                                        tooltip="Frames a second of the video, for bridge.")),
                advanced(io.Float.Input("bridge", default=0.5, min=0.0, max=60.0, step=0.1, optional=True,
                                        tooltip="Seconds for which a lost face is still drawn, between where it was and where "
                                                "it comes back. Frames without a face for longer stay as they are.")),
                advanced(io.Int.Input("search_every", default=4, min=1, max=1000, optional=True,
                                      tooltip="Frames from one search of the whole picture to the next; between them the face "
                                              "is looked for where it was. 1: always the whole, slowest.")),
            ],
            outputs=[io.Image.Output("crops", tooltip="The face in every frame that shows it."),
                     Faces.Output("faces", tooltip="Where each crop came from, for Paste Faces Back.")])

    @classmethod
    def execute(cls, frames: torch.Tensor, size: int, smoothing: float, size_of: Resident | None = None,
                smallest: int = 0, fps: float = 24.0, bridge: float = 0.5, search_every: int = 4) -> io.NodeOutput:
        size = size_of.core.img_resolution if size_of else size
        crops, faces = sg.take_video_faces(CoreFrames(frames), size, smoothing, smallest or None, on_step=progress(), fps=fps,
                                           bridge=bridge, search_every=search_every)
        tell(sg.video_notes(faces, len(frames)))
        return io.NodeOutput(to_image(crops), faces)


class InvertVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Invert Video", "video",
            description="Finds latents for every frame of an aligned face, each begun where the last one ended, with the same "
                        "noise, and smoothed over time. What Cancel interrupts is kept in output/stylegan_latents.",
            search_aliases=["video inversion", "video projector", "toonify video"],
            inputs=[
                StyleGAN.Input("model", tooltip="The generator to invert into: the base, not the toon."),
                io.Image.Input("crops", tooltip="From Align Video Faces."),
                Encoder.Input("encoder", optional=True, tooltip="An encoder for this model: it follows the motion, and the "
                                                                "steps only refine. Few are enough then, even 0."),
                io.Combo.Input("quality", options=["quick", "draft", "standard", "high"], default="standard",
                               tooltip="How long the first frame is tried; the others build on it."),
                io.Int.Input("steps", default=NEXT.steps, min=0, max=1000,
                             tooltip="Steps of every further frame; 0: follow the encoder alone."),
                io.Float.Input("smoothing", default=NEXT.smoothing, min=0.0, max=60.0, step=0.05,
                               tooltip="Frames on each side over which the latents are smoothed; 0: none."),
                io.Int.Input("seed", default=0, min=0, max=MAX_SEED, control_after_generate=False,
                             tooltip="Seed of the optimization's noise; the same seed gives the same result."),
                InversionOptions.Input("options", optional=True, tooltip="Every number of the first frame's optimization, from "
                                                                         "Inversion Options; its losses hold for all frames."),
                Faces.Input("faces", optional=True, tooltip="Of Align Video Faces: where frames without the face were left "
                                                            "out, nothing is smoothed across."),
            ],
            outputs=[Latent.Output("latents", tooltip="One latent a frame, in w+, for Generate StyleGAN Image with the base "
                                                      "or a blend.")])

    @classmethod
    def execute(cls, model: Resident, crops: torch.Tensor, quality: str, steps: int, smoothing: float, seed: int,
                encoder: Resident | None = None, options: sg.InversionOptions | None = None,
                faces: list | None = None) -> io.NodeOutput:
        on_device(model, *(() if encoder is None else (encoder,)), batch=GRADIENT_FACTOR)
        first = dataclasses.replace(options or sg.PRESETS[quality], seed=seed)
        inverter = sg.VideoInverter(model.core, CoreFrames(crops), encoder and encoder.core,
                                    sg.VideoOptions(first, steps, smoothing=smoothing), folders=files.model_folders(),
                                    moments=None if faces is None else [place.image for place in faces])
        try:
            with saving_on_interrupt(lambda: save_progress(inverter)):
                return io.NodeOutput(inverter.run(progress()))
        finally:
            tell((*sg.alignment_notes(to_core(crops[:1])), *inverter.notes))


def save_progress(inverter: sg.VideoInverter) -> str | None:
    """Save the finished frames of an interrupted video."""
    if not inverter.frames_done:
        return None
    path = files.new_output(files.LATENTS, "interrupted_video")
    inverter.result().save(path)
    return (f"The inversion stopped after {inverter.frames_done} of {len(inverter.crops)} frames and their latents are "
            f"{path.name} in output/stylegan_latents; load them with Load StyleGAN Latents.")


class MovingCrop(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        def share(name: str, default: float, tooltip: str) -> io.Float.Input:
            return advanced(io.Float.Input(name, default=default, min=0.0, max=1.0, step=0.01, tooltip=tooltip))

        return schema(
            "Moving Crop", "video",
            description="Makes a short clip of a photograph: a window that wanders and zooms over it, and returns to where it "
                        "began.",
            search_aliases=["ken burns", "pan and zoom", "test video"],
            inputs=[
                io.Image.Input("image", tooltip="The photograph; of a batch, the first."),
                io.Int.Input("frames", default=48, min=1, max=10000, tooltip="Frames of one round."),
                io.Int.Input("size", default=320, min=16, max=4096, step=16, tooltip="Pixels of a frame's side."),
                io.Float.Input("zoom", default=1.5, min=1.2, max=20.0, step=0.05,
                               tooltip="The window's mean side is the photograph's shorter one over this."),
                share("sway", 0.15, "How far the window wanders, as a share of the room it has."),
                share("x", 0.4, "Its mean place: 0 left, 1 right."), share("y", 0.1, "Its mean place: 0 top, 1 bottom."),
            ],
            outputs=[io.Image.Output("clip", tooltip="The frames as a batch.")])

    @classmethod
    def execute(cls, image: torch.Tensor, frames: int, size: int, zoom: float, sway: float = 0.15, x: float = 0.4,
                y: float = 0.1) -> io.NodeOutput:
        check_room(frames, size, size)
        return io.NodeOutput(to_image(sg.moving_crop(to_core(image[:1]), frames, size, zoom, sway, x, y,
                                                     progress())))


NODES = (AlignVideoFaces, InvertVideo, MovingCrop)
