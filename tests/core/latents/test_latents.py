"""Latents: spaces, checks, rows by resolution, mixing, interpolation, files."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stylegan_core.errors import InvalidInput, LatentMismatch, LoadError
from stylegan_core.latents import (
    Latents,
    ModelSignature,
    class_label,
    interpolate,
    lerp,
    mix,
    mix_latents,
    rows_between,
    sample_z,
    slerp,
)
from stylegan_core.networks.generators.mobilestylegan import MobileStyleGAN, MobileStyleGANConfig
from stylegan_core.networks.mapping import MappingConfig


def tiny(seed: int = 0, classes: int = 0, channels: tuple[int, ...] = (16, 16, 8)) -> MobileStyleGAN:
    """A random generator of 4 * 2 ** len(channels) px."""
    rows = 3 * (len(channels) - 1) + 2
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        mapping = MappingConfig(z_dim=12, w_dim=8, c_dim=classes, num_ws=rows, num_layers=2, hidden_dim=8)
        return MobileStyleGAN(MobileStyleGANConfig(mapping, channels)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def model() -> MobileStyleGAN:
    return tiny()


def test_every_space_reaches_the_same_ws(model: MobileStyleGAN) -> None:
    z = sample_z(range(3), 12)
    expected = model.mapping(z)
    assert torch.equal(Latents(z, "z", model).ws(model), expected)
    assert torch.allclose(Latents(z[:, None].repeat(1, model.num_ws, 1), "z+", model).ws(model), expected, atol=1e-6)
    assert torch.equal(Latents(expected[:, 0], "w", model).ws(model), expected)
    assert torch.equal(Latents(expected, "w+", model).ws(model), expected)


@pytest.mark.parametrize("space", ["z", "z+", "w", "w+"])
@pytest.mark.parametrize("cutoff", [None, 0, 3])
def test_truncation_is_the_mappings(model: MobileStyleGAN, space: str, cutoff: int | None) -> None:
    z = sample_z([7, 8], 12)
    source = z if space.startswith("z") else model.mapping(z)[:, 0]
    if space.endswith("+"):
        source = source[:, None].repeat(1, model.num_ws, 1)
    expected = model.mapping(z, truncation_psi=0.3, truncation_cutoff=cutoff)
    latents = Latents(source, space, model)
    assert torch.allclose(latents.ws(model, 0.3, cutoff), expected, atol=1e-6)
    assert torch.allclose(latents.truncate(model, 0.3, cutoff).tensor, expected, atol=1e-6)


def test_seeds_are_numpys() -> None:
    assert np.array_equal(sample_z([3, 0], 5)[0].numpy(), np.random.RandomState(3).randn(5).astype(np.float32))
    assert torch.equal(sample_z([2**64 - 1], 4), sample_z([2**32 - 1], 4))
    with pytest.raises(InvalidInput, match="negative"):
        sample_z([-1], 4)


def test_labels_reach_the_mapping_in_z_and_z_plus() -> None:
    model = tiny(classes=3)
    z, label = sample_z([1, 2], 12), class_label(model, 2)
    expected = model.mapping(z, label.expand(2, -1))
    assert torch.allclose(Latents(z, "z", model).ws(model, c=label), expected)
    z_plus = Latents(z[:, None].repeat(1, model.num_ws, 1), "z+", model)
    assert torch.allclose(z_plus.ws(model, c=label), expected, atol=1e-6)
    with pytest.raises(InvalidInput, match="3 classes"):
        Latents(z, "z", model).ws(model)


@pytest.mark.parametrize("label", [torch.eye(4)[:2], torch.ones(2), torch.tensor([0, 1]), torch.eye(3), [0, 1], 1])
def test_labels_of_another_shape_are_a_sentence(label) -> None:
    model = tiny(classes=3)
    with pytest.raises(InvalidInput, match=r"needed as one-hot rows \[2, 3\]"):
        model.mapping(sample_z([1, 2], 12), c=label)
    one = torch.eye(3)[1:2]
    assert torch.equal(model.mapping(sample_z([1, 2], 12), c=one), model.mapping(sample_z([1, 2], 12), c=one.expand(2, -1)))


def test_class_labels() -> None:
    model = tiny(classes=3)
    assert class_label(model, 1, batch=2).tolist() == [[0, 1, 0], [0, 1, 0]]
    for wrong in (None, -1, 3, -2):
        with pytest.raises(InvalidInput, match="0 to 2"):
            class_label(model, wrong)
    assert class_label(tiny(), 0) is None
    with pytest.raises(InvalidInput, match="without classes"):
        class_label(tiny(), 4)
    for space in ("w", "w+"):
        assert class_label(model, None, space=space) is None and class_label(model, -1, space=space) is None
        with pytest.raises(InvalidInput, match=f"latents in {re.escape(space)}, which have theirs from the mapping"):
            class_label(model, 1, space=space)


def test_models_with_one_mapping_fit_each_other(model: MobileStyleGAN) -> None:
    child = tiny(seed=1)
    child.mapping.load_state_dict(model.mapping.state_dict(), strict=False)
    child.w_avg = torch.ones(8)
    latents = Latents(sample_z([0], 12), "z", model)
    latents.check(child)
    deeper = tiny(seed=1, channels=(16, 16, 16, 8))
    deeper.mapping.load_state_dict(model.mapping.state_dict(), strict=False)
    latents.check(deeper)
    Latents(torch.zeros(1, 8), "w", model).check(deeper)
    with pytest.raises(LatentMismatch) as error:
        Latents(torch.zeros(1, model.num_ws, 12), "z+", model).check(deeper)
    assert "32 px" in str(error.value) and "64 px" in str(error.value)


def test_the_row_rule(model: MobileStyleGAN) -> None:
    """Written out once more: what both depths have stays, the old head's row goes, the rest is the mean."""
    deeper = tiny(seed=1, channels=(16, 16, 16, 8))
    deeper.mapping.load_state_dict(model.mapping.state_dict(), strict=False)
    few, many, both = model.num_ws, deeper.num_ws, model.num_ws - 1
    codes = torch.randn(2, few, 8, generator=torch.Generator().manual_seed(0))
    noise = [torch.zeros(1, 1, *shape) for shape in model.synthesis.noise_shapes()]
    latents = Latents(codes, "w+", model, noise)
    up = latents.fit(deeper)
    assert up.tensor.shape == (2, many, 8) and up.model == ModelSignature.of(deeper) and up.noise is None
    assert torch.equal(up.tensor[:, :both], codes[:, :both])
    for row in range(both, many):
        torch.testing.assert_close(up.tensor[:, row], codes[:, :both].mean(1))
    assert torch.equal(latents.ws(deeper), up.tensor) and latents.noise_for(deeper) is None
    assert torch.equal(latents.truncate(deeper, 1.0).tensor, up.tensor)
    back = up.fit(model)
    assert torch.equal(back.tensor[:, :both], codes[:, :both])
    torch.testing.assert_close(back.tensor[:, both], codes[:, :both].mean(1))
    assert back.fit(model) is back and latents.fit(model) is latents and latents.note(model) == ""
    told = latents.note(deeper)
    assert f"{few} rows" in told and f"takes {many}" in told and f"0-{both - 1}" in told and "noise" in told
    assert f"row {both} is their mean" in up.note(model)
    mixed = mix_latents(latents, up, deeper, "coarse")
    assert torch.equal(mixed.tensor, up.tensor)


