"""The textbook projector against float64 numbers of the published one (w and w+)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import stylegan_core as sg
from stylegan_core.inversion.noise import map_scales
from stylegan_core.inversion.spaces import Coordinates
from stylegan_core.losses.perceptual import LPIPS
from tests.rule import fill_all, rng

WIDTHS, PLAN, FIRST = (64, 128, 256, 512, 512), 1000, 20


def lpips_by_rule(section: dict[str, Any]) -> LPIPS:
    trunk = {key.removeprefix("vgg16."): tensor for key, tensor in fill_all(section).items()}
    widths = [trunk[f"features.{i}.weight"].shape[0] for i in (2, 7, 14, 21, 28)]
    assert [w // n for w, n in zip(WIDTHS, widths, strict=True)] == [16] * 5
    heads = {f"lin{i}.weight": torch.from_numpy(
        np.abs(0.3 * rng(f"lpips.lin{i}", section["seed"]).standard_normal(n)).astype(np.float32)).view(1, n, 1, 1)
        for i, n in enumerate(widths)}
    return LPIPS.vgg(trunk, heads).double()


@pytest.mark.slow
@pytest.mark.parametrize("space", ["w", "w+"])
def test_textbook_projector(space: str, golden, tmp_path, monkeypatch) -> None:
    from PIL import Image

    case = golden("projector_w_tiny" if space == "w" else "projector_wplus_tiny")
    manifest = case.json("manifest.json")
    seed = manifest["g"]["seed"]

    def normal(key: str, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.from_numpy(rng(key, seed).standard_normal(shape).astype(np.float32)).double()

    torch.save({"g_ema": fill_all(manifest["g"])}, tmp_path / "g.pt")
    model = sg.load(tmp_path / "g.pt").double()
    pixels = torch.from_numpy(np.array(Image.open(case.file("S.png")).convert("RGB"))).permute(2, 0, 1)[None]
    target = pixels.double() / 127.5 - 1
    w = model.mapping.to_w(normal("w_stat_z", (1000, 16)))
    mean = w.mean(0)
    spread = float((w - mean).square().sum(1).mean().sqrt())
    assert np.allclose(mean, case.array("w_mean"), rtol=1e-6) and np.isclose(spread, case.array("w_std"), rtol=1e-6)

    monkeypatch.setattr("stylegan_core.inversion.optimize.coordinates",
                        lambda *_: Coordinates(mean, spread, spread / 4))
    noise = [normal(f"noise.{i}", (1, 1, *shape)) for i, shape in enumerate(model.synthesis.noise_shapes())]
    assert map_scales(model) == [1.0] * len(noise)
    monkeypatch.setattr("stylegan_core.inversion.optimize.start_maps", lambda *_: noise)
    inverter = sg.Inverter(model, target, space, "textbook", distances={"lpips": lpips_by_rule(manifest["lpips_vgg16"])})
    pushes = iter(range(4))
    monkeypatch.setattr(inverter, "draw", lambda like: normal(f"latnoise.{next(pushes)}", like.shape))
    for i, expected in enumerate(case.array("table")):
        t = (i + FIRST) / PLAN
        losses = inverter.step(t)
        found = [inverter.options.learning_rate(t), inverter.options.noise_strength(t, spread),
                 *(float(losses[k][0]) for k in ("lpips", "noise_regularization", "l2", "total")),
                 float(inverter.images[0].code.grad.norm())]
        assert np.allclose(found, expected, rtol=1e-5), (i, found, expected)
        assert np.allclose(inverter.images[0].code.detach(), case.array("latent_after")[i], rtol=1e-5, atol=1e-7)
