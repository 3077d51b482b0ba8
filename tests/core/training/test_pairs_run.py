"""Training on pairs as the node calls it: under inference mode, cancelled, gone on with."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch

import stylegan_core as sg
from stylegan_core.networks.dualstylegan import DualStyleGAN
from stylegan_core.training.pairs_options import PairsOptions
from stylegan_core.training.pairs_run import learn_pairs
from tests.nodes.support import tiny

OPTIONS = PairsOptions(steps=6, resolutions="all")


def learn(folder, stop: int | None = None, seed: int = 0, first: int = 0, shift: float = 0.0):
    with torch.inference_mode():
        base = tiny(1).requires_grad_(False)
        next(base.synthesis.parameters()).add_(shift)
        targets = torch.rand(6, 3, 40, 40, generator=torch.Generator().manual_seed(seed)) * 2 - 1
        seen = []

        def on_step(step: int, steps: int, picture: torch.Tensor | None) -> None:
            seen.append(step)
            assert picture is None or picture.shape[:2] == (1, 3)
            if step == stop:
                raise KeyboardInterrupt

        return learn_pairs(base, sg.Latents(sg.sample_z(range(first, first + 6), 16), "z", base), targets, OPTIONS, folder,
                           on_step), seen


def test_a_cancelled_training_goes_on_and_ends_as_the_whole_one(tmp_path) -> None:
    whole, _ = learn(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        learn(tmp_path / "parts", stop=4)
    (state,) = (tmp_path / "parts").iterdir()
    for other in ({"seed": 1}, {"first": 1}, {"shift": 0.5}):
        _, seen = learn(tmp_path / "parts", **other)
        assert seen == [1, 2, 3, 4, 5, 6] and state.is_file(), "what is new begins anew and leaves it alone"
    again, seen = learn(tmp_path / "parts")
    assert seen == [5, 6] and not state.exists(), "what is finished leaves nothing behind"
    pairs = zip(whole.model.parameters(), again.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs) and whole.report == again.report
    assert "6 pairs, 6 steps; on 1 held-out pictures" in whole.report and "Licence inherited" in whole.report
    assert whole.model.info.notes["pairs"]["score"] == asdict(whole.score), "the file says how near it came"


def test_targets_that_are_not_the_pairs(tmp_path) -> None:
    base = tiny(1)
    with pytest.raises(sg.InvalidInput, match="2 latents came with 6 target pictures"):
        learn_pairs(base, sg.Latents(sg.sample_z(range(2), 16), "z", base), torch.zeros(6, 3, 32, 32), OPTIONS)


def test_of_a_dualstylegan_the_generator_inside_learns() -> None:
    dual = DualStyleGAN.over(tiny(1, (16,) * 4)).eval().requires_grad_(False)
    latents = sg.Latents(sg.sample_z([0, 1], 16), "z", dual.base)
    found = learn_pairs(dual, latents, torch.rand(2, 3, 64, 64) * 2 - 1, PairsOptions(steps=1, resolutions="all"))
    assert found.model.kind == dual.base.kind