def test_the_mapping_hash_survives_half_precision_and_estimating_w_avg(model: MobileStyleGAN) -> None:
    before = ModelSignature.of(model)
    fresh, half = tiny(), tiny().half()
    _ = fresh.w_avg
    assert ModelSignature.of(fresh) == before == ModelSignature.of(half)
    assert ModelSignature.of(tiny(seed=2)) != before


def test_a_stranger_is_refused_by_name(model: MobileStyleGAN) -> None:
    other = tiny(seed=3)
    with pytest.raises(LatentMismatch) as error:
        Latents(torch.zeros(1, 8), "w", other).ws(model)
    for signature in (ModelSignature.of(other), ModelSignature.of(model)):
        assert signature.mapping_hash[:8] in str(error.value)
    with pytest.raises(LatentMismatch, match=r"\[9\]"):
        Latents(torch.zeros(1, 9), "w").ws(model)


@pytest.mark.parametrize(("tensor", "space", "words"), [
    (torch.zeros(8), "w", r"\[batch, dim\]"),
    (torch.zeros(1, 2, 8), "z", r"\[batch, dim\]"),
    (torch.zeros(1, 8), "w+", r"\[batch, rows, dim\]"),
    (torch.full((1, 8), float("nan")), "w", "NaN"),
    (torch.zeros(1, 8), "s", "unknown"),
])
def test_bad_tensors(tensor: torch.Tensor, space: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Latents(tensor, space)


def noise_of(model: MobileStyleGAN, batch: int, seed: int = 0) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, 1, *shape, generator=draw) for shape in model.synthesis.noise_shapes()]


def test_noise_is_checked_against_the_model(model: MobileStyleGAN) -> None:
    deeper = tiny(channels=(16, 16, 16, 8))
    latents = Latents(torch.zeros(2, 8), "w", noise=noise_of(deeper, 2))
    with pytest.raises(LatentMismatch, match="7 noise maps up to 32 px.*5 up to 16 px"):
        latents.check(model)
    replace(latents, noise=None).check(model)
    with pytest.raises(InvalidInput, match="noise map"):
        Latents(torch.zeros(3, 8), "w", noise=noise_of(model, 2))


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.complex64])
def test_codes_are_floating_point_numbers(dtype) -> None:
    with pytest.raises(InvalidInput, match=str(dtype).removeprefix("torch.")):
        Latents(torch.ones(1, 8, dtype=dtype), "w")


