"""An encoder for any base, from its own samples."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import stylegan_core as sg
from stylegan_core.cli.main import main
from stylegan_core.engine import read_log
from stylegan_core.networks.dualstylegan import DualStyleGAN
from stylegan_core.training import train_dual
from stylegan_core.training.encoder import (
    HELD_OUT,
    EncoderOptions,
    EncoderTraining,
    code_loss,
    fresh_encoder,
    sample_ws,
    train_encoder,
)
from stylegan_core.training.recipe import fine_tune
from tests.conftest import GOLDENS
from tests.nodes.support import tiny

BASE = GOLDENS / "train_sg2_steps_nvidia/network-snapshot-000000.pkl"
FEW = EncoderOptions(steps=2, image_steps=2, batch=2, image_batch=1)


@pytest.mark.slow
def test_codes_are_found_where_a_fresh_encoder_finds_none() -> None:
    training = EncoderTraining(sg.load(BASE), EncoderOptions(steps=60, image_steps=0, batch=8, lr=2e-3))
    before = training.score()
    training.run()
    assert training.score().code < 0.8 * before.code


def test_a_run_goes_on_where_it_was_and_fits_its_base(tmp_path) -> None:
    base = tiny(1)
    base.info = replace(base.info, licence="do not sell")

    def learn(name: str, resume: bool = False, stop: int | None = None):
        def on_step(step: int, *_: object) -> None:
            if step == stop:
                raise KeyboardInterrupt

        return train_encoder(base, tmp_path / name, FEW, resume, on_step)

    whole = learn("whole")
    with pytest.raises(KeyboardInterrupt):
        learn("parts", stop=3)
    kept = sg.load(tmp_path / "parts/encoder.safetensors").info
    assert kept.notes["encoder_training"]["steps"] == 3 and kept.licence == "do not sell" and len(kept.parents) == 1
    again = learn("parts", resume=True)
    assert all(torch.equal(a, b) for a, b in zip(whole.encoder.parameters(), again.encoder.parameters(), strict=True))
    assert "16 unseen samples LPIPS" in whole.report and whole.comparison.shape[0] == 1
    assert {"code", "l2", "lpips", "identity"} <= set(read_log(tmp_path / "whole")[-1]["loss"])
    loaded = sg.load(tmp_path / "whole/encoder.safetensors")
    codes = loaded.encode(torch.zeros(1, 3, 64, 64), base)
    assert codes.tensor.shape == (1, base.num_ws, base.w_dim)
    with pytest.raises(sg.LatentMismatch):
        loaded.encode(torch.zeros(1, 3, 64, 64), tiny(3, mapping_seed=9))


@pytest.mark.parametrize("file", ["train_sg1_progressive/network-snapshot-000000.pkl"])
def test_other_families(file, tmp_path) -> None:
    base = sg.load(GOLDENS / file)
    assert train_encoder(base, tmp_path / "run", EncoderOptions(1, 1, 1, 1)).encoder.config.num_ws == base.num_ws


def test_the_averaged_encoder_is_judged_by_samples_it_never_saw() -> None:
    def seen(task) -> list[int]:
        numbers: list[int] = []
        training.samples = lambda first, count: numbers.extend(range(first, first + count)) or samples(first, count)
        task()
        return numbers

    training = EncoderTraining(tiny(1), FEW)
    samples = training.samples
    learnt = seen(training.run) + seen(lambda: training._step(HELD_OUT // 50))
    judged = seen(training.score) + seen(training.compare)
    assert max(learnt) < HELD_OUT <= min(judged)
    assert learnt != seen(EncoderTraining(tiny(1), replace(FEW, seed=1)).run)
    found, raw = (dict(net.named_parameters()) for net in (training.result(), training.encoder))
    for name, mean in training.fitting.average.tensors.items():
        assert torch.equal(found[name], mean) and not torch.equal(raw[name], mean), name


def test_coordinates_count_by_their_variance_and_the_leading_ones_once_more() -> None:
    scale = torch.cat([torch.full((256,), 2.0), torch.full((44,), 3.0)])
    got, want = torch.zeros(1, 2, 300), torch.zeros(1, 2, 300)
    want[..., 256:] = 1
    assert float(code_loss(got, want, scale)) == pytest.approx(44 * 3 / (256 * 2 + 44 * 3))
    want[..., :256] = 1
    assert float(code_loss(got, want, scale)) == pytest.approx(1.2)


def test_samples_are_functions_of_their_number() -> None:
    base = tiny(1)
    assert torch.equal(sample_ws(base, 7), sample_ws(base, 7)) and not torch.equal(sample_ws(base, 7), sample_ws(base, 8))


def test_what_is_refused(tmp_path, capsys) -> None:
    base = tiny(1)
    base.mapping.config = type(base.mapping.config)(16, 3, 16, base.num_ws, 2, 16)
    with pytest.raises(sg.InvalidInput, match="3 classes"):
        fresh_encoder(base)
    with pytest.raises(sg.InvalidInput, match="at least 1"):
        EncoderOptions(steps=0)
    sg.save(tiny(1), tmp_path / "base.safetensors")
    arguments = ["train-encoder", str(tmp_path / "base.safetensors"), "--out", str(tmp_path / "run"), "--steps", "1",
                 "--image-steps", "0", "--batch-size", "1"]
    assert main(arguments) == 0 and "encoder.safetensors" in capsys.readouterr().out
    assert main(arguments) == 1 and "holds a run already" in capsys.readouterr().err


def test_of_a_dualstylegan_the_generator_inside_is_meant(tmp_path, monkeypatch) -> None:
    """By every training that takes a generator."""
    base, seen = tiny(1, (16,) * 4), []

    def look(given, *_: object, **__: object) -> None:
        seen.append(given)
        raise KeyboardInterrupt

    dual = DualStyleGAN.over(base)
    monkeypatch.setattr("stylegan_core.training.encoder.EncoderTraining", look)
    monkeypatch.setattr("stylegan_core.training.recipe.prepare_for", look)
    monkeypatch.setattr("stylegan_core.training.dual_recipe._Recipe", look)
    monkeypatch.setattr("stylegan_core.training.dual_recipe.check_pairing", lambda *_: None)
    drawings = torch.zeros(10, 3, 64, 64)
    for train in (lambda: train_encoder(dual, tmp_path / "encoder"), lambda: fine_tune(dual, drawings, tmp_path / "child"),
                  lambda: train_dual(dual, drawings, base, tmp_path / "dual")):
        with pytest.raises(KeyboardInterrupt):
            train()
    assert len(seen) == 3 and all(network is base for network in seen)
