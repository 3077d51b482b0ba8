"""Training on pairs: it learns, resumes bit for bit, draws parts as it draws the whole, and names what does not fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

import stylegan_core as sg
from stylegan_core.errors import AtelierError, InvalidInput, LatentMismatch, LoadError
from stylegan_core.training import PairsOptions, PairsTrainer
from stylegan_core.training.window import Window, Windows
from tests.core.inversion.tiny import tiny

SHORT = PairsOptions(steps=6, batch=2, lr=5e-3, warmup=2, resolutions="16-", reduced_size=8, ema_halflife=2.0, held_out=0.25)


def pairs(count: int = 8) -> tuple[sg.Latents, Tensor]:
    """Codes, and what the model would draw with its colors turned."""
    base = tiny()
    latents = sg.Latents(base.mapping(sg.sample_z(range(count), base.z_dim)), "w+", base)
    return latents, sg.render(base, latents).flip(1).clamp(-1, 1)


def weights(model: torch.nn.Module) -> dict[str, Tensor]:
    return dict(model.state_dict())


def test_learns_what_it_is_shown_and_nothing_else() -> None:
    base, (latents, targets) = tiny(), pairs()
    before = {k: v.clone() for k, v in weights(base).items()}
    trainer = PairsTrainer(base, replace(SHORT, steps=150, lr=2e-2))
    first = trainer.score(latents, targets)
    child = trainer.run(latents, targets)
    last = trainer.score(latents, targets)
    assert first.unseen and last.l1 < 0.75 * first.l1
    assert all(torch.equal(v, before[k]) for k, v in weights(base).items()), "the base is never written to"
    for key, value in weights(child).items():
        layer = next((x for x in base.layers if key.startswith(f"synthesis.{x.name}.")), None)
        learns = layer is not None and layer.resolution >= 16 and not key.endswith("noise_const")
        assert torch.equal(value, before[key]) != learns, key
    assert child.info.parents and trainer.result().info.notes["pairs"]["score"]["count"] == 2
    held = latents.ws(base)[-2:]
    assert last.l1 == pytest.approx(float((child.synthesis(held) - targets[-2:]).abs().mean()), rel=1e-4), "of the child itself"


def test_the_child_is_the_average_and_keeps_the_licence() -> None:
    base, (latents, targets) = tiny(), pairs()
    base.info = replace(base.info, licence="do not sell")
    trainer = PairsTrainer(base, SHORT)
    child = trainer.run(latents, targets)
    for name, mean in trainer.average.items():
        assert torch.equal(weights(child)[f"synthesis.{name}"], mean) and not torch.equal(mean, trainer._own[name]), name
    assert child.info.licence == "do not sell"


@pytest.mark.parametrize("stop", [1, 4])
def test_resuming_equals_never_having_stopped(stop, tmp_path) -> None:
    base, (latents, targets) = tiny(), pairs()
    whole = PairsTrainer(base, SHORT)
    whole.run(latents, targets)
    begun = PairsTrainer(base, SHORT)
    begun.run(latents, targets, until=stop)
    file = begun.save(tmp_path / "run")
    gone_on = PairsTrainer(tiny(), SHORT)
    gone_on.resume(file)
    assert gone_on.step == stop
    gone_on.run(latents, targets)
    assert all(torch.equal(a, weights(gone_on.result())[k]) for k, a in weights(whole.result()).items())
    assert whole.recent == gone_on.recent


def test_a_cancelled_run_keeps_what_it_has() -> None:
    base, (latents, targets) = tiny(), pairs()
    seen: list[int] = []

    def stop(i: int, n: int, losses: dict[str, float]) -> None:
        seen.append(i)
        assert n == SHORT.steps and set(losses) == {"l1", "reduced", "differences"}
        if i == 3:
            raise KeyboardInterrupt

    trainer = PairsTrainer(base, SHORT)
    with pytest.raises(KeyboardInterrupt):
        trainer.run(latents, targets, stop)
    assert seen == [1, 2, 3] and trainer.step == 3
    assert trainer.result().info.notes["pairs"]["steps"] == 3
    trainer.run(latents, targets)
    straight = PairsTrainer(base, SHORT)
    straight.run(latents, targets)
    assert all(torch.equal(a, weights(trainer.result())[k]) for k, a in weights(straight.result()).items())


def test_a_part_is_drawn_as_the_whole_is() -> None:
    base, (latents, _) = tiny(), pairs(2)
    trainer = PairsTrainer(base, replace(SHORT, resolutions=f"{base.img_resolution}-"))
    windows = Windows(next(x.name for x in base.layers if x.kind == "conv" and x.resolution == 8), 8, 5, 1)
    ws, rng = latents.ws(base), np.random.RandomState(0)
    whole = trainer.draw(ws)
    for _ in range(4):
        window = windows.draw(rng)
        window = replace(window, margin=2)
        part = trainer.draw(ws, window=window)
        torch.testing.assert_close(window.sound(part), window.sound(window.cut(whole)), rtol=1e-4, atol=1e-5)


def test_a_windows_border_is_sound_where_it_is_the_pictures() -> None:
    x = torch.arange(10.0).expand(10, 10)
    for at, columns in ((0, range(8)), (1, range(2, 8)), (3, range(2, 10))):
        assert Window("conv", 8, 0, at, 5, 1).sound(x)[0].tolist() == list(columns)
        assert Window("conv", 8, at, 0, 5, 1).sound(x.T)[:, 0].tolist() == list(columns)


def test_a_batch_in_parts_is_the_batch(monkeypatch) -> None:
    base, (latents, targets), found = tiny(), pairs(), []
    for most in (8, 1, 3):
        monkeypatch.setattr("stylegan_core.training.pairs.rows_at_once", lambda *_, most=most: most)
        trainer = PairsTrainer(base, replace(SHORT, batch=4, lpips=0.0, style=0.0, lr=1e-3))
        trainer._step(latents.ws(base), -targets)  # nowhere met already, where rounding would decide
        found.append([p.grad.clone() for p in trainer._own.values()])
    for whole, *parts in zip(*found, strict=True):
        for part in parts:
            torch.testing.assert_close(part, whole, rtol=1e-3, atol=1e-6)


def test_margins_cover_the_reach_of_the_layers_that_draw() -> None:
    base = sg.load(sg.builtin("base"))
    windows = Windows.of(base.synthesis, frozenset(x for x in base.layers if x.resolution >= 64), base.img_resolution // 2)
    assert windows is not None and windows.whole == 32 and windows.cells == 16
    reach = sum(base.img_resolution // x.resolution for x in base.layers if x.kind == "conv" and x.resolution >= 64)
    assert windows.margin * base.img_resolution // 32 >= reach


def test_textures_are_learnt_where_their_places_are_not() -> None:
    base, (latents, targets) = tiny(), pairs()
    trainer = PairsTrainer(base, replace(SHORT, steps=40, lr=2e-2, l1=0, reduced=0, differences=0, style=1.0))
    losses: list[dict[str, float]] = []
    trainer.run(latents, targets, lambda i, n, now: losses.append(now))
    assert set(losses[0]) == {"style"} and losses[-1]["style"] < 0.9 * losses[0]["style"]


def test_partners_give_the_frozen_layers_in_turn() -> None:
    base, other, (latents, _) = tiny(), tiny(1), pairs(2)
    shaped = sg.blend(base, other, 8)
    trainer = PairsTrainer(base, SHORT, [shaped])
    ws = latents.ws(base)
    torch.testing.assert_close(trainer.draw(ws, 0), base.synthesis(ws))
    torch.testing.assert_close(trainer.draw(ws, 1), sg.blend(shaped, base, 8, coarse="base").synthesis(ws))
    torch.testing.assert_close(trainer.draw(ws, 2), trainer.draw(ws, 0))


def test_rates_rise_and_fall() -> None:
    options = PairsOptions(steps=100, lr=1.0, warmup=10, last_rate=0.1)
    assert options.rate(0) == pytest.approx(0.1, rel=0.01) and options.rate(9) > 0.97
    assert options.rate(99) == pytest.approx(0.1, rel=0.02)
    assert all(a > b for a, b in zip(map(options.rate, range(10, 99)), map(options.rate, range(11, 100)), strict=True))


def test_every_pair_comes_once_before_any_comes_again() -> None:
    trainer = PairsTrainer(tiny(), replace(SHORT, batch=3))
    seen = []
    for trainer.step in range(4):
        seen += trainer._chosen(8)
    assert sorted(seen[:6]) == sorted(seen[6:]) == list(range(6)), "two of eight are held out"


@pytest.mark.parametrize("fields, word", [
    ({"steps": 0}, "steps"), ({"lr": float("nan")}, "lr"), ({"resolutions": "far"}, "far"), ({"held_out": 0.9}, "half"),
    ({"l1": 0, "reduced": 0, "differences": 0}, "loss"), ({"batch": -1}, "batch")])
def test_bad_options(fields, word) -> None:
    with pytest.raises(InvalidInput, match=word):
        PairsOptions(**fields)


def test_bad_pairs(tmp_path) -> None:
    base, (latents, targets) = tiny(), pairs()
    trainer = PairsTrainer(base, SHORT)
    with pytest.raises(InvalidInput, match="8 codes and 7 pictures"):
        trainer.run(latents, targets[:7])
    with pytest.raises(InvalidInput, match="resize"):
        trainer.run(latents, targets[..., :8, :8])
    with pytest.raises(LatentMismatch):
        PairsTrainer(tiny(3), SHORT).run(latents, targets)
    with pytest.raises(InvalidInput, match="No layer"):
        PairsTrainer(base, replace(SHORT, resolutions="4096"))
    with pytest.raises(InvalidInput, match="set crop to 0"):
        PairsTrainer(base, replace(SHORT, resolutions="all", crop=8))
    with pytest.raises(AtelierError, match="lower rate"):
        PairsTrainer(base, SHORT).run(latents, targets * float("nan"))
    file = trainer.save(tmp_path / "run")
    for other, options, word in ((tiny(5), SHORT, "another base"), (base, replace(SHORT, lr=1.0), "lr")):
        with pytest.raises(InvalidInput, match=word):
            PairsTrainer(other, options).resume(file)
    with pytest.raises(LoadError, match="no run"):
        trainer.resume(sg.save(base, tmp_path / "model"))
