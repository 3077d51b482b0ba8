"""Faces into styles, drawings into faces, and styles refined against their drawings."""

from __future__ import annotations

from pathlib import Path

import torch
from comfy_api.latest import io

from .. import stylegan_core as sg
from . import files
from .images import preview_text, to_core, to_image
from .progress import progress, saving_on_interrupt
from .residency import Resident, on_device
from .schema import MAX_SEED, advanced, schema
from .style import MODEL_TIP, dual_on_device
from .types import Encoder, Latent, StyleGAN
from .types import Style as StyleWire

GRADIENT_FACTOR = 6
"""Activations kept for the backward pass, against those of a plain rendering; a copy of the weights is in it too."""
SLIDERS, AUTO = "sliders", "auto"


class TransferExemplarStyle(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Transfer Exemplar Style", "style", title="Transfer Exemplar Style (Cartoon)", shows=True,
            description="Draws faces in the style of an exemplar (DualStyleGAN, Yang et al. 2022): its shapes and its colors, "
                        "each as strongly as you like.",
            search_aliases=["dualstylegan", "portrait style transfer", "cartoon", "caricature", "anime"],
            inputs=[
                StyleGAN.Input("model", tooltip=MODEL_TIP),
                Latent.Input("latents", tooltip="The faces: sampled, or a photograph's from an inversion or encoder."),
                StyleWire.Input("style", tooltip="One style for all faces, as many as faces, or several for one face."),
                io.Combo.Input("preset", options=[SLIDERS, *sg.STYLE_PRESETS], default=SLIDERS,
                               tooltip="sliders: the two weights below. The others are the weights published for such "
                                       "styles: cartoon 0.75 and 1, caricature 1 and 1, anime fine shapes only, arcane with "
                                       "the photograph's colors."),
                io.Float.Input("structure_weight", default=0.75, min=0.0, max=2.0, step=0.05,
                               tooltip="How far shapes (4 to 32 px) follow the style: 0 keeps the face, 1 is the style's."),
                io.Float.Input("color_weight", default=1.0, min=0.0, max=2.0, step=0.05,
                               tooltip="How far colors and strokes (64 px on) follow the style: 0 keeps the photograph's."),
                io.String.Input("weights", default="", tooltip="Every weight by itself, in place of preset and sliders when "
                                                               "not empty: seven for structure, coarse to fine, then those for "
                                                               "color, such as [4*0, 3*0.75, 11*1]. Vectors of 18 fit "
                                                               "smaller models too."),
                io.Combo.Input("color", options=[AUTO, "exemplar", "photo", "photo-toned"], default=AUTO,
                               tooltip="Whose colors: the exemplar's; the photograph's, untouched; the photograph's, moved "
                                       "toward the style's domain. auto: the preset's, else the exemplar's."),
                io.Combo.Input("combine", options=["pair", "grid"], default="pair",
                               tooltip="pair: each face with its style. grid: every face under every style, face by face."),
                advanced(io.Float.Input("truncation_psi", default=1.0, min=0.0, max=2.0, step=0.05,
                                        tooltip="Below 1 calms the face; the published scripts use 0.75.")),
                advanced(io.Combo.Input("truncate_toward", options=["zero", "mean"], default="zero",
                                        tooltip="zero: as the published scripts do. mean: toward the average face.")),
                advanced(io.Combo.Input("noise", options=["const", "random", "none"], default="const",
                                        tooltip="Fine detail: the model's own, or an inversion's; drawn from noise_variant; "
                                                "none.")),
                advanced(io.Int.Input("noise_variant", default=0, min=0, max=0xFFFFFFFF,
                                      tooltip="Number of the random detail; used by noise random only.")),
                advanced(io.Int.Input("at_once", default=4, min=1, max=256,
                                      tooltip="Pictures rendered together; halves by itself when memory runs out.")),
            ],
            outputs=[io.Image.Output("image", tooltip="The portraits."),
                     io.String.Output("weights_used", tooltip="The weights as they were read, in the paper's notation.")])

    @classmethod
    def execute(cls, model: Resident, latents: sg.Latents, style: sg.Styles, preset: str, structure_weight: float,
                color_weight: float, weights: str, color: str, combine: str, truncation_psi: float = 1.0,
                truncate_toward: str = "zero", noise: str = "const", noise_variant: int = 0, at_once: int = 4) -> io.NodeOutput:
        dual, named = dual_on_device(model, at_once), "" if preset == SLIDERS else preset
        values = sg.choose_weights(dual.num_weights, structure_weight, color_weight, named, weights)
        mode = sg.preset_color(named) if color == AUTO else color
        transfer = sg.style_grid if combine == "grid" else sg.transfer_style
        images = transfer(dual, latents, style.codes, values, color=mode, truncation_psi=truncation_psi,
                          truncation_center=truncate_toward, noise_mode=noise, seed=noise_variant, chunk=at_once,
                          on_step=progress())
        used = sg.format_weights(values)
        return io.NodeOutput(to_image(images), used, ui=preview_text(used))


