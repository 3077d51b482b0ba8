"""FIR resampling against zero insertion and dense true convolution."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.twins import ops as plain
from stylegan_core.errors import InvalidInput
from stylegan_core.ops import fir

TAPS = [(1.0, 3.0, 3.0, 1.0), (1.0,), (1.0, 1.0), (1.0, 2.0, 1.0), (1.0, 4.0, 2.0, 0.5), (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)]


def features(seed, *shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@given(taps=st.sampled_from(TAPS), h=st.integers(1, 9), w=st.integers(1, 9), b=st.integers(1, 2), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_upsample_is_zero_insertion_and_true_convolution(taps, h, w, b, seed):
    x, kernel, t = features(seed, b, 3, h, w), fir.resample_kernel(taps), len(taps)
    expected = plain.upfirdn(x, kernel, up=2, pad=((t + 1) // 2, (t - 2) // 2), gain=4.0)
    got = fir.upsample2d(x, kernel)
    assert got.shape == (b, 3, 2 * h, 2 * w)
    torch.testing.assert_close(got, expected)


@given(taps=st.sampled_from(TAPS), h=st.integers(1, 5), w=st.integers(1, 5), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_downsample_filters_then_decimates(taps, h, w, seed):
    x, kernel, t = features(seed, 2, 2, 2 * h, 2 * w), fir.resample_kernel(taps), len(taps)
    got = fir.downsample2d(x, kernel)
    assert got.shape == (2, 2, h, w)
    torch.testing.assert_close(got, plain.upfirdn(x, kernel, down=2, pad=((t - 1) // 2, (t - 2) // 2)))


@given(taps=st.sampled_from(TAPS), h=st.integers(1, 6), w=st.integers(1, 6), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_up_convolution_is_zero_insertion_fir_and_dense_convolution(taps, h, w, seed):
    x, weight, bias = features(seed, 2, 3, h, w), features(seed + 1, 4, 3, 3, 3), features(seed + 2, 4)
    kernel = fir.resample_kernel(taps).double()
    expected = plain.modulated_conv(x, weight, torch.ones(1, 3, dtype=x.dtype), bias, demodulate=False, kernel=kernel)
    got = fir.conv_transpose_up2d(x, weight, kernel, bias)
    assert got.shape == (2, 4, 2 * h, 2 * w)
    torch.testing.assert_close(got, expected)


def test_up_keeps_a_constant_inside_and_fades_it_at_the_border():
    up = fir.upsample2d(torch.ones(1, 1, 6, 6), fir.resample_kernel())
    torch.testing.assert_close(up[:, :, 1:-1, 1:-1], torch.ones(1, 1, 10, 10))
    torch.testing.assert_close(up[0, 0, 0, 5], torch.tensor(0.75))


def test_filter_crops_where_padding_is_negative():
    x, kernel = features(0, 1, 2, 7, 7), fir.resample_kernel()
    torch.testing.assert_close(fir.filter2d(x, kernel, (-1, 2)), plain.upfirdn(x, kernel, pad=(-1, 2)))


def test_kernel_scale_does_not_matter_and_2d_is_taken_as_it_is():
    torch.testing.assert_close(fir.resample_kernel((1, 3, 3, 1)), fir.resample_kernel((2, 6, 6, 2)))
    square = torch.arange(9.0).reshape(3, 3)
    torch.testing.assert_close(fir.resample_kernel(square), square / 36)


@pytest.mark.parametrize("taps", [torch.ones(2, 3), torch.tensor([1.0, -1.0]), torch.ones(2, 2, 2)])
def test_bad_kernels_are_refused(taps):
    with pytest.raises(InvalidInput, match="taps"):
        fir.resample_kernel(taps)


def test_gradients_reach_the_input_twice():
    x = features(3, 1, 1, 3, 3).requires_grad_()
    kernel = fir.resample_kernel((1.0, 4.0, 2.0, 0.5)).double()
    assert torch.autograd.gradcheck(lambda t: fir.upsample2d(t, kernel), (x,))
    assert torch.autograd.gradgradcheck(lambda t: fir.downsample2d(t.square(), kernel), (x,))
