"""Masks made larger."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import max_pool2d

from stylegan_core.faces.geometry import dilated


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 20), st.integers(0, 1000))
def test_rows_then_columns_are_the_square(height, width, reach, seed):
    masks = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(dilated(masks, reach), max_pool2d(masks, 2 * reach + 1, 1, reach))
