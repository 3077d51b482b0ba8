"""One step of DualStyleGAN's training, stages II and III (Yang et al. 2022, 2203.13248, section 3.3).

Only the extrinsic path is trained; the generator inside stays as it is. Stage II teaches structure in the source domain: the
path shall give what a mixture of two codes gives. Stage III teaches the target domain from drawings and their codes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from ..errors import InvalidInput
from ..losses.contextual import contextual_loss
from ..losses.features import SIDE, Features, feature_distance, feature_matching
from ..losses.regularizers import sum_of_norms
from ..networks.dualstylegan import DualStyleGAN
from .ada import AdaController
from .options import TrainOptions
from .trainer import PhaseInputs, Reduce, Trainer

DUAL_TRAINING = TrainOptions(ema_decay=0.5 ** (32 / 10_000), batch_size=32, w_avg_beta=1.0)
"""Rates, regularization and averaging as published; the centre of truncation stays the generator's."""


@dataclass(frozen=True)
class DualWeights:
    """What the losses of a stage count. Raises InvalidInput when one is negative or no number."""

    adversarial: float = 1.0
    """Of the generator's and of the discriminator's loss."""
    perceptual: tuple[float, ...] = (0.0, 0.5, 1.0)
    """One a feature layer, shallow first; counts where the inputs bring a target."""
    contextual: float = 0.25
    matching: float = 0.25
    identity: float = 1.0
    modres: float = 0.015
    """On the sum of the norms of all tensors of the residual blocks and of T_c."""

    def __post_init__(self) -> None:
        values = (self.adversarial, *self.perceptual, self.contextual, self.matching, self.identity, self.modres)
        if not all(0 <= value < float("inf") for value in values):
            raise InvalidInput(f"Loss weights of {values} can't be; use numbers from 0 on.")


STAGE_2 = DualWeights(0.1, (0.5, 0.5, 0.5), 0.0, 0.0, 0.0, 0.0)
STAGE_3 = {
    "cartoon": DualWeights(identity=1.0, modres=0.015),
    "caricature": DualWeights(identity=4.0, modres=0.005),
    "anime": DualWeights(identity=1.0, modres=0.02),
}
"""The published weights, by the kind of drawings."""
ITERATIONS = {"cartoon": 1400, "caricature": 1000, "anime": 2100}
MATCHED = (1, 2)
"""Feature layers whose channel means are compared (relu2_1 and relu3_1 of VGG19)."""
CONTEXTUAL = 2
"""Feature layer of the contextual loss (relu3_1)."""


@dataclass(frozen=True)
class DualInputs(PhaseInputs):
    """What a phase of DualStyleGAN's training depends on beside the weights; rows are images."""

    intrinsic: Tensor | None = None
    """[B, num_ws, w_dim], mapped and mixed."""
    extrinsic: Tensor | None = None
    """[B, num_ws, w_dim], mapped; carries no gradient."""
    target: Tensor | None = None
    """[B, 3, H, W] that the perceptual loss compares; None: no such loss (unpaired)."""
    style: Tensor | None = None
    """[B, 3, H, W], the drawings that the extrinsic codes belong to."""
    content: Tensor | None = None
    """[B, num_ws, w_dim] of the plain faces that identity compares; None: the intrinsic codes."""


class DualTrainer(Trainer):
    """Networks, optimizers and losses of a stage. The same one goes on through stages: set `weights`."""

    G: DualStyleGAN  # type: ignore[assignment]

    def __init__(self, dual: DualStyleGAN, discriminator: nn.Module, average: DualStyleGAN | None, options: TrainOptions,
                 weights: DualWeights, features: Features, identity: Callable[[Tensor, Tensor], Tensor] | None = None,
                 ada: AdaController | None = None, reduce: Reduce = lambda total: total) -> None:
        """identity: faces, faces [B, 3, S, S] -> distance [B]; needed where its weight is above 0. Raises InvalidInput."""
        if weights.identity and identity is None:
            raise InvalidInput("This stage keeps the person and needs an identity network; give one, or an identity weight of "
                               "0.")
        super().__init__(dual, discriminator, average, options,  # type: ignore[arg-type]
                         lambda tag, name: tag == "D" or not name.startswith("base."), ada, reduce)
        self.weights, self.features, self.identity = weights, features, identity
        self.losses: dict[str, Tensor] = {}
        """The last step's losses by name, each with its weight, left on the device."""

    @property
    def adversarial(self) -> float:
        return self.weights.adversarial

    def styles(self, x: PhaseInputs) -> Tensor:
        return _of(x).intrinsic  # type: ignore[return-value]

    def draw(self, ws: Tensor, x: PhaseInputs) -> Tensor:
        extrinsic = _of(x).extrinsic
        assert extrinsic is not None
        exemplar = self.G.exemplar_from_ws(extrinsic)
        return self.G.render(ws, exemplar, (1.0,) * self.G.num_weights, self.noise_mode, x.noise)

    def image_losses(self, images: Tensor, x: PhaseInputs) -> Tensor:
        """The losses of Gmain beside the adversarial one, weighted -> scalar."""
        x, weights, terms = _of(x), self.weights, {}
        found = self.features(images)
        if x.target is not None and any(weights.perceptual):
            terms["perceptual"] = feature_distance(found, self._seen(x.target), weights.perceptual)
        if x.style is not None and (weights.contextual or weights.matching):
            wanted = self._seen(x.style)
            terms["contextual"] = weights.contextual * contextual_loss(found[CONTEXTUAL], wanted[CONTEXTUAL]).mean()
            terms["matching"] = weights.matching * feature_matching(found, wanted, MATCHED)
        if self.identity is not None and weights.identity:
            terms["identity"] = weights.identity * self.identity(_small(images), self._plain(x)).mean()
        if weights.modres:
            terms["modres"] = weights.modres * sum_of_norms(
                p for name, p in self.G.named_parameters() if name.startswith(("structure.", "color.")))
        self.losses = {name: loss.detach() for name, loss in terms.items()}
        return sum(terms.values(), images.new_zeros(()))

    @torch.no_grad()
    def _seen(self, images: Tensor) -> list[Tensor]:
        return self.features(images)

    @torch.no_grad()
    def _plain(self, x: DualInputs) -> Tensor:
        """The faces of the generator inside."""
        ws: Any = x.intrinsic if x.content is None else x.content
        return _small(self.draw_plain(ws, x.noise))

    def draw_plain(self, ws: Tensor, noise: list[Tensor] | None = None) -> Tensor:
        """[B, num_ws, w_dim] -> faces of the generator inside, in 16 bits where that was asked for."""
        with torch.autocast(ws.device.type, torch.bfloat16, enabled=self.bfloat16):
            return self.G.base.synthesis(ws, self.noise_mode, noise).to(ws.dtype)


def _of(x: PhaseInputs) -> DualInputs:
    if not isinstance(x, DualInputs):
        raise InvalidInput("A DualStyleGAN is trained on intrinsic and extrinsic codes; hand in DualInputs.")
    return x


def _small(images: Tensor) -> Tensor:
    return adaptive_avg_pool2d(images, SIDE) if images.shape[-1] > SIDE else images
