"""Codes as plain tensors: drawn, mapped, truncated, labelled."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InvalidInput
from .signature import LatentModel

Space = Literal["z", "z+", "w", "w+"]
SPACES: tuple[str, ...] = get_args(Space)


def sample_z(seeds: int | list[int] | range, z_dim: int) -> Tensor:
    """[len(seeds), z_dim] float32; row by row equal to numpy's RandomState(seed).randn, as NVIDIA's scripts draw it.

    Seeds wrap at 2**32 (ComfyUI's go to 2**64 - 1); a negative one raises InvalidInput.
    """
    seeds = [seeds] if isinstance(seeds, int) else list(seeds)
    if any(s < 0 for s in seeds):
        raise InvalidInput(f"Seed {min(seeds)} is negative; use a seed from 0 on.")
    rows = [np.random.RandomState(s & 0xFFFFFFFF).randn(z_dim) for s in seeds]
    return torch.from_numpy(np.stack(rows).astype(np.float32)) if rows else torch.empty(0, z_dim)


def check_truncation(psi: float, cutoff: int | None) -> None:
    """Raise InvalidInput unless psi is finite and cutoff counts rows: 0 or more, None for all."""
    if not math.isfinite(psi) or (cutoff is not None and cutoff < 0):
        raise InvalidInput(f"Truncation got psi {psi} and cutoff {cutoff}; use a finite psi, such as 0.7, and rows from 0 on, "
                           f"or None for all.")


def truncate(ws: Tensor, w_avg: Tensor, psi: float, cutoff: int | None = None) -> Tensor:
    """ws [B, num_ws, w_dim] -> same; w_avg + psi (w - w_avg) on rows < cutoff (1812.04948, section 2)."""
    head = ws if cutoff is None else ws[:, :cutoff]
    truncated = w_avg.to(ws).lerp(head, psi)
    return truncated if cutoff is None else torch.cat([truncated, ws[:, cutoff:]], dim=1)


def codes_to_ws(generator: LatentModel, codes: Tensor, space: Space, c: Tensor | None = None) -> Tensor:
    """Codes [B, dim] or [B, rows, dim] -> ws [B, num_ws, w_dim]; differentiable. c: one-hot [1|B, c_dim]."""
    if space.startswith("z"):
        if c is not None and codes.ndim == 3:
            c = c[:, None]
        codes = generator.mapping.to_w(codes, c)
    return codes if codes.ndim == 3 else codes[:, None].repeat(1, generator.num_ws, 1)


def class_label(generator: LatentModel, index: int | None, batch: int = 1, space: Space = "z") -> Tensor | None:
    """One-hot labels [batch, c_dim] for codes of a model with classes; None for one without, and for codes of w and w+, which
    have their class from the mapping.

    index None or -1 stands for "no class". Raises InvalidInput when the model needs one or lacks the one asked for, and for a
    class that codes of w can't be given.
    """
    classes = generator.c_dim
    number = -1 if index is None else index
    if classes and space.startswith("w"):
        if number == -1:
            return None
        raise InvalidInput(f"Class {index} was asked of latents in {space}, which have theirs from the mapping; leave the "
                           f"class out, or give latents in z.")
    if not classes:
        if number in (-1, 0):
            return None
        raise InvalidInput(f"Class {index} was asked of a model without classes; leave the class at -1.")
    if not 0 <= number < classes:
        found = "no class was given" if number == -1 else f"class {index} was given"
        raise InvalidInput(f"This model has {classes} classes and {found}; pick one from 0 to {classes - 1}.")
    return F.one_hot(torch.full((batch,), number), classes).float()


def random_labels(generator: LatentModel, count: int, seed: int) -> Tensor | None:
    """Uniform one-hot classes [count, c_dim]; None for a model without."""
    if not generator.c_dim:
        return None
    drawn = torch.from_numpy(np.random.default_rng(seed).integers(generator.c_dim, size=count))
    return F.one_hot(drawn, generator.c_dim).to(next(generator.parameters()))
