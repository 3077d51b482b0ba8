"""A hand before a face is found and stays the photograph's; a plain face, and what is the face's own, is left to the toon."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from stylegan_core import builtin, encode, load
from stylegan_core.faces.batch import return_faces, take_faces
from stylegan_core.faces.frame import crop_points
from stylegan_core.faces.head_mask import frame_of, head_and_face, head_mask
from stylegan_core.faces.occlusion import before_face
from stylegan_core.faces.resample import gaussian_blur
from stylegan_core.losses.perceptual import LPIPS

FINGERS = tuple(((150 + 22 * k, 256), (128 + 17 * k, 172 - 8 * (k % 3))) for k in range(4))
"""From, to: (x, y) of 256."""
HALF_WIDTH = 8.0


def with_hand(face: Tensor, fingers=FINGERS) -> tuple[Tensor, Tensor]:
    """[3, 256, 256] -> the face with fingers of its own skin before it, rounded by light, and where they are."""
    at = torch.stack(torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="xy"), -1)
    skin, hand, out = face[:, 165:190, 90:110].mean((1, 2)), torch.zeros(256, 256), face.clone()
    for start, end in torch.tensor(fingers).float():
        along = ((at - start) @ (end - start) / (end - start).square().sum()).clamp(0, 1)
        off = (at - start - along[..., None] * (end - start)).norm(dim=-1) / HALF_WIDTH
        light = 1.1 * (1 - off.square()).clamp(min=0).sqrt() + 0.12 * torch.sin(along * 40)
        out = torch.where(off < 1, ((skin[:, None, None] + 1) * (0.35 + 0.6 * light) - 1).clamp(-1, 1), out)
        hand = torch.maximum(hand, (off < 1).float())
    return gaussian_blur(out, 0.6), hand


@pytest.fixture(scope="module")
def crop(astronaut, detector) -> Tensor:
    return take_faces(astronaut[None], 256, detector=detector)[0][0]


@pytest.fixture(scope="module")
def place(crop, detector) -> Tensor:
    return frame_of(crop_points(crop[None], detector)[0])


@pytest.fixture(scope="module")
def drawn(crop) -> Tensor:
    """What the built-in encoder and base make of the face."""
    base, encoder = load(builtin("base-256")), load(builtin("encoder"))
    with torch.no_grad():
        return base.synthesis(encode(encoder, crop[None], base).ws(base))[0].clamp(-1, 1)


def test_a_hand_of_the_faces_own_skin(crop, place, drawn) -> None:
    held, hand = with_hand(crop)
    found, inside = before_face(held, drawn, place), hand * (torch.arange(256) < 235)[:, None]
    assert found.min() >= 0 and found.max() <= 1
    beside = 1 - torch.nn.functional.max_pool2d(hand[None, None], 21, 1, 10)[0, 0]
    assert (found * inside).sum() > 0.6 * inside.sum()
    assert (found * beside)[:200, 75:185].mean() < 0.01 and found[:140, 75:185].max() < 0.1  # the free half; brows and eyes


def test_a_plain_face_is_left_alone(crop, place, drawn) -> None:
    gray = crop.mean(0, keepdim=True).expand(3, -1, -1)
    for photo in (crop, gaussian_blur(crop, 1.5), (crop * 0.6 - 0.2).clamp(-1, 1), gray):
        assert before_face(photo, drawn, place).max() == 0
    assert before_face(crop, crop, place).max() == 0


def test_what_does_not_come_from_beside_the_face_is_its_own(crop, place, drawn) -> None:
    """Glasses that the model can't draw, say."""
    worn = crop.clone()
    worn[:, 110:135, 85:120] = worn[:, 110:135, 135:170] = -0.9
    worn[:, 118:122, 85:170] = -0.9
    assert before_face(worn, drawn, place).max() == 0


def test_the_hand_stays_in_masks_and_paste(astronaut, detector, crop, drawn) -> None:
    held, hand = with_hand(crop)
    large = torch.nn.functional.interpolate(astronaut[None], scale_factor=3, mode="bicubic").clamp(-1, 1)
    _, places = take_faces(large, 256, detector=detector)
    photo, _ = return_faces(large, held[None], places, outline="square", feather=0.0)
    toon = -crop[None]
    pasted, mask = return_faces(photo, toon, places, seen=drawn[None])
    careless, _ = return_faces(photo, toon, places)
    inner = -torch.nn.functional.max_pool2d(-hand[None, None], 5, 1, 2)
    where = (return_faces(torch.zeros_like(photo), inner.expand(1, 3, -1, -1), places, outline="square")[0] > 0.9)[:, :1]
    spoiled, before = ((picture - photo).abs().amax(1, True)[where].mean() for picture in (pasted, careless))
    assert spoiled < 0.5 * before
    head, face = head_and_face(held[None], drawn[None])
    middle = (hand > 0) & (torch.arange(256) > 185)[:, None] & (torch.arange(256) < 225)[:, None]
    assert head[0, 0][middle].mean() < 0.25 and face[0, 0][middle].mean() < 0.25
    assert head_mask(held[None], None)[0, 0][middle].mean() > 0.7


def test_the_perceptual_maps_average_to_the_distance(crop, drawn) -> None:
    lpips = LPIPS.embedded()
    maps, layers = lpips.maps(crop[None], drawn[None]), lpips.layers(crop[None], drawn[None])
    assert torch.allclose(torch.stack([m.mean((1, 2)) for m in maps], 1), layers, rtol=1e-4)