@pytest.mark.parametrize(("psi", "cutoff"), [(0.5, -1), (1.0, -1), (float("nan"), None), (float("inf"), 2)])
def test_a_truncation_that_can_not_be_is_refused(model: MobileStyleGAN, psi: float, cutoff: int | None) -> None:
    z = sample_z([0], 12)
    for call in (lambda: model.mapping(z, truncation_psi=psi, truncation_cutoff=cutoff),
                 lambda: Latents(z, "z", model).ws(model, psi, cutoff),
                 lambda: Latents(z, "z", model).truncate(model, psi, cutoff)):
        with pytest.raises(InvalidInput, match=f"cutoff {cutoff}"):
            call()


def test_pick_and_combine(model: MobileStyleGAN) -> None:
    batch = Latents(sample_z(range(4), 12), "z", model, noise_of(model, 4))
    again = Latents.combine([batch.pick(0), batch.pick([1, 2]), batch.pick(-1)])
    assert torch.equal(again.tensor, batch.tensor) and again.model == batch.model
    assert all(torch.equal(a, b) for a, b in zip(again.noise, batch.noise, strict=True))
    assert torch.equal(batch.pick([3, 3]).noise[0], batch.noise[0][[3, 3]])
    assert Latents.combine([batch, replace(batch, noise=None)]).noise is None
    shared = Latents(sample_z([9], 12), "z", model, noise_of(model, 1))
    assert len(Latents.combine([batch, shared]).noise[2]) == 5
    with pytest.raises(InvalidInput, match="0 to 3"):
        batch.pick(4)
    with pytest.raises(InvalidInput, match="at least one"):
        Latents.combine([])
    with pytest.raises(InvalidInput, match="w"):
        Latents.combine([batch, Latents(torch.zeros(1, 8), "w", model)])
    with pytest.raises(LatentMismatch):
        Latents.combine([batch, Latents(sample_z([0], 12), "z", tiny(seed=5))])


def test_files_keep_everything(model: MobileStyleGAN, tmp_path) -> None:
    path = tmp_path / "a.safetensors"
    inverted = Latents(torch.randn(2, model.num_ws, 8), "w+", model, noise_of(model, 1))
    for latents in (inverted, Latents(torch.randn(1, 12), "z")):
        latents.save(path, overwrite=True)
        back = Latents.load(path)
        assert torch.equal(back.tensor, latents.tensor) and (back.space, back.model) == (latents.space, latents.model)
        assert len(back.noise or ()) == len(latents.noise or ())
        assert all(torch.equal(a, b) for a, b in zip(back.noise or (), latents.noise or (), strict=True))


def test_files_that_are_no_latents(tmp_path) -> None:
    from safetensors.torch import save_file

    garbage, foreign, torn = tmp_path / "a.safetensors", tmp_path / "b.safetensors", tmp_path / "c.safetensors"
    garbage.write_bytes(b"nothing")
    save_file({"latents": torch.zeros(1, 4)}, str(foreign))
    save_file({"latents": torch.zeros(1, 4)}, str(torn),
              {"format": "stylegan-atelier-latents", "latents": '{"space": "w+", "model": null}'})
    for path in (garbage, foreign, torn, tmp_path / "missing.safetensors", tmp_path):
        with pytest.raises(LoadError, match=path.name):
            Latents.load(path)


def test_rows_by_name_and_by_px(model: MobileStyleGAN) -> None:
    assert rows_between(model, "coarse") == [0, 1, 2, 3]
    assert rows_between(model, "middle") == [4, 5, 6, 7]
    assert rows_between(model, "8-16") == rows_between(model, "16-8 px") == [1, 2, 3, 4, 5, 6]
    assert rows_between(model, "16-") == [4, 5, 6, 7]
    assert rows_between(model, "4, 32") == [0, 7]
    assert rows_between(model, "all") == list(range(model.num_ws))
    with pytest.raises(InvalidInput, match="4, 8, 16, 32 px"):
        rows_between(model, "fine")
    with pytest.raises(InvalidInput, match="no layer range"):
        rows_between(model, "eyes")


def test_a_row_shared_with_an_image_head_counts_at_its_convolution(model: MobileStyleGAN) -> None:
    # StyleGAN2's image head at 4 px shares its row with the first convolution at 8 px.
    from stylegan_core.networks.generators.base import StyledLayer

    class Rows:
        layers = (StyledLayer("b4.conv1", 4, 0, "conv"), StyledLayer("b4.torgb", 4, 1, "rgb"),
                  StyledLayer("b8.conv0", 8, 1, "up"), StyledLayer("b8.torgb", 8, 2, "rgb"))

    assert rows_between(Rows(), "4") == [0] and rows_between(Rows(), "8") == [1, 2]


