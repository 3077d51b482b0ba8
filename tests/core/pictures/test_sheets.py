"""A row of strengths begins at the base, passes the other model, and goes on."""

from __future__ import annotations

import torch

import stylegan_core as sg
from stylegan_core.pictures.sheets import MARGIN, contact_sheet, strength_grid
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
