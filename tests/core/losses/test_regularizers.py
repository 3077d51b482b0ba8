"""Noise maps stay noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stylegan_core.errors import InvalidInput
from stylegan_core.losses.regularizers import noise_regularization, normalize_noise_


def plain(maps: list[np.ndarray]) -> float:
    total = 0.0
    for x in maps:
        while True:
            total += (x * np.roll(x, 1, 1)).mean() ** 2 + (x * np.roll(x, 1, 0)).mean() ** 2
            if len(x) <= 8:
                break
            x = x.reshape(len(x) // 2, 2, -1, 2).mean((1, 3))
    return total


def test_equals_plain_twin_per_image() -> None:
    random = np.random.RandomState(0)
    maps = [random.randn(2, size, size) for size in (4, 8, 16, 64)]
    values = noise_regularization([torch.from_numpy(m)[:, None] for m in maps])
    assert values.tolist() == pytest.approx([plain([m[i] for m in maps]) for i in range(2)], rel=1e-9)


def test_tells_pictures_from_noise() -> None:
    noise = torch.from_numpy(np.random.RandomState(0).randn(1, 1, 64, 64))
    ramp = torch.linspace(-1.7, 1.7, 64, dtype=torch.float64).expand(1, 1, 64, 64)
    checks = (torch.arange(64)[:, None] + torch.arange(64)).remainder(2).double().mul(2).sub(1)[None, None]
    assert noise_regularization([ramp]) > 100 * noise_regularization([noise])
    assert noise_regularization([checks]) > 1


def test_gradient_whitens() -> None:
    noise = torch.linspace(-1, 1, 32).expand(1, 1, 32, 32).clone().requires_grad_()
    before = noise_regularization([noise])
    before.sum().backward()
    assert noise_regularization([noise - 0.5 * noise.grad]) < before


def test_no_maps() -> None:
    with pytest.raises(InvalidInput, match="no noise maps"):
        noise_regularization([])


def test_normalization_in_place() -> None:
    x = torch.rand(1, 1, 16, 16, requires_grad=True)
    flat = torch.ones(1, 1, 4, 4)
    normalize_noise_([x, flat])
    assert x.mean().abs() < 1e-6 and x.std().item() == pytest.approx(1, abs=1e-5) and x.requires_grad
    assert flat.abs().max() == 0
