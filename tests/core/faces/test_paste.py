"""Back into the photo: the same place, a soft edge, nothing touched elsewhere."""

from __future__ import annotations

import pytest
import torch
from kornia.filters import gaussian_blur2d

from stylegan_core.errors import InvalidInput
from stylegan_core.faces import align_face, face_mask, paste_face, paste_faces
from stylegan_core.faces.geometry import crop_grid

LEVEL = 1 / 127.5


@pytest.fixture(scope="module")
def smooth(astronaut) -> torch.Tensor:
    """Without the finest detail, which no resampling keeps."""
    return gaussian_blur2d(astronaut[None], (13, 13), (2.0, 2.0))[0]


@pytest.mark.parametrize("size", [128, 256, 512])
@pytest.mark.parametrize("shape", ["face", "square"])
def test_round_trip(smooth, astronaut_points, size, shape) -> None:
    crop, transform = align_face(smooth, astronaut_points, size, supersample=2)
    out, mask = paste_face(smooth, crop, transform, shape=shape)
    difference = (out - smooth).abs() / LEVEL
    assert mask.shape == (1, 512, 512) and mask.max() == 1 and mask.min() == 0
    assert (difference * mask).sum() / mask.sum() / 3 < 0.3
    assert difference.max() < 6
    assert torch.equal(out[:, mask[0] == 0], smooth[:, mask[0] == 0])


def test_round_trip_does_not_shift(smooth, astronaut_points) -> None:
    """Moving the result by a pixel in any direction makes it worse, and equally so."""
    crop, transform = align_face(smooth, astronaut_points, 256, supersample=2)
    out, mask = paste_face(smooth, crop, transform)
    errors = [((out.roll(s, (1, 2)) - smooth).abs() * mask).sum().item() for s in ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))]
    assert errors[0] < 0.2 * min(errors[1:])
    assert errors[1] == pytest.approx(errors[2], rel=0.05) and errors[3] == pytest.approx(errors[4], rel=0.05)


def test_round_trip_of_a_shrunk_crop(smooth, astronaut_points) -> None:
    """The reference shrinks by a rounded size and half a pixel off; the transform knows."""
    large = torch.nn.functional.interpolate(smooth[None, :, :401, :439], size=(1603, 1755), mode="bicubic")[0].clamp(-1, 1)
    points = (astronaut_points + 0.5) * 3.9977 - 0.5
    crop, transform = align_face(large, points, 128)
    out, mask = paste_face(large, crop, transform)
    assert transform.side > 4 * 128
    errors = [((out.roll(s, (1, 2)) - large).abs() * mask).sum().item() for s in ((0, 2), (0, -2), (2, 0), (-2, 0))]
    assert errors[0] == pytest.approx(errors[1], rel=0.1) and errors[2] == pytest.approx(errors[3], rel=0.1)


def test_mask_follows_the_face(astronaut, astronaut_points) -> None:
    crop, transform = align_face(astronaut, astronaut_points, 64)
    _, mask = paste_face(astronaut, crop, transform)
    for x, y in astronaut_points.round().int().tolist():
        assert mask[0, y, x] > 0.99
    _, square = paste_face(astronaut, crop, transform, shape="square", feather=0.0)
    assert square.sum().item() == pytest.approx(transform.side**2, rel=0.03)
    assert (mask <= square + 1e-6).all()


def test_own_mask(astronaut, astronaut_points) -> None:
    crop, transform = align_face(astronaut, astronaut_points, 64)
    none, half = torch.zeros(32, 32), torch.cat([torch.ones(1, 32, 16), torch.zeros(1, 32, 16)], 2)
    out, mask = paste_face(astronaut, -crop, transform, mask=none)
    assert torch.equal(out, astronaut) and mask.max() == 0
    _, mask = paste_face(astronaut, -crop, transform, mask=half)
    x, y = astronaut_points[0].round().int().tolist()
    assert mask[0, y, x] == 1
    x, y = astronaut_points[1].round().int().tolist()
    assert mask[0, y, x] == 0


def test_color_match_moves_toward_the_photo(astronaut, astronaut_points) -> None:
    crop, transform = align_face(astronaut, astronaut_points, 128)
    tinted = (crop * torch.tensor([0.6, 0.9, 0.5])[:, None, None] + torch.tensor([-0.2, 0.2, 0.3])[:, None, None]).clamp(-1, 1)
    errors = []
    for amount in (0.0, 0.5, 1.0):
        out, mask = paste_face(astronaut, tinted, transform, color_match=amount)
        errors.append(((out - astronaut).abs() * mask).sum().item())
    assert errors[0] > 1.4 * errors[1] > 1.4 * errors[2]
    same, _ = paste_face(astronaut, crop, transform, color_match=1.0)
    plain, _ = paste_face(astronaut, crop, transform)
    assert (same - plain).abs().max() < 0.05


