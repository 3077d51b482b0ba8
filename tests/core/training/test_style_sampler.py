"""A bank's sampler: resumed as if it had never stopped, near its bank without copying it; odd codes refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import stylegan_core as sg
from stylegan_core.errors import InvalidInput
from stylegan_core.latents import Latents
from stylegan_core.training.sampler import SamplerTraining
from stylegan_core.training.style_sampler import check_sampler, fit_sampler, jittered


def bank(count: int = 12, rows: int = 5, space: str = "z+") -> Latents:
    return Latents(torch.randn(count, rows, 6, generator=torch.Generator().manual_seed(3)), space)


def test_codes_are_repeated_and_jittered_as_published() -> None:
    data = jittered(bank().tensor)
    assert len(data) == 1000 // 12 * 12
    away = (data - bank().tensor.repeat(1000 // 12, 1, 1)).std()
    assert float(away) == pytest.approx(0.05, rel=0.02)
    assert len(jittered(bank(1200).tensor)) == 1200, "more than a thousand codes are seen once, not never"


def test_a_stopped_sampler_goes_on(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("stylegan_core.training.style_sampler.SAVED_EVERY", 2)
    with torch.inference_mode():  # as ComfyUI runs its nodes
        whole, other = (fit_sampler(bank(), 2, epochs=3, seed=seed).state_dict() for seed in (0, 1))
    assert not torch.equal(whole["structure.fc0.weight"], other["structure.fc0.weight"])
    state = tmp_path / "sampler.safetensors"

    def stop(done: int, total: int, shown: object) -> None:
        assert total == 6
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_sampler(bank(), 2, epochs=3, state=state, on_step=stop)
    left: list[int] = []
    resumed = fit_sampler(bank(), 2, epochs=3, state=state, on_step=lambda done, n, _: left.append(done)).state_dict()
    assert left == [5, 6] and all(torch.equal(resumed[k], t) for k, t in whole.items())
    with pytest.raises(InvalidInput, match="was begun with"):
        fit_sampler(bank(), 2, epochs=4, state=state)
    state.write_bytes(state.read_bytes()[:200])  # half a file is no state
    assert all(torch.equal(t, whole[k]) for k, t in fit_sampler(bank(), 2, epochs=3, state=state).state_dict().items())


def test_every_epoch_of_each_part_has_random_numbers_of_its_own(monkeypatch) -> None:
    drawn = []

    def train(data, state, epoch, epochs, batch, draw, permutations):
        drawn.append((tuple(draw((2,)).tolist()), tuple(permutations[0].tolist())))
        return SamplerTraining([0.0], [0.0], dict(state))

    monkeypatch.setattr("stylegan_core.training.style_sampler.train_sampler", train)
    for seed in (0, 1):
        fit_sampler(bank(), 2, epochs=3, seed=seed)
    assert len(set(drawn)) == 12


def test_draws_come_near_the_bank(tmp_path: Path) -> None:
    codes = bank(6, space="w+")
    before, after = (check_sampler(fit_sampler(codes, 2, epochs), codes) for epochs in (1, 150))
    assert after.coverage > before.coverage and after.coverage >= 0.5 and 0 < after.novelty < 1, (before, after)
    sampler = fit_sampler(codes, 2, epochs=1)
    sg.save(sampler, tmp_path / "sampler")
    again = sg.load(tmp_path / "sampler.safetensors")
    assert torch.equal(again.sample(2, 5).tensor, sampler.sample(2, 5).tensor) and again.config.space == "w+"


def test_refusals() -> None:
    with pytest.raises(InvalidInput, match="more than 5 rows"):
        fit_sampler(bank(), 5)
    with pytest.raises(InvalidInput, match="bank of styles"):
        fit_sampler(Latents(torch.zeros(3, 6), "z"), 2)
    with pytest.raises(InvalidInput, match="no neighbours"):
        check_sampler(fit_sampler(bank(1), 2, epochs=1), bank(1))
