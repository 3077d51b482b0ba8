"""Lanczos and Gaussian filters against Pillow and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

from stylegan_core.faces.resample import gaussian_blur, lanczos, mirror


@settings(max_examples=15, deadline=None)
@given(st.integers(20, 200), st.integers(20, 200), st.integers(5, 150), st.integers(5, 150))
def test_lanczos_equals_pillow(height, width, out_height, out_width) -> None:
    picture = np.random.RandomState(height).rand(height, width).astype(np.float32)
    expected = np.asarray(Image.fromarray(picture).resize((out_width, out_height), Image.Resampling.LANCZOS))
    region = (out_width // 4, out_height // 3, out_width - 1, out_height)
    result = lanczos(torch.from_numpy(picture)[None], (out_height, out_width), region)[0]
    np.testing.assert_allclose(result.numpy(), expected[region[1] : region[3], region[0] : region[2]], atol=2e-5)


@pytest.mark.parametrize("sigma", [0.1, 0.7, 3.0, 12.5])
@pytest.mark.parametrize("shape", [(3, 5), (70, 90)])
def test_gaussian_equals_scipy(sigma, shape) -> None:
    picture = np.random.RandomState(0).rand(*shape).astype(np.float32)
    expected = gaussian_filter(picture, sigma, mode="reflect")
    np.testing.assert_allclose(gaussian_blur(torch.from_numpy(picture)[None], sigma)[0].numpy(), expected, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(0, 25), st.integers(0, 25), st.booleans())
def test_mirror_equals_numpy(length, before, after, repeat_edge) -> None:
    mode = "symmetric" if repeat_edge else "reflect"
    expected = np.pad(np.arange(length), (before, after), mode=mode) if length > 1 else np.zeros(1 + before + after)
    assert mirror(length, before, after, repeat_edge).tolist() == expected.tolist()