def test_flat_crop_survives_color_match(astronaut, astronaut_points) -> None:
    _, transform = align_face(astronaut, astronaut_points, 32)
    out, _ = paste_face(astronaut, torch.zeros(3, 32, 32), transform, color_match=1.0)
    assert out.isfinite().all()


def test_any_crop_size_lands_in_one_place(smooth, astronaut_points) -> None:
    small, transform = align_face(smooth, astronaut_points, 256, supersample=2)
    fine, _ = align_face(smooth, astronaut_points, 768, supersample=1)
    a, b = paste_face(smooth, small, transform)[0], paste_face(smooth, fine, transform)[0]
    assert (a - b).abs().mean() < 0.5 * LEVEL


def test_fine_detail_does_not_alias(astronaut, astronaut_points) -> None:
    _, transform = align_face(astronaut, astronaut_points, 64)
    checks = (torch.arange(1024)[:, None] + torch.arange(1024)).remainder(2).float() * 2 - 1
    out, mask = paste_face(torch.zeros_like(astronaut), checks.expand(3, -1, -1), transform)
    assert out.abs().max() < 0.02 and mask.max() == 1


def test_face_partly_outside(astronaut, astronaut_points) -> None:
    piece, points = astronaut[:, 90:, 200:], astronaut_points - torch.tensor([200.0, 90.0])
    crop, transform = align_face(piece, points, 64)
    out, mask = paste_face(piece, crop, transform, color_match=0.5)
    assert out.shape == piece.shape and out.isfinite().all() and mask[0, :20, :20].max() == 1


def test_face_wholly_outside_changes_nothing(astronaut, astronaut_points) -> None:
    crop, transform = align_face(astronaut, astronaut_points, 32)
    corner = astronaut[:, 400:, :100]
    out, mask = paste_face(corner, crop, transform)
    assert torch.equal(out, corner) and mask.max() == 0


def test_batch_of_one(astronaut, astronaut_points) -> None:
    crop, transform = align_face(astronaut[None], astronaut_points, 32)
    out, mask = paste_face(astronaut[None], crop, transform)
    assert out.shape == (1, 3, 512, 512) and mask.shape == (1, 1, 512, 512)


def test_several_faces(astronaut, astronaut_points) -> None:
    near, near_transform = align_face(astronaut, astronaut_points, 32)
    far, far_transform = align_face(astronaut, (astronaut_points - 225) / 3 + 225, 32)
    out, mask = paste_faces(astronaut, [near * 0 + 0.9, far * 0 - 0.9], [near_transform, far_transform])
    assert out[0, 115, 225] > 0.85
    assert mask.shape == (1, 512, 512) and mask.max() == 1
    with pytest.raises(InvalidInput, match="one for each"):
        paste_faces(astronaut, [near], [])


def test_grid_is_the_inverse_of_the_crop(astronaut, astronaut_points) -> None:
    _, transform = align_face(astronaut, astronaut_points, 32)
    grid = crop_grid(transform, (0, 0, 512, 512))
    x, y = 210, 120
    corners = transform.sampled
    u, v = ((grid[y, x] + 1) / 2).tolist()
    point = corners[0] + u * (corners[3] - corners[0]) + v * (corners[1] - corners[0])
    assert (point - torch.tensor([x + 0.5, y + 0.5], dtype=torch.float64)).abs().max() < 1e-9


def test_mask_is_soft_and_symmetric() -> None:
    mask = face_mask(65, feather=0.2)[0]
    assert mask[32, 32] == 1 and mask[0].max() == 0 and mask[:, 0].max() == 0
    assert torch.allclose(mask, mask.flip(1), atol=1e-5) and (mask[32, 33:].diff() <= 0).all()
    assert mask[32].diff().abs().max() < 0.15
    assert set(face_mask(64, 0.0, "square").unique().tolist()) == {1.0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"feather": 0.6}, "feather"), ({"color_match": 2.0}, "color_match"), ({"shape": "heart"}, "heart"),
     ({"mask": torch.zeros(2, 8, 8)}, "mask of shape")],
)
def test_wrong_arguments(astronaut, astronaut_points, arguments, message) -> None:
    crop, transform = align_face(astronaut, astronaut_points, 16)
    with pytest.raises(InvalidInput, match=message):
        paste_face(astronaut, crop, transform, **arguments)
