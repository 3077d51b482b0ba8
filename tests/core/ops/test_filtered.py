"""Filter design against SciPy; the filtered leaky ReLU against zero insertion, full filters and decimation."""

import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal, special

from benchmarks.twins import ops as plain
from stylegan_core.ops import filtered
from stylegan_core.ops.filtered import Resampling, bessel_j1, filtered_lrelu, lowpass_filter


def plain_filtered_lrelu(x, bias, up_filter, down_filter, rates, clamp=None):
    """What filtered_lrelu computes, in the words of the paper: nothing tiled, zeros inserted, every sample filtered."""
    wide = plain.upfirdn(x + bias[:, None, None], torch.outer(up_filter, up_filter), rates.up, pad=rates.pad, gain=rates.up**2)
    wide = torch.where(wide > 0, wide, wide * 0.2) * math.sqrt(2)
    wide = wide if clamp is None else wide.clamp(-clamp, clamp)
    down = down_filter if down_filter.ndim == 2 else torch.outer(down_filter, down_filter)
    return plain.upfirdn(wide, down, down=rates.down)


def draw(seed, *shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("high", [0.5, 8, 60, 300])
def test_bessel_j1_equals_scipy(high):
    x = np.linspace(-high, high, 1001)
    np.testing.assert_allclose(bessel_j1(x), special.j1(x), rtol=0, atol=3e-15 * max(1, high / 10))


@given(half=st.integers(1, 16), cutoff=st.floats(0.02, 0.45), width=st.floats(0.01, 0.5), log_rate=st.integers(0, 11))
@settings(max_examples=50, deadline=None)
def test_separable_filter_equals_firwin(half, cutoff, width, log_rate):
    taps, rate = 2 * half, 2.0**log_rate
    expected = signal.firwin(taps, cutoff * rate, width=2 * width * rate, fs=rate)
    np.testing.assert_allclose(lowpass_filter(taps, cutoff * rate, width * rate, rate).numpy(), expected, rtol=1e-6, atol=1e-9)


@given(half=st.integers(1, 12), cutoff=st.floats(0.02, 0.45), width=st.floats(0.01, 0.5))
@settings(max_examples=20, deadline=None)
def test_radial_filter_is_a_windowed_jinc(half, cutoff, width):
    taps = 2 * half
    place = np.arange(taps) - (taps - 1) / 2
    r = np.sqrt(place[:, None] ** 2 + place**2)
    window = np.kaiser(taps, signal.kaiser_beta(signal.kaiser_atten(taps, 2 * width / 0.5)))
    expected = special.j1(2 * cutoff * np.pi * r) / (np.pi * r) * window[:, None] * window
    got = lowpass_filter(taps, cutoff, width, 1.0, radial=True).numpy()
    np.testing.assert_allclose(got, expected / expected.sum(), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("radial", [False, True])
def test_filters_keep_the_mean(radial):
    torch.testing.assert_close(lowpass_filter(12, 3.0, 5.0, 32.0, radial).sum(), torch.tensor(1.0))
    assert lowpass_filter(1, 3.0, 5.0, 32.0, radial) is None


@given(up=st.integers(1, 4), down=st.integers(1, 3), up_taps=st.integers(2, 13), down_taps=st.integers(2, 12),
       low=st.integers(-7, 20), high=st.integers(-7, 20), radial=st.booleans(), batch=st.integers(1, 2),
       channels=st.sampled_from([1, 3, 17, 40]), tile=st.sampled_from([None, 1 << 12, 1 << 15]), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_equals_the_plain_formula(up, down, up_taps, down_taps, low, high, radial, batch, channels, tile, seed):
    x, bias = draw(seed, batch, channels, 14, 11), draw(seed + 1, channels)
    up_filter, down_filter = draw(seed + 2, up_taps), draw(seed + 3, *[down_taps] * (2 if radial else 1))
    rates = Resampling(up, down, (low, high))
    if 11 * up + low + high - up_taps - down_taps + 2 < 1:
        return
    expected = plain_filtered_lrelu(x, bias, up_filter, down_filter, rates, clamp=1.5)
    got = filtered_lrelu(x, bias, up_filter, down_filter, rates, clamp=1.5, tile_bytes=tile)
    assert got.shape == expected.shape
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("radial", [False, True])
def test_gradients_equal_the_plain_formulas(radial):
    x, bias = draw(0, 2, 5, 12, 12).requires_grad_(), draw(1, 5).requires_grad_()
    up_filter, down_filter = draw(2, 12), draw(3, *[12] * (2 if radial else 1))
    rates = Resampling(4, 2, (-2, -5))
    pairs = [f(x, bias, up_filter, down_filter, rates, 1.0) for f in (plain_filtered_lrelu, filtered_lrelu)]
    weight = draw(4, *pairs[0].shape)
    expected, got = (torch.autograd.grad((y * weight).sum(), (x, bias)) for y in pairs)
    for a, b in zip(expected, got, strict=True):
        torch.testing.assert_close(b, a)


def test_without_filters_only_bias_and_clamp_act():
    x, bias = draw(0, 2, 3, 4, 4), draw(1, 3)
    got = filtered_lrelu(x, bias, None, None, Resampling(1, 1, (0, 0)), clamp=0.5, activation="linear")
    torch.testing.assert_close(got, (x + bias[:, None, None]).clamp(-0.5, 0.5))


@given(planes=st.integers(1, 3000), rows=st.integers(1, 1100), width=st.integers(1, 2200), down=st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_tiles_stay_within_their_budget(planes, rows, width, down):
    budget = 16 << 20
    lanes, tall = filtered._tile_shape(planes, rows, width * 4, down, 12, budget)
    assert lanes >= min(planes, filtered.LANES) and tall >= 1
    assert min(lanes, planes) * width * 4 * (min(tall, rows) * down + 12) <= budget * 1.3 or tall == 8


@pytest.mark.slow
@pytest.mark.parametrize("radial", [False, True])
def test_faster_than_grouped_convolutions(radial):
    """Some channels of a 1024 px network's layer from 276 to 532 samples; processor seconds of one thread.

    Some 4.5 times on a quiet machine; the bound leaves a busy one room (`make bench` measures the whole network).
    """
    x, bias, threads = torch.randn(1, 48, 276, 276), torch.randn(48), torch.get_num_threads()
    args = (x, bias, torch.randn(24), torch.randn(*[12] * (2 if radial else 1)), Resampling(4, 2, (-2, -5)))
    best = {}
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            torch.testing.assert_close(filtered_lrelu(*args), plain.grouped_filtered_lrelu(*args), rtol=1e-3, atol=2e-2)
            for f in (filtered_lrelu, plain.grouped_filtered_lrelu) * 3:
                start = time.process_time()
                f(*args)
                best[f] = min(best.get(f, math.inf), time.process_time() - start)
    finally:
        torch.set_num_threads(threads)
    assert best[plain.grouped_filtered_lrelu] >= 2.5 * best[filtered_lrelu], best
