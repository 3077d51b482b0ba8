"""The benchmark's twin is the same network and the same objective as ours."""

from __future__ import annotations

import torch

import stylegan_core as sg
from benchmarks.twins import textbook
from stylegan_core.losses.perceptual import LPIPS
from tests.core.networks.models import tiny_stylegan2


def test_it_draws_the_same_picture() -> None:
    model = tiny_stylegan2()
    ws = torch.randn(2, model.num_ws, model.w_dim)
    ours = model.synthesis(ws)
    for fir in (textbook.blur, textbook.blur_by_planes):
        assert torch.allclose(textbook.synthesize(model, ws, fir), ours, atol=1e-4 * float(ours.abs().max()))


def test_it_takes_the_same_first_step() -> None:
    """From the mean and without a push both losses and gradients agree."""
    model = tiny_stylegan2(seed=3)
    model.synthesis.b32.torgb.weight.data.mul_(0.05)
    model.w_avg = model.mapping.to_w(torch.randn(2000, model.z_dim)).mean(0)
    targets, lpips = torch.rand(2, 3, 32, 32) * 2 - 1, LPIPS.embedded()
    options = sg.InversionOptions(natural=False, jitter=False, l2=0.1, identity=0.0, deviation=0.0, perturbation=0.0)
    inverter = sg.Inverter(model, targets, "w+", options, distances={"lpips": lpips})
    ours = inverter.step(0.5)["total"]
    code = model.w_avg.expand(2, model.num_ws, -1).clone().requires_grad_(True)
    images = textbook.synthesize(model, code)
    losses = lpips(images, targets) + 0.1 * (images - targets).square().mean((1, 2, 3))
    losses.sum().backward()
    assert torch.allclose(losses, ours, rtol=1e-4)
    gradient = torch.cat([image.code.grad for image in inverter.images])
    assert torch.allclose(gradient, code.grad, rtol=1e-2, atol=1e-3 * float(code.grad.abs().max()))


def test_the_loop_comes_closer() -> None:
    model = tiny_stylegan2(seed=3)
    target = model.synthesis(model.mapping(sg.sample_z([1, 2], model.z_dim), truncation_psi=0.3))
    losses = torch.stack(list(textbook.project(model, target, LPIPS.embedded(), 12)))
    assert losses.shape == (12, 2) and losses.isfinite().all()
