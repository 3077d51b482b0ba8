"""Both forms of the modulated convolution against one sample at a time; the squared weights' cache."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from benchmarks.twins import ops as plain
from stylegan_core.ops import modulated
from stylegan_core.ops.fir import resample_kernel
from stylegan_core.ops.modulated import demodulation, modulated_conv2d, share_squares, squared_weight


def inputs(seed, b, i, o, h, w, k, rows=None):
    g = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=g)

    return draw(b, i, h, w), draw(o, i, k, k), draw(rows or b, i) + 1, draw(o)


@given(b=st.integers(1, 3), shared=st.booleans(), i=st.integers(1, 5), o=st.integers(1, 5), h=st.integers(1, 6),
       w=st.integers(1, 6), k=st.sampled_from([1, 3]), demodulate=st.booleans(), gain=st.sampled_from([1.0, 1.4]),
       seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_equals_the_plain_twin(b, shared, i, o, h, w, k, demodulate, gain, seed):
    x, weight, style, bias = inputs(seed, b, i, o, h, w, k, rows=1 if shared else b)
    got = modulated_conv2d(x, weight, style, bias, demodulate=demodulate, gain=gain)
    torch.testing.assert_close(got, plain.modulated_conv(x, weight, style, bias, demodulate, gain=gain), atol=2e-5, rtol=1e-4)


@given(b=st.integers(1, 3), i=st.integers(1, 4), o=st.integers(1, 4), h=st.integers(1, 5), w=st.integers(1, 5),
       taps=st.sampled_from([(1.0, 3.0, 3.0, 1.0), (1.0, 2.0, 4.0, 1.0), (1.0, 1.0)]), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_upsampling_equals_the_plain_twin(b, i, o, h, w, taps, seed):
    x, weight, style, bias = inputs(seed, b, i, o, h, w, 3)
    kernel = resample_kernel(taps)
    got = modulated_conv2d(x, weight, style, bias, kernel=kernel)
    assert got.shape == (b, o, 2 * h, 2 * w)
    torch.testing.assert_close(got, plain.modulated_conv(x, weight, style, bias, kernel=kernel), atol=2e-5, rtol=1e-4)


def test_the_two_forms_agree():
    x, weight, style, bias = inputs(7, 1, 16, 16, 8, 8, 3)
    d = demodulation(weight, style)
    one = modulated._with_scaled_weight(x, weight, style, d, bias, 1.4, None)
    other = modulated._with_scaled_activations(x, weight, style, d, bias, 1.4, None)
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_epsilon_counts_for_tiny_styles():
    x, weight, style, _ = inputs(1, 1, 4, 4, 3, 3, 3)
    style = style * 1e-5
    got = modulated_conv2d(x, weight, style, eps=1e-8)
    torch.testing.assert_close(got, plain.modulated_conv(x, weight, style, eps=1e-8))
    assert not torch.allclose(got, modulated_conv2d(x, weight, style, eps=1e-12), rtol=0.1)


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("learned", ["x", "weight", "style", "bias", "all"])
@pytest.mark.parametrize("up", [False, True])
def test_gradients(rows, learned, up):
    x, weight, style, bias = (t.double() for t in inputs(5, 2, 3, 2, 3, 3, 3, rows=rows))
    named = {"x": x, "weight": weight, "style": style, "bias": bias}
    for name, tensor in named.items():
        tensor.requires_grad_(learned in (name, "all"))
    kernel = resample_kernel().double() if up else None
    assert torch.autograd.gradcheck(lambda *t: modulated_conv2d(*t, kernel=kernel), tuple(named.values()))


def test_second_gradients():
    x, weight, style, _ = (t.double().requires_grad_() for t in inputs(5, 1, 2, 2, 3, 3, 3))
    assert torch.autograd.gradgradcheck(lambda s: modulated_conv2d(x.detach(), weight.detach(), s), (style,))
    assert torch.autograd.gradgradcheck(lambda w: modulated_conv2d(x.detach(), w, style.detach()), (weight,))


def test_half_precision_survives_large_styles():
    x, weight, style, bias = inputs(3, 2, 64, 8, 4, 4, 3)
    style = style * 3000
    half = modulated_conv2d(x.half(), weight.half(), style, bias)
    assert half.dtype == torch.float16 and half.isfinite().all()
    torch.testing.assert_close(half.float(), plain.modulated_conv(x, weight, style, bias), atol=3e-2, rtol=3e-2)


class TestSquaredWeight:
    def weight(self):
        return nn.Parameter(torch.randn(3, 4, 3, 3), requires_grad=False)

    def fresh(self, weight):
        return weight.detach().square().sum((2, 3))

    def test_is_summed_once(self):
        weight = self.weight()
        assert squared_weight(weight) is squared_weight(weight)

    @pytest.mark.parametrize("change", [
        lambda w: w.mul_(2), lambda w: w.data.add_(1), lambda w: w.copy_(torch.ones_like(w)),
        lambda w: w.data.copy_(torch.ones(3, 4, 3, 3)),
    ])
    def test_follows_writes(self, change):
        weight = self.weight()
        squared_weight(weight)
        with torch.no_grad():
            change(weight)
        torch.testing.assert_close(squared_weight(weight), self.fresh(weight))

    def test_follows_assignment_of_data(self):
        weight = self.weight()
        squared_weight(weight)
        weight.data = torch.ones(3, 4, 3, 3)
        torch.testing.assert_close(squared_weight(weight), torch.full((3, 4), 9.0))

    def test_follows_an_optimizer(self):
        weight = nn.Parameter(torch.randn(3, 4, 3, 3))
        optimizer = torch.optim.Adam([weight], lr=0.5)
        with torch.no_grad():
            squared_weight(weight)
        weight.sum().backward()
        optimizer.step()
        with torch.no_grad():
            torch.testing.assert_close(squared_weight(weight), self.fresh(weight))

    def test_follows_load_state_dict_and_dtype(self):
        layer = nn.Conv2d(4, 3, 3).requires_grad_(False)
        squared_weight(layer.weight)
        layer.load_state_dict({"weight": torch.ones(3, 4, 3, 3), "bias": torch.zeros(3)})
        torch.testing.assert_close(squared_weight(layer.weight), torch.full((3, 4), 9.0))
        layer.double()
        assert squared_weight(layer.weight).dtype == torch.float64

    def test_is_not_in_state_dict_nor_in_a_deep_copy(self):
        layer = nn.Conv2d(4, 3, 3).requires_grad_(False)
        squared_weight(layer.weight)
        assert set(layer.state_dict()) == {"weight", "bias"}
        assert not any(hasattr(t, modulated._BOX) for t in (copy.deepcopy(layer).weight, layer.state_dict()["weight"]))

    def test_gives_gradients_after_it_was_kept(self):
        weight = nn.Parameter(torch.randn(3, 4, 3, 3))
        with torch.no_grad():
            squared_weight(weight)
        squared_weight(weight).sum().backward()
        torch.testing.assert_close(weight.grad, 2 * weight.detach())

    def test_kept_under_inference_mode_it_serves_autograd_later(self):
        weight, style = self.weight(), torch.randn(1, 4, requires_grad=True)
        with torch.inference_mode():
            squared_weight(weight)
        demodulation(weight, style).sum().backward()
        assert style.grad is not None

    def test_inference_tensors_have_no_version_but_are_followed(self):
        with torch.inference_mode():
            weight = torch.randn(3, 4, 3, 3)
            squared_weight(weight)
            weight.mul_(2)
            torch.testing.assert_close(squared_weight(weight), self.fresh(weight))

    def test_aliases_share_it_until_one_changes(self):
        weight = self.weight()
        alias = nn.Parameter(weight.detach(), requires_grad=False)
        share_squares(weight, alias)
        assert squared_weight(alias) is squared_weight(weight)
        alias.data = torch.ones(3, 4, 3, 3)
        kept = squared_weight(weight)
        torch.testing.assert_close(squared_weight(alias), torch.full((3, 4), 9.0))
        assert squared_weight(weight) is kept
