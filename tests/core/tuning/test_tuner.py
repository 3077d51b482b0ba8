"""Pivotal tuning of tiny random generators, with a plain pixel distance in place of LPIPS."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import stylegan_core as sg
from stylegan_core.errors import InvalidInput, LatentMismatch
from stylegan_core.networks.generators.mobilestylegan import MobileStyleGAN, MobileStyleGANConfig
from stylegan_core.networks.mapping import MappingConfig
from stylegan_core.tuning.delta import expand
from stylegan_core.tuning.variables import DeltaVariables

FAMILIES = {"stylegan1": ("tf_sg1_tiny", "karras2019stylegan-tiny.pkl"), "stylegan2": ("ada_sg2_tiny",),
            "classes": ("ada_sg2_cond",), "gray": ("ada_sg2_gray",), "stylegan3-t": ("sg3_t_tiny",),
            "stylegan3-r": ("sg3_r_tiny",)}


class PixelDistance(nn.Module):
    """Mean absolute difference."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def features(self, images: Tensor) -> list[Tensor]:
        return [images * self.weight]

    def forward(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        return (a[0] - b[0]).abs().mean((1, 2, 3))


def tiny(seed: int = 0) -> MobileStyleGAN:
    """16 px; weights of a size that gives pictures within [-1, 1]; noise maps that show."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = MobileStyleGAN(MobileStyleGANConfig(MappingConfig(12, 0, 8, 5, 2, 8), (16, 16))).eval().requires_grad_(False)
        for name, buffer in model.named_buffers():
            if name.endswith("noise_const"):
                buffer.copy_(0.3 * torch.randn_like(buffer))
        model.synthesis.head.weight /= 3 * model.synthesis(model.mapping(sg.sample_z(range(64), 12))).std()
    return model


@pytest.fixture(scope="module")
def model() -> MobileStyleGAN:
    return tiny()


@pytest.fixture(scope="module")
def pivots(model) -> sg.Latents:
    return sg.Latents(sg.sample_z([1, 2, 3], 12), "z", model)


@pytest.fixture(scope="module")
def photos(model) -> Tensor:
    """Other faces than the pivots'."""
    return sg.render(model, sg.Latents(sg.sample_z([7, 8, 9], 12), "z", model)).clamp(-1, 1)


FAST = sg.TuneOptions(steps=30, lr=0.02, identity=0.0, stop=0.0, rank=2, share=0.5)


def run(model, latents: sg.Latents, images: Tensor, options: sg.TuneOptions = FAST, **more) -> sg.Tuned:
    return sg.tune(model, latents, images, options, distances={"lpips": PixelDistance()}, **more)


def far(images: Tensor, photos: Tensor) -> float:
    return float((images - photos).abs().mean())


def test_the_delta_brings_the_pictures_closer_and_is_all_there_is_to_it(model, pivots, photos) -> None:
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.get_rng_state()
    found = run(model, pivots, photos)
    assert far(found.images, photos) < 0.7 * far(sg.render(model, pivots), photos)
    assert torch.equal(sg.render(sg.apply_delta(model, found.delta), pivots), found.images)
    assert found.steps_done == 30 and found.history["total"].shape == (30, 3)
    assert set(found.losses) == {"lpips", "l2", "total"} and found.latents is pivots
    best = found.history["total"].mean(1).argmin()
    assert torch.equal(found.losses["total"], found.history["total"][best])
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not any(p.requires_grad for p in model.parameters())
    assert all(name.startswith("synthesis.") for name in found.delta.parts)
    assert {t.dtype for part in found.delta.parts.values() for t in part} == {torch.float16}


@pytest.mark.parametrize("family", [pytest.param(name, marks=pytest.mark.slow if name.startswith("stylegan3") else ())
                                    for name in FAMILIES])
def test_every_family(golden, family: str) -> None:
    folder, *names = FAMILIES[family]
    model = sg.load(golden(folder).file(names[0] if names else "network-snapshot-000400.pkl"))
    c = sg.class_label(model, 1 if model.c_dim else None)
    w = model.mapping(sg.sample_z([1, 2], model.z_dim), None if c is None else c.expand(2, -1), 0.7)
    pivots = sg.Latents(w, "w+", model)
    photos = (0.5 * model.synthesis(w.flip(0))).clamp(-1, 1)
    photos = photos.expand(-1, 3, -1, -1) if photos.shape[1] == 1 else photos[:, :3]
    found = run(model, pivots, photos, replace(FAST, steps=4, locality=0.1))
    assert float(found.losses["total"].mean()) < float(found.history["total"][0].mean())
    assert torch.allclose(sg.render(sg.apply_delta(model, found.delta), pivots), found.images, atol=1e-5)
    pivots.check(sg.apply_delta(model, found.delta))


def test_z_of_a_model_with_classes(golden) -> None:
    model = sg.load(golden("ada_sg2_cond").file("network-snapshot-000400.pkl"))
    z, c = sg.Latents(sg.sample_z([1], model.z_dim), "z", model), sg.class_label(model, 1)
    photo = sg.render(model, z, c=sg.class_label(model, 0)).clamp(-1, 1)
    found = run(model, z, photo, replace(FAST, steps=4), c=c)
    assert torch.allclose(sg.render(sg.apply_delta(model, found.delta), z, c=c), found.images, atol=1e-5)
    with pytest.raises(InvalidInput, match="class"):
        run(model, z, photo)


def test_optimized_noise_is_kept(model, photos) -> None:
    draw = torch.Generator().manual_seed(0)
    noise = [torch.randn(1, 1, *shape, generator=draw) for shape in model.synthesis.noise_shapes()]
    pivots = sg.Latents(sg.sample_z([1, 2, 3], 12), "z", model, noise)
    found = run(model, pivots, photos, replace(FAST, steps=5))
    assert found.latents.noise is not None and torch.equal(found.latents.noise[0], noise[0])
    tuned = sg.apply_delta(model, found.delta)
    assert torch.equal(sg.render(tuned, pivots), found.images)
    assert not torch.allclose(sg.render(tuned, replace(pivots, noise=None)), found.images, atol=1e-3)


def test_one_seed_one_delta(model, pivots, photos) -> None:
    a, b, c = (run(model, pivots, photos, replace(FAST, steps=3, seed=seed)).images for seed in (1, 1, 2))
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_chunks_change_nothing_and_memory_may_run_out(model, pivots, photos, monkeypatch) -> None:
    whole = run(model, pivots, photos, replace(FAST, steps=3))
    tuner = sg.Tuner(model, pivots, photos, replace(FAST, steps=3), {"lpips": PixelDistance()})
    real = tuner._draws

    def hungry(weights, ids: list[int]) -> Tensor:
        if len(ids) > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return real(weights, ids)

    monkeypatch.setattr(tuner, "_draws", hungry)
    assert torch.allclose(tuner.run().images, whole.images, atol=1e-3)


def test_it_works_under_inference_mode_with_a_model_made_there(pivots, photos) -> None:
    options = replace(FAST, steps=3, locality=0.1)
    with torch.inference_mode():
        made = tiny()
        found = sg.tune(made, sg.Latents(pivots.tensor.clone(), "z", made), photos.clone(), options,
                        distances={"lpips": PixelDistance()})
        inside = sg.render(sg.apply_delta(made, found.delta), pivots)
    assert torch.equal(inside, found.images)
    assert torch.equal(found.images, run(tiny(), pivots, photos, options).images)


def test_cancelling_keeps_the_best_so_far_and_can_go_on(model, pivots, photos) -> None:
    class CancelledError(Exception):
        pass

    def cancel(i: int, n: int, preview: Tensor | None) -> None:
        assert n == 30 and preview is not None and preview.shape == photos.shape
        if i == 10:
            raise CancelledError

    tuner = sg.Tuner(model, pivots, photos, FAST, {"lpips": PixelDistance()})
    with pytest.raises(CancelledError):
        tuner.run(cancel)
    found = tuner.result()
    assert found.steps_done == 10 and far(found.images, photos) < far(sg.render(model, pivots), photos)
    assert torch.equal(tuner.run().images, run(model, pivots, photos).images)


def test_before_the_first_step_the_delta_changes_nothing(model, pivots, photos, tmp_path) -> None:
    found = sg.Tuner(model, pivots, photos, FAST, {"lpips": PixelDistance()}).result()
    assert found.delta.numel == 0 and torch.equal(found.images, sg.render(model, pivots))
    sg.apply_delta(model, sg.Delta.load(found.delta.save(tmp_path / "nothing")))


def test_it_stops_when_every_image_is_like_enough(model, pivots, photos) -> None:
    open_end = run(model, pivots, photos).history["lpips"].amax(1)
    stop = float(open_end[:15].min())
    found = run(model, pivots, photos, replace(FAST, stop=stop))
    assert found.steps_done == int((open_end <= stop).nonzero()[0]) + 1 < 30


def test_locality_keeps_other_faces(model, pivots, photos) -> None:
    others = sg.Latents(sg.sample_z(range(20, 36), 12), "z", model)
    before = sg.render(model, others)
    moved = []
    for locality in (0.0, 3.0):
        found = run(model, pivots, photos, replace(FAST, locality=locality))
        moved.append(far(sg.render(sg.apply_delta(model, found.delta), others), before))
        assert ("locality" in found.history) == bool(locality)
    assert moved[1] < 0.8 * moved[0]


def test_locality_looks_at_one_distance_from_each_pivot_in_turn(model, pivots, photos) -> None:
    tuner = sg.Tuner(model, pivots, photos, replace(FAST, locality=1.0, reach=0.7), {"lpips": PixelDistance()})
    seen = []
    tuner.model.synthesis.register_forward_pre_hook(
        lambda _, args, more: seen.append(args[0]) if more.get("noise_mode") == "none" else None, with_kwargs=True)
    for k in range(4):
        seen.clear()
        tuner.step(0.5)
        away = (seen[0] - tuner.ws[k % 3]).norm(dim=2)
        torch.testing.assert_close(away, torch.full_like(away, 0.7 * tuner._spread))
        assert torch.equal(seen[0], seen[1]) and tuner._spread != 1


def test_several_pictures_share_one_delta_and_persons_swap(model, pivots, photos) -> None:
    together = run(model, pivots, photos).delta
    alone = run(model, pivots.pick(0), photos[:1]).delta
    assert together.numel < 2 * alone.numel
    pictures = [sg.render(sg.apply_delta(model, delta), pivots.pick(0)) for delta in (together, alone)]
    assert far(pictures[1], photos[:1]) < far(pictures[0], photos[:1]) < far(sg.render(model, pivots.pick(0)), photos[:1])


class TestSize:
    def test_the_rank_gives_way_to_the_limit(self, model) -> None:
        draw = torch.Generator()
        whole = sum(p.numel() for p in model.parameters())
        few, many = DeltaVariables(model, 4, 0.3, draw), DeltaVariables(model, 4, 1.0, draw)
        assert 1 <= few.rank < many.rank == 4 and few.limit == int(0.3 * whole)
        assert sum(leaf.numel() for leaf in few.leaves) <= few.limit < sum(leaf.numel() for leaf in many.leaves)

    def test_ranks_are_cut_where_likeness_stays(self, model, pivots, photos) -> None:
        options = replace(FAST, rank=4, share=1.0, tolerance=0.2)
        loose, tight = (run(model, pivots, photos, replace(options, tolerance=t)) for t in (0.2, 0.0))
        trained = float(loose.losses["lpips"].mean())
        assert loose.delta.numel < tight.delta.numel
        assert far(loose.images, photos) <= 1.2 * trained + 1e-3
        assert far(tight.images, photos) <= trained + 1e-3

    @pytest.mark.parametrize(("share", "tolerance", "factored"), [(0.5, 0.02, 0), (0.9, 0.02, 7), (0.9, 5.0, 10)])
    def test_whole_weights_are_taken_apart_or_stay_whole(self, model, pivots, photos, share, tolerance, factored) -> None:
        """What no low rank within the limit keeps is stored in full."""
        found = run(model, pivots, photos, replace(FAST, rank=0, share=share, tolerance=tolerance))
        tuned = sum(p.numel() for name, p in model.named_parameters() if "synthesis" in name and "depthwise" not in name)
        limit = share * sum(p.numel() for p in model.parameters())
        pairs = [name for name, part in found.delta.parts.items() if len(part) == 2]
        assert abs(len(pairs) - factored) <= 2
        assert found.delta.numel <= limit if factored else found.delta.numel == tuned > limit
        assert far(found.images, photos) <= (1 + tolerance) * float(found.losses["lpips"].mean()) + 1e-3

    def test_units_are_the_weights_own(self, model) -> None:
        variables = DeltaVariables(model, 2, 1.0, torch.Generator().manual_seed(0))
        with torch.no_grad():
            for leaf in variables.leaves:
                leaf += 0.01
        for name, part in variables.parts(variables.snapshot()).items():
            weight = dict(model.named_parameters())[name]
            size = float(expand(part, weight.shape).square().mean().sqrt())
            assert 0.001 < size / max(float(weight.square().mean().sqrt()), 0.05) < 0.05, name


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"lr": -1.0}, {"l2": float("nan")}, {"chunk": 0}])
def test_bad_options(wrong: dict) -> None:
    with pytest.raises(InvalidInput, match=next(iter(wrong))):
        replace(FAST, **wrong)


