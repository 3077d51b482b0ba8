"""The report's numbers, its picture, and the curves."""

from __future__ import annotations

import pytest
import torch

import stylegan_core as sg
from stylegan_core.errors import InvalidInput
from stylegan_core.inversion.report import AMPLIFIED
from stylegan_core.losses.identity import IdentityLoss
from stylegan_core.losses.perceptual import LPIPS
from stylegan_core.pictures.curves import COLORS, plot_curves

CELL = 96


@pytest.fixture(scope="module")
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    crop, _ = sg.take_faces(sg.read_image(sg.example_portrait()), 128)
    photos = torch.cat([crop, crop.flip(3)])
    return photos, (photos + 0.2).clamp(-1, 1)


@pytest.fixture(scope="module")
def history() -> dict[str, torch.Tensor]:
    t = torch.arange(1, 31.0)[:, None].expand(-1, 2)
    losses = {"lpips": 0.5 / t, "l2": 0.1 / t, "noise_regularization": 1e-6 / t, "total": 1 / t}
    return {name: v.clone() for name, v in losses.items()}


def painted(picture: torch.Tensor, color: tuple[int, int, int]) -> torch.Tensor:
    """Where a picture [1, 3, h, w] comes near a color."""
    wanted = torch.tensor(color).view(3, 1, 1) / 127.5 - 1
    return (picture[0] - wanted).abs().amax(0) < 0.2


def test_numbers_are_the_losses(pair) -> None:
    photos, found = pair
    report = sg.report(photos, found)
    assert torch.allclose(report.numbers["l2"], (photos - found).square().mean((1, 2, 3)))
    with torch.no_grad():
        for name, net in (("lpips", LPIPS.embedded()), ("identity", IdentityLoss.embedded())):
            assert torch.allclose(report.numbers[name], net(photos, found), atol=1e-5)
    lines = report.text.splitlines()
    assert len(lines) == 4 and lines[0].startswith("image 1: LPIPS ") and "one person" in lines[0] and "128 px" in lines[3]
    assert float(report.numbers["lpips"][0]) == pytest.approx(float(lines[0].split("LPIPS ")[1].split(",")[0]), abs=1e-3)


def test_large_pictures_are_compared_at_both_sizes_and_shown_as_sharp_as_they_are() -> None:
    crop, _ = sg.take_faces(sg.read_image(sg.example_portrait()), 512)
    stripes = (torch.arange(512) % 2).float() * 0.5 - 0.25
    found = (crop + stripes).clamp(-1, 1)
    report = sg.report(torch.nn.functional.interpolate(crop, (1024, 1024), mode="nearest"), found, cell=512)
    with torch.no_grad():
        assert report.numbers["lpips_512"] == pytest.approx(float(LPIPS.embedded()(crop, found)), abs=1e-4)
    assert report.numbers["lpips"] < 0.02 < report.numbers["lpips_512"], "256 px do not see the stripes"
    assert f"512 px {float(report.numbers['lpips_512'][0]):.3f}" in report.text
    shown = report.picture[0, :, -512:, 4:-4].diff(dim=-1).abs().mean(0)
    assert shown[:, 520:1024].mean() > 3 * shown[:, :500].mean()


def test_equal_pictures_differ_by_nothing(pair) -> None:
    report = sg.report(pair[0][:1], pair[0][:1], cell=128)
    assert all(float(v) == pytest.approx(0, abs=1e-6) for v in report.numbers.values())
    assert painted(report.picture, (0, 0, 0))[:, -128:].sum() >= 128 * 120


def test_one_row_an_image_and_a_column_for_the_curves(pair, history) -> None:
    photos, found = pair
    one, two = sg.report(photos[:1], found[:1], cell=CELL), sg.report(photos, found, cell=CELL)
    assert two.picture.shape[2] > one.picture.shape[2] + CELL and two.picture.shape[3] == one.picture.shape[3] >= 3 * CELL
    with_curves = sg.report(photos, found, history, CELL)
    assert with_curves.picture.shape[3] >= one.picture.shape[3] + CELL
    assert painted(with_curves.picture, COLORS[1])[:, -CELL:].any()


def test_the_difference_is_amplified_as_told(pair) -> None:
    gray = torch.full((1, 3, 64, 64), -0.5)
    report = sg.report(gray, gray + 0.1, cell=64)
    level = round(255 * 0.1 * AMPLIFIED / 2)
    assert painted(report.picture, (level,) * 3).sum() >= 60 * 60


def test_sizes_channels_and_ranges_may_differ(pair) -> None:
    photos, found = pair
    report = sg.report(photos[:1, :1].repeat_interleave(4, 2).repeat_interleave(4, 3), 2 * found[:1])
    assert "128 px" in report.text and report.numbers["lpips"].isfinite().all()


@pytest.mark.parametrize(("photos", "found", "told"), [
    (torch.zeros(2, 3, 8, 8), torch.zeros(1, 3, 8, 8), "2 photographs and 1"),
    (torch.zeros(1, 3, 8, 9), torch.zeros(1, 3, 8, 8), "photograph of shape"),
    (torch.zeros(1, 3, 8, 8), torch.zeros(0, 3, 8, 8), "reconstruction of shape"),
])
def test_what_does_not_belong_together(photos, found, told) -> None:
    with pytest.raises(InvalidInput, match=told):
        sg.report(photos, found)


def test_the_history_of_another_batch(pair, history) -> None:
    with pytest.raises(InvalidInput, match="history"):
        sg.report(pair[0][:1], pair[1][:1], history)


def test_an_image_that_never_had_a_loss_gets_a_blank(pair, history) -> None:
    history = {name: v.clone() for name, v in history.items()}
    for values in history.values():
        values[:, 1] = float("nan")
    assert sg.report(*pair, history).picture.isfinite().all()


def test_curves_fall_from_left_to_right_and_gaps_stay_gaps() -> None:
    values = torch.logspace(0, -3, 100)
    values[40:60] = float("nan")
    picture = plot_curves({"lpips": values}, 300, 200)
    assert picture.shape == (1, 3, 200, 300)
    ink = painted(picture, COLORS[0])[4:180, 46:296]  # within the axes
    heights = [float(column.nonzero().float().mean()) for column in ink[:, :200].T if column.any()]
    assert heights[-1] > heights[5] + 60
    assert not ink[30:, 115:130].any()


@pytest.mark.parametrize("values", [[float("nan")] * 3, [0.0, -1.0], []])
def test_nothing_to_plot(values) -> None:
    with pytest.raises(InvalidInput, match="positive"):
        plot_curves({"total": torch.tensor(values)})


def test_a_flat_and_a_single_value_plot_too() -> None:
    for values in ([0.5] * 4, [0.1]):
        assert plot_curves({"total": torch.tensor(values)}, 120, 100).isfinite().all()


def test_what_stands_below_the_ends_touches_no_curve() -> None:
    values = {"score": torch.logspace(0, -1, 5)}
    counted, named, same = (plot_curves(values, 300, 200, ends) for ends in (None, ("0 pictures", 600), (1, 5)))
    changed = (counted != named).any(1)[0].any(1).nonzero()
    assert len(changed) and int(changed.min()) > 170
    assert torch.equal(counted, same)
