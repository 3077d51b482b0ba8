"""The built-in base's family: every way through the fast synthesis draws what the plain one does."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.twins.mobilestylegan import inverse_haar as plain_inverse_haar
from benchmarks.twins.mobilestylegan import synthesize
from stylegan_core.networks.generators import mobile_strips
from stylegan_core.networks.generators.base import HookUpTo
from stylegan_core.networks.generators.mobile_layers import haar, inverse_haar
from stylegan_core.networks.generators.mobilestylegan import MobileStyleGAN, MobileStyleGANConfig
from stylegan_core.networks.mapping import MappingConfig
from tests.core.networks.models import shake

DEPTHS = st.sampled_from([(8,), (8, 8), (16, 8, 4), (8, 16, 8, 12), (4, 4, 4, 8, 4)])


def tiny(channels: tuple[int, ...], seed: int = 0) -> MobileStyleGAN:
    rows = 3 * (len(channels) - 1) + 2
    mapping = MappingConfig(z_dim=8, w_dim=8, hidden_dim=8, num_layers=2, num_ws=rows)
    model = MobileStyleGAN(MobileStyleGANConfig(mapping, channels))
    shake(model, seed)
    return model.eval().requires_grad_(False)


def close(got: torch.Tensor, wanted: torch.Tensor) -> None:
    assert got.shape == wanted.shape and got.dtype == wanted.dtype
    assert float((got - wanted).abs().max()) <= 2e-6 * float(wanted.abs().max())


@settings(max_examples=8, deadline=None)
@given(channels=DEPTHS, batch=st.integers(1, 3), seed=st.integers(0, 99))
def test_synthesis_draws_what_the_plain_twin_does(channels: tuple[int, ...], batch: int, seed: int) -> None:
    model, ws = tiny(channels, seed), torch.randn(batch, 3 * len(channels) - 1, 8)
    close(model.synthesis(ws), synthesize(model, ws))
    with torch.no_grad():
        close(model.synthesis(ws), synthesize(model, ws))
        close(model.synthesis(ws, noise_mode="none"), synthesize(model, ws, []))
        close(model.synthesis(ws, hook=lambda layer, x: x), synthesize(model, ws))
        for rows in (1, batch):
            maps = [torch.randn(rows, 1, *shape) for shape in model.synthesis.noise_shapes()]
            close(model.synthesis(ws, noise=maps), synthesize(model, ws, maps))


@settings(max_examples=8, deadline=None)
@given(channels=DEPTHS, strip=st.sampled_from([1, 2000, 9000]), seed=st.integers(0, 99))
def test_maps_made_a_few_rows_at_a_time_are_the_same(channels: tuple[int, ...], strip: int, seed: int) -> None:
    model, ws = tiny(channels, seed), torch.randn(2, 3 * len(channels) - 1, 8)
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        maps = [torch.randn(2, 1, *shape) for shape in model.synthesis.noise_shapes()]
        patch.setattr(mobile_strips, "STRIP_BYTES", strip)
        close(model.synthesis(ws, noise=maps), synthesize(model, ws, maps))
        close(model.synthesis(ws, noise_mode="none"), synthesize(model, ws, []))


@pytest.mark.parametrize("up_to", [4, 8, 16, 99])
def test_what_a_hook_leaves_alone_is_made_in_strips(up_to: int) -> None:
    """The same picture as with everything whole, for a hook that treats each picture of a batch in its own way."""
    model, ws = tiny((8, 16, 8, 12)), torch.randn(3, 11, 8)
    change, seen = torch.rand(3, 1, 1, 1), []

    def hook(layer, x):
        seen.append(layer.resolution)
        return x * change if layer.resolution <= up_to else x

    with torch.no_grad():
        whole = model.synthesis(ws, hook=hook)
        seen.clear()
        close(model.synthesis(ws, hook=HookUpTo(hook, up_to)), whole)
    assert max(seen) == min(up_to, 32)


def test_the_transform_has_gradients_of_any_order() -> None:
    x = torch.randn(2, 8, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(inverse_haar, x) and torch.autograd.gradgradcheck(inverse_haar, x)


@pytest.mark.parametrize("batch", [1, 2])
def test_maps_keep_their_format_from_layer_to_layer(batch: int) -> None:
    """Strides are what tells it; of a batch of one a wrong one goes unnoticed, but for a copy in every convolution."""
    like = {"memory_format": torch.channels_last}
    x = torch.randn(batch, 32, 4, 4).contiguous(**like).requires_grad_(True)
    y = inverse_haar(x)
    assert y.stride() == torch.empty(y.shape).contiguous(**like).stride()
    assert torch.autograd.grad(y.sum(), x)[0].stride() == x.stride()
    assert torch.conv2d(y, torch.randn(8, 1, 3, 3), padding=1, groups=8).is_contiguous(**like)


def test_gradients_are_the_plain_twins() -> None:
    model, ws = tiny((8, 16, 8)), torch.randn(2, 8, 8)
    for batch in (1, 2):
        found = []
        for draw in (model.synthesis, lambda w: synthesize(model, w)):
            code = ws[:batch].clone().requires_grad_(True)
            draw(code).square().sum().backward()
            found.append(code.grad)
        torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5 * float(found[1].abs().max()))


def test_weights_learn_and_noise_gets_gradients() -> None:
    model, ws = tiny((8, 16, 8)).requires_grad_(True), torch.randn(1, 8, 8)
    maps = [torch.randn(1, 1, *shape, requires_grad=True) for shape in model.synthesis.noise_shapes()]
    model.synthesis(ws, noise=maps).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.synthesis.parameters())
    assert all(m.grad is not None and m.grad.abs().sum() > 0 for m in maps)


def test_features_in_bfloat16_draw_nearly_the_same_float32_picture() -> None:
    model, ws = tiny((16, 16, 16, 8)), torch.randn(2, 11, 8)
    with torch.no_grad():
        exact = model.synthesis(ws)
        model.synthesis.compute_dtype = torch.bfloat16
        half = model.synthesis(ws)
    assert half.dtype == torch.float32 and not torch.equal(half, exact)
    assert float((half - exact).abs().mean()) < 0.02 * float(exact.abs().mean())


@settings(deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))
def test_haar_both_ways(batch: int, channels: int, height: int, width: int) -> None:
    x = torch.randn(batch, 4 * channels, height, width)
    assert torch.equal(inverse_haar(x), plain_inverse_haar(x))
    torch.testing.assert_close(haar(inverse_haar(x)), x)
