"""Stopped, resumed, and in mixed company: what an inversion keeps."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import stylegan_core as sg
from stylegan_core.errors import InvalidInput
from stylegan_core.inversion import optimize
from stylegan_core.networks.generators.mobilestylegan import MobileStyleGAN
from tests.core.inversion.tiny import FAST, PixelDistance, run, samples, tiny


class StoppedError(Exception):
    pass


@pytest.fixture(scope="module")
def model():
    return tiny()


@pytest.fixture(scope="module")
def faces(model):
    return samples(model, [1, 2, 3])


def stop_at(step: int):
    def on_step(i: int, n: int, preview: torch.Tensor | None) -> None:
        if i == step:
            raise StoppedError

    return on_step


def test_run_again_goes_on_as_if_nothing_had_happened(model, faces) -> None:
    whole = run(model, faces)
    inverter = sg.Inverter(model, faces, "w+", FAST, distances={"lpips": PixelDistance()})
    with pytest.raises(StoppedError):
        inverter.run(stop_at(13))
    assert len(inverter.latents()) == 3
    found = inverter.run()
    assert found.steps_done == 40 and torch.equal(found.latents.tensor, whole.latents.tensor)


def test_saved_latents_go_on_at_their_step(model, faces, tmp_path) -> None:
    inverter = sg.Inverter(model, faces, "w+", FAST, distances={"lpips": PixelDistance()})
    with pytest.raises(StoppedError):
        inverter.run(stop_at(25))
    before = inverter.result()
    before.latents.save(tmp_path / "interrupted.safetensors")
    start = sg.Latents.load(tmp_path / "interrupted.safetensors")
    ticks = []
    after = run(model, faces, options=replace(FAST, start_step=before.steps_done), start=start,
                on_step=lambda i, n, _: ticks.append((i, n)))
    assert ticks == [(i, 40) for i in range(26, 41)]
    history = after.history["total"]
    assert history.shape == (40, 3) and history[:25].isnan().all() and history[25:].isfinite().all()
    assert (after.losses["total"] < before.losses["total"]).all()
    rates = [replace(FAST, start_step=25, ramp_up=0.1).learning_rate(i / 40) for i in (25, 27, 29)]
    assert rates == pytest.approx([0, 0.05, 0.1])  # Adam's averages begin anew, so its rate rises anew


def test_nothing_left_to_do_is_said() -> None:
    with pytest.raises(InvalidInput, match="start_step = 40 of 40"):
        replace(FAST, start_step=40)


@pytest.mark.parametrize("broken", ["pixels", "start"])
def test_a_failed_face_does_not_sink_the_others(model, faces, broken, monkeypatch) -> None:
    pictures = faces.clone()
    inverter = None
    if broken == "pixels":
        pictures[1] = float("nan")
        found = run(model, pictures)
    else:
        inverter = sg.Inverter(model, faces, "w+", FAST, distances={"lpips": PixelDistance()})
        real = inverter._render

        def sometimes(code: torch.Tensor, noise, ids: list[int]) -> torch.Tensor:
            images = real(code, noise, ids)
            if inverter.steps_done < 10 or 1 not in ids or not torch.is_grad_enabled():
                return images
            bad = torch.zeros_like(images)
            bad[ids.index(1)] = float("nan")
            return images + bad

        monkeypatch.setattr(inverter, "_render", sometimes)
        found = inverter.run()
    alone = [run(model, faces[i : i + 1]).losses["total"] for i in (0, 2)]
    assert torch.allclose(found.losses["total"][[0, 2]], torch.cat(alone), rtol=0.05)
    assert found.latents.tensor.isfinite().all() and found.images.isfinite().all()
    assert len(found.notes) == 1 and "image 2" in found.notes[0] and found.steps_done == 40
    if broken == "start":
        assert "step 11" in found.notes[0] and float(found.losses["total"][1]) < float(found.history["total"][0, 1])


def test_all_failed_says_so(model, faces) -> None:
    with pytest.raises(InvalidInput, match="NaN"):
        run(model, torch.full_like(faces, float("nan")))


def test_coordinates_are_measured_once(model, faces, monkeypatch) -> None:
    first = sg.Inverter(model, faces, "w+", FAST, distances={"lpips": PixelDistance()})
    monkeypatch.setattr("stylegan_core.inversion.optimize.coordinates", lambda *_: pytest.fail("measured again"))
    again = sg.Inverter(model, faces, "w+", FAST, distances={"lpips": PixelDistance()}, system=first.coordinates)
    assert torch.equal(again.run().latents.tensor, first.run().latents.tensor)


def test_memory_for_not_even_one_image_is_told(model, faces, monkeypatch) -> None:
    inverter = sg.Inverter(model, faces, "w+", FAST, distances={"lpips": PixelDistance()})

    def hungry(*_: object) -> torch.Tensor:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(inverter, "_render", hungry)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        inverter.run()
    assert inverter.steps_done == 0 and inverter.latents().tensor.isfinite().all()


@pytest.fixture
def two_depths(monkeypatch) -> tuple[MobileStyleGAN, MobileStyleGAN, torch.Tensor]:
    """A 16 px generator as the small variant of one of 32 px, and faces of the latter."""
    small = tiny()
    large = MobileStyleGAN(replace(small.config, mapping=replace(small.config.mapping, num_ws=8), channels=(16, 8, 8)))
    torch.manual_seed(1)
    for parameter in large.synthesis.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    large.mapping.load_state_dict(small.mapping.state_dict())
    monkeypatch.setattr(optimize, "small_variant", lambda model: small)
    return small, large.eval().requires_grad_(False), torch.rand(2, 3, 32, 32) * 2 - 1


def test_the_last_steps_are_the_whole_models(two_depths) -> None:
    small, large, images = two_depths
    inverter = sg.Inverter(large, images, "w+", replace(FAST, steps=12, full_steps=3), distances={"lpips": PixelDistance()})
    with pytest.raises(StoppedError):
        inverter.run(stop_at(9))
    assert inverter.result().images.shape[-1] == 16
    found = inverter.run()
    assert found.steps_done == 12 and found.latents.model == sg.ModelSignature.of(small)
    assert torch.equal(found.images, sg.render(large, found.latents))
    totals = found.history["total"]
    assert torch.equal(found.losses["total"], totals[9:].amin(0)) and totals.shape == (12, 2)


def test_full_steps_go_through_the_schedules_end() -> None:
    options = sg.InversionOptions(steps=200, full_steps=4)
    assert [options.progress(step, full=True) for step in (197, 198, 199, 200)] == [0.8125, 0.875, 0.9375, 1.0]
    assert options.progress(50) == 0.25 and options.learning_rate(options.progress(197, True)) > 0.8 * options.lr


def test_what_settles_early_still_ends_in_the_whole_model(two_depths) -> None:
    _, large, images = two_depths
    options = replace(FAST, steps=40, full_steps=4, patience=2, tolerance=0.9)
    found = sg.invert(large, images, "w+", options=options, distances={"lpips": PixelDistance()})
    assert found.steps_done < 12 and found.images.shape[-1] == 32
