"""What is to be filled draws no numbers first."""

from __future__ import annotations

import pytest
import torch

from stylegan_core.losses.identity import IdentityLoss
from stylegan_core.losses.perceptual import LPIPS
from stylegan_core.networks.detector import MTCNN
from stylegan_core.networks.line_network import LineNetwork


@pytest.mark.parametrize("network", [IdentityLoss, LPIPS, MTCNN, LineNetwork])
def test_networks_that_travel_with_the_package_are_the_same_each_time_and_draw_nothing(network) -> None:
    before = torch.get_rng_state()
    one = network.embedded()
    assert torch.equal(torch.get_rng_state(), before)
    filler = torch.full((1 << 22,), 7.0)  # what memory holds that was given back
    del filler
    two = network.embedded()
    for (name, a), (_, b) in zip(one.state_dict().items(), two.state_dict().items(), strict=True):
        assert torch.equal(a, b) and a.isfinite().all(), name
