"""Directions of a model, found without labels: closed form in its style layers, or principal axes of w."""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InvalidInput
from ..latents import ModelSignature, rows_between
from ..networks.generators.base import Generator, plain_generator
from .value import Directions

Method = Literal["sefa", "pca"]
METHODS: tuple[str, ...] = get_args(Method)
SAMPLES = 10_000


@torch.no_grad()
def find_directions(model: Generator, method: Method = "sefa", layers: str = "all", count: int = 8, seed: int = 0,
                    samples: int = SAMPLES) -> Directions:
    """The `count` strongest directions, unit vectors, each with the standard deviation of random faces along it as scale.

    sefa: eigenvectors of A^T A, A the style weights of the layers in `layers` (a range in px, see rows_between), its
    rows of unit length (Shen & Zhou 2021, 2007.06600). pca: principal axes of `samples` seeded w (Haerkoenen et al.
    2020, 2004.02546); `layers` only says where they act. Signs are fixed: the largest entry is positive.
    Raises InvalidInput.
    """
    if method not in METHODS:
        raise InvalidInput(f'Method "{method}" is unknown; use one of {", ".join(METHODS)}.')
    if not 1 <= count <= model.w_dim or samples < 2:
        raise InvalidInput(f"{count} directions from {samples} samples were asked of a model with {model.w_dim} numbers in w; "
                           f"ask for 1 to {model.w_dim} directions and at least 2 samples.")
    model = plain_generator(model)
    rows = rows_between(model, layers)
    w = model.mapping.sample(samples, seed)[1].cpu().double()
    gram = torch.cov(w.T) if method == "pca" else _normalized_gram(style_weights(model, rows).cpu().double())
    if not torch.isfinite(gram).all():
        raise InvalidInput("The model's style weights hold NaN or infinity; load a sound model.")
    axes = torch.linalg.eigh(gram.cpu()).eigenvectors.flip(1)[:, :count].T
    largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
    axes = axes * largest.sign()
    scale = (w.cpu() @ axes.T).std(0)
    names = tuple(f"{method} {i}" for i in range(count))
    return Directions(axes.float(), names, scale.float(), (layers,) * count, method, ModelSignature.of(model))


def style_weights(model: Generator, rows: list[int]) -> Tensor:
    """[styles, w_dim]: the affine weights of the layers that `rows` style, one below the other.

    Image heads, which only tint, count where a range has nothing else.
    """
    styled = [layer for layer in model.layers if layer.row in rows and layer.kind != "const"]
    chosen = [layer for layer in styled if layer.kind != "rgb"] or styled
    if not chosen:
        raise InvalidInput("No layer in that range has a style of its own; use a wider range.")
    return torch.cat([model.synthesis.get_parameter(f"{layer.name}.affine.weight").flatten(1) for layer in chosen])


def _normalized_gram(weights: Tensor) -> Tensor:
    """A^T A, [w_dim, w_dim], of weights with rows brought to unit length."""
    unit = F.normalize(weights, dim=1)
    return unit.T @ unit
