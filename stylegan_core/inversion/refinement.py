"""An encoder's codes, corrected: a few passes, each by what the last picture still lacks (the idea of ReStyle, Alaluf et al.
2021, 2104.02699). The gradient of LPIPS, identity and L2 says what that is, so that any generator will do and nothing need
be trained."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..engine import Adam, exact, gradients
from ..losses.identity import IdentityLoss
from ..losses.perceptual import LPIPS
from ..networks.generators.base import Generator
from ..ops.resize import resize_area
from .spaces import Coordinates

PASSES = 4
"""After which identity gains little more a pass."""


@dataclass(frozen=True)
class Refinement:
    """Rates and weights of the passes."""

    lr: float = 0.12
    """Adam's, in whitened coordinates, for `smooth_rows` of them."""
    lpips: float = 1.0
    identity: float = 0.4
    l2: float = 0.5
    size: int = 256
    """Losses see pictures of at most so many pixels."""


def row_waves(rows: int) -> Tensor:
    """[rows, rows], orthonormal: what all rows share first, then ever faster changes along them (a cosine transform).

    Neighbouring rows act alike, so Adam, which gives every coordinate its own rate, does better on these than on the rows.
    """
    k, n = torch.arange(rows)[:, None], torch.arange(rows)[None]
    waves = torch.cos(math.pi * (n + 0.5) * k / rows) * math.sqrt(2 / rows)
    waves[0] /= math.sqrt(2)
    return waves


def refine(model: Generator, images: Tensor, codes: Tensor, system: Coordinates, passes: int = PASSES,
           options: Refinement | None = None) -> Tensor:
    """images [B, 3, S, S] in [-1, 1] and their w+ codes [B, num_ws, w_dim] -> better ones. system: of the codes."""
    options = options or Refinement()
    with gradients():
        network = exact(model)
        copied = {name: value.clone() for name, value in vars(system).items() if isinstance(value, Tensor)}
        system = replace(system, **copied)  # made under the caller's inference mode, perhaps
        lpips, identity = (net.embedded().to(codes.device) for net in (LPIPS, IdentityLoss))
        found = []
        waves = row_waves(codes.shape[1]).to(codes)
        for image, code in zip(images.clone().split(1), codes.clone().split(1), strict=True):
            size = min(options.size, network.img_resolution)
            wanted = resize_area(image.to(code), size)
            with torch.no_grad():
                seen, person = lpips.features(wanted), identity.features(wanted)
            x = (waves @ system.from_code(code)).requires_grad_(True)
            optimizer = Adam([x], lr=options.lr)
            for _ in range(passes):
                drawn = resize_area(network.synthesis(system.to_code(waves.T @ x)), size)
                loss = (options.lpips * lpips(seen, lpips.features(drawn)) + options.l2 * (drawn - wanted).square().mean()
                        + options.identity * identity(person, identity.features(drawn)))
                x.grad, = torch.autograd.grad(loss.sum(), x)
                optimizer.step()
            with torch.no_grad():
                found.append(system.to_code(waves.T @ x))
    return torch.cat(found)
