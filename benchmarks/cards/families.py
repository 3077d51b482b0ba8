"""Every family as published, with seeded weights; or a tiny one of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from stylegan_core.networks.dualstylegan import DualStyleGAN
from stylegan_core.networks.generators.mobilestylegan import MobileStyleGAN, MobileStyleGANConfig
from stylegan_core.networks.generators.stylegan1 import StyleGAN1, StyleGAN1Config
from stylegan_core.networks.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from stylegan_core.networks.generators.stylegan3 import StyleGAN3, StyleGAN3Config
from stylegan_core.networks.mapping import MappingConfig

from ..measure import WIDTHS, alias_free_config

TINY = (16, 16, 16, 8)
"""Widths of 32 px."""
FAMILIES = ("stylegan2", "mobilestylegan", "dualstylegan", "stylegan3-t", "stylegan3-r", "stylegan1")


def _mapping(rows: int) -> MappingConfig:
    return MappingConfig(num_ws=rows, num_layers=2)


def stylegan2(tiny: bool) -> Any:
    widths = TINY if tiny else WIDTHS
    return StyleGAN2(StyleGAN2Config(_mapping(2 * len(widths)), 2 << len(widths), widths))


def stylegan1(tiny: bool) -> Any:
    widths = TINY if tiny else WIDTHS[:4] + (256, 128, 64, 32, 16)
    return StyleGAN1(StyleGAN1Config(_mapping(2 * len(widths)), widths))


def mobilestylegan(tiny: bool) -> Any:
    widths = TINY[:3] if tiny else MobileStyleGANConfig().channels
    return MobileStyleGAN(MobileStyleGANConfig(_mapping(3 * len(widths) - 1), widths))


def dualstylegan(tiny: bool) -> Any:
    return DualStyleGAN.over(stylegan2(tiny))


def _stylegan3(tiny: bool, radial: bool) -> Any:
    if not tiny:
        return StyleGAN3(alias_free_config(1024, radial))
    return StyleGAN3(StyleGAN3Config(_mapping(16), 32, (8,) * 14 + (3,), 1 if radial else 3, radial, margin=2))


MAKERS: dict[str, Callable[[bool], Any]] = {
    "stylegan2": stylegan2, "stylegan1": stylegan1, "mobilestylegan": mobilestylegan, "dualstylegan": dualstylegan,
    "stylegan3-t": lambda tiny: _stylegan3(tiny, False), "stylegan3-r": lambda tiny: _stylegan3(tiny, True)}


@dataclass(frozen=True, eq=False)
class Subject:
    """A network and one way to draw with it: draw(ws [N, num_ws, w_dim]) -> pictures."""

    network: Any
    style: Tensor | None
    """DualStyleGAN's exemplar as ws, one for all pictures."""

    def on(self, device: torch.device) -> Subject:
        return Subject(self.network.to(device), None if self.style is None else self.style.to(device))

    def ws(self, count: int) -> Tensor:
        """Seeded, on the CPU."""
        draw = torch.Generator().manual_seed(count)
        return torch.randn(count, self.network.num_ws, self.network.w_dim, generator=draw)

    def drawer(self, network: nn.Module | None = None) -> Callable[[Tensor], Tensor]:
        """network: a view of its own in place of the network."""
        seen: Any = self.network if network is None else network
        if self.style is None:
            return lambda ws: seen.synthesis(ws)
        exemplar, weights = seen.exemplar_from_ws(self.style), [0.75] * 7 + [1.0] * (seen.num_weights - 7)
        return lambda ws: seen.render(ws, exemplar, weights)


def make(name: str, tiny: bool) -> Subject:
    """On the CPU."""
    torch.manual_seed(0)
    network = MAKERS[name](tiny).eval().requires_grad_(False)
    inner = getattr(network, "base", network)
    inner.w_avg = torch.zeros(inner.w_dim)
    style = torch.randn(1, inner.num_ws, inner.w_dim) if name == "dualstylegan" else None
    return Subject(network, style)
