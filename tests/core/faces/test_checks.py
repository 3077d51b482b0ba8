"""Pixels that are no numbers or of another range are told in the numbers of whoever gave them."""

from __future__ import annotations

import pytest
import torch

import stylegan_core as sg
from stylegan_core.errors import InvalidInput
from stylegan_core.faces.checks import check_range, check_side
from stylegan_core.inversion.encode import encode
from tests.core.inversion.test_encode import tiny_encoder
from tests.core.networks.models import tiny_stylegan2


def as_core(image: torch.Tensor) -> torch.Tensor:
    """What an IMAGE [B, 3, H, W] in [0, 1] becomes at the nodes' door."""
    return image * 2 - 1


@pytest.mark.parametrize(("low", "high"), [(0.0, 255.0), (-1.0, 1.0), (0.2, 1.3), (-3e37, 0.0)])
def test_an_image_outside_0_to_1_is_told_in_its_own_numbers(low: float, high: float) -> None:
    image = as_core(torch.linspace(low, high, 3 * 32 * 32, dtype=torch.float64).view(1, 3, 32, 32).float())
    model = tiny_stylegan2()
    for call in (lambda: sg.invert(model, image, steps=1), lambda: encode(tiny_encoder(), image),
                 lambda: sg.tune(model, sg.Latents(torch.zeros(1, 8, 12), "w+", model), image)):
        with pytest.raises(sg.InvalidInput) as told:
            call()
        text = str(told.value)
        assert f"as an IMAGE: from {low:.4g} to {high:.4g}, [0, 1] expected" in text and "255" in text, text


def test_what_filters_overshoot_by_is_taken() -> None:
    check_range(torch.tensor([-1.4, 1.4, float("nan"), float("inf")]), "A picture")
    check_range(torch.empty(0), "Nothing")
    with pytest.raises(sg.InvalidInput, match="^A picture holds pixels from -1.4 to 1.6 and"):
        check_range(torch.tensor([-1.4, 1.6]), "A picture")


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 2), (1, 5000), (7, 64)])
def test_a_picture_that_shows_nothing(height, width) -> None:
    with pytest.raises(InvalidInput, match=f"of {width} x {height} px shows nothing to go by; give pictures of 8 px"):
        check_side(torch.zeros(1, 3, height, width), "A picture")
    check_side(torch.zeros(3, 8, 8), "A picture")
