"""The x4 clean-line network against ncnn's own pictures (tests/goldens/line_x4, made by tools/assets/golden_line_x4.py)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from stylegan_core.networks.line_network import REACH, SCALE, LineNetwork

GOLDEN = np.load(Path(__file__).parents[2] / "goldens" / "line_x4" / "expected.npz")


def test_draws_what_ncnn_draws() -> None:
    network, cases = LineNetwork.embedded(), [key for key in GOLDEN if key.startswith("input")]
    assert len(cases) >= 2
    for key in cases:
        image, expected = GOLDEN[key], GOLDEN[key.replace("input", "output")]
        got = network(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)[0].permute(1, 2, 0)
        assert got.shape == expected.shape == (SCALE * image.shape[0], SCALE * image.shape[1], 3)
        off = (got.numpy() * 255).clip(0, 255) - expected.astype(np.float32)
        assert np.abs(off).max() < 0.75, "half a level is the golden's own rounding"


def test_sees_no_further_than_it_says() -> None:
    network, x = LineNetwork.embedded(), torch.rand(1, 3, 4, 2 * REACH + 6, generator=torch.Generator().manual_seed(0))
    y = x.clone()
    y[..., 0] = 1 - y[..., 0]
    changed = (network(x) - network(y)).abs().amax((0, 1, 2))
    assert changed[: SCALE * REACH].any() and not changed[SCALE * (REACH + 1) :].any()
