"""Refinement of style codes against their pictures, the network frozen (2203.13248, section 3.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..engine import Adam, Optimization, Series, frozen, gradients, weighted_total
from ..errors import InvalidInput
from ..faces.checks import check_side
from ..inversion.noise import map_scales
from ..latents import Latents, ModelSignature, Space, codes_to_ws
from ..losses.contextual import ContextualLoss
from ..losses.features import Features
from ..losses.perceptual import LPIPS
from ..losses.regularizers import normalize_noise_
from ..networks.dualstylegan import DualStyleGAN
from ..networks.encoders.psp import INPUT, prepare_portraits
from ..networks.style_weights import Weights, parse_weights
from ..options import check_numbers
from ..runtime import OnStep
from .manner import MannerJudge, nearest_manner
from .noise import joint_noise_regularization


@dataclass(frozen=True)
class RefineOptions:
    """Defaults are the published ones; styles of strong color take lr_color 0.1."""

    steps: int = 100
    lr_color: float = 0.01
    lr_structure: float = 0.005
    lr_noise: float = 0.1
    contextual: float = 1.0
    noise_regularization: float = 1e5
    weights: Weights = 1.0
    chunk: int = 1
    seed: int = 0
    manner: bool = True
    """Styles without a manner of drawing begin with the one nearest to their picture, where the model has manners."""

    def __post_init__(self) -> None:
        check_numbers(self, "Refinement", ("chunk",))


class Refined(NamedTuple):
    """The styles, one entry a picture."""

    extrinsic: Latents
    images: Tensor
    """[B, C, H, W] on the CPU, rendered from the refined codes."""


class Refiner(Optimization[Tensor]):
    """A refinement of one chunk of styles as an object: `step` it; `latents` at any time."""

    def __init__(self, dual: DualStyleGAN, intrinsic: Latents, extrinsic: Latents, images: Tensor, options: RefineOptions,
                 perceptual: LPIPS, contextual: ContextualLoss, noise: list[Tensor] | None = None) -> None:
        """Networks as they are used: private copies in the model's dtype. See refine_style."""
        self.dual, self.options, self.steps = dual, options, options.steps
        self.space: Space = extrinsic.space
        self.perceptual, self.contextual = perceptual, contextual
        self.history: list[dict[str, float]] = []
        self.weights = parse_weights(options.weights, dual.num_weights)
        self.scales = map_scales(dual.base)
        self.color = list(dual.rows)
        self.structure = [row for row in range(dual.num_ws) if row not in dual.rows]
        with torch.inference_mode(False), torch.no_grad():
            self.ws = intrinsic.ws(dual.base).to(next(dual.parameters()), copy=True)
            codes = extrinsic.tensor.to(self.ws).clone()
            self.colors, self.structures = (codes[:, rows].requires_grad_(True) for rows in (self.color, self.structure))
            self.maps = [m.to(self.ws).clone().requires_grad_(True) for m in noise or self._draw_maps(len(codes))]
            self.size = min(INPUT, dual.img_resolution)
            targets = self._small(prepare_portraits(images.clone()).to(self.ws))
            self.targets = perceptual.features(targets), contextual.features(targets)
        self._optimizer = Adam([
            {"params": [self.colors], "lr": options.lr_color},
            {"params": [self.structures], "lr": options.lr_structure},
            {"params": self.maps, "lr": options.lr_noise}])

    def _draw_maps(self, batch: int) -> list[Tensor]:
        draw = torch.Generator().manual_seed(self.options.seed)
        return [torch.randn(batch, 1, *shape, generator=draw) for shape in self.dual.base.synthesis.noise_shapes()]

    def _small(self, images: Tensor) -> Tensor:
        return images if images.shape[-1] <= self.size else nn.functional.adaptive_avg_pool2d(images, self.size)

    def codes(self) -> Tensor:
        """[B, rows, dim] in the space of the given styles; differentiable."""
        joint = torch.cat([self.structures, self.colors], dim=1)
        order = sorted(range(joint.shape[1]), key=[*self.structure, *self.color].__getitem__)
        return joint[:, order]

    def latents(self) -> Latents:
        return Latents(self.codes().detach().clone(), self.space, ModelSignature.of(self.dual.base))

    def render(self) -> Tensor:
        """[B, C, H, W] from the current codes and noise maps."""
        exemplar = self.dual.exemplar_from_ws(codes_to_ws(self.dual.base, self.codes(), self.space))
        maps = [m * s for m, s in zip(self.maps, self.scales, strict=True)]
        return self.dual.render(self.ws, exemplar, self.weights, noise=maps)

    @property
    def steps_done(self) -> int:
        return len(self.history)

    def advance(self) -> Tensor:
        return self.step()

    def result(self) -> Tensor:
        """The pictures of the codes as they are, [B, C, H, W] on the CPU."""
        with torch.no_grad():
            return self.render().cpu()

    def step(self) -> Tensor:
        """One step; returns the picture it judged, at most 256 px a side."""
        options = self.options
        with gradients():
            small = self._small(self.render())
            losses = {"perceptual": self.perceptual(small, self.targets[0]).sum(),
                      "contextual": self.contextual(small, self.targets[1]).sum(),
                      "noise": joint_noise_regularization(self.maps)}
            total = weighted_total(losses, {"perceptual": 1.0, "contextual": options.contextual,
                                            "noise": options.noise_regularization})
            self._optimizer.zero_grad()
            total.backward()
            self._optimizer.step()
            normalize_noise_(self.maps)
        self.history.append({**{k: float(v.detach()) for k, v in losses.items()}, "total": float(total.detach())})
        return small.detach()