class DestylizePortrait(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Destylize Portrait", "style", shows=True,
            description="Finds the plausible face behind a drawn portrait, and the drawing's style code (DualStyleGAN, stages "
                        "I to III). Drawings finished before a Cancel are kept: run it again and it goes on.",
            search_aliases=["cartoon to photo", "unseen style", "style code from picture"],
            inputs=[
                StyleGAN.Input("base", tooltip="The plain face generator."),
                StyleGAN.Input("styled", tooltip="The same, fine-tuned on drawings of this kind; the base itself will do for "
                                                 "drawings close to photographs."),
                Encoder.Input("encoder", tooltip="An encoder of the base, from Load GAN Encoder."),
                io.Image.Input("image", tooltip="Aligned drawings, as Align Faces gives them."),
                io.Int.Input("steps", default=300, min=0, max=20000, tooltip="Optimization steps a drawing; 60 is a draft, 0 "
                                                                            "encodes only."),
                io.Float.Input("truncation", default=0.7, min=0.05, max=2.0, step=0.05,
                               tooltip="Calms the face that is found; 0.5 for styles far from real faces."),
                io.Int.Input("seed", default=0, min=0, max=MAX_SEED, control_after_generate=False,
                             tooltip="Seed of the optimization's noise; the same seed gives the same result."),
                advanced(io.Float.Input("lr", default=0.1, min=0.0001, max=1.0, step=0.001, tooltip="Peak learning rate.")),
                advanced(io.Float.Input("identity", default=0.1, min=0.0, max=10.0, step=0.01,
                                        tooltip="Weight of the distance between face embeddings.")),
                advanced(io.Float.Input("deviation", default=1.0, min=0.0, max=100.0, step=0.01,
                                        tooltip="Keeps the rows of the code near each other: more is more of a face.")),
                advanced(io.Int.Input("chunk", default=1, min=1, max=64, tooltip="Drawings optimized together; 1 keeps them "
                                                                                "independent.")),
            ],
            outputs=[io.Image.Output("face", tooltip="The faces behind the drawings (stage III)."),
                     Latent.Output("intrinsic", tooltip="Their latents: content for Transfer Exemplar Style and Refine Style."),
                     StyleWire.Output("style", tooltip="The drawings' style codes: styles like any other."),
                     io.Image.Output("encoded", tooltip="What the encoder alone makes of the drawings (stage I)."),
                     io.Image.Output("optimized", tooltip="After the optimization (stage II).")])

    @classmethod
    def execute(cls, base: Resident, styled: Resident, encoder: Resident, image: torch.Tensor, steps: int, truncation: float,
                seed: int, lr: float = 0.1, identity: float = 0.1, deviation: float = 1.0, chunk: int = 1) -> io.NodeOutput:
        device = on_device(base, styled, encoder, batch=GRADIENT_FACTOR * chunk)
        options = sg.DestylizeOptions(steps, lr, identity, deviation, truncation_psi=truncation, chunk=chunk, seed=seed)
        work = sg.Destylizer(base.core, styled.core, encoder.core, to_core(image).to(device), options)
        folder, steps = files.output_folder(files.LATENTS), progress()
        with saving_on_interrupt(lambda: finished_drawings(work, folder)):
            found = work.run(steps, folder)
        faces = {stage: to_image(picture) for stage, picture in found.faces.items()}
        return io.NodeOutput(faces["destylized"], found.intrinsic, sg.Styles.numbered(found.extrinsic, "drawing"),
                             faces["encoded"], faces["optimized"], ui=steps.result(faces["destylized"], cls))


