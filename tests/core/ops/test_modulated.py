"""Both forms of the modulated convolution against one sample at a time; the squared weights' cache."""


import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.twins import ops as plain
from stylegan_core.ops import modulated
from stylegan_core.ops.fir import resample_kernel
from stylegan_core.ops.modulated import demodulation, modulated_conv2d, squared_weight


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_squared_weight_sums_over_the_kernel_in_float32_or_better(dtype):
    weight = torch.randn(3, 4, 3, 3).to(dtype).requires_grad_(True)
    wanted = weight.detach().double().square().sum((2, 3))
    exact = torch.float64 if dtype == torch.float64 else torch.float32
    torch.testing.assert_close(squared_weight(weight), wanted.to(exact))
    squared_weight(weight).sum().backward()
    torch.testing.assert_close(weight.grad, 2 * weight.detach())
