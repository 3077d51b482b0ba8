"""Tile by tile is the network at once; a whole picture keeps its size and what it shows."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stylegan_core.errors import InvalidInput
from stylegan_core.networks.line_network import LineNetwork
from stylegan_core.pictures.files import read_image
from stylegan_core.pictures.finish import finish, redrawn


@pytest.fixture(scope="module")
def network() -> LineNetwork:
    return LineNetwork.embedded()


@given(height=st.integers(1, 47), width=st.integers(1, 47), tile=st.integers(7, 40))
@settings(max_examples=6, deadline=None)
def test_tiles_are_the_whole(network, height, width, tile) -> None:
    images = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(height)) * 2 - 1
    at_once = network((images + 1) / 2).clamp(0, 1) * 2 - 1
    steps = []
    found = finish(images, network, lambda i, n, _: steps.append((i, n)), tile)
    assert found.shape == (1, 3, 4 * height, 4 * width) and (found - at_once).abs().max() < 1e-4
    assert [i for i, _ in steps] == list(range(1, steps[-1][1] + 1))


def test_every_picture_of_a_batch_is_drawn(network) -> None:
    images = torch.rand(2, 3, 6, 5, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert torch.allclose(finish(images, network), torch.cat([finish(image[None], network) for image in images]), atol=1e-5)


def test_a_redrawn_picture_shows_the_same(network, tmp_path) -> None:
    import stylegan_core as sg

    photo = read_image(sg.example_portrait())[:, :, 40:173, 150:301]
    drawn = redrawn(photo, network)
    assert drawn.shape == photo.shape and drawn.abs().max() <= 1
    assert (drawn - photo).abs().mean() < 0.12
    assert redrawn(photo[:, :, :2, :3], network).shape == (1, 3, 2, 3)


@pytest.mark.parametrize("images", [torch.zeros(1, 1, 8, 8), torch.zeros(3, 8, 8), torch.zeros(1, 3, 0, 8),
                                    torch.full((1, 3, 4, 4), float("nan"))])
def test_what_can_not_be_drawn(images) -> None:
    with pytest.raises(InvalidInput, match="RGB"):
        finish(images)
