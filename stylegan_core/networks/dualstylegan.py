"""DualStyleGAN (Yang et al. 2022, 2203.13248): a frozen generator and an extrinsic style path beside it.

Structure: a modulative residual block after each of the seven convolutions up to 32 px. Color: the style vectors above
32 px are mixed with transformed extrinsic ones, and, where it has manners, its finest layers change. Written once for
every generator that lists its styled layers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from ..errors import InvalidInput, LoadError
from ..latents import Latents
from .generators.base import Generator, HookUpTo, LayerHook, NoiseMode, StyledLayer
from .generators.mobilestylegan import MobileStyleGAN, MobileStyleGANConfig
from .generators.stylegan2 import StyleGAN2, StyleGAN2Config
from .info import ModelInfo
from .manners import Change, Manners, change_shapes, changed, papered
from .mapping import FullyConnected, MappingConfig, MappingNetwork, leaky_relu_gain
from .shapes import Shape, Shapes, check_shapes, count_of, nested_facts, shape_of
from .style_weights import STRUCTURE_PLACES, Weights, parse_weights

STRUCTURE_RESOLUTIONS = (4, 8, 8, 16, 16, 32, 32)
COARSE = STRUCTURE_RESOLUTIONS[-1]
"""Pixels up to which the extrinsic path acts on features, and above which on style vectors."""


def structure_layers(layers: Sequence[StyledLayer]) -> tuple[StyledLayer, ...]:
    """The seven layers a residual block follows: one at 4 px, the last two at 8, 16 and 32. Raises InvalidInput."""
    found: list[StyledLayer] = []
    for resolution in sorted(set(STRUCTURE_RESOLUTIONS)):
        at = [x for x in layers if x.resolution == resolution and x.kind in ("conv", "up") and x.row is not None]
        found += at[-2:]
    if len(found) != STRUCTURE_PLACES:
        raise InvalidInput(
            f"This generator has {len(found)} convolutions up to {COARSE} px but DualStyleGAN needs "
            f"{STRUCTURE_PLACES}; use a StyleGAN2 or MobileStyleGAN of at least {COARSE} px."
        )
    return tuple(found)


def color_rows(layers: Sequence[StyledLayer]) -> tuple[int, ...]:
    """Rows of ws whose styles take extrinsic color: all above 32 px, and the 32 px image head's."""
    return tuple(sorted({x.row for x in layers if x.row is not None
                         and (x.resolution > COARSE or (x.kind == "rgb" and x.resolution == COARSE))}))


class AdaINConv(nn.Module):
    """Instance norm, scale and shift from a style, 3x3 convolution, leaky ReLU: x [B, C, h, w] -> [B, out, h, w]."""

    def __init__(self, w_dim: int, channels: int, out: int) -> None:
        super().__init__()
        self.affine = nn.Linear(w_dim, 2 * channels)
        self.weight = nn.Parameter(torch.empty(out, channels, 3, 3).normal_(std=0.01))
        self.bias = nn.Parameter(torch.zeros(out))
        with torch.no_grad():
            self.affine.bias.copy_(torch.cat([torch.ones(channels), torch.zeros(channels)]))

    def statistics(self, style: Tensor) -> tuple[Tensor, Tensor]:
        """style [E, w_dim] -> (scale, shift) [E, C, 1, 1], with the convolution's run-time gain folded in."""
        both = self.affine(style)[:, :, None, None] / math.sqrt(9 * self.weight.shape[1])
        scale, shift = both.chunk(2, dim=1)
        return scale, shift

    def forward(self, x: Tensor, statistics: tuple[Tensor, Tensor]) -> Tensor:
        scale, shift = (s.to(x.dtype) for s in statistics)
        x = torch.addcmul(shift, F.instance_norm(x, eps=1e-5), scale)
        return leaky_relu_gain(F.conv2d(x, self.weight.to(x.dtype), self.bias.to(x.dtype), padding=1))


