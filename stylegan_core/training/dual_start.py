"""Stage I of DualStyleGAN's training (2203.13248, section 3.3): a path that changes nothing yet, or a published one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from ..checkpoints import load
from ..checkpoints.rosinality_training import Adam, read_training
from ..errors import InvalidInput, LoadError
from ..latents import mix
from ..networks.dualstylegan import DualStyleGAN
from ..networks.generators.base import Generator
from ..networks.mapping import FullyConnected
from ..networks.style_weights import STRUCTURE_PLACES
from .judges import find_discriminator

TOLERANCE, ROUNDING = 0.1, 1e-4
"""How far the colors of a fresh path may be from the style's, and what a path that is switched off may change by summing in
another order; shares."""


@dataclass(frozen=True, eq=False)
class DualStart:
    """What stages II and III begin with."""

    raw: DualStyleGAN
    average: DualStyleGAN
    discriminator: nn.Module
    adam: dict[str, Adam | None] = field(default_factory=dict)
    """Optimizers "G" and "D" by parameter name, where a file brings them."""
    note: str = ""
    fresh: bool = True
    """Whether structure transfer (stage II) is still to be learnt."""


def fresh_start(base: Generator, resolution: int, hidden: int | None = None, seed: int = 0) -> DualStart:
    """A new path over base, which is shared, and the base's discriminator at `resolution` px or a fresh one."""
    dual = fresh_path(base, hidden, seed)
    judge, note = find_discriminator(base, resolution, next(base.parameters()).dtype, seed)
    return DualStart(dual, dual, judge, note=note)


def published_start(path: str | Path, seed: int = 0) -> DualStart:
    """A training file such as generator-pretrain.pt: stage II is done, its networks and optimizers go on. A file with an
    averaged DualStyleGAN alone (generator.pt) goes on from that. Raises LoadError, InvalidInput."""
    average = load(path)
    if not isinstance(average, DualStyleGAN):
        raise InvalidInput(f"{Path(path).name} holds a {getattr(average, 'kind', 'network')} and no DualStyleGAN; give "
                           f"generator-pretrain.pt or another DualStyleGAN.")
    try:
        raw, judge = load(path, which="raw"), load(path, which="discriminator")
        state = read_training(path)
    except LoadError:
        judge, note = find_discriminator(average.base, average.img_resolution, seed=seed)
        return DualStart(average, average, judge, note=note, fresh=False)
    return DualStart(raw, average, judge, state.adam, " ".join(state.notes), fresh=False)  # type: ignore[arg-type]


def start_from(dual: DualStyleGAN, resolution: int, seed: int = 0) -> DualStart:
    """What goes on from a loaded DualStyleGAN: with its file's discriminator and optimizers where it has them."""
    if dual.info.source and Path(dual.info.source).is_file():
        return published_start(dual.info.source, seed)
    judge, note = find_discriminator(dual.base, resolution, next(dual.parameters()).dtype, seed)
    return DualStart(dual, dual, judge, note=note, fresh=False)


def fresh_path(base: Generator, hidden: int | None = None, seed: int = 0) -> DualStyleGAN:
    """DualStyleGAN.over with the random numbers of a seed, in base's type and on its device."""
    with torch.random.fork_rng(devices=[]):
        dual = DualStyleGAN.over(base, hidden)
    draw, like = torch.Generator().manual_seed(seed), next(base.parameters())
    with torch.no_grad():
        for name, module in dual.named_modules():
            for leaf, p in module.named_parameters(recurse=False):
                if not name.startswith("base") and leaf == "weight":
                    p.copy_(_drawn(name, module, p, draw))
    for part in (dual.structure, dual.color, dual.transform):
        part.to(like)
    return dual.eval().requires_grad_(False)


def _drawn(name: str, module: nn.Module, p: Tensor, draw: torch.Generator) -> Tensor:
    noise = torch.randn(p.shape, generator=draw)
    if name.startswith("color."):
        return 0.01 * noise + math.sqrt(len(p)) * torch.eye(len(p))
    if isinstance(module, FullyConnected):
        return noise / module.bias_gain
    if isinstance(module, nn.Linear):
        return uniform(p.shape, p.shape[1], draw)
    return 0.01 * noise


def uniform(shape: torch.Size, inputs: int, draw: torch.Generator) -> Tensor:
    """torch's own start of a linear layer of so many inputs: uniform within one over their root."""
    return (2 * torch.rand(shape, generator=draw) - 1) / math.sqrt(inputs)


@dataclass(frozen=True)
class StartCheck:
    """What a path does to pictures before any training; shares of what it is measured against."""

    off: float
    """Largest difference from the generator's own pictures with all weights 0, against their mean."""
    structure: float
    """Mean difference from them at structure weights 1, against the pictures."""
    color: float
    """Mean distance at color weights 1 from the pictures of the style's own color rows, against what those change."""


def same_face(dual: DualStyleGAN, ws: Tensor, exemplar_ws: Tensor) -> tuple[Tensor, Tensor]:
    """Stage I seen: (plain faces, the same under styles at structure weight 1 and color weight 0), which a fresh extrinsic path
    leaves nearly alone. ws, exemplar_ws [B, num_ws, w_dim]."""
    weights = (1.0,) * STRUCTURE_PLACES + (0.0,) * (dual.num_weights - STRUCTURE_PLACES)
    return dual.base.synthesis(ws, "const"), dual.render(ws, dual.exemplar_from_ws(exemplar_ws), weights, "const")


@torch.no_grad()
def check_start(dual: DualStyleGAN, ws: Tensor, exemplar_ws: Tensor) -> StartCheck:
    """The promises of stage I, measured on faces and styles [B, num_ws, w_dim]: G(z, ., 0) is g, and color transfer works
    before any training; and how far structure is left alone. Raises InvalidInput where a promise is broken."""
    colors = dual.num_weights - STRUCTURE_PLACES
    exemplar = dual.exemplar_from_ws(exemplar_ws)
    plain, shaped = same_face(dual, ws, exemplar_ws)
    off = dual.render(ws, exemplar, (0.0,) * dual.num_weights, "const")
    colored = dual.render(ws, exemplar, (0.0,) * STRUCTURE_PLACES + (1.0,) * colors, "const")
    wanted = dual.base.synthesis(mix(ws, exemplar_ws, dual.rows), "const")
    found = StartCheck(float((off - plain).abs().max() / plain.abs().mean().clamp(min=1e-8)),
                       _share(shaped - plain, plain), _share(colored - wanted, wanted - plain))
    if found.off > ROUNDING or found.color > TOLERANCE:
        raise InvalidInput(f"A fresh style path changes this generator's faces by {found.off:.0%} where it is off, and its "
                           f"colors are {found.color:.0%} from the style's before any training; use a sound base.")
    return found


def _share(difference: Tensor, whole: Tensor) -> float:
    return float(difference.abs().mean() / whole.abs().mean().clamp(min=1e-8))
