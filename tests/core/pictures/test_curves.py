"""Where a curve, its legend and its ticks lie. Orange is the second curve's colour, which no text or axis has."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from stylegan_core.pictures.curves import plot_curves

SIZE = 300, 200
HALF = SIZE[1] // 2
NAN = math.nan


def plot(*curves: list[float]) -> Tensor:
    """[3, 200, 300] in 0..255."""
    return (plot_curves({"abcdefghij"[i]: torch.tensor(values) for i, values in enumerate(curves)}, *SIZE)[0] + 1) * 127.5


def orange(picture: Tensor) -> Tensor:
    red, green, blue = picture
    return (red > 190) & (green < 140) & (blue < 120)


def pale(picture: Tensor) -> Tensor:
    return ((picture > 190) & (picture < 250)).all(0)


def grid_rows(picture: Tensor) -> Tensor:
    """The pixel row of each tick's line: pale gray from side to side, often two pixels high."""
    rows = pale(picture)[:, 60:200].all(1).nonzero()[:, 0]
    return rows[torch.cat([torch.tensor([True]), rows.diff() > 1])]


def test_a_curve_begins_at_the_left_axis_and_ends_at_its_own_last_step() -> None:
    picture = plot([1.0] * 5, [0.01] * 3)
    grid = pale(picture)[grid_rows(picture)[-2]].nonzero()[:, 0]
    left, right = int(grid[1:][grid.diff() > 1][-1]), int(grid[-1])  # past what a label's edges fade to
    columns = orange(picture)[HALF:].any(0).nonzero()
    assert abs(int(columns.min()) - left) <= 3 and abs(int(columns.max()) - (left + right) / 2) <= 3


def test_no_curve_is_left_out() -> None:
    """Colours come round, and a value between gaps becomes a dash."""
    assert orange(plot(*([10.0**-i] * 4 for i in range(8))))[-60:].any()
    assert orange(plot([1.0] * 3, [NAN, 0.01, NAN]))[HALF:].any()


def test_the_legend_tells_each_last_value_in_a_row_of_its_own() -> None:
    one, same, another = (plot([1.0, x, y])[:, :30, -70:] for x, y in ((0.1, 0.2), (0.3, 0.2), (0.2, 0.1)))
    assert torch.equal(one, same) and not torch.equal(one, another)
    picture = plot([1.0, 0.01, 0.01], [1.0, 0.01, 0.01], [1.0, 0.01, 0.01])[:, :60, -70:]
    dark, second = (picture.amax(0) < 90).any(1).nonzero(), orange(picture).any(1).nonzero()
    assert dark.max() < second.min()


def test_ticks_are_1_2_5_while_few_and_else_decades() -> None:
    assert len(grid_rows(plot([0.02, NAN, NAN, 1.0]))) == 6, "0.02, 0.05, 0.1, 0.2, 0.5, 1"
    rows = grid_rows(plot([1e-6, NAN, NAN, 1.0])).float()
    assert len(rows) == 7 and rows.diff().std() < 1
