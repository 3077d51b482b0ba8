"""The bundled photograph in the bundled base: a likeness within the time of a coffee sip."""

from __future__ import annotations

import pytest
import torch

import stylegan_core as sg
from stylegan_core.assets import FOLDER
from stylegan_core.faces.batch import take_faces
from stylegan_core.losses.identity import SAME_PERSON, IdentityLoss

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not (FOLDER / "base.safetensors").is_file(), reason="no demo model")]


def test_draft_finds_the_astronaut() -> None:
    base = sg.load(sg.builtin("base-256"))
    crop, _ = take_faces(sg.read_image(sg.example_portrait()), base.img_resolution)
    found = sg.invert(base, crop, options="draft")
    assert float(found.losses["lpips"]) < 0.15
    with torch.no_grad():
        distance = float(IdentityLoss.embedded()(found.images.clamp(-1, 1), crop))
    assert distance < 0.5 * SAME_PERSON
    assert torch.equal(sg.render(base, found.latents), found.images)
