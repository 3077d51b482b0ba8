"""Every picture of a sheet lies where its titles say, and is the picture of the model that they name."""

from __future__ import annotations

import torch

import stylegan_core as sg
from stylegan_core.networks.generators.base import Generator
from stylegan_core.pictures.sheets import MARGIN, blend_grid, contact_sheet, strength_grid, swap_points, swap_strip
from tests.core.inversion.tiny import tiny


def test_a_column_a_strength() -> None:
    base, other = tiny(0), tiny(0)
    for parameter in other.synthesis.parameters():
        parameter.mul_(1.1)
    latents, seen = sg.Latents(sg.sample_z([1, 2], base.z_dim), "z", base), []
    sheet = strength_grid(base, other, latents, (0, 1, 2), 16, on_step=lambda i, n, _: seen.append((i, n)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    top = sheet.shape[2] - 2 * (16 + MARGIN) - MARGIN

    def cell(row: int, column: int) -> torch.Tensor:
        y, x = top + MARGIN + row * (16 + MARGIN), MARGIN + column * (16 + MARGIN)
        return sheet[0, :, y : y + 16, x : x + 16]

    for column, model in enumerate((base, other)):
        for row in range(2):
            expected = sg.render(model, latents.pick(row))[0].clamp(-1, 1)
            assert (cell(row, column) - expected).abs().max() < 2 / 127
    assert (cell(0, 2) - cell(0, 1)).abs().mean() > 0.01


def test_titles_out_of_files_may_be_of_any_length() -> None:
    """Neither time nor the picture's size goes with them."""
    images, long = torch.zeros(2, 3, 32, 32), "a" * 100_000 + "\nb" * 1000
    sheet = contact_sheet(images, 2, column_titles=[long, "b"], row_titles=[long], captions=[long, "caf\udce9\0"])
    assert max(sheet.shape) < 1000


def ink(part: torch.Tensor) -> bool:
    return bool((part < 0.99).any())


def test_titles_and_captions_lie_beside_and_below_their_pictures() -> None:
    """Five pictures in two columns: the last row has one."""
    height, width, across = 30, 60, 60 + MARGIN
    images = torch.linspace(-1, 0.5, 5).view(5, 1, 1, 1).expand(5, 3, height, width)
    titles = ["p", "q"], ["x", "y", "z"]
    top = contact_sheet(images, 2, *titles).shape[2] - 3 * (height + MARGIN) - MARGIN
    sheet = contact_sheet(images, 2, *titles, captions=["m" * 40, "", "o"])[0]
    left, down = sheet.shape[2] - 2 * across - MARGIN, (sheet.shape[1] - top - MARGIN) // 3
    for i in range(6):
        y, x = top + MARGIN + i // 2 * down, left + MARGIN + i % 2 * across
        shown, below = sheet[:, y : y + height, x : x + width], sheet[:, y + height : y + down - MARGIN, x : x + width]
        assert not ink(shown) if i == 5 else (shown - images[i]).abs().max() < 0.01
        assert ink(below) == (i in (0, 2)), "a long caption is cut at its picture's side"
    for i in range(3):
        y = top + MARGIN + i * down
        assert ink(sheet[:, y : y + height, :left]) and not ink(sheet[:, y + height : y + down, :left])
    assert [ink(sheet[:, :top, left + i * across : left + (i + 1) * across]) for i in (0, 1)] == [True, True]
    assert contact_sheet(images, 2, cell=20).shape == (1, 3, 3 * (10 + MARGIN) + MARGIN, 2 * (20 + MARGIN) + MARGIN)


def related() -> tuple[Generator, Generator]:
    base, other = tiny(0), tiny(0)
    for parameter in other.parameters():
        parameter.mul_(1.1)
    return base, other


def test_a_grid_of_blends_has_every_swap_point_in_both_directions() -> None:
    base, other = related()
    latents = sg.Latents(sg.sample_z([1, 2], base.z_dim), "z", base)
    assert swap_points(base, other) == [4, 8]
    blends = {(point, side): sg.blend(base, other, point, coarse=side) for point in (4, 8, 16) for side in ("base", "other")}
    wanted = {"other": [base, blends[4, "other"], blends[8, "other"], blends[16, "other"]],
              "base": [blends[16, "other"], blends[4, "base"], blends[8, "base"], base]}
    sheet = blend_grid(base, other, latents, 16)[0, :, -4 * (16 + MARGIN) - MARGIN :, -4 * (16 + MARGIN) - MARGIN :]
    drawn = {model: sg.render(model, latents).clamp(-1, 1) for model in {*wanted["other"], *wanted["base"]}}
    for row in range(4):
        for column, model in enumerate(wanted["base" if row % 2 else "other"]):
            y, x = (MARGIN + i * (16 + MARGIN) for i in (row, column))
            assert (sheet[:, y : y + 16, x : x + 16] - drawn[model][row // 2]).abs().max() < 2 / 127, (row, column)


def test_a_strip_of_swaps_shows_the_side_that_was_asked_for_no_larger_than_it_is() -> None:
    base, other = related()
    latents = sg.Latents(sg.sample_z([1, 2], base.z_dim), "z", base)
    strip = swap_strip(base, other, latents, [4, 8], "base", cell=40)
    for picture, point in zip(strip, (4, 8), strict=True):
        assert torch.allclose(picture, sg.render(sg.blend(base, other, point, coarse="base"), latents.pick(0))[0], atol=1e-5)
    assert swap_strip(base, other, latents, [4], cell=8).shape == (1, 3, 8, 8)


def test_a_strength_is_that_of_all_layers(monkeypatch) -> None:
    """Those above 32 px, which so small a model lacks, too: at 0 everything is the base's."""
    asked = []
    monkeypatch.setattr("stylegan_core.pictures.sheets.blend", lambda base, *_, strength: asked.append(strength) or base)
    base = tiny(0)
    strength_grid(base, base, sg.Latents(sg.sample_z([1], base.z_dim), "z", base), (0.0, 2.0), 16)
    assert asked == [(0.0, 0.0), (2.0, 2.0)]