class Refinement(Series[Refiner, Tensor]):
    """A refinement of all styles as an object: `run` it; after an interruption `latents` holds what it had reached."""

    def __init__(self, dual: DualStyleGAN, intrinsic: Latents, extrinsic: Latents, images: Tensor,
                 options: RefineOptions | None = None, perceptual: LPIPS | None = None,
                 contextual: ContextualLoss | None = None, noise: list[Tensor] | None = None) -> None:
        """See refine_style."""
        if not len(intrinsic) == len(extrinsic) == len(images) or not extrinsic.space.endswith("+"):
            raise InvalidInput(f"Refinement got {len(intrinsic)} faces, {len(extrinsic)} styles in {extrinsic.space} and "
                               f"{len(images)} pictures; give as many of each, and styles in z+ or w+.")
        check_side(images, "A picture")
        extrinsic.check(dual.base)
        like = next(dual.parameters())
        self.options, self.count = options or RefineOptions(), len(extrinsic)
        self.intrinsic, self.extrinsic, self.images, self.noise = intrinsic, extrinsic, images, noise
        self.model = frozen(dual)
        self.perceptual = frozen(perceptual or LPIPS.embedded(), like)
        self.contextual = frozen(contextual or ContextualLoss.embedded(), like)
        self.judge: MannerJudge | None = None
        if self.options.manner and dual.manners is not None:
            self.judge = MannerJudge(frozen(Features.embedded(), like), self.perceptual)
            self.extrinsic = Latents(extrinsic.ws(dual.base), "w+", ModelSignature.of(dual.base))
        self._codes: list[Latents] = []
        self._pictures: list[Tensor] = []

    def run(self, on_step: OnStep | None = None) -> Refined:
        """All styles that are left; on_step(step, all steps, preview) may raise to cancel, and run goes on."""
        self.run_all(on_step)
        return Refined(self.latents(), torch.cat(self._pictures))

    def begin(self, first: int) -> Refiner:
        which = list(range(first, min(first + self.options.chunk, self.count)))
        maps = None if self.noise is None else [n if len(n) == 1 else n[which] for n in self.noise]
        return Refiner(self.model, self.intrinsic.pick(which), self._in_manners(which), self.images[which], self.options,
                       self.perceptual, self.contextual, maps)

    def _in_manners(self, which: list[int]) -> Latents:
        if self.judge is None:
            return self.extrinsic.pick(which)
        return Latents.combine([nearest_manner(self.model, self.intrinsic.pick(i), self.extrinsic.pick(i),
                                               self.images[i : i + 1], self.judge)[0] for i in which])

    def keep(self, work: Refiner, found: Tensor) -> None:
        self._pictures.append(found)
        self._codes.append(work.latents())

    def steps_before(self, item: int) -> int:
        return -(-item // self.options.chunk) * self.options.steps

    @property
    def done(self) -> int:
        """Styles that are finished."""
        return sum(map(len, self._codes))

    @property
    def begun(self) -> bool:
        """Whether any style has moved."""
        return bool(self._codes) or bool(self.current and self.current.history)

    def latents(self) -> Latents:
        """All styles: the finished ones, the current ones as far as they got, the others as they were given."""
        current = [] if self.current is None else [self.current.latents()]
        refined = [*self._codes, *current]
        left = list(range(sum(map(len, refined)), len(self.extrinsic)))
        refined += [self.extrinsic.pick(left)] if left else []
        return Latents.combine([codes.to("cpu") for codes in refined])


def refine_style(dual: DualStyleGAN, intrinsic: Latents, extrinsic: Latents, images: Tensor,
                 options: RefineOptions | None = None, perceptual: LPIPS | None = None,
                 contextual: ContextualLoss | None = None, noise: list[Tensor] | None = None,
                 on_step: OnStep | None = None) -> Refined:
    """Move style codes until `dual` redraws their pictures from the faces behind them.

    intrinsic, extrinsic (z+ or w+) and images [B, 3, H, W] in [-1, 1] belong together one by one. perceptual,
    contextual: default to the embedded networks; the paper used VGG ones. noise: starting unit maps [1|B, 1, h, w].
    on_step(step, all steps, preview) may raise to cancel; a Refinement then keeps what was reached. Raises InvalidInput,
    LatentMismatch.
    """
    return Refinement(dual, intrinsic, extrinsic, images, options, perceptual, contextual, noise).run(on_step)