class ModRes(nn.Module):
    """Modulative residual block (2203.13248, section 3.2): x + weight * C2(A2(C1(A1(x)))); `hidden` channels between."""

    def __init__(self, w_dim: int, channels: int, hidden: int) -> None:
        super().__init__()
        self.conv0, self.conv1 = AdaINConv(w_dim, channels, hidden), AdaINConv(w_dim, hidden, channels)

    def statistics(self, style: Tensor) -> Statistics:
        return self.conv0.statistics(style), self.conv1.statistics(style)

    def forward(self, x: Tensor, statistics: Statistics, weight: float) -> Tensor:
        return torch.add(x, self.conv1(self.conv0(x, statistics[0]), statistics[1]), alpha=weight)


Statistics = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class Exemplar:
    """What the extrinsic path derives from style codes alone; compute it once, use it for every frame."""

    structure: tuple[Statistics, ...]
    """Seven blocks' (scale, shift) pairs, each [E, C, 1, 1]."""
    color: Tensor
    """[E, color rows, w_dim], the color rows after T_c."""
    shares: Tensor | None = None
    """[E, manners] of each manner of drawing, where the network has any."""

    def __len__(self) -> int:
        return len(self.color)

    def pick(self, i: int) -> Exemplar:
        """Number i alone; of a part that is one for all, that one."""
        def one(x: Tensor) -> Tensor:
            return x if len(x) == 1 else x[i : i + 1]

        blocks = tuple(((one(a), one(b)), (one(c), one(d))) for (a, b), (c, d) in self.structure)
        return Exemplar(blocks, one(self.color), None if self.shares is None else one(self.shares))


def near_identity(w_dim: int) -> FullyConnected:
    """T_c as stage I wants it: the identity, but for a little noise (section 3.3)."""
    layer = FullyConnected(w_dim, w_dim)
    with torch.no_grad():
        layer.weight.mul_(0.01).add_(torch.eye(w_dim, device=layer.weight.device), alpha=math.sqrt(w_dim))
    return layer


ColorMode = Literal["exemplar", "photo", "photo-toned"]
BASES: dict[str, tuple[Any, type[Generator], int]] = {
    StyleGAN2.kind: (StyleGAN2Config, StyleGAN2, 7),
    MobileStyleGAN.kind: (MobileStyleGANConfig, MobileStyleGAN, 10),
}
"""The generators with seven coarse convolutions, by kind: config, network, first color row."""


@dataclass(frozen=True)
class DualStyleGANConfig:
    """The generator inside; the extrinsic path's shape follows from it."""

    base: Any = StyleGAN2Config()
    base_kind: str = StyleGAN2.kind
    transform_layers: int = 2
    """Depth of the structure transform T_s."""
    hidden: int | None = None
    """Channels inside the residual blocks; None, the published form, is as many as outside."""
    manners: int = 0
    """Manners of drawing that the fine layers know (see Manners); the published form has none."""

    mapping = property(lambda self: self.base.mapping)
    num_ws = property(lambda self: self.base.num_ws)
    img_resolution = property(lambda self: self.base.img_resolution)
    img_channels = property(lambda self: self.base.img_channels)
    channels = property(lambda self: self.base.channels)

    def width(self, resolution: int) -> int:
        """Channels of the features at a resolution."""
        return self.base.channels[int(math.log2(resolution)) - 2]

    @classmethod
    def from_shapes(cls, shapes: Shapes, facts: Mapping[str, Any]) -> DualStyleGANConfig:
        """Canonical keys and shapes -> config; facts go to the generator inside. LoadError when shapes contradict."""
        inside = {key.removeprefix("base."): tuple(shape) for key, shape in shapes.items() if key.startswith("base.")}
        kind = StyleGAN2.kind if "synthesis.b4.const" in inside else MobileStyleGAN.kind
        base = BASES[kind][0].from_shapes(inside, nested_facts(facts, "base"))
        out, channels, _, _ = shape_of(shapes, "structure.0.conv0.weight", 4)
        manners = shape_of(shapes, "manners.gate.weight", 2)[0] - 1 if "manners.gate.weight" in shapes else 0
        config = cls(base, kind, _depth(shapes), None if out == channels else out, manners)
        check_shapes(shapes, config.extrinsic_shapes())
        return config

    def extrinsic_shapes(self) -> Iterator[tuple[str, Shape]]:
        """(key, shape) of every tensor of the extrinsic path."""
        w_dim = self.base.mapping.w_dim
        square = [f"transform.fc{i}" for i in range(self.transform_layers)]
        square += [f"color.{i}" for i in range(self.base.num_ws - BASES[self.base_kind][2])]
        for name in square:
            yield from ((f"{name}.weight", (w_dim, w_dim)), (f"{name}.bias", (w_dim,)))
        for i, resolution in enumerate(STRUCTURE_RESOLUTIONS):
            c = self.width(resolution)
            hidden = self.hidden or c
            for name, before, after in (("conv0", c, hidden), ("conv1", hidden, c)):
                conv = f"structure.{i}.{name}"
                yield from ((f"{conv}.weight", (after, before, 3, 3)), (f"{conv}.bias", (after,)),
                            (f"{conv}.affine.weight", (2 * before, w_dim)), (f"{conv}.affine.bias", (2 * before,)))
        if self.manners:
            yield from (("manners.gate.weight", (self.manners + 1, w_dim)), ("manners.gate.bias", (self.manners + 1,)))
            for name, shape in change_shapes(self.base.synthesis_shapes()):
                yield f"manners.{name.replace('.', '_')}", (self.manners, *shape)


