"""Every layout of StyleGAN2 draws the reference images: the key map, the facts and the arithmetic at once."""

from __future__ import annotations

import pytest
import torch

from stylegan_core import checkpoints

from .conftest import TINY, Cases


@pytest.mark.parametrize("name", [n for n in TINY if n != "swap_ros2_tiny"])
def test_images_match_the_reference(name, golden, tiny) -> None:
    model = checkpoints.load(tiny(name))
    if "trunc_latent" in golden(name).npz_names() and model.mapping.w_avg.isnan().any():
        model.w_avg = golden(name).tensor("trunc_latent")
    for out, image, expected in Cases(golden(name), model):
        error = (image[: len(expected)] - expected).abs().max() / expected.abs().max()
        assert error < 1e-4, f"{out}: {error:.1e}"


@pytest.mark.parametrize("name", ["ros2_train_tiny", "ada_sg2_tiny", "tf_sg2_tiny"])
def test_raw_weights_are_another_network(name, tiny) -> None:
    averaged, raw = checkpoints.load(tiny(name)), checkpoints.load(tiny(name), which="raw")
    assert averaged.config == raw.config
    a, b = averaged.state_dict(), raw.state_dict()
    assert any(not torch.equal(a[key], b[key]) for key in a if key in b)
