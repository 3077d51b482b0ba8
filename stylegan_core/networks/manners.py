"""Manners of drawing: what a style changes in a generator's finer layers, beyond the style vectors that they take.

Style vectors of a frozen generator carry palettes, not strokes. So a DualStyleGAN may hold `count` sets of changes of the
layers above FROM px, and a gate, linear in the image head's row of a style code, that mixes them: blended codes draw blended
manners.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .generators.base import StyledLayer, Synthesis
from .shapes import Shape

FROM = 64
"""Layers finer than so many pixels change."""
TILE = 64
"""Cells after which a manner's paper (a pattern added to the noise maps) repeats."""
SURE = 1.1
"""How far a manner's output of the gate lies above all others where it alone is meant; from 1 on it has all shares."""
NOISE = "noise_const"
Change = Mapping[str, Tensor]
"""Name below `synthesis.` -> what is added to that tensor, [1, *shape]; to a noise map, as a tile [1, TILE, TILE]."""


def change_shapes(tensors: Iterator[tuple[str, Shape]]) -> Iterator[tuple[str, Shape]]:
    """(key, shape) of a generator's tensors -> those that a manner changes, below `synthesis.`, and the change's shape."""
    for key, shape in tensors:
        block, _, rest = key.removeprefix("synthesis.").partition(".")
        fine = block == "head" or (block[1:].isdigit() and int(block[1:]) > FROM)
        if fine and rest != "affine.weight" and not rest.endswith(".affine.weight"):
            yield f"{block}.{rest}", (TILE, TILE) if rest.endswith(NOISE) else shape


def simplex(x: Tensor) -> Tensor:
    """[..., K] -> the nearest shares, from 0 on and with sum 1 (sparsemax: Martins & Astudillo 2016, 1602.02068)."""
    ranked = x.sort(dim=-1, descending=True).values
    counts = torch.arange(1, x.shape[-1] + 1, device=x.device)
    over = (ranked.cumsum(-1) - 1) / counts.to(x)
    support = (ranked > over).sum(-1, keepdim=True)
    return (x - over.gather(-1, support - 1)).clamp(min=0)


class Manners(nn.Module):
    """color rows of styles -> shares of the manners, and these -> what they change in the fine layers: megabytes a style, so
    that only a picture that is drawn has its own."""

    def __init__(self, shapes: Mapping[str, Shape], count: int, w_dim: int) -> None:
        """shapes: of change_shapes. The gate's last output stands for no change, a photograph; it is all there is at first."""
        super().__init__()
        self.gate = nn.Linear(w_dim, count + 1)
        self.names = {name: name.replace(".", "_") for name in shapes}
        for name, own in self.names.items():
            self.register_parameter(own, nn.Parameter(torch.zeros(count, *shapes[name])))
        with torch.no_grad():
            self.gate.weight.zero_()
            self.gate.bias.zero_()[-1] = 1

    def shares(self, color: Tensor) -> Tensor:
        """Color rows of style codes [E, R, w_dim] -> share of each manner [E, count]; the rest to 1 is photographic."""
        return simplex(self.gate(color[:, -1]))[:, :-1]

    def towards(self, head: Tensor, manner: int) -> Tensor:
        """Image heads' rows of style codes [E, w_dim] -> the nearest rows that draw in this manner alone."""
        weight, bias = (x[:-1] - x[-1:] for x in (self.gate.weight, self.gate.bias))
        wanted = torch.zeros_like(bias)
        wanted[manner] = SURE
        off = wanted - torch.nn.functional.linear(head, weight, bias)
        return head + off @ torch.linalg.pinv(weight.double()).to(weight).T

    def forward(self, shares: Tensor) -> dict[str, Tensor]:
        """One picture's shares [1, count] -> its change; manners without a share are not read."""
        used = shares[0].nonzero()[:, 0]
        return {name: torch.einsum("ek,k...->e...", shares[:, used], self.get_parameter(own)[used])
                for name, own in self.names.items()}


def changed(synthesis: Synthesis, change: Change, weights: Mapping[int, float]) -> dict[str, Tensor]:
    """One picture's change -> the tensors that a synthesis is called with; noise maps apart (see papered).

    weights: by the row of ws that styles a layer.
    """
    found = {}
    for layer, name, part in _parts(synthesis, change):
        if part != NOISE and weights.get(layer.row or 0):
            own: Any = synthesis.get_parameter(name)
            found[name] = torch.add(own, change[name][0].to(own), alpha=weights[layer.row or 0])
    return found


def papered(synthesis: Synthesis, change: Change, weights: Mapping[int, float], maps: list[Tensor | None]) -> list[Tensor]:
    """Noise maps, [h, w], [1|B, 1, h, w] or None each, plus one picture's paper -> maps [1|B, 1, h, w]."""
    tiles = {layer.name: change[name][0] * weights.get(layer.row or 0, 0.0)
             for layer, name, part in _parts(synthesis, change) if part == NOISE}
    noisy = [x for x in synthesis.layers if x.kind in ("conv", "up") and hasattr(synthesis.get_submodule(x.name), NOISE)]
    found = []
    for layer, given in zip(noisy, maps, strict=True):
        own = synthesis.get_buffer(f"{layer.name}.{NOISE}")
        map_ = torch.zeros_like(own) if given is None else given
        map_ = map_.expand(1, 1, *map_.shape) if map_.ndim == 2 else map_
        found.append(map_ + spread(tiles[layer.name], own.shape[-1]).to(map_) if layer.name in tiles else map_)
    return found


def spread(tile: Tensor, size: int) -> Tensor:
    """[TILE, TILE] -> [size, size]."""
    return tile.repeat(-(-size // tile.shape[0]), -(-size // tile.shape[1]))[:size, :size]


def _parts(synthesis: Synthesis, change: Change) -> Iterator[tuple[StyledLayer, str, str]]:
    """(layer, name, what of the layer it is) of everything that changes."""
    for name in change:
        layer = next(x for x in synthesis.layers if name.startswith(x.name + "."))
        yield layer, name, name.removeprefix(layer.name + ".")
