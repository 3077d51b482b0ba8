"""The head mask covers face and hair and leaves what is no head; aligned crops are told from others."""

from __future__ import annotations

import pytest
import torch

from stylegan_core.assets import example_portrait
from stylegan_core.errors import InvalidInput
from stylegan_core.faces.batch import return_faces, return_masks, take_faces
from stylegan_core.faces.frame import FRAME_POINTS, check_aligned, crop_points
from stylegan_core.faces.head_mask import head_and_face, head_mask, without_holes, without_spurs
from stylegan_core.pictures.files import read_image

HAIR, CHIN, NOSE = (40, 128), (225, 128), (160, 128)
CORNER, COLLAR = (8, 8), (240, 30)
"""(y, x) in the 256 px crop of the bundled portrait."""


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    return read_image(example_portrait())


@pytest.fixture(scope="module")
def crops(photo: torch.Tensor):
    return take_faces(photo, 256)


@pytest.fixture(scope="module")
def points(crops) -> torch.Tensor:
    found = crop_points(crops[0])[0]
    assert found is not None and (found - FRAME_POINTS).abs().max() < 0.06
    return found[None]


def at(mask: torch.Tensor, place: tuple[int, int]) -> float:
    return float(mask[0, 0, place[0], place[1]])


@pytest.mark.parametrize("reconstructed", [False, True])
def test_face_and_hair_but_not_the_suit(crops, points, reconstructed: bool) -> None:
    mask = head_mask(crops[0], crops[0] if reconstructed else None, points)
    assert mask.shape == (1, 1, 256, 256) and mask.min() >= 0 and mask.max() <= 1
    assert all(at(mask, place) > 0.9 for place in (HAIR, CHIN, NOSE))
    assert all(at(mask, place) < 0.1 for place in (CORNER, COLLAR))


def test_a_hat_the_model_can_not_draw_is_kept(crops, points) -> None:
    worn = crops[0].clone()
    worn[:, :, :45, 30:220] = torch.tensor([-0.6, -0.6, 0.6])[None, :, None, None]
    assert at(head_mask(worn, crops[0], points), (20, 128)) < 0.1
    assert at(head_mask(worn, crops[0], points), NOSE) > 0.9


def test_any_size_and_growth(crops, points) -> None:
    small = torch.nn.functional.interpolate(crops[0], size=96, mode="bilinear")
    mask = head_mask(small, small[..., :64, :64], points)
    assert mask.shape == (1, 1, 96, 96)
    assert head_mask(crops[0], None, points, 0.3).sum() > head_mask(crops[0], None, points, -0.3).sum()
    assert head_mask(torch.zeros(1, 3, 64, 64)).shape == (1, 1, 64, 64)  # no face: the average face's place
    for bad in ({"photo": crops[0][..., :100]}, {"reconstruction": torch.zeros(2, 3, 8, 8)}, {"grow": 2.0}):
        with pytest.raises(InvalidInput):
            head_mask(**({"photo": crops[0]} | bad))


def test_pasting_through_a_mask_leaves_the_rest(photo, crops, points) -> None:
    mask, green = head_mask(crops[0], None, points), torch.tensor([-1.0, 1, -1])[None, :, None, None].expand(1, 3, 256, 256)
    pasted, used = return_faces(photo, green, crops[1], masks=mask)
    assert torch.equal(pasted[:, :, used[0, 0] == 0], photo[:, :, used[0, 0] == 0])
    _, oval = return_faces(photo, green, crops[1])
    assert 0.3 < used.sum() / oval.sum() < 1.3
    with pytest.raises(InvalidInput, match="Head Mask"):
        return_faces(photo, green, crops[1], masks=mask.expand(3, -1, -1, -1))


def test_the_face_is_brow_to_chin_inside_the_head(crops, points) -> None:
    head, face = head_and_face(crops[0], None, points)
    assert torch.equal(head, head_mask(crops[0], None, points)) and face.shape == head.shape
    assert at(face, NOSE) > 0.9 and at(face, HAIR) < 0.1 and at(face, CORNER) < 0.1
    assert (face > head + 0.3).float().mean() < 0.01 and 0.15 < face.sum() / head.sum() < 0.7


def test_masks_lie_over_the_photograph(photo, crops, points) -> None:
    """Where the crop was cut out; in a batch each over its own, in an enlarged copy as well."""
    _, face = head_and_face(crops[0], None, points)
    (place,) = crops[1]
    corners = place.transform.sampled
    across, down = points[0, 2].tolist()
    x, y = (corners[0] + (corners[3] - corners[0]) * across + (corners[1] - corners[0]) * down).long().tolist()
    placed = return_masks(face, photo, crops[1])
    assert placed.shape == (1, 1, *photo.shape[2:]) and placed.min() >= 0 and placed.max() <= 1
    area = face.sum() * (place.transform.side / 256) ** 2
    assert placed.sum() == pytest.approx(float(area), rel=0.1)
    assert placed[0, 0, y, x] > 0.9 and placed[0, 0, y + round(place.transform.side), x] == 0
    large = torch.nn.functional.interpolate(photo, scale_factor=2)
    assert return_masks(face, large, crops[1]).sum() == pytest.approx(4 * float(placed.sum()), rel=0.05)
    both, places = take_faces(torch.cat([photo.flip(-1), photo]), 256)
    of_both = return_masks(head_and_face(both)[1], torch.cat([photo.flip(-1), photo]), places)
    assert (of_both[1] - placed[0]).abs().mean() < 0.01 and (of_both[0] - placed[0].flip(-1)).abs().mean() < 0.01
    with pytest.raises(InvalidInput, match="face"):
        return_masks(face.expand(2, -1, -1, -1), photo, crops[1])


def test_crops_are_told_from_photographs(photo, crops) -> None:
    check_aligned(crops[0])
    check_aligned(torch.zeros(1, 3, 32, 32))  # no face is seen in many a drawing
    for wrong in (photo, crops[0][..., :200], crops[0].rot90(1, (2, 3))[..., :250]):
        with pytest.raises(InvalidInput, match="Align Faces"):
            check_aligned(wrong)


def test_a_leak_into_the_background_is_cut_off_an_ear_is_not() -> None:
    mask = torch.zeros(128, 128)
    mask[20:110, 30:90] = 1
    leak, ear = (slice(80, 88), slice(91, 110)), (slice(40, 60), slice(90, 104))
    mask[leak] = mask[ear] = 1
    kept = torch.minimum(mask, without_spurs(mask))
    assert kept[leak][:, 2:].max() == 0 and kept[ear].mean() > 0.9 and kept[22:108, 32:88].min() == 1


def test_what_a_mask_encloses_is_taken_in() -> None:
    mask = torch.zeros(64, 64)
    mask[8:56, 8:56] = 1
    mask[24:36, 24:36] = 0
    mask[40:64, 44:52] = 0
    found = without_holes(mask)
    assert found[26:34, 26:34].min() > 0.9 and found[46:, 46:50].max() == 0
    outside = torch.ones(64, 64, dtype=torch.bool)
    outside[8:56, 8:56] = False
    assert torch.equal(found[outside], mask[outside]) and torch.equal(without_holes(torch.ones(64, 64)), torch.ones(64, 64))


@pytest.mark.parametrize("shape", [(0, 3, 64, 64), (1, 3, 64, 48), (3, 64, 64), (1, 1, 64, 64)])
def test_pictures_that_are_no_crops(shape) -> None:
    with pytest.raises(InvalidInput, match="needs aligned crops"):
        head_mask(torch.zeros(shape))
