"""Faces out of a photograph, and back into it."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from .. import stylegan_core as sg
from .images import preview_images, to_core, to_image, to_mask, with_alpha_of
from .progress import tell
from .residency import Resident
from .schema import advanced, schema
from .types import Faces, StyleGAN


class AlignFaces(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Align Faces", "face", shows=True,
            description="Finds the faces of photographs and cuts them out upright, as StyleGAN's faces are. Several "
                        "faces make a batch, largest first.",
            search_aliases=["face crop", "detect face", "ffhq align", "face detector"],
            inputs=[
                io.Image.Input("image", tooltip="Photographs; a batch is searched one by one."),
                io.Combo.Input("faces_taken", options=["largest", "all"], default="largest", tooltip="The largest "
                                                                                                     "face of each "
                                                                                                     "photograph, or "
                                                                                                     "every face."),
                io.Int.Input("size", default=256, min=16, max=2048, step=16,
                             tooltip="Pixels of a crop: the resolution of the model that will see it."),
                io.Combo.Input("when_none", options=["error", "skip", "whole image"], default="error",
                               tooltip="A photograph without a face: stop with a message, leave it out, or take its "
                                       "central square (for drawings)."),
                StyleGAN.Input("size_of", optional=True, tooltip="Take the size of this model instead."),
                advanced(io.Int.Input("smallest", default=0, min=0, max=2048,
                                      tooltip="Side of the smallest face to look for, in pixels; 0: a 22nd of the "
                                              "picture. Small ones take longer.")),
                advanced(io.String.Input("which", default="", optional=True,
                                         tooltip='Faces by number, such as "0, 2", as the preview shows them: 0 is the '
                                                 "largest. The others stay as they are. Empty: as faces_taken says.")),
            ],
            outputs=[io.Image.Output("crops", tooltip="The faces, one picture each."),
                     Faces.Output("faces", tooltip="Where each crop came from, for Paste Faces Back."),
                     io.Image.Output("found", tooltip="The photographs with all faces outlined and numbered; those not "
                                                     "taken in gray.")])

    @classmethod
    def execute(cls, image: torch.Tensor, faces_taken: str, size: int, when_none: str, size_of: Resident | None = None,
                smallest: int = 0, which: str = "") -> io.NodeOutput:
        images = to_core(image)
        size = size_of.core.img_resolution if size_of else size
        seen = sg.find_faces(images, smallest or None)
        crops, faces = sg.take_faces(images, size, which.strip() or faces_taken, when_none, found=seen)
        found = to_image(sg.outline_faces(images, faces, seen))
        return io.NodeOutput(to_image(crops), faces, found, ui=preview_images(found, cls))


class PasteFacesBack(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Paste Faces Back", "face",
            description="Puts changed faces back where Align Faces found them, also into an enlarged or shrunk copy of the "
                        "photograph: the head alone, with a soft edge.",
            search_aliases=["face paste", "composite face", "uncrop"],
            inputs=[
                io.Image.Input("image", tooltip="The photographs that Align Faces searched, of that size or another."),
                io.Image.Input("crops", tooltip="The changed faces, as many and in the order of Align Faces; any "
                                                "resolution."),
                Faces.Input("faces", tooltip="From Align Faces."),
                io.Float.Input("feather", default=sg.ToonOptions.feather, min=0.0, max=0.5, step=0.01,
                               tooltip="Width of the soft edge, as a part of the crop's side."),
                io.Float.Input("color_match", default=0.0, min=0.0, max=1.0, step=0.05,
                               tooltip="How far the pasted face takes the photograph's colors: 0 keeps its own, 1 "
                                       "matches fully."),
                io.Mask.Input("crop_mask", optional=True,
                              tooltip="What of the crops is pasted, white: from Head Mask, so that hats and backgrounds of the "
                                      "photograph survive. Otherwise as outline says."),
                io.Image.Input("reconstruction", optional=True,
                               tooltip="What an inversion or encoder made of the crops: where photograph and reconstruction "
                                       "disagree, hands and hats are kept."),
                advanced(io.Combo.Input("outline", options=["head", "oval", "square"], default="head", optional=True,
                                        tooltip="What of a crop is pasted. head: face and hair, old and new outline covered, "
                                                "hands, hats and collars kept. oval: a fixed shape. square: all of it.")),
                advanced(io.Float.Input("grain", default=0.0, min=0.0, max=1.0, step=0.05, optional=True,
                                        tooltip="How much of the photograph's grain the pasted faces are given, so that they "
                                                "don't look too clean in it.")),
                advanced(io.Boolean.Input("whole", default=False, optional=True,
                                          tooltip="Draw the rest of the photographs too, in clean lines, so that one picture "
                                                  "comes out.")),
            ],
            outputs=[io.Image.Output("pasted", tooltip="The photographs with the faces in them."),
                     io.Mask.Output("mask", tooltip="Where something was pasted: 1 inside, soft at the edge.")])

    @classmethod
    def execute(cls, image: torch.Tensor, crops: torch.Tensor, faces: list, feather: float, color_match: float,
                crop_mask: torch.Tensor | None = None, reconstruction: torch.Tensor | None = None,
                outline: str = "head", grain: float = 0.0, whole: bool = False) -> io.NodeOutput:
        masks = None if crop_mask is None else crop_mask[:, None]
        seen = None if reconstruction is None else to_core(reconstruction)
        pasted, mask = sg.return_faces(to_core(image), to_core(crops), faces, feather, color_match, masks, outline, seen,
                                       grain, whole)
        tell(sg.pasting_notes(mask, faces))
        return io.NodeOutput(with_alpha_of(to_image(pasted), image), to_mask(mask))


class HeadMask(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            "Head Mask", "face",
            description="Masks of head (face and hair) and of the face alone, in aligned crops or, with faces and photograph "
                        "linked, where they lie in the photograph. Of photographs, toons and drawings alike.",
            search_aliases=["face segmentation", "hair mask", "keep background", "face mask", "inpaint face"],
            inputs=[
                io.Image.Input("image", tooltip="Aligned faces: photographs, as Align Faces gives them, or what was made of "
                                                "them."),
                io.Image.Input("reconstruction", optional=True,
                               tooltip="What an inversion or encoder made of them: where the two disagree, there is no head, "
                                       "and the photograph is kept."),
                io.Float.Input("grow", default=0.0, min=-0.5, max=1.0, step=0.02,
                               tooltip="Makes the area in which a head may be larger, for big hair, or smaller."),
                Faces.Input("faces", optional=True, tooltip="From Align Faces: the masks then lie over the photograph."),
                io.Image.Input("photograph", optional=True, tooltip="The photographs of faces, of that size or another; the "
                                                                    "pasted ones will do."),
            ],
            outputs=[io.Mask.Output("mask", tooltip="White on face and hair, soft at the edge: for crop_mask of Paste Faces "
                                                    "Back."),
                     io.Mask.Output("face", tooltip="White from brow to chin.")])

    @classmethod
    def execute(cls, image: torch.Tensor, grow: float, reconstruction: torch.Tensor | None = None, faces: list | None = None,
                photograph: torch.Tensor | None = None) -> io.NodeOutput:
        if (faces is None) != (photograph is None):
            raise sg.InvalidInput("Head Mask got one of faces and photograph; link both, and the masks lie over the "
                                  "photograph, or none.")
        other = None if reconstruction is None else to_core(reconstruction)
        masks = sg.head_and_face(to_core(image), other, grow=grow)
        if photograph is not None:
            masks = [sg.return_masks(mask, to_core(photograph), faces or []) for mask in masks]
        return io.NodeOutput(*map(to_mask, masks))


NODES = (AlignFaces, PasteFacesBack, HeadMask)
