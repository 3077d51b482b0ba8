"""Pictures whose face is not where an aligned one has it are noted, drawings and other things are not."""

from __future__ import annotations

import pytest
import torch

import stylegan_core as sg
from stylegan_core.errors import InvalidInput


def test_unaligned_faces_are_noted(astronaut, detector) -> None:
    crop, _ = sg.take_faces(astronaut[None], 256, detector=detector)
    assert sg.alignment_notes(crop, detector) == () == sg.alignment_notes(torch.zeros(1, 3, 64, 64), detector)
    (note,) = sg.alignment_notes(torch.cat([crop, astronaut[None, :, ::2, ::2]]), detector)
    assert "picture 2" in note and "Align Faces" in note


@pytest.mark.parametrize("shape", [(1, 3, 64, 65), (1, 3, 48, 64), (3, 64, 64), (0, 3, 64, 64)])
def test_encoders_refuse_what_is_not_square(shape) -> None:
    with pytest.raises(InvalidInput, match="square"):
        sg.encode(None, torch.zeros(shape))  # type: ignore[arg-type]


def test_noise_maps_that_are_no_numbers_are_refused() -> None:
    base = sg.load(sg.builtin("base"))
    maps = tuple(torch.zeros(1, 1, *shape) for shape in base.synthesis.noise_shapes())
    maps[1][0, 0, 1, 1] = float("nan")
    latents = sg.Latents(sg.sample_z([0], base.z_dim), "z", base, maps)
    with pytest.raises(InvalidInput, match="noise"):
        sg.render(base, latents)
