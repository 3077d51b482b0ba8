"""Faces of photographs as people have them: turned, resized since, several, broken."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from stylegan_core.errors import FaceNotFound, InvalidInput
from stylegan_core.faces import FaceTransform, align_face, paste_face
from stylegan_core.faces.batch import (
    FacePlace,
    check_which,
    outline_faces,
    pasting_notes,
    return_faces,
    take_faces,
)
from stylegan_core.faces.detection import Face, detect_faces, find_faces, roll
from stylegan_core.faces.head_mask import head_mask

LEVEL = 1 / 127.5


def resized(image: torch.Tensor, height: int, width: int) -> torch.Tensor:
    return functional.interpolate(image[None], size=(height, width), mode="bicubic", antialias=True)[0].clamp(-1, 1)


@pytest.fixture(scope="module")
def three(astronaut) -> torch.Tensor:
    """[1, 3, 512, 900]: three faces, the largest on the right, numbers by size."""
    picture = torch.full((1, 3, 512, 900), -0.3)
    for side, left in ((512, 388), (280, 0), (200, 290)):
        picture[0, :, :side, left : left + side][:, :, : 900 - left] = resized(astronaut, side, side)
    return picture


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("size", [(512, 512), (300, 420)])
def test_a_turned_photograph_gives_the_upright_crop_and_takes_it_back_turned(astronaut, detector, turns, size) -> None:
    upright = resized(astronaut[:, :, 40:], *size)
    turned = torch.rot90(upright, turns, (1, 2))
    crop, _ = take_faces(upright[None], 128, detector=detector)
    found, places = take_faces(turned[None], 128, detector=detector)
    assert (found - crop).abs().mean() < 6 * LEVEL
    pasted, mask = return_faces(turned[None], -found, places, outline="oval")
    expected, _ = return_faces(upright[None], -crop, take_faces(upright[None], 128, detector=detector)[1], outline="oval")
    back = torch.rot90(pasted[0], -turns, (1, 2))
    assert (back - expected[0]).abs().mean() < 3 * LEVEL and mask.max() == 1


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_boxes_and_points_of_turned_faces_lie_in_the_picture_given(astronaut, detector, turns) -> None:
    picture = astronaut[:, :400]
    straight = detect_faces([picture], detector=detector)[0][0]
    (face,) = find_faces([torch.rot90(picture, turns, (1, 2))], detector=detector)[0]
    assert (face.turn + turns) % 4 == 0
    canvas = torch.zeros(picture.shape[1:])
    x, y = straight.points[2].round().long()
    canvas[y, x] = 1
    row, column = torch.rot90(canvas, turns, (0, 1)).nonzero()[0].tolist()
    assert (face.points[2] - torch.tensor([column, row])).abs().max() < 1
    low, high = face.box[:2], face.box[2:]
    assert ((face.points > low) & (face.points < high)).all() and face.size == pytest.approx(straight.size, rel=0.02)


def test_an_upright_face_is_looked_at_once(astronaut, monkeypatch, detector) -> None:
    looks = []
    monkeypatch.setattr("stylegan_core.faces.detection.detect_faces",
                        lambda images, *a, **k: looks.append(1) or detect_faces(images, *a, **k))
    find_faces(astronaut[None], detector=detector)
    assert len(looks) == 1


def test_a_head_that_leans_far_is_looked_at_in_the_turn_in_which_it_leans_less(monkeypatch) -> None:
    def leaning(degrees: float, score: float) -> Face:
        across = torch.tensor([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))]) * 10
        points = torch.stack([-across, across, across * 0, across, across]) + 50
        return Face(torch.tensor([20.0, 20, 80, 80]), score, points)

    seen = iter([[leaning(58, 0.9973)], [leaning(-32, 0.999)], [], []])
    monkeypatch.setattr("stylegan_core.faces.detection.detect_faces", lambda *a, **k: [next(seen)])
    (face,) = find_faces(torch.zeros(1, 3, 100, 100))[0]
    assert face.turn == 1 and face.score == 0.999 and abs(math.degrees(roll(leaning(58, 1.0).points)) - 58) < 1e-3


def test_no_face_says_that_turning_was_tried() -> None:
    with pytest.raises(FaceNotFound, match="turned"):
        take_faces(torch.zeros(1, 3, 80, 90), 32)


@pytest.mark.parametrize("scale", [(2.0, 2.0), (0.5, 0.5), (1.37, 1.3705)])
def test_pasting_into_a_resized_photograph(astronaut, detector, scale) -> None:
    crop, places = take_faces(astronaut[None], 128, detector=detector)
    other = resized(astronaut, round(512 * scale[0]), round(512 * scale[1]))
    out, mask = return_faces(other[None], crop, places)
    fresh, at = take_faces(other[None], 128, detector=detector)
    again, where = return_faces(other[None], fresh, at)
    assert (mask - where).abs().mean() < 0.01 and (out - again).abs().mean() < 2 * LEVEL


def test_pasting_into_another_photograph_is_refused(astronaut, detector) -> None:
    crop, places = take_faces(astronaut[None], 64, detector=detector)
    with pytest.raises(InvalidInput, match="512 x 512 px.*400 x 512 px"):
        return_faces(astronaut[None, :, :, :400], crop, places)


def test_a_place_of_unknown_photograph_is_taken_as_it_is(astronaut, astronaut_points) -> None:
    crop, transform = align_face(astronaut, astronaut_points, 64)
    bare = FaceTransform(transform.quad, transform.size, transform.sampled)
    for image in (astronaut, astronaut[:, :400]):
        assert torch.equal(paste_face(image, crop, bare)[0], paste_face(image, crop, transform)[0])


def test_faces_by_number(three, detector) -> None:
    found = find_faces(three, detector=detector)
    every, places = take_faces(three, 48, "all", found=found)
    assert [place.number for place in places] == [0, 1, 2]
    for which, numbers in (("largest", [0]), ("0, 2", [0, 2]), ((2, 1), [2, 1]), ("2,2", [2]), ("1-2", [1, 2])):
        crops, chosen = take_faces(three, 48, which, found=found)
        assert [place.number for place in chosen] == numbers
        assert torch.equal(crops, every[numbers])
    crops, chosen = take_faces(three, 48, "1", found=found)
    pasted, mask = return_faces(three, -crops, chosen, outline="oval")
    assert torch.equal(pasted[..., 288:], three[..., 288:]) and not torch.equal(pasted, three) and mask[..., :280].max() == 1


def test_a_number_nobody_has(three, detector) -> None:
    found = find_faces(three, detector=detector)
    with pytest.raises(FaceNotFound, match="3 faces.*0.*2.*5"):
        take_faces(three, 48, "0, 5", found=found)
    assert len(take_faces(three, 48, "0, 5", "skip", found=found)[0]) == 1
    assert take_faces(three, 48, "5", "whole image", found=found)[1][0].number is None


@pytest.mark.parametrize("which", ["", "second", "-1", "1.5", (), (-1,)])
def test_what_is_no_choice_of_faces(which) -> None:
    with pytest.raises(InvalidInput):
        check_which(which)


def test_outlines_show_every_face_and_which_are_taken(three, detector) -> None:
    found = find_faces(three, detector=detector)
    _, places = take_faces(three, 48, "1", found=found)
    drawn = outline_faces(three, places, found)
    changed = (drawn - three).abs().sum(1)[0] > 0.1
    assert changed[:, 500:].any() and changed[:, 290:490].any()
    yellow = (drawn[0, 0] > 0.9) & (drawn[0, 2] < -0.9) & changed
    assert yellow[:, :288].any() and not yellow[:, 300:].any()


BROKEN = float("nan")


def test_pixels_that_are_no_numbers(astronaut, detector) -> None:
    crop, places = take_faces(astronaut[None], 64, detector=detector)
    for value in (BROKEN, float("inf")):
        bad = astronaut.clone()
        bad[1, 110, 220] = value
        with pytest.raises(InvalidInput, match="Photograph 1 holds NaN"):
            take_faces(bad[None], 64, detector=detector)
        with pytest.raises(InvalidInput, match="NaN"):
            align_face(bad, torch.tensor([[204.0, 101.5], [246.0, 102.5], [225.0, 127.0], [202.0, 139.5], [245.0, 140.5]]), 64)
        with pytest.raises(InvalidInput, match="NaN"):
            return_faces(bad[None], crop, places)
        spoiled = crop.clone()
        spoiled[0, 2, 5, 5] = value
        for call in (lambda: return_faces(astronaut[None], spoiled, places), lambda: head_mask(spoiled),  # noqa: B023
                     lambda: head_mask(crop, spoiled),  # noqa: B023
                     lambda: return_faces(astronaut[None], crop, places, masks=spoiled[:, :1] + value),  # noqa: B023
                     lambda: paste_face(astronaut, spoiled[0], places[0].transform)):  # noqa: B023
            with pytest.raises(InvalidInput, match="NaN"):
                call()


def test_an_empty_mask_is_told(astronaut, detector) -> None:
    crop, places = take_faces(astronaut[None], 64, detector=detector)
    pasted, mask = return_faces(astronaut[None], -crop, places, masks=torch.zeros(1, 1, 8, 8))
    assert torch.equal(pasted[0], astronaut)
    (note,) = pasting_notes(mask, places)
    assert "photograph 1" in note
    assert pasting_notes(return_faces(astronaut[None], crop, places)[1], places) == ()


def test_wrong_numbers_of_things(astronaut, detector) -> None:
    crop, places = take_faces(astronaut[None], 64, detector=detector)
    for call, message in ((lambda: return_faces(astronaut[None], crop, []), "1 crop came for 0 faces"),
                          (lambda: return_faces(astronaut[None], crop, [FacePlace(1, places[0].transform)]), "2 photographs"),
                          (lambda: return_faces(astronaut[None], crop, places, seen=crop.repeat(2, 1, 1, 1)), "2 recon"),
                          (lambda: return_faces(astronaut[None], crop, places, outline="heart"), "heart"),  # type: ignore[arg-type]
                          (lambda: return_faces(astronaut[None], crop[:, :, :60], places), "square crops"),
                          (lambda: take_faces(astronaut[None][:0], 64), "without photographs"),
                          (lambda: take_faces(astronaut[None], 64, min_size=math.nan), "nan pixels"),
                          (lambda: take_faces(astronaut[None], 64, min_size=math.inf), "inf pixels"),
                          (lambda: return_faces(astronaut[None], crop, places, feather=2), "feather")):
        with pytest.raises(InvalidInput, match=message):
            call()


def chroma(image: torch.Tensor) -> float:
    """The 99th percentile of the spread of a pixel's channels, in levels of 255."""
    return float((image.amax(0) - image.amin(0)).flatten().quantile(0.99)) * 127.5


@pytest.mark.parametrize("noise", [0.0, 1.0, 8.0])
@pytest.mark.parametrize("tint", [(1.0, 1.0, 1.0), (1.0, 0.93, 0.8)])
@pytest.mark.parametrize("outline", ["head", "oval"])
def test_color_match_brings_no_color_where_there_is_none(astronaut, detector, noise, tint, outline) -> None:
    grain = torch.from_numpy(np.random.RandomState(0).randn(3, 512, 512)).float()
    gray = astronaut.mean(0, keepdim=True) + noise * LEVEL * grain
    gray = ((gray.clamp(-1, 1) + 1) * torch.tensor(tint)[:, None, None] - 1)
    crop, places = take_faces(astronaut[None], 128, detector=detector)
    pasted, mask = return_faces(gray[None], crop, places, color_match=1.0, outline=outline)
    inside = mask[0, 0] > 0.05
    there, here = gray[:, inside][..., None], pasted[0][:, inside][..., None]
    assert chroma(here) < chroma(there) + 4
    away = (pasted[0] - gray)[:, inside]
    assert (away - away.mean(0)).mean(1).abs().max() < 4 * LEVEL  # nor a cast, which noise would hide
