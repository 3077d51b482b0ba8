"""The moving window: it shows what lies there, closes its round, and stays in the picture."""

from __future__ import annotations

import pytest
import torch

import stylegan_core as sg
from stylegan_core.errors import InvalidInput


def test_windows_lie_where_they_should():
    """A picture of its own coordinates: each frame's means are its window's centre, its spread the window's side."""
    y, x = torch.meshgrid(torch.arange(120.0), torch.arange(200.0), indexing="ij")
    picture = torch.stack([x, y, x + y])
    frames = sg.moving_crop(picture, 8, 50, zoom=2.0, sway=0.0, x=0.5, y=0.25)
    assert frames.shape == (8, 3, 50, 50)
    sides = (frames[:, 0, 25, -1] - frames[:, 0, 25, 0]) * 50 / 49
    turn = torch.arange(8) / 8 * 2 * torch.pi
    torch.testing.assert_close(sides, 60 * (1 + 0.12 * torch.cos(turn)), rtol=1e-3, atol=0)
    torch.testing.assert_close(frames[:, 0].mean((1, 2)), torch.full((8,), 99.5), rtol=1e-3, atol=0)
    torch.testing.assert_close(frames[:, 1].mean((1, 2)), (120 - sides) / 4 + sides / 2 - 0.5, rtol=1e-3, atol=0)


def test_it_wanders_in_a_lying_eight_and_stops_at_the_edge():
    y, x = torch.meshgrid(torch.arange(90.0), torch.arange(150.0), indexing="ij")
    turn = torch.arange(8) / 8 * 2 * torch.pi
    sides = 45 * (1 + 0.12 * torch.cos(turn))
    for sway in (0.2, 0.8):
        frames = sg.moving_crop(torch.stack([x, y]), 8, 40, zoom=2.0, sway=sway, x=0.5, y=0.5)
        for channel, length, away in ((0, 150, torch.sin(turn)), (1, 90, torch.sin(2 * turn) / 2)):
            middle = (0.5 + sway * away).clamp(0, 1) * (length - sides) + sides / 2 - 0.5
            torch.testing.assert_close(frames[:, channel].mean((1, 2)), middle, rtol=1e-3, atol=0.05)


def test_the_round_closes_and_big_pictures_do_not_flicker():
    frames = sg.moving_crop(torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)), 32, 32, 1.2, 1.0, 0.5, 0.5)
    steps = (frames - frames.roll(1, 0)).abs().mean((1, 2, 3))
    assert steps[0] < 2 * steps.median() and frames.min() >= 0 and frames.max() <= 1
    stripes = (torch.arange(2048) % 2).float().expand(3, 2048, 2048)
    assert sg.moving_crop(stripes, 3, 32).std() < 0.05


def test_it_can_be_stopped():
    class Stopped(Exception):
        pass

    def stop(i: int, n: int, preview: object) -> None:
        if i == 3:
            raise Stopped(n)

    with pytest.raises(Stopped, match="50"):
        sg.moving_crop(torch.zeros(3, 8, 8), 50, 4, on_step=stop)


@pytest.mark.parametrize("wrong", [{"frames": 0}, {"size": 0}, {"zoom": 1.0}, {"sway": -0.1}, {"x": 1.1},
                                   {"zoom": float("nan")}])
def test_impossible_windows_are_refused(wrong):
    with pytest.raises(InvalidInput, match="at least 1 frame"):
        sg.moving_crop(torch.zeros(3, 8, 8), **wrong)


def test_one_picture_is_needed():
    with pytest.raises(InvalidInput, match="give one"):
        sg.moving_crop(torch.zeros(2, 3, 8, 8))
