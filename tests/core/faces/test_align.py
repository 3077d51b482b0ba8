"""The FFHQ crop: golden quads and pictures, invariances, photographs of any size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from stylegan_core.errors import InvalidInput
from stylegan_core.faces import align_face, align_faces, detect_faces, face_quad

LEVEL = 1 / 127.5


@pytest.mark.parametrize("case", [0, 1, 2])
@pytest.mark.parametrize("points", ["landmarks", "five"])
def test_golden(golden, picture, case, points) -> None:
    files = golden("align")
    image, expected = picture(files.file(f"in{case}.png")), picture(files.file(f"out{case}.png"))
    crop, transform = align_face(image, files.tensor(f"{points}{case}"), 256)
    np.testing.assert_allclose(transform.quad.numpy(), files.array(f"quad{case}"), atol=1e-6)
    assert transform.side == pytest.approx(files.array(f"qsize{case}").item(), abs=1e-6)
    difference = (crop - expected).abs() / LEVEL
    assert difference.mean() < 0.15 and difference.max() < 3.01


def test_batch_of_one_and_numpy_points(golden, picture) -> None:
    files = golden("align")
    image = picture(files.file("in0.png"))
    crop, _ = align_face(image, files.tensor("five0"), 64)
    batch, _ = align_face(image[None], files.array("landmarks0"), 64)
    assert batch.shape == (1, 3, 64, 64)
    assert torch.equal(batch[0], crop)


def plain_quad(points: list[tuple[float, float]]) -> np.ndarray:
    """The quad with complex numbers: a quarter turn is a multiplication by i."""
    left, right, _, mouth_left, mouth_right = (complex(*p) for p in points)
    eye, mouth = (left + right) / 2, (mouth_left + mouth_right) / 2
    x = (right - left) - 1j * (mouth - eye)
    x *= max(2 * abs(right - left), 1.8 * abs(mouth - eye)) / abs(x)
    center = eye + 0.1 * (mouth - eye)
    corners = [center - x - 1j * x, center - x + 1j * x, center + x + 1j * x, center + x - 1j * x]
    return np.array([[c.real, c.imag] for c in corners])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(-200, 200), st.floats(-200, 200)), min_size=5, max_size=5))
def test_quad_equals_plain_twin(points) -> None:
    try:
        quad = face_quad(points)
    except InvalidInput:
        return
    np.testing.assert_allclose(quad.numpy(), plain_quad(points), atol=1e-6)


def test_a_generous_picture_needs_no_padding(astronaut, astronaut_points) -> None:
    larger = functional.pad(astronaut, (200, 200, 200, 200), value=0.3)
    crop, transform = align_face(astronaut, astronaut_points, 128)
    moved, moved_transform = align_face(larger, astronaut_points + 200, 128)
    assert torch.allclose(transform.quad + 200, moved_transform.quad)
    assert (crop - moved).abs().max() <= 1.01 * LEVEL


def test_only_the_neighbourhood_is_read(astronaut, astronaut_points) -> None:
    huge = torch.full((3, 3000, 9000), 1e6)
    huge[:, 1000:1512, 5000:5512] = astronaut
    crop, _ = align_face(huge, astronaut_points + torch.tensor([5000, 1000]), 128)
    expected, _ = align_face(astronaut, astronaut_points, 128)
    assert (crop - expected).abs().max() <= 1.01 * LEVEL


def test_large_face_is_shrunk_first(astronaut, astronaut_points) -> None:
    large = functional.interpolate(astronaut[None], scale_factor=6, mode="bicubic", align_corners=False)[0].clamp(-1, 1)
    crop, transform = align_face(large, (astronaut_points + 0.5) * 6 - 0.5, 128)
    expected, _ = align_face(astronaut, astronaut_points, 128)
    assert transform.side == pytest.approx(6 * 171, rel=0.02)
    assert (crop - expected).abs().mean() < 0.04


def test_supersampling_gives_the_same_frame(astronaut, astronaut_points) -> None:
    plain, _ = align_face(astronaut, astronaut_points, 128)
    smooth, transform = align_face(astronaut, astronaut_points, 128, supersample=4)
    assert smooth.shape == (3, 128, 128) and transform.size == 128
    assert (plain - smooth).abs().mean() < 0.03
    assert smooth.abs().max() <= 1


@pytest.mark.parametrize("shift", [(-190, -60), (270, 300), (-200, 370)])
def test_face_at_the_edge(astronaut, astronaut_points, shift) -> None:
    """Half outside: the margin is mirrored and fades; nothing is NaN and the inside stays."""
    x, y = shift
    piece = astronaut[:, max(0, -y) : 512 - max(0, y), max(0, -x) : 512 - max(0, x)]
    points = astronaut_points - torch.tensor([max(0, -x), max(0, -y)])
    crop, _ = align_face(piece.roll(0), points, 64)
    assert crop.isfinite().all() and crop.abs().max() <= 1 and crop.std() > 0.05


def test_one_pixel_picture() -> None:
    crop, _ = align_face(torch.full((3, 1, 1), 0.5), [[0, 0], [1, 0], [0.5, 0.5], [0, 1], [1, 1]], 16)
    assert crop.shape == (3, 16, 16) and (crop - 0.5).abs().max() < 0.01


def test_several_faces(astronaut, detector) -> None:
    pair = torch.cat([astronaut, astronaut.flip(2)], 2)
    images = [astronaut, torch.zeros(3, 64, 64), pair]
    crops, transforms, owners = align_faces(images, detect_faces(images, detector=detector), 64)
    assert crops.shape == (3, 3, 64, 64) and owners == [0, 2, 2] and len(transforms) == 3
    nothing, none, _ = align_faces(images[1:2], [[]], 64)
    assert nothing.shape == (0, 3, 64, 64) and none == []


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (torch.zeros(4, 2), r"\[5, 2\] or \[68, 2\]"),
        (torch.zeros(5, 2), "one point"),
        (torch.full((5, 2), float("nan")), "finite"),
        (torch.tensor([[900.0, 900], [940, 900], [920, 920], [900, 940], [940, 940]]), "outside"),
    ],
)
def test_unusable_points(points, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        align_face(torch.zeros(3, 100, 100), points, 64)


@pytest.mark.parametrize("size", [0, -1])
def test_wrong_size(astronaut, astronaut_points, size) -> None:
    with pytest.raises(InvalidInput, match="at least 1"):
        align_face(astronaut, astronaut_points, size)