def finished_drawings(work: sg.Destylizer, folder: Path) -> str | None:
    """What a cancelled destylization leaves behind, in words."""
    if not work.done:
        return None
    return (f"{work.done} of {len(work.images)} drawings were destylized and are kept in {folder.name}/{work.key}; run the "
            f"same again to go on, or take their codes with Load StyleGAN Latents.")


class RefineStyle(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Refine Style", "style", shows=True,
            description="Moves a style code until the model redraws its drawing from the face behind it: sharper colors, truer "
                        "shapes. The network stays as it is. What a Cancel interrupts is saved in output/stylegan.",
            search_aliases=["refine_exstyle", "style code optimization", "unseen style"],
            inputs=[
                StyleGAN.Input("model", tooltip=MODEL_TIP),
                Latent.Input("intrinsic", tooltip="The faces behind the drawings, from Destylize Portrait."),
                StyleWire.Input("style", tooltip="The drawings' styles, from Destylize Portrait or a bank."),
                io.Image.Input("image", tooltip="The aligned drawings, one a style."),
                io.Int.Input("steps", default=100, min=0, max=20000, tooltip="Optimization steps a style."),
                io.Float.Input("lr_color", default=0.01, min=0.0, max=1.0, step=0.001,
                               tooltip="How fast colors move; 0.1 for strong colors, 0 keeps them."),
                io.Float.Input("lr_structure", default=0.005, min=0.0, max=1.0, step=0.001,
                               tooltip="How fast shapes move; 0 keeps them."),
                advanced(io.Float.Input("contextual", default=1.0, min=0.0, max=10.0, step=0.1,
                                        tooltip="Weight of the contextual loss: likeness of texture wherever it lies.")),
                advanced(io.Float.Input("lr_noise", default=0.1, min=0.0, max=1.0, step=0.001,
                                        tooltip="How fast the noise maps move that help the fit.")),
                advanced(io.Int.Input("seed", default=0, min=0, max=MAX_SEED, control_after_generate=False,
                                      tooltip="Seed of the noise; the same seed gives the same result.")),
                advanced(io.Boolean.Input("manner", default=True,
                                          tooltip="Styles from outside the bank begin in the manner of drawing (strokes, "
                                                  "paper) of the model that is nearest to their picture; off: with none.")),
            ],
            outputs=[StyleWire.Output("refined", tooltip="The refined styles, under their names."),
                     io.Image.Output("redrawn", tooltip="The drawings as the model redraws them.")])

    @classmethod
    def execute(cls, model: Resident, intrinsic: sg.Latents, style: sg.Styles, image: torch.Tensor, steps: int, lr_color: float,
                lr_structure: float, contextual: float = 1.0, lr_noise: float = 0.1, seed: int = 0,
                manner: bool = True) -> io.NodeOutput:
        dual = dual_on_device(model, GRADIENT_FACTOR)
        options = sg.RefineOptions(steps, lr_color, lr_structure, lr_noise, contextual, seed=seed, manner=manner)
        work, steps = sg.Refinement(dual, intrinsic, style.codes, to_core(image), options), progress()
        with saving_on_interrupt(lambda: save_styles(work, style.names)):
            refined = work.run(steps)
        pictures = to_image(refined.images)
        return io.NodeOutput(sg.Styles(refined.extrinsic, style.names), pictures, ui=steps.result(pictures, cls))


def save_styles(work: sg.Refinement, names: tuple[str, ...]) -> str | None:
    """Save the styles of a cancelled refinement as they are; says how to go on."""
    if not work.begun:
        return None
    path = sg.save(sg.Styles(work.latents(), names).bank(), files.new_output(files.MODELS, "interrupted_styles"))
    return (f"{work.done} of {len(names)} styles were refined; all are in output/stylegan/{path.name} as far as they got. To "
            f"go on, link Load Style Codes to style.")


NODES = (TransferExemplarStyle, DestylizePortrait, RefineStyle)
