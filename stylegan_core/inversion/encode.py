"""Portraits to codes by one pass of an encoder, checked against the generator they are meant for."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from ..errors import InvalidInput, LatentMismatch
from ..faces.checks import check_finite, check_range, check_side
from ..latents import Latents, ModelSignature, Space
from ..networks.encoders.compact import CompactEncoder
from ..networks.encoders.psp import RESTYLE_PASSES
from ..networks.generators.base import Generator, plain_generator
from ..runtime import OnStep, run_chunked
from .refinement import PASSES, refine
from .small import small_variant
from .spaces import Coordinates


class PortraitEncoder(Protocol):
    """What every encoder offers, whatever its architecture."""

    @property
    def space(self) -> Space: ...

    @property
    def signature(self) -> ModelSignature:
        """The generator it was trained for; its hash is "" where unknown."""
        ...

    def encode(self, images: Tensor, generator: Generator | None = None, stage: int | None = None,
               passes: int = RESTYLE_PASSES) -> Latents: ...


@torch.no_grad()
def encode(encoder: PortraitEncoder, images: Tensor, model: Generator | None = None, passes: int = RESTYLE_PASSES,
           stage: int | None = None, chunk: int = 8, on_step: OnStep | None = None) -> Latents:
    """Aligned portraits [B, 3, H, W] in [-1, 1], any size and device -> codes in the encoder's space, on the CPU.

    model: the generator the codes are for, with which ReStyle and the built-in encoder look at what they give and correct
    it; None: whatever the encoder was trained for, and no such look by the built-in one. passes: their rounds, of the
    built-in one PASSES at most (0: its first estimate); stage: e4e's last refined row (None: all); other encoders have
    neither. on_step(done, B, None). Raises InvalidInput, LatentMismatch.
    """
    if model is not None:
        model = plain_generator(model)
        check_pairing(encoder, model)
    if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] != images.shape[3] or not len(images):
        raise InvalidInput(f"The encoder got pictures of shape {tuple(images.shape)} but needs aligned, square ones [batch, 3, "
                           f"size, size]; cut the faces out with Align Faces first.")
    check_side(images, "A picture")
    check_finite(images, "Image")
    check_range(images, "The batch of images to encode")

    small = None if model is None or not isinstance(encoder, CompactEncoder) or not passes else small_variant(model)

    def codes_of(some: Tensor) -> Tensor:
        if model is None or small is None or not isinstance(encoder, CompactEncoder):
            return encoder.encode(some, model, stage, passes).tensor
        codes = refine(small, some, encoder.encode(some, small).tensor, whitened(encoder), min(passes, PASSES))
        return Latents(codes, encoder.space, small).fit(model).tensor

    codes = run_chunked(codes_of, images, chunk, "cpu", on_step)
    made_for = encoder.signature if encoder.signature.mapping_hash else None
    return Latents(codes, encoder.space, made_for if model is None else ModelSignature.of(model))


def whitened(encoder: CompactEncoder) -> Coordinates:
    """The coordinates that the encoder gives its codes in: those of its generator's mapping, which need no measuring then."""
    center, axes = encoder.center.clone(), encoder.axes.clone()
    return Coordinates(center.new_zeros(len(center)), 1.0, 1.0, center, axes)


def check_pairing(encoder: PortraitEncoder, model: Generator) -> None:
    """Raise LatentMismatch unless the encoder's codes mean something to the model: the generator it was trained for, or a
    child with the same mapping. An encoder whose file names no generator is judged by its codes' shape alone."""
    ours, theirs = encoder.signature, ModelSignature.of(model)
    same_shape = (ours.num_ws, ours.w_dim) == (theirs.num_ws, theirs.w_dim)
    if (same_shape and not ours.mapping_hash) or ours.fits(theirs, "w+"):
        return
    made_for = f"for mapping {ours.mapping_hash[:8]}" if ours.mapping_hash else "for an unknown generator"
    raise LatentMismatch(
        f"The encoder gives {ours.num_ws} rows of {ours.w_dim} {made_for} but the model is {theirs}; use the generator the "
        f"encoder was trained for or a child of it (fine-tuned with its mapping kept, blended, tuned), or another encoder."
    )
