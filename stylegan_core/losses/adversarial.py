"""Adversarial losses and the penalties that go with them. Scores are a discriminator's outputs, no sigmoid taken.

Non-saturating logistic loss (Goodfellow et al. 2014), R1 (Mescheder et al. 2018, 1801.04406), WGAN-GP (Gulrajani et al. 2017,
1704.00028), path length (Karras et al. 2020, 1912.04958, section 3.2).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import softplus


def generator_loss(fake_scores: Tensor) -> Tensor:
    """mean softplus(-s): scores of generated images, any shape -> scalar."""
    return softplus(-fake_scores).mean()


def discriminator_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """mean softplus(-s_real) + mean softplus(s_fake) -> scalar."""
    return softplus(-real_scores).mean() + softplus(fake_scores).mean()


def r1_penalty(real_scores: Tensor, real_images: Tensor) -> Tensor:
    """|ds/dx|^2 of each image [B], without gamma / 2; differentiable. real_images [B, C, H, W] must require a gradient."""
    return _squared_slope(real_scores, real_images)


def path_lengths(images: Tensor, ws: Tensor, noise: Tensor) -> Tensor:
    """|J^T y| of each image [B], J = d images / d ws, y = noise / sqrt(H W); differentiable.

    images [B, C, H, W] drawn from ws [B, num_ws, w_dim], which must require a gradient; noise like images, standard normal. The
    squared gradient is summed over a row and averaged over the rows.
    """
    y = noise.to(images) / math.sqrt(images.shape[2] * images.shape[3])
    gradient, = torch.autograd.grad((images * y).sum(), ws, create_graph=True)
    return gradient.square().sum(dim=2).mean(dim=1).sqrt()


def wgan_generator_loss(fake_scores: Tensor) -> Tensor:
    """-mean s -> scalar."""
    return -fake_scores.mean()


def wgan_gp_discriminator_loss(critic: Callable[[Tensor], Tensor], reals: Tensor, fakes: Tensor, mix_factors: Tensor,
                               weight: float = 10.0, drift: float = 0.001) -> Tensor:
    """mean (s_fake - s_real + weight (|ds/dx| - 1)^2 + drift s_real^2) -> scalar; config A of StyleGAN1.

    critic: images -> scores, one an image. The slope is taken at real + (fake - real) mix_factors [B], 0 being the real image.
    """
    real_scores, fake_scores = critic(reals), critic(fakes)
    between = reals.detach() + (fakes - reals).detach() * mix_factors.to(reals).view(-1, 1, 1, 1)
    between.requires_grad_(True)
    slope = _squared_slope(critic(between), between).sqrt()
    loss = (fake_scores - real_scores + drift * real_scores.square()).flatten(1).sum(dim=1)
    return (loss + weight * (slope - 1).square()).mean()


def _squared_slope(scores: Tensor, images: Tensor) -> Tensor:
    gradient, = torch.autograd.grad(scores.sum(), images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3))
