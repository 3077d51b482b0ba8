"""How strongly to augment: drawn parameters and the controller of their probability (2006.06676, section 3)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from ..errors import InvalidInput
from .augmentation import COLOR, CORRUPTION, GEOMETRY, POWER, apply_augmentations

Convention = Literal["nvidia", "rosinality"]

BLIT = ("xflip", "rotate90", "xint")
SETS: dict[str, tuple[str, ...]] = {
    "blit": BLIT, "geom": tuple(n for n in GEOMETRY if n not in BLIT), "color": tuple(COLOR),
    "filter": ("filter",), "noise": ("noise",), "cutout": ("cutout",), "bg": tuple(GEOMETRY), "bgc": (*GEOMETRY, *COLOR),
    "bgcf": (*GEOMETRY, *COLOR, "filter"), "bgcfn": (*GEOMETRY, *COLOR, "filter", "noise"),
    "bgcfnc": (*GEOMETRY, *COLOR, *CORRUPTION), "none": (),
}
"""Named sets of transforms; bgc is the usual one."""

INTERVALS: dict[Convention, int] = {"nvidia": 4, "rosinality": 8}


class AdaController:
    """Moves the augmentation probability p so that the mean sign of the discriminator's scores of reals meets a target.

    nvidia: every `interval` iterations p moves by sign(r - target) images / images_per_unit, not below 0. rosinality: up where
    r > target, else down, within [0, 1]. Everything stays on the scores' device.
    """

    def __init__(self, target: float = 0.6, interval: int | None = None, images_per_unit: float = 500_000,
                 convention: Convention = "nvidia", p: float = 0.0,
                 reduce: Callable[[Tensor], Tensor] = lambda total: total) -> None:
        """images_per_unit: images it takes p from 0 to 1 at the fastest. reduce: sums [2] numbers over processes."""
        if convention not in INTERVALS:
            raise InvalidInput(f'The augmentation convention "{convention}" is unknown; use {", ".join(INTERVALS)}.')
        interval = INTERVALS[convention] if interval is None else interval
        if not -1 <= target <= 1 or interval < 1 or images_per_unit <= 0 or p < 0:
            raise InvalidInput(f"Augmentation to a target of {target} every {interval} steps over {images_per_unit} images "
                               f"from {p} can't be; use a target in -1..1, a step and a count above 0, a start from 0 on.")
        self.target, self.interval, self.images_per_unit, self.convention = target, interval, images_per_unit, convention
        self.reduce = reduce
        self.p, self.signs = torch.tensor(p), torch.zeros(2)
        self.steps = 0

    @torch.no_grad()
    def observe(self, real_scores: Tensor) -> None:
        """Scores of what the discriminator saw as real, any shape."""
        scores = real_scores.detach()
        seen = torch.stack([scores.sign().sum(), scores.new_tensor(float(scores.numel()))]).float()
        self.signs = self.signs.to(seen.device) + seen

    @torch.no_grad()
    def advance(self, batch_size: int) -> Tensor:
        """Once an iteration of batch_size images (over all processes) -> p, a scalar tensor."""
        self.steps += 1
        if self.steps % self.interval == 0:
            total, count = self.reduce(self.signs).unbind()
            r, p = total / count.clamp(min=1), self.p.to(total.device)
            if self.convention == "nvidia":
                self.p = (p + (r - self.target).sign() * (batch_size * self.interval / self.images_per_unit)).clamp(min=0)
            else:
                self.p = (p + torch.where(r > self.target, 1.0, -1.0) * count / self.images_per_unit).clamp(0, 1)
            self.signs = torch.zeros_like(self.signs)
        return self.p

    def state_dict(self) -> dict[str, Tensor]:
        return {"p": self.p, "signs": self.signs, "steps": torch.tensor(self.steps)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.p, self.signs, self.steps = state["p"].clone(), state["signs"].clone(), int(state["steps"])


def draw_augmentations(batch: int, side: tuple[int, int], p: Tensor | float, names: tuple[str, ...],
                       generator: torch.Generator | None = None, device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """Parameters for apply_augmentations, each transform of an image drawn with probability p (table of appendix B).

    side: (height, width). The generator draws on the CPU, so that devices agree.
    """
    strength = torch.as_tensor(p, dtype=torch.float32).to(device)
    turn, always = 1 - (1 - strength.clamp(max=1)).sqrt(), torch.ones_like(strength)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator).to(device)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device)

    size = torch.tensor([side[1], side[0]], dtype=torch.float32, device=device)
    values: dict[str, tuple[Callable[[], Tensor], float, Tensor]] = {
        "xflip": (lambda: (uniform(batch) * 2).floor(), 0, strength),
        "rotate90": (lambda: (uniform(batch) * 4).floor(), 0, strength),
        "xint": (lambda: ((uniform(batch, 2) * 2 - 1) * 0.125 * size).round(), 0, strength),
        "scale": (lambda: (normal(batch) * 0.2).exp2(), 1, strength),
        "rotate": (lambda: (uniform(batch) * 2 - 1) * math.pi, 0, turn),
        "aniso": (lambda: (normal(batch) * 0.2).exp2(), 1, strength),
        "rotate_post": (lambda: (uniform(batch) * 2 - 1) * math.pi, 0, turn),
        "xfrac": (lambda: normal(batch, 2) * 0.125 * size, 0, strength),
        "brightness": (lambda: normal(batch) * 0.2, 0, strength),
        "contrast": (lambda: (normal(batch) * 0.5).exp2(), 1, strength),
        "lumaflip": (lambda: (uniform(batch) * 2).floor(), 0, strength),
        "hue": (lambda: (uniform(batch) * 2 - 1) * math.pi, 0, strength),
        "saturation": (lambda: normal(batch).exp2(), 1, strength),
        "filter": (lambda: _band_gains(normal(batch, len(POWER)).exp2(), uniform(batch, len(POWER)) < strength), 1, always),
        "noise": (lambda: normal(batch, 1, 1, 1).abs() * 0.1 * normal(batch, 3, *side), 0, strength),
        "cutout": (lambda: torch.cat([uniform(batch, 2), torch.full((batch, 1), 0.5, device=device)], dim=1), 0, strength),
    }
    drawn = {}
    for name in names:
        draw, neutral, chance = values[name]
        value, chosen = draw(), uniform(batch) < chance
        drawn[name] = torch.where(chosen.view(-1, *[1] * (value.ndim - 1)), value, torch.full_like(value, neutral))
    return drawn


def _band_gains(factors: Tensor, chosen: Tensor) -> Tensor:
    """[B, 4] factors, of which the chosen apply one after another, each followed by what keeps the expected power -> gains."""
    power, gains = factors.new_tensor(POWER), torch.ones_like(factors)
    for i in range(factors.shape[1]):
        step = torch.ones_like(factors)
        step[:, i] = torch.where(chosen[:, i], factors[:, i], step[:, i])
        gains = gains * step / (power * step.square()).sum(dim=1, keepdim=True).sqrt()
    return gains


def augment(images: Tensor, p: Tensor, names: tuple[str, ...], generator: torch.Generator | None = None) -> Tensor:
    """images [B, C, H, W] under freshly drawn parameters. At p = 0 on the CPU nothing is done; hue and saturation are left
    out for gray images."""
    if not names or (p.device.type == "cpu" and float(p) == 0):
        return images
    if images.shape[1] == 1:
        names = tuple(n for n in names if n not in ("hue", "saturation"))
    return apply_augmentations(images, draw_augmentations(len(images), (images.shape[2], images.shape[3]), p, names,
                                                          generator, images.device))
