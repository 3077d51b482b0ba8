"""A narrower head in the place of a wider one: no second contour, nothing else touched; and the photograph's grain."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import interpolate

from benchmarks.paste import measured
from stylegan_core.faces.batch import FacePlace, central_square, return_faces, take_faces
from stylegan_core.faces.frame import crop_points
from stylegan_core.faces.grain import match_grain
from stylegan_core.faces.resample import gaussian_blur
from stylegan_core.faces.surroundings import carried_in, mirrored_in, replace_head

SKIN, GREEN, PURPLE = ([0.5, 0.1, -0.1], [-0.6, 0.2, -0.5], [0.1, -0.7, 0.3])


def portrait(jaw: float, ground: list[float], size: int = 128) -> torch.Tensor:
    """[3, size, size]: an egg of skin on a ground; jaw: its half width, of the half side."""
    at = torch.linspace(-1, 1, size)
    inside = ((at[None] / jaw).square() + (at[:, None] / 0.9).square() < 1).float()
    picture = torch.tensor(SKIN)[:, None, None] * inside + torch.tensor(ground)[:, None, None] * (1 - inside)
    return gaussian_blur(picture, 0.7)


@pytest.mark.parametrize(("old", "new"), [(0.8, 0.55), (0.75, 0.65), (0.6, 0.6)])
def test_no_second_contour(old, new) -> None:
    photo, toon = portrait(old, GREEN), portrait(new, PURPLE)
    _, transform = central_square(photo, 128)
    pasted, mask = return_faces(photo[None], toon[None], [FacePlace(0, transform)])
    expected = portrait(new, GREEN)
    middle = slice(40, 90)
    assert (pasted[0, :, middle] - expected[:, middle]).abs().mean() < 0.06
    assert ((pasted[0, :, middle] - expected[:, middle]).abs().amax(0) < 0.35).float().mean() > 0.93
    oval, _ = return_faces(photo[None], toon[None], [FacePlace(0, transform)], outline="oval")
    assert (pasted[0, :, middle] - expected[:, middle]).abs().mean() < 0.7 * (oval[0, :, middle]
                                                                              - expected[:, middle]).abs().mean()
    assert torch.equal(pasted[0, :, mask[0, 0] == 0], photo[:, mask[0, 0] == 0])


def test_shoulders_and_what_lies_before_the_face_are_kept(astronaut, detector) -> None:
    """The oval, and so the command line, painted over them."""
    crop, places = take_faces(astronaut[None], 256, detector=detector)
    held = crop.clone()
    held[:, :, 150:, 176:] = torch.tensor([0.9, -0.9, -0.9])[None, :, None, None]  # a red card before cheek and collar
    toon, mask = replace_head(-crop[0], held[0], crop[0])
    assert mask[0, 235:, :40].max() < 0.05 and mask[0, 235:, -40:].max() < 0.05
    assert mask[0, 175:, 200:].mean() < 0.1 and mask[0, 110:150, 100:150].min() > 0.95
    assert toon.shape == (3, 256, 256) and toon.abs().max() <= 1


def test_the_photographs_head_is_found_once(astronaut, detector, monkeypatch) -> None:
    """What is pasted anew where a slider moved is the same to the bit; another photograph or reconstruction is noticed."""
    crop, places = take_faces(astronaut[None], 256, detector=detector)
    looked: list[int] = []
    monkeypatch.setattr("stylegan_core.faces.surroundings.crop_points", lambda x: looked.append(1) or crop_points(x, detector))

    def pasted(new, photo=astronaut, at=None, seen=None):
        return return_faces(photo[None], new, at or places, seen=seen)[0]

    def fresh():
        return [FacePlace(0, places[0].transform)]

    first, moved = pasted(crop.flip(-1)), pasted(-crop)
    assert len(looked) == 1
    assert torch.equal(moved, pasted(-crop, at=fresh())) and not torch.equal(moved, first)
    for other in ({"photo": astronaut * 0.9}, {"seen": crop.flip(-1)}):
        again, count = pasted(-crop, **other), len(looked)
        assert torch.equal(again, pasted(-crop, at=fresh(), **other)) and len(looked) == count + 1


def test_colors_are_carried_in_smoothly() -> None:
    known = torch.ones(1, 61, 61)
    known[:, 20:45, 15:50] = 0
    ramp = torch.linspace(0, 1, 61).expand(2, 61, 61)
    found = carried_in(ramp * known, known)
    assert (found - ramp).abs().max() < 0.15 and torch.equal(found * known, ramp * known)
    assert torch.allclose(carried_in(torch.full((1, 9, 13), 0.3), torch.eye(9, 13)[None]), torch.tensor(0.3), atol=1e-5)
    assert carried_in(torch.ones(1, 8, 8), torch.zeros(1, 8, 8)).isfinite().all()


def test_what_is_uncovered_goes_on_from_what_lies_beside_it() -> None:
    """Stripes run on into the hidden part, as sharp as they are; what is known stays."""
    stripes = (torch.arange(256) // 8 % 2).float().expand(3, 128, 256).transpose(1, 2).repeat(1, 1, 2)
    known = torch.ones(1, 256, 256)
    known[:, :, 100:140] = 0
    filled = mirrored_in(stripes, known, 256)
    assert (filled - stripes).abs().mean() < 0.01
    across = torch.linspace(0, 1, 256).expand(3, 256, 256)
    filled = mirrored_in(across, known, 512)
    assert filled.shape == (3, 512, 512) and (filled[:, :, 204:216] < across[0, 0, 99]).all(), "mirrored, not stretched"
    assert (filled[:, :, :170] - torch.linspace(0, 1, 512)[:170]).abs().max() < 0.01
    assert torch.equal(mirrored_in(across, torch.zeros(1, 256, 256), 256).isfinite(), torch.ones(3, 256, 256).bool())


def test_what_is_shown_does_not_depend_on_what_else_is_mirrored() -> None:
    draw = torch.Generator().manual_seed(5)
    image = torch.rand(3, 256, 256, generator=draw)
    known = (gaussian_blur(torch.randn(1, 256, 256, generator=draw), 12.0) > 0).float()
    shown = (gaussian_blur(torch.randn(1, 256, 256, generator=draw), 6.0) - 0.05).clamp(min=0)
    whole, part = (mirrored_in(image, known, 512, 0.7, x) for x in (None, shown))
    seen = interpolate(shown[None], size=(512, 512), mode="bilinear")[0] > 0
    assert torch.equal(whole * seen, part * seen) and not torch.equal(whole, part) and 0.01 < seen.float().mean() < 0.9


def test_a_collar_goes_on_where_the_jacket_would_be_mirrored() -> None:
    """Six pixels of white shirt beside twenty that are uncovered, then a black jacket."""
    shirt = torch.full((3, 256, 256), -1.0)
    shirt[:, :, 94:140] = 1.0
    known = torch.ones(1, 256, 256)
    known[:, :, 100:120] = 0
    hidden = slice(102, 109)
    assert mirrored_in(shirt, known, 256)[:, :, hidden].min() < -0.9
    assert mirrored_in(shirt, known, 256, 0.2)[:, :, hidden].min() > 0.9
    depth = torch.ones(256, 256)
    depth[128:] = 0.2
    both = mirrored_in(shirt, known, 256, depth)[:, :, hidden]
    assert both[:, :110].amin(2).max() < -0.9 and both[:, 150:].min() > 0.9


def test_the_mirror_is_as_deep_as_things_are_beside_cheeks_and_shallow_beside_the_chin(monkeypatch) -> None:
    """Where a narrower toon uncovers stripes that run down: all of them beside the cheeks, the first beside the chin."""
    seen: list[torch.Tensor] = []

    def spied(image, known, size, depth, shown):
        seen.append(depth)
        return mirrored_in(image, known, size, depth, shown)

    monkeypatch.setattr("stylegan_core.faces.surroundings.mirrored_in", spied)
    replace_head(portrait(0.6, PURPLE, 256), portrait(0.75, GREEN, 256))
    (depth,) = seen
    assert depth[:110].min() == 1 and 0.1 < depth[200:].max() < 0.3 and (depth.diff(dim=0) <= 0).all()


@pytest.mark.parametrize("blur", [0.0, 0.8])
@pytest.mark.parametrize("sigma", [0.02, 0.08])
def test_grain_is_the_photographs(blur, sigma) -> None:
    draw = torch.Generator().manual_seed(3)
    grain = gaussian_blur(torch.randn(1, 160, 200, generator=draw), blur)
    photo = (grain * sigma / grain.std()).expand(3, -1, -1)
    mask = torch.zeros(1, 160, 200)
    mask[:, 30:130, 40:160] = 1
    pasted = photo * (1 - mask)
    out = match_grain(photo, pasted, mask, 1.0)
    inside = out[:, 30:130, 40:160]
    assert inside.std() == pytest.approx(sigma, rel=0.25)
    smoother = [gaussian_blur(x, 1.0).std() / x.std() for x in (inside, photo)]
    assert smoother[0] == pytest.approx(float(smoother[1]), rel=0.25)
    assert torch.equal(out * (1 - mask), pasted) and torch.equal(out, match_grain(photo, pasted, mask, 1.0))
    assert torch.equal(match_grain(photo, pasted, mask, 0.0), pasted)
    assert (match_grain(photo, photo, mask, 1.0) - photo).abs().max() < sigma
    assert torch.equal(match_grain(photo, pasted, mask * 0, 1.0), pasted)


def test_the_benchmark_tells_soft_from_sharp_and_seam_from_none(astronaut) -> None:
    photo = astronaut[None]
    at = torch.linspace(-1, 1, 512)
    mask = ((1.0 - (at[None].square() + at[:, None].square()).sqrt()) * 8).clamp(0, 1)[None, None]
    assert measured(photo, photo, mask) == pytest.approx((1.0, 1.0))
    soft = gaussian_blur(astronaut, 2.0)[None]
    assert measured(photo, photo + mask * (soft - photo), mask)[0] < 0.3
    assert measured(photo, photo + (mask > 0.5) * 0.8, mask)[1] > 1.3
