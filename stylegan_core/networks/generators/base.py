"""What every generator of the family has in common: styled layers, a mapping, a synthesis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from ...errors import InvalidInput
from ..info import ModelInfo
from ..mapping import MappingNetwork

LayerKind = Literal["const", "conv", "up", "rgb"]
NoiseMode = Literal["const", "random", "none"]


@dataclass(frozen=True)
class StyledLayer:
    """One place where a row of ws acts. Blending, mixing and DualStyleGAN need no more than this."""

    name: str
    """State-dict prefix below `synthesis.`, e.g. "b32.conv0"; every tensor under it belongs to the layer."""
    resolution: int
    """Pixels of the layer's output."""
    row: int | None
    """Row of ws that styles it; None for an unstyled input."""
    kind: LayerKind
    """const (learned input), conv, up (the upsampling one), rgb (image head)."""


LayerHook = Callable[[StyledLayer, Tensor], Tensor]
"""Called with (layer, features) after each conv/up layer; returns the features to go on with."""


class Synthesis(nn.Module):
    """ws -> image. Subclasses set the four attributes and write forward."""

    layers: tuple[StyledLayer, ...]
    num_ws: int
    img_resolution: int
    img_channels: int
    takes_transform: ClassVar[bool] = False
    local: ClassVar[bool] = False
    """Whether the picture depends on one layer's features alone: a part of them, cut out by a hook, gives a part of it."""

    def forward(
        self,
        ws: Tensor,
        noise_mode: NoiseMode = "const",
        noise: list[Tensor] | None = None,
        transform: Tensor | None = None,
        generator: torch.Generator | None = None,
        hook: LayerHook | None = None,
    ) -> Tensor:
        """ws [B, num_ws, w_dim] -> [B, C, H, W] float32, about [-1, 1], unclamped.

        noise: one [1|B, 1, h, w] map a noise layer, in layer order; overrides noise_mode.
        transform: [3, 3] or [B, 3, 3], StyleGAN3's input transform; an error elsewhere.
        generator: source of noise_mode "random" (CPU generator; the maps move to the device).
        hook: see LayerHook.
        """
        raise NotImplementedError

    def noise_shapes(self) -> tuple[tuple[int, int], ...]:
        """(h, w) of every noise map in layer order; empty for a generator without noise."""
        return ()

    def check_inputs(self, ws: Tensor, w_dim: int, noise: list[Tensor] | None, transform: Tensor | None) -> None:
        """Raise InvalidInput unless ws is [B, num_ws, w_dim] and noise and transform are what this network takes."""
        if ws.ndim != 3 or ws.shape[1:] != (self.num_ws, w_dim):
            raise InvalidInput(
                f"Synthesis got ws of shape {tuple(ws.shape)} but needs [batch, {self.num_ws}, {w_dim}]; "
                f"map z with model.mapping, or use latents made for this model."
            )
        if noise is not None and len(noise) != len(self.noise_shapes()):
            raise InvalidInput(f"Synthesis got {len(noise)} noise maps but has {len(self.noise_shapes())} noise layers.")
        if transform is not None and not self.takes_transform:
            raise InvalidInput("Only StyleGAN3 can move its input; leave translate and rotate at 0 for this model.")


class Generator(nn.Module):
    """A mapping and a synthesis network under NVIDIA's names."""

    kind: ClassVar[str] = "generator"

    def __init__(self, config: Any, mapping: MappingNetwork, synthesis: Synthesis, info: ModelInfo | None = None) -> None:
        super().__init__()
        self.config = config
        self.mapping = mapping
        self.synthesis = synthesis
        self.info = info or ModelInfo(family=self.kind)

    @property
    def z_dim(self) -> int:
        return self.mapping.config.z_dim

    @property
    def w_dim(self) -> int:
        return self.mapping.config.w_dim

    @property
    def c_dim(self) -> int:
        return self.mapping.config.c_dim

    @property
    def num_ws(self) -> int:
        return self.synthesis.num_ws

    @property
    def img_resolution(self) -> int:
        """Side of the square image; nominal (4 * 2**k) where the learned input is not square, see StyleGAN2Config."""
        return self.synthesis.img_resolution

    @property
    def img_channels(self) -> int:
        return self.synthesis.img_channels

    @property
    def layers(self) -> tuple[StyledLayer, ...]:
        return self.synthesis.layers

    @property
    def w_avg(self) -> Tensor:
        """[w_dim], the centre of truncation; estimated once when the file carried none."""
        return self.mapping.center()

    @w_avg.setter
    def w_avg(self, value: Tensor) -> None:
        self.mapping.w_avg = value

    def forward(self, z: Tensor, c: Tensor | None = None, truncation_psi: float = 1.0,
                truncation_cutoff: int | None = None, noise_mode: NoiseMode = "const") -> Tensor:
        """z [B, z_dim] -> image [B, C, H, W]: mapping, then synthesis."""
        return self.synthesis(self.mapping(z, c, truncation_psi, truncation_cutoff), noise_mode=noise_mode)


def plain_generator(model: Any) -> Generator:
    """The model, or of a DualStyleGAN the generator inside: what it is without a style."""
    return getattr(model, "base", model)


def draw_noise(shape: tuple[int, int], batch: int, mode: NoiseMode, const: Tensor | None, like: Tensor,
               generator: torch.Generator | None) -> Tensor | None:
    """The noise map of one layer: the stored one, a fresh [batch, 1, h, w], or None."""
    if mode == "none":
        return None
    if mode == "const":
        return const
    if mode != "random":
        raise InvalidInput(f'Noise mode "{mode}" is unknown; use "const", "random" or "none".')
    return torch.randn(batch, 1, *shape, generator=generator).to(like)
