"""The layout table. One file a layout; order matters only where a later row's keys are part of an earlier one's."""

from ..layout import Layout
from . import (
    discriminators,
    dualstylegan,
    irse,
    mobilestylegan,
    nvidia2,
    nvidia3,
    psp,
    rosinality1,
    rosinality2,
    sampler,
    style_codes,
    tensorflow2,
    tf_stylegan1,
)

LAYOUTS: tuple[Layout, ...] = (
    rosinality2.LAYOUT,
    nvidia2.LAYOUT,
    tensorflow2.LAYOUT,
    nvidia3.T,
    nvidia3.R,
    tf_stylegan1.LAYOUT,
    rosinality1.LAYOUT,
    mobilestylegan.LAYOUT,
    dualstylegan.LAYOUT,
    psp.LAYOUT,
    style_codes.LAYOUT,
    sampler.LAYOUT,
    irse.LAYOUT,
    discriminators.NVIDIA,
    discriminators.ROSINALITY,
    discriminators.TENSORFLOW,
    tf_stylegan1.DISCRIMINATOR,
)
