"""StyleGAN1 from nothing: what holds when, a run end to end, resuming."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import stylegan_core as sg
from stylegan_core.cli import main
from stylegan_core.errors import InvalidInput
from stylegan_core.latents import sample_z
from stylegan_core.losses.adversarial import r1_penalty
from stylegan_core.networks.generators.stylegan1 import StyleGAN1, StyleGAN1Config
from stylegan_core.networks.mapping import MappingConfig
from stylegan_core.training.data import PictureSet
from stylegan_core.training.growing import Growing, GrowthOptions, fresh_stylegan1, open_growth, untrained
from stylegan_core.training.recipe import fine_tune
from stylegan_core.training.trainer import PhaseInputs
from tests.nodes.support import tiny

OPTIONS = GrowthOptions(kimg=0.72, phase_kimg=0.128, tick_kimg=0.36, score_pictures=0, checkpoint_minutes=1000)


def shape():
    config = StyleGAN1Config(MappingConfig(z_dim=16, w_dim=16, num_ws=8, num_layers=2), (16, 16, 8, 8))
    return untrained(StyleGAN1, config, 1)


def pictures(side: int = 32, count: int = 12) -> PictureSet:
    """Disks of one color each, on another."""
    rng, y, x = np.random.default_rng(3), *np.mgrid[:side, :side]
    inside = np.hypot(y - side / 2, x - side / 2) < side / 3
    colors = rng.integers(0, 256, (count, 2, 3, 1, 1))
    images = np.where(inside, colors[:, 0], colors[:, 1]).astype(np.uint8)
    return PictureSet(images, tuple(f"{i}.png" for i in range(count)), sha256="disks")


def test_batch_rate_level_and_rows_follow_the_paper() -> None:
    options = GrowthOptions()
    schedule = options.schedule(256)
    at = {kimg: schedule.at(int(kimg * 1000)) for kimg in (0, 599, 900, 1200, 6000, 25_000)}
    assert [(s.lod, s.resolution, s.minibatch) for s in at.values()] == [
        (5, 8, 128), (5, 8, 128), (4.5, 16, 128), (4, 16, 128), (0, 256, 8), (0, 256, 8)]
    assert [s.G_lrate for s in at.values()] == [0.001] * 4 + [0.002] * 2
    assert replace(options, devices=8).schedule(256).at(0).minibatch == 256
    step = options.stage_options(at[0])
    assert step.adam("D") == {"lr": 0.001, "betas": (0.0, 0.99), "eps": 1e-8} and step.r1_gamma == 10
    grown = Growing(shape(), pictures(), OPTIONS)
    assert grown._levels == 4 and grown.trainer.lod == 2, "at 8 px only the first four rows draw, so only they are mixed"


@pytest.mark.parametrize("adversary", ["logistic", "wgan-gp"])
def test_it_grows_and_learns_what_colors_there_are(tmp_path, adversary) -> None:
    options = replace(OPTIONS, adversary=adversary, kimg=1.0)
    found = fine_tune(shape(), pictures(), tmp_path / "run", "grow", **{n: getattr(options, n) for n in (
        "kimg", "phase_kimg", "adversary", "tick_kimg", "score_pictures", "checkpoint_minutes")}, data_licence="CC0")
    assert found.model.config.lod == 0 and not found.model.info.parents and found.model.info.licence == "CC0"
    loaded = sg.load(tmp_path / "run" / "last.safetensors")
    ws = loaded.mapping(sample_z(range(8), 16))
    assert torch.equal(loaded.synthesis(ws), found.model.synthesis(ws))
    first = shape()
    assert loaded.synthesis(ws).std(dim=0).mean() > 0.01, "codes still differ"
    assert not torch.equal(first.synthesis.b32.conv1.weight, loaded.synthesis.b32.conv1.weight)


def test_levels_that_have_not_begun_do_not_move() -> None:
    grown = Growing(shape(), pictures(), replace(OPTIONS, kimg=0.128))
    before = {k: t.clone() for k, t in grown.G.state_dict().items()}
    grown.step()
    moved = {k for k, t in grown.G.state_dict().items() if not torch.equal(t, before[k])}
    assert any(k.startswith("synthesis.b8.conv1") for k in moved) and not any("b16" in k or "b32" in k for k in moved)
    reals = grown._reals(np.arange(3), np.zeros(3, bool))
    assert reals.shape[-1] == 32 and torch.equal(reals[..., ::4, ::4], reals[..., 3::4, 3::4]), "8 px, each repeated"


def test_the_logistic_loss_has_half_of_gamma_times_r1() -> None:
    grown = Growing(shape(), pictures(), OPTIONS)
    trainer, reals = grown.trainer, torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    losses = []
    for gamma in (10.0, 0.0):
        trainer.options = replace(trainer.options, r1_gamma=gamma)
        losses.append(trainer.told_apart(PhaseInputs(reals=reals), -reals))
    seen = reals.clone().requires_grad_(True)
    slope = r1_penalty(trainer.score(seen, None, None), seen).mean()
    torch.testing.assert_close(losses[0] - losses[1], 5 * slope, rtol=1e-4, atol=1e-5)


def test_optimizers_begin_anew_with_a_level() -> None:
    grown = Growing(shape(), pictures(), OPTIONS)
    counted = []
    for _ in range(3):
        grown.step()
        counted.append({float(s["step"]) for s in grown.trainer.optimizers["G"].state.values()})
    assert counted == [{1.0}, {2.0}, {1.0}] and grown.images_shown == 384, "two batches of 128 at 8 px, then 16 px"


def test_a_resumed_run_is_the_one_that_never_stopped(tmp_path) -> None:
    def run(path, stop_at: int | None = None, resume: bool = False) -> Growing:
        with open_growth(path, shape(), pictures(), OPTIONS, resume) as folder:
            grown = Growing(shape(), pictures(), OPTIONS, folder)

            def on_step(done: int, total: int, preview: torch.Tensor | None) -> None:
                if stop_at is not None and done >= stop_at:
                    raise KeyboardInterrupt

            with suppress(KeyboardInterrupt):
                grown.run(on_step)
            return grown

    whole = run(tmp_path / "whole")
    run(tmp_path / "cut", stop_at=256)
    cut = run(tmp_path / "cut", resume=True)
    for a, b in ((whole.G, cut.G), (whole.D, cut.D), (whole.E, cut.E)):
        assert all(torch.equal(t, b.state_dict()[k]) for k, t in a.state_dict().items())


@pytest.mark.parametrize(("changes", "said"), [
    ({"layers": "4-32"}, "no place for layers"), ({"adversary": "hinge"}, "logistic or wgan-gp"), ({"devices": 3}, "1 or 8"),
    ({"phase_kimg": -1.0}, "phase_kimg")])
def test_settings_that_cannot_be(tmp_path, changes, said) -> None:
    with pytest.raises(InvalidInput, match=said):
        fine_tune(shape(), pictures(), tmp_path / "run", "grow", **changes)
    assert not (tmp_path / "run" / "states").exists()


def test_other_bases_and_sides_are_refused() -> None:
    with pytest.raises(InvalidInput, match="trains a StyleGAN1"):
        Growing(tiny(1), pictures(), OPTIONS)
    with pytest.raises(InvalidInput, match="16 px"):
        Growing(shape(), pictures(16), OPTIONS)
    with pytest.raises(InvalidInput, match="power of two"):
        fresh_stylegan1(48)


def test_from_the_command_line(tmp_path, capsys) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "data").mkdir()
    for i in range(10):
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(tmp_path / "data" / f"{i}.png")
    given = ["train", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "run"), "--preset", "grow"]
    assert main([*given]) != 0 and "--resolution" in capsys.readouterr().err
    size = ["--resolution", "8", "--kimg", "0.1", "--phase-kimg", "0.05", "--score-pictures", "0", "--licence", "CC0"]
    assert main([*given, *size]) == 0
    assert sg.inspect(tmp_path / "run" / "last.safetensors").resolution == 8
