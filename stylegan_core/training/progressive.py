"""Progressive growing as StyleGAN1 is trained (Karras et al. 2018, 1710.10196; 2019, 1812.04948, appendix C)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from ..errors import InvalidInput

TICK_KIMG = {4: 160, 8: 140, 16: 120, 32: 100, 64: 80, 128: 60, 256: 40, 512: 30, 1024: 20}
LRATE_DICT = {128: 0.0015, 256: 0.002, 512: 0.003, 1024: 0.003}
"""The paper's learning rates where they differ from 0.001."""
MINIBATCH_DICT = {4: 512, 8: 256, 16: 128, 32: 64, 64: 32}
"""The paper's batch sizes on eight devices where they differ from 32."""


@dataclass(frozen=True)
class Stage:
    """What holds at one moment."""

    lod: float
    """log2 of how much smaller than full size is trained; its fraction fades the next level in."""
    resolution: int
    minibatch: int
    G_lrate: float
    D_lrate: float
    tick_kimg: float

    @property
    def levels(self) -> tuple[int, int]:
        """Changes when the optimizers' state is to be forgotten."""
        return math.floor(self.lod), math.ceil(self.lod)


@dataclass(frozen=True)
class ProgressiveSchedule:
    """Images shown -> Stage. Raises InvalidInput for sides that are no powers of two."""

    resolution: int
    num_gpus: int = 1
    lod_initial_resolution: int = 4
    lod_training_kimg: float = 600
    """Thousands of images each level is trained before the next fades in."""
    lod_transition_kimg: float = 600
    minibatch_base: int = 16
    minibatch_dict: Mapping[int, int] = field(default_factory=dict)
    max_minibatch_per_gpu: Mapping[int, int] = field(default_factory=dict)
    G_lrate_base: float = 0.001
    G_lrate_dict: Mapping[int, float] = field(default_factory=dict)
    D_lrate_base: float = 0.001
    D_lrate_dict: Mapping[int, float] = field(default_factory=dict)
    lrate_rampup_kimg: float = 0

    def __post_init__(self) -> None:
        sides = self.resolution, self.lod_initial_resolution
        if any(n < 4 or n & (n - 1) for n in sides) or sides[0] < sides[1] or self.num_gpus < 1:
            raise InvalidInput(f"Growing from {sides[1]} to {sides[0]} px on {self.num_gpus} devices can't be; use powers of "
                               f"two from 4 px up and at least one device.")
        if self.lod_training_kimg < 0 or self.lod_transition_kimg < 0:
            raise InvalidInput("A level can't last for less than no images; use 0 or more thousands.")

    def at(self, images_shown: int) -> Stage:
        kimg = images_shown / 1000
        length = self.lod_training_kimg + self.lod_transition_kimg
        phase = math.floor(kimg / length) if length > 0 else 0
        lod = math.log2(self.resolution) - math.log2(self.lod_initial_resolution) - phase
        if self.lod_transition_kimg > 0:
            lod -= max(kimg - phase * length - self.lod_training_kimg, 0.0) / self.lod_transition_kimg
        lod = max(lod, 0.0)
        resolution = self.resolution >> math.floor(lod)
        batch = self.minibatch_dict.get(resolution, self.minibatch_base)
        batch -= batch % self.num_gpus
        if resolution in self.max_minibatch_per_gpu:
            batch = min(batch, self.max_minibatch_per_gpu[resolution] * self.num_gpus)
        ramp = min(kimg / self.lrate_rampup_kimg, 1.0) if self.lrate_rampup_kimg > 0 else 1.0
        return Stage(lod, resolution, batch, ramp * self.G_lrate_dict.get(resolution, self.G_lrate_base),
                     ramp * self.D_lrate_dict.get(resolution, self.D_lrate_base), TICK_KIMG.get(resolution, 160))


def process_reals(images: Tensor, lod: float, dtype: torch.dtype = torch.float64) -> Tensor:
    """uint8 [B, C, r, r] at the resolution of `lod` -> [-1, 1] at full size [B, C, r 2^floor(lod), ...].

    The fraction of lod fades each picture into its own average at half the size; both are enlarged by repeating pixels.
    """
    x = images.to(dtype) / 127.5 - 1
    level, fade = math.floor(lod), lod - math.floor(lod)
    if fade:
        x = x.lerp(interpolate(avg_pool2d(x, 2), scale_factor=2.0, mode="nearest"), fade)
    return interpolate(x, scale_factor=float(1 << level), mode="nearest") if level else x
