"""What every generator of the family has in common: styled layers, a mapping, a synthesis."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from ...errors import InvalidInput
from ...ops.memory_format import in_preferred_format
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


@dataclass(frozen=True)
class HookUpTo:
    """A LayerHook that leaves features above `resolution` px alone, so that they need not be made as a whole."""

    hook: LayerHook
    resolution: int

    def __call__(self, layer: StyledLayer, x: Tensor) -> Tensor:
        return self.hook(layer, x) if layer.resolution <= self.resolution else x


class Synthesis(nn.Module):
    """ws -> image. Subclasses set the four attributes and write forward."""

    layers: tuple[StyledLayer, ...]
    num_ws: int
    img_resolution: int
    img_channels: int
    takes_transform: ClassVar[bool] = False
    local: ClassVar[bool] = False
    """Whether the picture depends on one layer's features alone: a part of them, cut out by a hook, gives a part of it."""
    takes_half: ClassVar[bool] = False
    """Whether the features can be computed in half precision while the styles stay exact."""
    compute_dtype: torch.dtype | None = None
    """What the features are computed in; None is the weights' type. Styles stay as they are: see runtime.precision."""

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
        generator: source of noise_mode "random"; see random_noise.
        hook: see LayerHook.
        """
        raise NotImplementedError

    def noise_shapes(self) -> tuple[tuple[int, int], ...]:
        """(h, w) of every noise map in layer order; empty for a generator without noise."""
        return ()

    def start(self, const: Tensor, batch: int) -> Tensor:
        """The learned input [C, h, w] -> [batch, C, h, w] in the type and format that the features are computed in."""
        return in_preferred_format(const.to(self.compute_dtype or const.dtype).expand(batch, -1, -1, -1))

    def noise_maps(self, like: Tensor, mode: NoiseMode, noise: Sequence[Tensor] | None,
                   generator: torch.Generator | None, cut: bool = False) -> list[Tensor | None]:
        """One map a noise layer, [h, w] or [1|B, 1, h, w], where the features `like` [B, ...] lie. Given ones are checked,
        unless a hook may cut the features that they belong to."""
        names = (layer.name for layer in self.layers if layer.kind in ("conv", "up"))
        layers = [name for name in names if hasattr(self.get_submodule(name), "noise_const")]
        if noise is None:
            if mode == "random":
                return list(random_noise(self.noise_shapes(), len(like), like, generator))
            if mode not in ("const", "none"):
                raise InvalidInput(f'Noise mode "{mode}" is unknown; use "const", "random" or "none".')
            return [self.get_buffer(f"{name}.noise_const") if mode == "const" else None for name in layers]
        for i, (map_, size) in enumerate(() if cut else zip(noise, self.noise_shapes(), strict=True)):
            if map_.ndim != 4 or map_.shape[0] not in (1, len(like)) or tuple(map_.shape[1:]) != (1, *size):
                raise InvalidInput(f"Noise map {i} has shape {list(map_.shape)} but layer {layers[i]} needs "
                                   f"[1 or {len(like)}, 1, {size[0]}, {size[1]}].")
        return [map_.to(like.device) for map_ in noise]

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
    equalized: ClassVar[bool] = True
    """Whether the synthesis stores its weights for equalized learning rates: about 1 in size, whatever a layer's width."""

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
        """[w_dim], the centre of truncation; estimated once when the file carried none. Assign another, don't write into it:
        models that share the mapping share it."""
        return self.mapping.center()

    @w_avg.setter
    def w_avg(self, value: Tensor) -> None:
        self.mapping.give_center(value.detach())

    def forward(self, z: Tensor, c: Tensor | None = None, truncation_psi: float = 1.0,
                truncation_cutoff: int | None = None, noise_mode: NoiseMode = "const") -> Tensor:
        """z [B, z_dim] -> image [B, C, H, W]: mapping, then synthesis."""
        return self.synthesis(self.mapping(z, c, truncation_psi, truncation_cutoff), noise_mode=noise_mode)


def plain_generator(model: Any) -> Generator:
    """The model, or of a DualStyleGAN the generator inside: what it is without a style."""
    return getattr(model, "base", model)


def random_noise(shapes: Sequence[tuple[int, int]], batch: int, like: Tensor,
                 generator: torch.Generator | None = None) -> list[Tensor]:
    """A fresh map [batch, 1, h, w] a layer, of like's type and device. An accelerator draws all of them at once, on itself
    unless the generator is the CPU's; a CPU layer by layer, as ever, so that a generator's pictures stay the same."""
    if like.device.type == "cpu":
        return [torch.randn(batch, 1, *shape, generator=generator).to(like) for shape in shapes]
    sizes = [batch * h * w for h, w in shapes]
    place = like.device if generator is None else generator.device
    drawn = torch.randn(sum(sizes), generator=generator, device=place).to(like).split(sizes)
    return [map_.view(batch, 1, *shape) for map_, shape in zip(drawn, shapes, strict=True)]


def one_by_one(ws: Tensor, noise: Sequence[Tensor | None]) -> Iterator[tuple[Tensor, list[Tensor | None]]]:
    """(ws, maps) of each picture: a CPU's caches hold one picture's features, not a batch's. Maps are [h, w], [1, 1, h, w]
    or [B, 1, h, w]."""
    for i in range(len(ws)):
        yield ws[i : i + 1], [m if m is None or m.ndim == 2 or len(m) == 1 else m[i : i + 1] for m in noise]