def _depth(shapes: Shapes) -> int:
    depth = count_of(shapes, "transform.fc{}.weight")
    if not depth:
        raise LoadError("The file has no structure transform (transform.fc0.weight); it is no complete DualStyleGAN.")
    return depth


class DualStyleGAN(nn.Module):
    """A generator, `base`, and the extrinsic path; with all weights 0 it is `base` bit for bit."""

    kind: ClassVar[str] = "dualstylegan"
    equalized: ClassVar[bool] = True
    """Of the extrinsic path, which is what learns."""

    def __init__(self, config: DualStyleGANConfig, info: ModelInfo | None = None,
                 base: Generator | None = None) -> None:
        """A fresh extrinsic path is the paper's stage I: small residuals, colors passed through (section 3.3).

        base: the generator to build on (not copied); None makes a random one.
        """
        super().__init__()
        self.config = config
        self.info = info or ModelInfo(family=self.kind)
        network: Any = BASES[config.base_kind][1]
        self.base: Generator = base if base is not None else network(config.base)
        self.places = structure_layers(self.base.layers)
        self.rows = color_rows(self.base.layers)
        w_dim = self.base.w_dim
        self.transform = MappingNetwork(MappingConfig(w_dim, 0, w_dim, 1, config.transform_layers, w_dim), centred=False)
        widths = [config.width(place.resolution) for place in self.places]
        self.structure = nn.ModuleList(ModRes(w_dim, width, config.hidden or width) for width in widths)
        self.color = nn.ModuleList(near_identity(w_dim) for _ in self.rows)
        self.manners = Manners(dict(change_shapes(config.base.synthesis_shapes())), config.manners, w_dim) \
            if config.manners else None

    @classmethod
    def over(cls, base: Generator, hidden: int | None = None, manners: int = 0) -> DualStyleGAN:
        """A new extrinsic path over an existing generator, which is shared, not copied. hidden, manners: see
        DualStyleGANConfig."""
        if base.kind not in BASES:
            raise InvalidInput(f"A {base.kind} can't carry DualStyleGAN; use one of {', '.join(BASES)}.")
        return cls(DualStyleGANConfig(base.config, base.kind, hidden=hidden, manners=manners), base=base)

    mapping = property(lambda self: self.base.mapping)  # a generator's names, so that latents fit this model too
    layers = property(lambda self: self.base.layers)
    z_dim = property(lambda self: self.base.z_dim)
    w_dim = property(lambda self: self.base.w_dim)
    c_dim = property(lambda self: self.base.c_dim)
    num_ws = property(lambda self: self.base.num_ws)
    img_resolution = property(lambda self: self.base.img_resolution)
    img_channels = property(lambda self: self.base.img_channels)

    @property
    def num_weights(self) -> int:
        """Seven structure weights and one a color row: 18 at 1024 px, 14 at 256."""
        return STRUCTURE_PLACES + len(self.rows)

    @property
    def w_avg(self) -> Tensor:
        return self.base.w_avg

    @w_avg.setter
    def w_avg(self, value: Tensor) -> None:
        self.base.w_avg = value

    def exemplar(self, extrinsic: Latents) -> Exemplar:
        """Style codes in any space -> what the path needs of them. Raises LatentMismatch, InvalidInput."""
        return self.exemplar_from_ws(_latents(extrinsic, "extrinsic style").ws(self.base))

    def exemplar_from_ws(self, ws: Tensor) -> Exemplar:
        """The same from mapped codes [E, num_ws, w_dim]; differentiable."""
        styles = self.transform.to_w(ws)
        blocks: Any = list(self.structure)
        structure = tuple(block.statistics(styles[:, place.row])
                          for block, place in zip(blocks, self.places, strict=True))
        shares = None if self.manners is None else self.manners.shares(ws[:, list(self.rows)])
        return Exemplar(structure, self.tone(ws), shares)

    def tone(self, ws: Tensor) -> Tensor:
        """T_c of the color rows of ws [E, num_ws, w_dim] -> [E, color rows, w_dim]."""
        return torch.stack([layer(ws[:, row]) for layer, row in zip(self.color, self.rows, strict=True)], dim=1)

    def synthesis(self, intrinsic: Latents, extrinsic: Latents | Exemplar | None, weights: Weights = "[18*1]",
                  color: ColorMode = "exemplar", truncation_psi: float = 1.0,
                  truncation_center: Literal["zero", "mean"] = "zero", noise_mode: NoiseMode = "const",
                  noise: list[Tensor] | None = None, fuse_index: int | None = None,
                  generator: torch.Generator | None = None) -> Tensor:
        """Content and style codes -> images [B, C, H, W], about [-1, 1], unclamped.

        Batches pair up, or one of the two is 1. weights: see parse_weights. color: exemplar; photo leaves color alone;
        photo-toned sends the photo's own rows through T_c. Truncation moves the content code toward zero (as the
        published scripts do) or w_avg. fuse_index F switches off every weight k > F (all of them for F = 0). Noise maps
        the content carries are used while noise_mode is "const". extrinsic None renders the plain generator.
        Raises InvalidInput, LatentMismatch.
        """
        ws = _latents(intrinsic, "intrinsic content").ws(self.base)
        values = self._weights(weights, color, fuse_index)
        if noise is None and noise_mode == "const":
            noise = intrinsic.noise_for(self.base)
        toned = self.tone(ws) if color == "photo-toned" else None
        ws = self._truncated(ws, truncation_psi, truncation_center)
        if extrinsic is None or not any(values):
            return self.base.synthesis(ws, noise_mode, noise, generator=generator)
        exemplar = extrinsic if isinstance(extrinsic, Exemplar) else self.exemplar(extrinsic)
        if toned is not None:
            exemplar = replace(exemplar, color=toned)
        return self.render(ws, exemplar, values, noise_mode, noise, generator)

    def render(self, ws: Tensor, exemplar: Exemplar, weights: Sequence[float], noise_mode: NoiseMode = "const",
               noise: list[Tensor] | None = None, generator: torch.Generator | None = None,
               hook: LayerHook | None = None, change: Change | None = None) -> Tensor:
        """The tensor-level call: ws [B, num_ws, w_dim], num_weights floats; differentiable in ws and exemplar.

        hook: sees the features after the residual blocks. change: of the fine layers, in place of the exemplar's manner.
        """
        batch = _common_batch(len(ws), len(exemplar.structure[0][0][0]), len(exemplar.color))
        if exemplar.shares is not None and len(exemplar.shares) > 1:  # layers of its own for each picture
            return torch.cat([self.render(ws[i % len(ws)][None], exemplar.pick(i), weights, noise_mode,
                                          noise and [m if len(m) == 1 else m[i : i + 1] for m in noise], generator, hook,
                                          change)
                              for i in range(batch)])
        ws = self.mix_colors(ws, exemplar.color, weights[STRUCTURE_PLACES:]).expand(batch, -1, -1)
        parts = zip(self.places, self.structure, exemplar.structure, weights[:STRUCTURE_PLACES], strict=True)
        blocks = {place.name: (block, statistics, weight) for place, block, statistics, weight in parts if weight}

        def residual(layer: StyledLayer, x: Tensor) -> Tensor:
            if layer.name in blocks:
                block, statistics, weight = blocks[layer.name]
                x = block(x, statistics, weight)
            return x if hook is None else hook(layer, x)

        bounded = HookUpTo(residual, COARSE) if hook is None else residual
        given = {"noise_mode": noise_mode, "noise": noise, "generator": generator, "hook": bounded}
        shares = dict(zip(self.rows, weights[STRUCTURE_PLACES:], strict=True))
        if change is None and exemplar.shares is not None and any(shares.values()):
            change = self.manners(exemplar.shares)  # type: ignore[misc]
        if not change:
            return self.base.synthesis(ws, **given)
        if hook is None:  # one that cuts features needs cut maps
            maps: Any = noise or self.base.synthesis.noise_maps(ws, noise_mode, None, generator)
            given["noise"] = papered(self.base.synthesis, change, shares, maps)
        return functional_call(self.base.synthesis, changed(self.base.synthesis, change, shares), (ws,), given)

    def mix_colors(self, ws: Tensor, color: Tensor, weights: Sequence[float]) -> Tensor:
        """Row k: weight * color + (1 - weight) * ws (section 3.2); rows of weight 0 are the given ones exactly."""
        mixed = list(ws.expand(max(len(ws), len(color)), -1, -1).unbind(1))
        for i, (row, weight) in enumerate(zip(self.rows, weights, strict=True)):
            if weight:
                mixed[row] = weight * color[:, i] + (1 - weight) * mixed[row]
        return torch.stack(mixed, dim=1)

    def _weights(self, weights: Weights, color: ColorMode, fuse_index: int | None) -> tuple[float, ...]:
        if color not in ("exemplar", "photo", "photo-toned"):
            raise InvalidInput(f'Color mode "{color}" is unknown; use "exemplar", "photo" or "photo-toned".')
        values = parse_weights(weights, self.num_weights)
        if color == "photo":
            values = values[:STRUCTURE_PLACES] + (0.0,) * len(self.rows)
        if fuse_index is not None:
            values = tuple(w if fuse_index > 0 and k <= fuse_index else 0.0 for k, w in enumerate(values))
        return values

    def _truncated(self, ws: Tensor, psi: float, center: str) -> Tensor:
        if center not in ("zero", "mean"):
            raise InvalidInput(f'Truncation center "{center}" is unknown; use "zero" or "mean".')
        if psi == 1:
            return ws
        return ws * psi if center == "zero" else self.w_avg.to(ws).lerp(ws, psi)


def _latents(value: Latents | Tensor, role: str) -> Latents:
    if isinstance(value, Tensor) or not hasattr(value, "ws"):
        found = f"a tensor of shape {list(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
        raise InvalidInput(f"DualStyleGAN got {found} as {role} but needs latents; encode the picture first.")
    return value


def _common_batch(*sizes: int) -> int:
    batch = max(sizes)
    if any(n not in (1, batch) for n in sizes):
        raise InvalidInput(
            f"{sizes[0]} content codes and {max(sizes[1:])} styles can't be paired; give as many of each, one of "
            f"either, or ask for a grid of all combinations."
        )
    return batch
