"""Passes that correct an encoder's codes: nearer with each, alone as in company, under ComfyUI's inference mode."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import stylegan_core as sg
from stylegan_core.inversion.encode import whitened
from stylegan_core.inversion.refinement import refine, row_waves
from stylegan_core.inversion.spaces import coordinates
from stylegan_core.losses.identity import IdentityLoss
from stylegan_core.losses.perceptual import LPIPS
from tests.core.networks.models import tiny_stylegan2


@pytest.mark.parametrize("rows", [1, 2, 17])
def test_waves_keep_lengths_and_begin_with_the_mean(rows: int) -> None:
    waves, x = row_waves(rows), torch.randn(rows, 3)
    assert torch.allclose(waves @ waves.T, torch.eye(rows), atol=1e-5)
    assert torch.allclose((waves @ x)[0], x.mean(0) * rows**0.5, atol=1e-5)


def test_company_and_mode_change_nothing() -> None:
    model = tiny_stylegan2()
    system = coordinates(model, "w+", whitened=True)
    ws = model.mapping(sg.sample_z([1, 2, 3], model.z_dim))
    images = model.synthesis(ws).clamp(-1, 1)
    start = ws.roll(1, 0)
    with torch.inference_mode():
        both = refine(model, images[:2], start[:2], system, 2)
        made_there = replace(system, axes=system.axes.clone(), center=system.center.clone())
        again = refine(model, images[:2], start[:2], made_there, 2)
    assert torch.allclose(again, both, atol=1e-5)
    alone = refine(model, images[1:2], start[1:2], system, 2)
    assert torch.allclose(both[1:], alone, atol=1e-5)
    assert torch.allclose(refine(model, images[:1], start[:1], system, 0), start[:1], atol=1e-3)
    assert not any(p.grad is not None for p in model.parameters())


@pytest.mark.slow
def test_the_astronaut_becomes_herself() -> None:
    model, encoder = sg.load(sg.builtin("base-256")), sg.load(sg.builtin("encoder"))
    crop = sg.take_faces(sg.read_image(sg.example_portrait()), 256)[0][:1]
    lpips, identity = LPIPS.embedded(), IdentityLoss.embedded()
    found = []
    for passes in (0, 3):
        picture = sg.render(model, sg.encode(encoder, crop, model, passes))
        found.append((float(lpips(picture, crop)), float(identity(picture, crop))))
    assert found[1][0] < 0.9 * found[0][0]
    assert found[1][1] < 0.5 < found[0][1]
    assert whitened(encoder).axes is not encoder.axes
