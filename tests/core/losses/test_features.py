"""Losses between activations: textures are compared wherever they lie."""

from __future__ import annotations

import torch

from stylegan_core.losses.features import gram, style_distance


def test_gram_is_the_mean_product_of_channels() -> None:
    x = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])
    torch.testing.assert_close(gram(x), torch.tensor([[[2.5, 0.5], [0.5, 5.0]]]))


def test_style_asks_what_goes_together_not_where() -> None:
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    moved, other = x.roll((3, 5), (2, 3)), x * torch.tensor([1.0, 2.0, 1.0]).view(1, 3, 1, 1)
    assert float(style_distance([x], [moved]).max()) < 1e-6
    assert float(style_distance([x], [x.roll(4, 2)], 2).max()) > 0.1, "what lay above lies below"
    assert style_distance([x[..., :7]], [x[..., :7]], 2).tolist() == [0.0, 0.0]
    each = (gram(other) - gram(x)).flatten(1).norm(dim=1) / gram(x).flatten(1).norm(dim=1)
    torch.testing.assert_close(style_distance([other, x], [x, x]), each / 2)
