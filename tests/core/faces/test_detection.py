"""Every face, largest first, wherever and however large; nothing where nothing is."""

from __future__ import annotations

import kornia
import numpy as np
import pytest
import torch
from torch.nn import functional

from stylegan_core.errors import InvalidInput
from stylegan_core.faces import detect_faces
from stylegan_core.faces import detection as detect
from stylegan_core.faces.detection import DetectConfig


def resized(image: torch.Tensor, size: int) -> torch.Tensor:
    return functional.interpolate(image[None], size=(size, size), mode="bilinear", antialias=True)[0]


def test_astronaut(astronaut, astronaut_points, detector) -> None:
    (faces,) = detect_faces(astronaut[None], detector=detector)
    assert len(faces) == 1
    assert faces[0].score > 0.95
    assert (faces[0].points - astronaut_points).norm(dim=1).max() < 4
    x0, y0, x1, y1 = faces[0].box.tolist()
    assert 165 < x0 < 190 and 50 < y0 < 75 and 255 < x1 < 280 and 160 < y1 < 185


def test_embedded_detector_is_found(astronaut) -> None:
    assert len(detect_faces(astronaut[None])[0]) == 1


@pytest.mark.parametrize("size", [96, 256, 1024, 2048])
def test_points_scale_with_the_picture(astronaut, astronaut_points, detector, size) -> None:
    face = detect_faces([resized(astronaut, size)], detector=detector)[0][0]
    expected = (astronaut_points + 0.5) * size / 512 - 0.5
    assert (face.points - expected).norm(dim=1).max() < 6 * size / 512


def test_mirrored_picture_gives_mirrored_points(astronaut, detector) -> None:
    face = detect_faces([astronaut], detector=detector)[0][0]
    mirrored = detect_faces([astronaut.flip(2)], detector=detector)[0][0]
    back = torch.stack([511 - mirrored.points[:, 0], mirrored.points[:, 1]], 1)[[1, 0, 2, 4, 3]]
    assert (back - face.points).norm(dim=1).max() < 2


@pytest.mark.parametrize("angle", [-25.0, 15.0, 30.0])
def test_tilted_face(astronaut, astronaut_points, detector, angle) -> None:
    turned = kornia.geometry.rotate(astronaut[None], torch.tensor(angle), padding_mode="border")
    face = detect_faces(turned, detector=detector)[0][0]
    rad, middle = np.deg2rad(-angle), torch.tensor([255.5, 255.5])
    turn = torch.tensor([[np.cos(rad), -np.sin(rad)], [np.sin(rad), np.cos(rad)]], dtype=torch.float32)
    expected = (astronaut_points - middle) @ turn.T + middle
    assert (face.points - expected).norm(dim=1).max() < 6


def test_gray_and_alpha(astronaut, astronaut_points, detector) -> None:
    gray, alpha = astronaut.mean(0, keepdim=True), torch.cat([astronaut, torch.ones(1, 512, 512)])
    for found in detect_faces([gray, alpha], detector=detector):
        assert (found[0].points - astronaut_points).norm(dim=1).max() < 4


def test_all_faces_largest_first(astronaut, detector) -> None:
    picture = torch.cat([resized(astronaut, 256), resized(astronaut, 256)], 2)
    picture = torch.cat([picture, astronaut], 1)
    (faces,) = detect_faces([picture], detector=detector)
    assert len(faces) == 3
    assert [face.size for face in faces] == sorted((face.size for face in faces), reverse=True)
    assert faces[0].size > 1.7 * faces[1].size


def test_small_face_when_asked(astronaut, detector) -> None:
    wall = torch.full((3, 1500, 2000), -0.4)
    wall[:, 600:800, 900:1100] = resized(astronaut, 200)
    assert detect_faces([wall], detector=detector) == [[]]
    (faces,) = detect_faces([wall], min_size=25, detector=detector)
    assert len(faces) == 1
    assert (faces[0].points.mean(0) - torch.tensor([987.0, 648.0])).abs().max() < 5


@pytest.mark.parametrize("shape", [(1, 1), (5, 9), (12, 12), (3, 400), (700, 2), (40, 40)])
def test_tiny_pictures(detector, shape) -> None:
    assert detect_faces([torch.rand(3, *shape)], detector=detector) == [[]]


@pytest.mark.parametrize("value", [-1.0, 0.0, 1.0, float("nan"), float("inf")])
def test_blank(detector, value) -> None:
    assert detect_faces(torch.full((2, 3, 128, 128), value), detector=detector) == [[], []]


def test_noise_is_no_face(detector) -> None:
    noise = torch.from_numpy(np.random.RandomState(0).uniform(-1, 1, (1, 3, 256, 256))).float()
    assert detect_faces(noise, detector=detector) == [[]]


def test_no_images(detector) -> None:
    assert detect_faces([], detector=detector) == []


def test_wide_photograph_needs_little_memory(astronaut, detector) -> None:
    picture = torch.zeros(3, 600, 12000)
    picture[:, 50:562, 7000:7512] = astronaut
    (faces,) = detect_faces([picture], min_size=60, detector=detector)
    assert len(faces) == 1
    assert abs(faces[0].points[2, 0].item() - 7225) < 5


def test_the_search_picture_is_bounded(monkeypatch, detector) -> None:
    seen = []
    propose = detect._propose
    monkeypatch.setattr(detect, "_propose", lambda image, *rest: (seen.append(image.shape), propose(image, *rest))[1])
    detect_faces([torch.zeros(1, 100, 12000)], min_size=1, config=DetectConfig(search_limit=1000), detector=detector)
    assert seen == [(3, 8, 1000)]


@pytest.mark.parametrize("shape", [(2, 8, 8), (5, 8, 8), (3, 0, 8), (8, 8)])
def test_wrong_shape(detector, shape) -> None:
    with pytest.raises(InvalidInput, match="needs"):
        detect_faces([torch.zeros(shape)], detector=detector)


def test_suppression_equals_the_plain_loop() -> None:
    random = np.random.RandomState(1)
    low = torch.from_numpy(random.uniform(0, 50, (60, 2)))
    boxes = torch.cat([low, low + torch.from_numpy(random.uniform(5, 40, (60, 2)))], 1)
    scores = torch.from_numpy(random.uniform(size=60))
    kept: list[int] = []
    for i in scores.argsort(descending=True).tolist():
        if all(_overlap(boxes[i], boxes[j]) <= 0.4 for j in kept):
            kept.append(i)
    assert detect._suppress(boxes, scores, 0.4, 60).tolist() == kept
    assert detect._suppress(boxes, scores, 0.4, 10).tolist() == [i for i in kept if i in scores.topk(10).indices]


def _overlap(a: torch.Tensor, b: torch.Tensor) -> float:
    width, height = (torch.minimum(a[2:], b[2:]) - torch.maximum(a[:2], b[:2])).clamp(min=0).tolist()
    areas = ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod()).item()
    return width * height / (areas - width * height)
