"""Which of the manners that a DualStyleGAN knows a drawing is in.

A drawing from outside the bank brings a style code, whose color rows say nothing of strokes and paper. So the face behind it is
drawn in every manner with the drawing's own colors, and the picture most like the drawing tells which it is: by texture (Gram
matrices) and, place by place, by LPIPS.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..latents import Latents, ModelSignature
from ..losses.features import SIDE, Features, style_distance
from ..losses.perceptual import LPIPS
from ..networks.dualstylegan import DualStyleGAN
from ..ops.resize import resize_area

BETTER = 0.97
"""A manner is taken where its distance is below so much of the distance without one: a photograph keeps none."""


@dataclass(frozen=True)
class MannerJudge:
    """What measures pictures against a drawing."""

    features: Features
    perceptual: LPIPS

    @classmethod
    def embedded(cls) -> MannerJudge:
        return cls(Features.embedded(), LPIPS.embedded())

    def __call__(self, images: Tensor, drawing: Tensor) -> Tensor:
        """[B, 3, s, s] and [1, 3, s, s] -> [B]."""
        wanted = [x.expand(len(images), -1, -1, -1) for x in self.features(drawing)]
        return style_distance(self.features(images), wanted) + self.perceptual(images, drawing.expand_as(images)).flatten()


@torch.no_grad()
def nearest_manner(dual: DualStyleGAN, face: Latents, style: Latents, drawing: Tensor, judge: MannerJudge | None = None
                   ) -> tuple[Latents, int | None]:
    """A drawing [1, 3, S, S], its style and the face behind it -> (the style in w+, in the manner nearest to the drawing; that
    manner's number). A style that has a manner, or to which none comes near, stays as it is: None. Raises LatentMismatch."""
    ws, content = style.ws(dual.base).clone(), face.ws(dual.base)
    same = Latents(ws, "w+", ModelSignature.of(dual.base))
    if dual.manners is None or bool(dual.manners.shares(ws[:, list(dual.rows)]).any()):
        return same, None
    head, judge = dual.rows[-1], judge or MannerJudge.embedded()
    tried = ws.repeat(dual.config.manners + 1, 1, 1)
    for k in range(dual.config.manners):
        tried[k, head] = dual.manners.towards(ws[:, head], k)[0]
    side = min(SIDE, dual.img_resolution)
    weights = (1.0,) * dual.num_weights
    images = torch.cat([resize_area(dual.render(content, dual.exemplar_from_ws(code), weights), side).clamp(-1, 1)
                        for code in tried.split(1)])
    away = judge(images, resize_area(drawing.to(images), side))
    best = int(away[:-1].argmin())
    if away[best] >= BETTER * away[-1]:
        return same, None
    return Latents(tried[best : best + 1], "w+", same.model), best
