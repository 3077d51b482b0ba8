"""The engine on a tiny random generator, with a plain pixel distance in place of LPIPS."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import stylegan_core as sg
from stylegan_core.errors import InvalidInput, LatentMismatch
from stylegan_core.inversion.noise import map_scales, stored_maps
from stylegan_core.inversion.spaces import coordinates
from stylegan_core.losses.reconstruction import ReconstructionLoss
from stylegan_core.networks.generators.mobilestylegan import MobileStyleGAN
from stylegan_core.ops.resize import resize_area
from tests.core.inversion.tiny import FAST, PixelDistance, run, samples, tiny

SPACES = ["w", "w+", "z", "z+"]


@pytest.fixture(scope="module")
def model() -> MobileStyleGAN:
    return tiny()


@pytest.fixture(scope="module")
def faces(model: MobileStyleGAN) -> Tensor:
    return samples(model, [1, 2, 3])


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("natural", [True, False])
def test_every_space_comes_close_to_its_own_pictures(model, faces, space: str, natural: bool) -> None:
    found = run(model, faces, space, replace(FAST, natural=natural))
    start = found.history["total"][0]
    assert found.latents.space == space and len(found.latents) == 3 and found.steps_done == 40
    assert (found.losses["total"] < 0.5 * start).all()
    assert torch.equal(found.losses["total"], found.history["total"].min(dim=0).values)


def test_the_result_renders_to_its_picture_with_its_noise(model, faces) -> None:
    found = run(model, faces, options=replace(FAST, optimize_noise=True, noise_regularization=10.0))
    assert [tuple(n.shape) for n in found.latents.noise] == [(3, 1, 4, 4), (3, 1, 8, 8), (3, 1, 8, 8)]
    assert torch.equal(sg.render(model, found.latents), found.images)
    measured = (resize_area(found.images, 16) - faces).abs().mean((1, 2, 3))
    assert torch.allclose(measured, found.losses["lpips"], atol=1e-6)
    assert "noise_regularization" in found.history
    assert not any(torch.allclose(a[0], b[0], atol=0.01) for a, b in zip(found.latents.noise, stored_maps(model), strict=True))


def test_saved_and_loaded_latents_render_the_same(model, faces, tmp_path) -> None:
    found = run(model, faces[:1], options=replace(FAST, steps=5, optimize_noise=True))
    found.latents.save(tmp_path / "a.safetensors")
    assert torch.equal(sg.render(model, sg.Latents.load(tmp_path / "a.safetensors")), found.images)


def test_optimized_noise_keeps_the_networks_strength(model, faces) -> None:
    scales = map_scales(model)
    assert 0.2 < scales[0] < 0.4 and len(stored_maps(model)) == 3
    found = run(model, faces, options=replace(FAST, optimize_noise=True))
    for map_, scale in zip(found.latents.noise, scales, strict=True):
        assert torch.allclose(map_.std(dim=(1, 2, 3)), torch.full((3,), scale), rtol=0.05)


def test_an_image_alone_ends_as_in_a_batch(model, faces) -> None:
    options = replace(FAST, steps=15, optimize_noise=True)
    together = run(model, faces, options=options)
    for i in range(3):
        alone = run(model, faces[i : i + 1], options=options)
        assert torch.allclose(alone.latents.tensor[0], together.latents.tensor[i], atol=1e-3)


def test_one_seed_one_result_another_seed_another(model, faces) -> None:
    a, b, c = (run(model, faces, options=replace(FAST, steps=5, seed=s)).latents.tensor for s in (1, 1, 2))
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_the_callers_random_state_and_model_stay_untouched(model, faces) -> None:
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.get_rng_state()
    run(model, faces, options=replace(FAST, steps=3, optimize_noise=True))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not any(p.requires_grad for p in model.parameters())


def test_it_works_under_inference_mode_with_a_model_made_there(faces) -> None:
    with torch.inference_mode():
        model, distance = tiny(), PixelDistance()
        images = faces.clone()
        found = sg.invert(model, images, options=replace(FAST, steps=5), distances={"lpips": distance})
    outside = run(tiny(), faces, options=replace(FAST, steps=5))
    assert torch.equal(found.latents.tensor, outside.latents.tensor)
    assert not found.latents.tensor.is_inference()


def test_cancelling_keeps_the_best_so_far(model, faces) -> None:
    class CancelledError(Exception):
        pass

    def cancel(i: int, n: int, preview: Tensor | None) -> None:
        assert n == 40 and preview.shape == faces.shape
        if i == 20:
            raise CancelledError

    inverter = sg.Inverter(model, faces, "w+", FAST, distances={"lpips": PixelDistance()})
    with pytest.raises(CancelledError):
        inverter.run(cancel)
    found = inverter.result()
    assert found.steps_done == inverter.steps_done == 20 and found.history["total"].shape == (20, 3)
    assert torch.equal(found.losses["total"], found.history["total"].min(dim=0).values)
    resumed = run(model, faces, options=replace(FAST, perturbation=0.0, steps=5), start=found.latents)
    assert torch.allclose(resumed.history["total"][0], found.losses["total"], atol=1e-4)


def test_before_the_first_step_the_result_is_the_start(model, faces) -> None:
    found = sg.Inverter(model, faces, "w", FAST, distances={"lpips": PixelDistance()}).result()
    assert torch.allclose(found.latents.tensor, model.w_avg.expand(3, -1), atol=1e-5)
    assert found.steps_done == 0 and found.history["total"].shape == (0, 3)


def test_a_plateau_stops_each_image_by_itself(model, faces) -> None:
    exact = sg.Latents(sg.sample_z([1], 12), "z", model).truncate(model, 0.7)
    start = sg.Latents.combine([exact, *[sg.Latents(model.w_avg.expand(1, 5, -1), "w+", model)] * 2])
    options = replace(FAST, patience=6, tolerance=0.01, perturbation=0.0)
    found = run(model, faces, options=options, start=start)
    steps = found.history["total"].isfinite().sum(0)
    assert steps[0] < steps[1:].min() and found.losses["total"][0] < 1e-3
    assert torch.equal(sg.render(model, found.latents), found.images)


def test_out_of_memory_halves_the_chunk_and_changes_nothing(model, faces, monkeypatch) -> None:
    options = replace(FAST, steps=4)
    whole = run(model, faces, options=options)
    inverter = sg.Inverter(model, faces, "w+", options, distances={"lpips": PixelDistance()})
    real, tries = inverter._render, []

    def hungry(codes: Tensor, noise: list[Tensor] | None, ids: list[int]) -> Tensor:
        tries.append(len(ids))
        if len(ids) > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return real(codes, noise, ids)

    monkeypatch.setattr(inverter, "_render", hungry)
    found = inverter.run()
    assert torch.allclose(found.latents.tensor, whole.latents.tensor, atol=1e-4)
    assert tries == [3, *[1] * 12, *[1] * 3]  # found out once, while stepping


@pytest.mark.parametrize(("space", "start_space", "fine"), [
    ("w+", "z", True), ("w+", "w", True), ("w", "z", True), ("z+", "z", True), ("w", "w+", False), ("z", "w", False)])
def test_starts_in_other_spaces(model, faces, space: str, start_space: str, fine: bool) -> None:
    z = sg.Latents(sg.sample_z([1, 2, 3], 12), "z", model)
    tensor = {"z": z.tensor, "w": z.ws(model)[:, 0], "w+": z.ws(model)}[start_space]
    start = sg.Latents(tensor, start_space, model)
    if not fine:
        with pytest.raises(InvalidInput, match=f"{start_space}.*{space}".replace("+", r"\+")):
            run(model, faces, space, start=start)
        return
    inverter = sg.Inverter(model, faces, space, FAST, start)
    assert torch.allclose(inverter.result().images, sg.render(model, z), atol=1e-4)


def test_starts_are_checked_and_their_fixed_noise_is_kept(model, faces) -> None:
    draw = torch.Generator().manual_seed(0)
    noise = [torch.randn(1, 1, *shape, generator=draw) for shape in model.synthesis.noise_shapes()]
    start = sg.Latents(model.w_avg[None], "w", model, noise)
    found = run(model, faces, options=replace(FAST, steps=3), start=start)
    assert all(torch.equal(n, m.expand_as(n)) for n, m in zip(found.latents.noise, noise, strict=True))
    assert torch.equal(sg.render(model, found.latents), found.images)
    with pytest.raises(LatentMismatch):
        run(model, faces, start=sg.Latents(torch.zeros(1, 8), "w", tiny(seed=1)))
    with pytest.raises(InvalidInput, match="2 starting latents"):
        run(model, faces, start=sg.Latents(torch.zeros(2, 8), "w", model))


def test_models_with_classes() -> None:
    model = tiny(classes=3)
    c = sg.class_label(model, 1)
    target = sg.render(model, sg.Latents(sg.sample_z([4], 12), "z", model), c=c).clamp(-1, 1)
    for space in SPACES:
        found = run(model, target, space, replace(FAST, steps=40), c=c)
        assert float(found.losses["total"]) < 0.6 * float(found.history["total"][0])
    for space in SPACES:
        with pytest.raises(InvalidInput, match="class"):
            run(model, target, space)


def test_whitened_coordinates_are_white_and_turn_back(model) -> None:
    system = coordinates(model, "w", whitened=True)
    w = model.mapping.to_w(sg.sample_z(range(1000), 12))
    x = system.from_code(w)
    assert torch.allclose(system.to_code(x), w, atol=1e-4)
    assert torch.allclose(torch.cov(x.T), torch.eye(8), atol=0.2)
    assert torch.allclose(system.to_code(system.start), model.w_avg, atol=1e-5)


def test_the_deviation_penalty_draws_the_rows_together(model, faces) -> None:
    free, held = (run(model, faces, options=replace(FAST, deviation=d)).latents.tensor for d in (0.0, 1.0))
    assert held.var(dim=1).mean() < 0.5 * free.var(dim=1).mean()


def test_targets_of_any_size_and_losses_at_their_own(model) -> None:
    big, small = torch.rand(1, 3, 50, 50), torch.rand(1, 3, 9, 9)
    for image in (big, small):
        assert run(model, image, options=replace(FAST, steps=2)).images.shape == (1, 3, 16, 16)
    assert torch.equal(resize_area(big[..., :32, :32], 16), nn.functional.avg_pool2d(big[..., :32, :32], 2))


@pytest.mark.parametrize("images", [
    torch.zeros(1, 3, 8, 9), torch.zeros(3, 8, 8), torch.zeros(1, 1, 8, 8), torch.zeros(0, 3, 8, 8),
    torch.full((1, 3, 8, 8), float("nan")), torch.full((1, 3, 8, 8), 255.0)])
def test_bad_images(model, images: Tensor) -> None:
    with pytest.raises(InvalidInput):
        run(model, images)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"lr": -1.0}, {"lpips": float("nan")}, {"chunk": 0}])
def test_bad_options(wrong: dict) -> None:
    with pytest.raises(InvalidInput, match=next(iter(wrong))):
        replace(FAST, **wrong)


def test_something_must_be_minimized(model, faces) -> None:
    with pytest.raises(InvalidInput, match="at least one"):
        run(model, faces, options=replace(FAST, lpips=0.0, l2=0.0))


def test_unknown_names(model, faces) -> None:
    with pytest.raises(InvalidInput, match="preset"):
        sg.invert(model, faces, options="best")
    with pytest.raises(InvalidInput, match="s, use|unknown"):
        sg.invert(model, faces, space="s")


def test_damaged_weights_are_named_and_the_start_survives(faces) -> None:
    model = tiny()
    model.synthesis.head.weight[0] = float("nan")
    inverter = sg.Inverter(model, faces, "w", FAST, distances={"lpips": PixelDistance()})
    with pytest.raises(InvalidInput, match="no longer a number at step 1"):
        inverter.run()
    assert torch.isfinite(inverter.result().latents.tensor).all()


def test_schedule_is_the_papers() -> None:
    options = sg.InversionOptions(lr=0.1, perturbation=0.05)
    rates = [options.learning_rate(t) for t in (0, 0.025, 0.05, 0.5, 0.75, 0.875, 1)]
    assert rates == pytest.approx([0, 0.05, 0.1, 0.1, 0.1, 0.05, 0])
    assert [options.noise_strength(t, 2.0) for t in (0, 0.375, 0.75, 1)] == pytest.approx([0.1, 0.025, 0, 0])


def test_jittered_lpips_sees_every_phase_of_the_same_pair() -> None:
    targets = torch.rand(2, 3, 64, 64) * 2 - 1
    seen = []

    class Recorder(PixelDistance):
        def features(self, images: Tensor) -> list[Tensor]:
            seen.append(images)
            return super().features(images)

    loss = ReconstructionLoss(targets, 64, FAST.losses(), {"lpips": Recorder()})
    assert len(seen) == 4 and all(view.shape == (2, 3, 61, 61) for view in seen)
    assert len({float(view[0, 0, 0, 0]) for view in seen}) == 4
    for turn in range(8):
        assert float(loss(targets[1:], [1], [], torch.zeros(1, 8), turn)["lpips"].detach()) == 0
        assert torch.equal(seen[-1], seen[turn % 4][1:])


def test_embedded_losses_join_in(model, faces) -> None:
    options = replace(FAST, steps=2, identity=0.1)
    found = sg.invert(model, faces[:1], options=options)
    assert set(found.losses) == {"lpips", "identity", "l2", "deviation", "total"}
    expected = sum(getattr(options, name) * value for name, value in found.losses.items() if name != "total")
    assert torch.allclose(found.losses["total"], expected)