def test_bad_arguments(model, pivots, photos) -> None:
    with pytest.raises(LatentMismatch):
        run(model, sg.Latents(torch.zeros(3, 8), "w", tiny(seed=1)), photos)
    with pytest.raises(InvalidInput, match="3 latents for 2 images"):
        run(model, pivots, photos[:2])
    with pytest.raises(InvalidInput, match="preset"):
        sg.tune(model, pivots, photos, "best")
    with pytest.raises(InvalidInput, match="NaN"):
        run(model, pivots, torch.cat([photos[:2], torch.full_like(photos[:1], float("nan"))]))
    with pytest.raises(InvalidInput, match="takes a generator"):
        run(nn.Linear(1, 1), pivots, photos)
    with pytest.raises(InvalidInput, match="at least one"):
        run(model, pivots, photos, replace(FAST, lpips=0.0, l2=0.0))


def test_damaged_weights_are_named_and_the_start_survives(pivots, photos) -> None:
    model = tiny()
    model.synthesis.head.weight[0] = float("nan")
    tuner = sg.Tuner(model, pivots, photos, FAST, {"lpips": PixelDistance()})
    with pytest.raises(InvalidInput, match="no longer a number at step 1"):
        tuner.run()
    assert tuner.result().delta.numel == 0


def test_losses_by_their_weights(model, pivots, photos) -> None:
    found = sg.tune(model, pivots, photos, replace(FAST, steps=2, identity=0.1, lpips=0.5, locality=0.2))
    assert set(found.losses) == {"lpips", "identity", "l2", "locality", "total"}
    expected = sum(weight * found.losses[name] for name, weight in {"lpips": 0.5, "identity": 0.1, "l2": 1.0}.items())
    assert torch.allclose(found.losses["total"], expected, atol=1e-5)
