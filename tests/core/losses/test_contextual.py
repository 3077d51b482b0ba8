"""The contextual loss by published values and gradients."""

from __future__ import annotations

import pytest
import torch

from stylegan_core.losses.contextual import ContextualLoss, contextual_loss


@pytest.mark.parametrize(("number", "band"), [(0, 0.2), (1, 0.5)])
def test_published_values(number: int, band: float, golden) -> None:
    case = golden("contextual")
    x, y = case.tensor(f"cx{number}.x").requires_grad_(), case.tensor(f"cx{number}.y")
    loss = contextual_loss(x, y, band)
    assert loss.shape == (len(x),)
    loss.mean().backward()
    assert float(loss.mean().detach()) == pytest.approx(float(case.array(f"cx{number}.loss")), rel=1e-4)
    grad = case.tensor(f"cx{number}.grad")
    assert (x.grad - grad).abs().max() < 1e-4 * grad.abs().max()


def test_embedded_network_knows_texture_from_place() -> None:
    loss = ContextualLoss.embedded()
    torch.manual_seed(0)
    stripes = torch.sign(torch.sin(torch.arange(128) * 0.7)).expand(1, 3, 128, 128)
    spots = torch.sign(torch.sin(torch.arange(128) * 0.3)[:, None] * torch.sin(torch.arange(128) * 0.3)).expand(1, 3, 128, 128)
    same, moved, other = (float(loss(image, stripes)) for image in (stripes, stripes.roll(32, -1), spots))
    assert same < moved < other
    assert torch.equal(loss(spots, loss.features(stripes)), loss(spots, stripes))
    assert loss(stripes.half().float(), stripes).isfinite().all()
