"""Rates relative to what a tensor is, for weights that are not equalized."""

from __future__ import annotations

import pytest
import torch

from stylegan_core.engine.rates import SMALLEST, rate_groups, relative_rate


def test_a_relative_rate_is_the_size_of_the_entries() -> None:
    assert relative_rate(torch.full((3, 4), -0.02)) == pytest.approx(0.02)
    assert relative_rate(torch.tensor([3.0, 4.0])) == pytest.approx(12.5**0.5)
    assert relative_rate(torch.zeros(5)) == SMALLEST, "a tensor of zeros must be able to leave them"


def test_adam_moves_every_tensor_by_the_same_share() -> None:
    tensors = {"large": torch.full((4,), 5.0, requires_grad=True), "small": torch.full((4,), 0.05, requires_grad=True)}
    for relative, wanted in ((True, (0.5, 0.005)), (False, (0.1, 0.1))):
        own = {name: t.detach().clone().requires_grad_(True) for name, t in tensors.items()}
        groups = rate_groups(own, relative)
        adam = torch.optim.Adam([{**g, "lr": 0.1 * g["share"]} for g in groups], betas=(0.0, 0.99))
        sum(t.sum() for t in own.values()).backward()
        adam.step()
        moved = [float((own[name] - t).detach().abs().mean()) for name, t in tensors.items()]
        assert torch.allclose(torch.tensor(moved), torch.tensor(wanted), rtol=1e-4)
