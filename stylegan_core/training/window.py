"""Part of a picture: a hook cuts the features after one layer, and the finer layers draw only that part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..errors import InvalidInput
from ..networks.generators.base import StyledLayer, Synthesis


@dataclass(frozen=True)
class Window:
    """A square of `cells` features of layer `layer`, which is `whole` px wide, from cell (y, x) on."""

    layer: str
    whole: int
    y: int
    x: int
    cells: int
    margin: int
    """Cells at an inner border that know nothing of their neighbours beyond it."""

    def cut(self, x: Tensor) -> Tensor:
        """This part of features, a noise map or a picture [..., S, S], S a multiple of `whole`."""
        k = x.shape[-1] // self.whole
        return x[..., self.y * k : (self.y + self.cells) * k, self.x * k : (self.x + self.cells) * k]

    def sound(self, x: Tensor) -> Tensor:
        """The drawn part [..., S, S] (or the same part of a target) without its ignorant borders."""
        edge, last = self.margin * (x.shape[-1] // self.cells), self.whole - self.cells
        y0, y1 = edge * (self.y > 0), x.shape[-2] - edge * (self.y < last)
        x0, x1 = edge * (self.x > 0), x.shape[-1] - edge * (self.x < last)
        return x[..., y0:y1, x0:x1]

    def hook(self, layer: StyledLayer, x: Tensor) -> Tensor:
        """For Synthesis.forward."""
        return self.cut(x) if layer.name == self.layer else x

    def noise(self, synthesis: Synthesis) -> list[Tensor]:
        """The constant noise maps, cut where features are: those of the layers after the cut one."""
        maps, after = [], False
        for layer in synthesis.layers:
            if layer.kind == "conv":
                whole = synthesis.get_submodule(layer.name).get_buffer("noise_const")[None, None]
                maps.append(self.cut(whole) if after else whole)
                after = after or layer.name == self.layer
        return maps


@dataclass(frozen=True)
class Windows:
    """Where windows of one size may lie in a synthesis whose layers after `layer` are to draw a part."""

    layer: str
    whole: int
    cells: int
    margin: int

    @classmethod
    def of(cls, synthesis: Synthesis, trained: frozenset[StyledLayer], pixels: int) -> Windows | None:
        """None where `pixels` is 0 or covers the picture. Raises InvalidInput where a part can't be drawn alone."""
        if not pixels or pixels >= synthesis.img_resolution:
            return None
        before: list[StyledLayer] = []
        for layer in synthesis.layers:
            if layer in trained:
                break
            before += [layer] if layer.kind == "conv" else []
        if not synthesis.local or not before:
            raise InvalidInput(f"Training asked for parts of {pixels} px, but this model draws whole pictures only"
                               f"{'' if not synthesis.local else ' when all of its layers learn'}; set crop to 0.")
        last = before[-1]
        unit = synthesis.img_resolution // last.resolution
        if pixels % unit or pixels < 4 * unit:
            raise InvalidInput(f"Training asked for parts of {pixels} px; use a multiple of {unit} from {4 * unit} on, or 0.")
        finer = [layer for layer in synthesis.layers[synthesis.layers.index(last) + 1 :] if layer.kind == "conv"]
        reach = sum(synthesis.img_resolution // layer.resolution for layer in finer)  # a 3x3 convolution sees one to each side
        return cls(last.name, last.resolution, pixels // unit, -(-reach // unit))

    def draw(self, rng: np.random.RandomState) -> Window:
        y, x = (int(n) for n in rng.randint(0, self.whole - self.cells + 1, 2))
        return Window(self.layer, self.whole, y, x, self.cells, self.margin)
