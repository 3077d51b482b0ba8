"""The spaces a code can be optimized in: their coordinates, where it starts, how wide they are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InvalidInput
from ..latents import SPACES, Latents, Space
from ..networks.generators.base import Generator

SAMPLES, SAMPLES_PER_DIM = 1000, 8
SLOPE = 0.2
"""Of the leaky ReLU at the mapping's end; undoing it makes w nearly Gaussian."""
FLOOR = 1e-7
"""Smallest variance of a direction, as a share of the largest."""


@dataclass(frozen=True)
class Coordinates:
    """How the optimized variable stands for a code. The plain ones are the code itself.

    The whitened ones of w and w+ are p = lrelu(w, 1 / 0.2), made white by the samples' covariance (Zhu et al. 2020,
    2012.09036, P_N): unit steps follow the directions along which faces vary, so few steps reach a face and the code
    stays where the mapping puts codes.
    """

    start: Tensor
    """[dim], in these coordinates: w_avg, or for z the sample whose w lies nearest to it."""
    spread: float
    """Unit of the perturbation: sqrt(mean |w - w_avg|^2) for plain w and w+ (published projectors' choice), else 1."""
    deviation: float
    """Standard deviation of one coordinate."""
    center: Tensor | None = None
    axes: Tensor | None = None
    """[dim, dim], columns are eigenvectors times their standard deviations."""

    def to_code(self, x: Tensor) -> Tensor:
        """[..., dim] -> code; differentiable."""
        return x if self.axes is None or self.center is None else F.leaky_relu(self.center + x @ self.axes.T, SLOPE)

    def from_code(self, code: Tensor) -> Tensor:
        """The inverse of to_code."""
        if self.axes is None or self.center is None:
            return code
        gaussian = F.leaky_relu(code, 1 / SLOPE) - self.center
        return gaussian @ (self.axes / self.axes.square().sum(0))


@torch.no_grad()
def coordinates(model: Generator, space: Space, whitened: bool, c: Tensor | None = None) -> Coordinates:
    """Measured on seeded samples of the mapping. c: one-hot [1|B, c_dim]; its first row is used."""
    count, whitened = SAMPLES, whitened and space.startswith("w")
    if whitened:
        count = max(SAMPLES, SAMPLES_PER_DIM * model.w_dim)
    if model.c_dim and c is None:
        raise InvalidInput(f"This model has {model.c_dim} classes and none was given to invert in; give one where that can be "
                           f"told (c, one-hot), or use a model without classes.")
    z, w = model.mapping.sample(count, 123, None if c is None else c[:1])
    average = model.w_avg.to(w)
    distance = (w - average).square().sum(1)
    if space.startswith("z"):
        return Coordinates(z[distance.argmin()].to(w), 1.0, 1.0)
    if not whitened:
        spread = float(distance.mean().sqrt())
        return Coordinates(average, spread, spread / model.w_dim**0.5)
    gaussian = F.leaky_relu(w, 1 / SLOPE).cpu().double()  # Apple's GPUs have no float64
    center = gaussian.mean(0)
    variances, directions = torch.linalg.eigh(torch.cov((gaussian - center).T))
    axes = directions * variances.clamp_min(FLOOR * float(variances[-1])).sqrt()
    plain = Coordinates(average, 1.0, 1.0, center.to(w), axes.to(w))
    return Coordinates(plain.from_code(average), 1.0, 1.0, plain.center, plain.axes)


def start_codes(model: Generator, space: Space, start: Latents | None, batch: int, system: Coordinates) -> list[Tensor]:
    """One variable [1, dim] or [1, rows, dim] an image: from `start` (one for all, or one each), else the mean."""
    if start is None:
        code = system.start.reshape(1, -1)
        code = code[:, None].repeat(1, model.num_ws, 1) if space.endswith("+") else code
        return [code.clone() for _ in range(batch)]
    if len(start) not in (1, batch):
        raise InvalidInput(f"{len(start)} starting latents came for {batch} images; give one, or one an image.")
    tensor = system.from_code(_converted(start, model, space).to(system.start))
    return [tensor[i % len(start)][None].clone() for i in range(batch)]


def _converted(start: Latents, model: Generator, space: Space) -> Tensor:
    start = start.fit(model)
    if start.space == space:
        return start.tensor
    if space == "w+":
        return start.ws(model)
    if space == "w" and start.space == "z":
        return start.ws(model)[:, 0]
    if space == "z+" and start.space == "z":
        return start.tensor[:, None].repeat(1, model.num_ws, 1)
    raise InvalidInput(f"Starting latents in {start.space} can't become {space}; invert in w+ or start from the mean.")


def check_space(space: Space) -> None:
    """Raise InvalidInput for an unknown name."""
    if space not in SPACES:
        raise InvalidInput(f'Latent space "{space}" is unknown; use one of {", ".join(SPACES)}.')