@given(st.integers(1, 3), st.integers(1, 6), st.data())
@settings(max_examples=20, deadline=None)
def test_mix_is_row_assignment(batch: int, rows: int, data: st.DataObject) -> None:
    chosen = data.draw(st.sets(st.integers(0, rows - 1)))
    a, b = torch.randn(batch, rows, 4), torch.randn(data.draw(st.sampled_from([1, batch])), rows, 4)
    mixed = mix(a, b, chosen)
    for n in range(batch):
        for r in range(rows):
            assert torch.equal(mixed[n, r], b[n % len(b), r] if r in chosen else a[n, r])


def test_mix_refuses_and_slices() -> None:
    a, b = torch.zeros(2, 5, 4), torch.ones(2, 5, 4)
    assert torch.equal(mix(a, b, slice(3, None)), mix(a, b, [3, 4]))
    for other, rows in ((torch.ones(3, 5, 4), [0]), (torch.ones(2, 4, 4), [0]), (b, [5]), (b, [-1])):
        with pytest.raises(InvalidInput):
            mix(a, other, rows)


def test_mixing_latents_keeps_structure_and_noise(model: MobileStyleGAN) -> None:
    a = Latents(sample_z([1, 2], 12), "z", model, noise_of(model, 1))
    b = Latents(model.mapping(sample_z([3], 12))[:, 0], "w", model)
    mixed = mix_latents(a, b, model, "16-")
    assert mixed.space == "w+" and mixed.noise is not None
    assert torch.equal(mixed.tensor[:, :4], a.ws(model)[:, :4])
    assert torch.equal(mixed.tensor[1, 4:], b.ws(model)[0, 4:])


@given(st.floats(0, 1), st.integers(2, 16))
@settings(max_examples=30, deadline=None)
def test_slerp_stays_on_the_sphere_at_the_right_angle(t: float, dim: int) -> None:
    draw = torch.Generator().manual_seed(dim)
    a, b = (torch.nn.functional.normalize(torch.randn(dim, generator=draw, dtype=torch.float64), dim=0) for _ in "ab")
    c = slerp(a, 3 * b, t)
    angle = (a @ b).clamp(-1, 1).acos()
    assert torch.isclose(c.norm(), torch.tensor(1 + 2 * t, dtype=torch.float64), atol=1e-6)
    assert torch.isclose((a @ c / c.norm()).clamp(-1, 1).acos(), t * angle, atol=1e-5)


def test_slerp_of_parallel_and_opposite_vectors_is_straight() -> None:
    a = torch.tensor([1.0, 2.0])
    assert torch.allclose(slerp(a, a, 0.3), a)
    assert torch.allclose(slerp(a, -a, 0.25), 0.5 * a)
    assert torch.isfinite(slerp(a, torch.zeros(2), 0.5)).all()


def test_interpolation_between_two_and_along_a_list(model: MobileStyleGAN) -> None:
    keys = Latents(torch.randn(3, 8), "w", model)
    path = interpolate(keys, 5)
    assert torch.allclose(path.tensor[[0, 2, 4]], keys.tensor, atol=1e-6)
    assert torch.allclose(path.tensor[1], lerp(keys.tensor[0], keys.tensor[1], 0.5), atol=1e-6)
    round_trip = interpolate(keys, 6, loop=True)
    assert torch.allclose(round_trip.tensor[[0, 2, 4]], keys.tensor, atol=1e-6)
    assert torch.allclose(round_trip.tensor[5], lerp(keys.tensor[2], keys.tensor[0], 0.5), atol=1e-6)
    z = Latents(sample_z([0, 1], 12), "z", model)
    assert torch.allclose(interpolate(z, 3).tensor[1], slerp(z.tensor[0], z.tensor[1], 0.5))
    assert torch.allclose(interpolate(z, 3, "lerp").tensor[1], z.tensor.mean(0))
    assert torch.equal(interpolate(keys.pick(0), 4).tensor, keys.tensor[[0, 0, 0, 0]])
    assert torch.equal(interpolate(keys, 1).tensor, keys.tensor[:1])
    for steps, mode in ((0, "auto"), (3, "cubic")):
        with pytest.raises(InvalidInput):
            interpolate(keys, steps, mode)


def test_interpolated_noise_keeps_its_strength(model: MobileStyleGAN) -> None:
    keys = Latents(torch.randn(2, 8), "w", model, noise_of(model, 2))
    middle = interpolate(keys, 3).noise[-1][1]
    assert 0.85 < float(middle.std()) < 1.15
    assert len(interpolate(replace(keys, noise=tuple(noise_of(model, 1))), 3).noise[0]) == 1
