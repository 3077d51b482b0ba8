"""What of the picture counts: masks, face points, and the losses that heed them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import stylegan_core as sg
from stylegan_core.errors import InvalidInput
from stylegan_core.inversion.region import region_weight
from stylegan_core.losses.perceptual import LPIPS, spatial_mean
from tests.core.inversion.tiny import FAST, run, samples, tiny


@pytest.fixture(scope="module")
def model():
    return tiny()


@pytest.fixture(scope="module")
def lpips() -> LPIPS:
    return LPIPS.embedded()


def half(size: int = 16) -> torch.Tensor:
    """The left half counts."""
    mask = torch.zeros(1, size, size)
    mask[..., : size // 2] = 1
    return mask


def test_weighted_mean_beside_plain_sums() -> None:
    x, weight = torch.randn(2, 3, 8, 8), torch.rand(2, 1, 8, 8)
    expected = torch.stack([(x[i] * weight[i]).sum((1, 2)) / weight[i].sum() for i in range(2)])
    assert torch.allclose(spatial_mean(x, weight), expected, atol=1e-6)
    assert torch.allclose(spatial_mean(x, torch.full((2, 1, 32, 32), 0.3)), x.mean((2, 3)), atol=1e-6)


def test_lpips_of_everything_is_lpips_and_of_a_region_is_the_regions(lpips) -> None:
    a = torch.rand(1, 3, 128, 128) * 2 - 1
    b = a.clone()
    b[..., 96:] = torch.rand(1, 3, 128, 32) * 2 - 1
    left = half(128)[:, None]
    assert torch.allclose(lpips(a, b, torch.ones(1, 1, 128, 128)), lpips(a, b), rtol=1e-5)
    inside, outside = float(lpips(a, b, left)), float(lpips(a, b, 1 - left))
    assert inside < 0.1 * outside and float(lpips(a, b)) == pytest.approx((inside + outside) / 2, rel=0.2)


def test_only_what_the_mask_shows_is_matched(model) -> None:
    """Left and right halves of two people: with a mask, the left one is found as if the right were not there."""
    first, second = samples(model, [1]), samples(model, [2])
    mixed = torch.cat([first[..., :8], second[..., 8:]], dim=3)
    options = replace(FAST, perturbation=0.0)
    whole, left = run(model, mixed, options=options), run(model, mixed, options=options, mask=half())
    error = [float((found.images - mixed)[..., :8].abs().mean()) for found in (whole, left)]
    assert error[1] < 0.7 * error[0]
    measured = (left.images - mixed)[..., :8].square().mean()
    assert torch.allclose(left.losses["l2"], measured, atol=1e-5)


def test_a_mask_of_ones_changes_nothing(model) -> None:
    faces = samples(model, [1, 2])
    plain, masked = (run(model, faces, options=replace(FAST, steps=5), mask=mask) for mask in (None, torch.ones(2, 64, 64)))
    assert torch.allclose(plain.latents.tensor, masked.latents.tensor, atol=1e-3)
    assert torch.allclose(plain.losses["total"], masked.losses["total"], rtol=1e-4)


def test_it_works_under_inference_mode(model) -> None:
    with torch.inference_mode():
        found = run(model, samples(model, [1]), options=replace(FAST, steps=2), mask=half())
    assert found.losses["total"].isfinite().all()


@pytest.mark.parametrize(("mask", "told"), [
    (torch.zeros(1, 16, 16), "empty"),
    (torch.stack([torch.ones(8, 8), torch.zeros(8, 8)]), "Mask 2 is empty"),
    (torch.ones(3, 16, 16), "shape"),
    (torch.ones(1, 16, 20), "shape"),
    (torch.ones(16, 16), "shape"),
    (torch.ones(1, 0, 0), "shape"),
    (torch.full((1, 16, 16), 255.0), "0 to 1"),
    (torch.full((1, 16, 16), float("nan")), "0 to 1"),
])
def test_masks_that_are_none(model, mask, told) -> None:
    with pytest.raises(InvalidInput, match=told):
        run(model, samples(model, [1, 2]), mask=mask)


def test_landmarks_weigh_the_face_points() -> None:
    crop, _ = sg.take_faces(sg.read_image(sg.example_portrait()), 256)
    weight, notes = region_weight(crop, 64, None, 10.0)
    assert weight is not None and weight.shape == (1, 1, 64, 64) and notes == []
    points = sg.detect_faces(crop)[0][0].points / 4
    for x, y in points.round().long().tolist():
        assert weight[0, 0, y, x] > 9
    assert weight[0, 0, 0, 0] == pytest.approx(1, abs=1e-3) and (weight > 6).float().mean() < 0.15


def test_without_a_face_the_landmarks_are_left_out_and_it_is_said(model) -> None:
    found = run(model, samples(model, [1, 2]), options=replace(FAST, steps=2, landmarks=5.0))
    plain = run(model, samples(model, [1, 2]), options=replace(FAST, steps=2))
    assert torch.allclose(found.losses["total"], plain.losses["total"], rtol=1e-4)
    assert len(found.notes) == 2 and "image 2" in found.notes[1]
