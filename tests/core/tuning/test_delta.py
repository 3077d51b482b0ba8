"""Deltas: put on, taken off, kept in a file; parents stay untouched."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

import stylegan_core as sg
from stylegan_core.checkpoints.safetensors_file import METADATA_KEY
from stylegan_core.errors import DeltaMismatch, InvalidInput, LoadError
from stylegan_core.networks.generators.mobilestylegan import MobileStyleGAN, MobileStyleGANConfig
from stylegan_core.networks.mapping import MappingConfig
from stylegan_core.tuning.delta import BaseModel, Delta, cut, expand, principal

CONV, BIAS, HEAD = "synthesis.b8.conv2.weight", "synthesis.b8.conv2.bias", "synthesis.head.weight"


def tiny(seed: int = 0, mapping_seed: int = 0, channels: tuple[int, ...] = (16, 16)) -> MobileStyleGAN:
    """A random 16 px generator; equal mapping seeds make relatives."""
    config = MobileStyleGANConfig(MappingConfig(12, 0, 8, 3 * len(channels) - 1, 2, 8), channels)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = MobileStyleGAN(config)
        torch.manual_seed(mapping_seed)
        model.mapping.load_state_dict(MobileStyleGAN(config).mapping.state_dict())
    return model.eval().requires_grad_(False)


def delta_of(model: MobileStyleGAN, seed: int = 0) -> Delta:
    """A low-rank part and two whole ones."""
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw)

    parts = {CONV: (normal(16, 2), normal(2, 16)), BIAS: (normal(16),), HEAD: (normal(12, 16, 1, 1),)}
    return Delta(parts, BaseModel.of(model, parts), {"steps": 3})


@pytest.fixture
def model() -> MobileStyleGAN:
    return tiny()


def weights(model: MobileStyleGAN) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def test_it_adds_what_it_holds_and_shares_the_rest(model) -> None:
    delta, before = delta_of(model), weights(model)
    tuned = sg.apply_delta(model, delta, 0.5)
    mine, theirs = dict(model.named_parameters()), dict(tuned.named_parameters())
    for name, old in before.items():
        assert torch.equal(mine[name], old)
        if name not in delta.parts:
            assert theirs[name].data_ptr() == mine[name].data_ptr() and theirs[name] is not mine[name]
    up, down = delta.parts[CONV]
    assert torch.allclose(theirs[CONV][..., 0, 0], before[CONV][..., 0, 0] + 0.5 * up @ down)
    assert torch.equal(theirs[BIAS], before[BIAS] + 0.5 * delta.parts[BIAS][0])
    assert not any(p.requires_grad for p in tuned.parameters())


def test_taken_off_again_it_is_the_parent_and_persons_swap(model) -> None:
    a, b = delta_of(model, 1), delta_of(model, 2)
    worn = sg.apply_delta(model, a)
    for name, weight in sg.apply_delta(worn, a, -1.0).named_parameters():
        assert torch.allclose(weight, dict(model.named_parameters())[name], atol=1e-5)
    ws = model.mapping(sg.sample_z([0], 12))
    pictures = [m.synthesis(ws) for m in (model, worn, sg.apply_delta(model, b))]
    assert all((x - y).abs().max() > 0.01 for i, x in enumerate(pictures) for y in pictures[:i])
    assert torch.equal(sg.apply_delta(model, a).synthesis(ws), pictures[1])


def test_children_take_it_and_strangers_do_not(model) -> None:
    delta, toon = delta_of(model), tiny(seed=1)
    for child in (toon, sg.blend(model, toon, 8), sg.blend(model, toon, 8, mode="smooth"), sg.apply_delta(model, delta)):
        delta.check(child)
    trained_mapping = tiny(mapping_seed=5)
    delta.check(trained_mapping)  # the very weights that were tuned, behind another mapping
    for stranger in (tiny(seed=1, mapping_seed=5), tiny(channels=(16, 8)), tiny(channels=(8, 8))):
        with pytest.raises(DeltaMismatch, match="give the model it was tuned on"):
            sg.apply_delta(stranger, delta)


def test_a_blend_of_the_tuned_model_has_it_in_the_tuned_layers_only(model) -> None:
    delta, toon = delta_of(model), tiny(seed=1)
    tuned = sg.apply_delta(model, delta)
    early, late = sg.blend(tuned, toon, 8, coarse="other"), sg.apply_delta(sg.blend(model, toon, 8, coarse="other"), delta)
    here, there, plain = (dict(m.named_parameters()) for m in (early, late, toon))
    assert torch.equal(here[HEAD], there[HEAD])  # the fine side comes from the tuned model either way
    assert torch.equal(here[CONV], plain[CONV])  # the toon's layers as they were
    assert torch.allclose(there[CONV] - plain[CONV], expand(delta.parts[CONV], plain[CONV].shape), atol=1e-6)


def test_a_half_precision_parent_counts_as_the_parent(model) -> None:
    delta = delta_of(model)
    half = tiny().half()
    delta.check(half)
    assert sg.apply_delta(half, delta).synthesis.head.weight.dtype == torch.float16


def test_it_works_under_inference_mode(model) -> None:
    outside = sg.apply_delta(model, delta_of(model))
    with torch.inference_mode():
        inside = sg.apply_delta(tiny(), delta_of(tiny()))
        saved = [p.clone() for p in inside.synthesis.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(saved, outside.synthesis.parameters(), strict=True))


def test_the_file_keeps_parent_licence_and_numbers(model, tmp_path) -> None:
    model.info = replace(model.info, licence="do not sell", sha256="ab" * 32)
    delta = delta_of(model)
    path = delta.save(tmp_path / "me")
    assert path.name == "me.safetensors" and delta.nbytes == 4 * delta.numel < path.stat().st_size
    back = Delta.load(path)
    assert back.origin == delta.origin and back.notes == {"steps": 3}
    assert back.origin.chain["sha256"] == "ab" * 32 and back.origin.chain["licence"] == "do not sell"
    assert back.parts.keys() == delta.parts.keys()
    assert all(torch.equal(a, b) for n in delta.parts for a, b in zip(back.parts[n], delta.parts[n], strict=True))
    with pytest.raises(InvalidInput, match="exists already"):
        delta.save(path)


def test_the_tuned_model_names_its_parent_and_saves(model, tmp_path) -> None:
    model.info = replace(model.info, licence="do not sell")
    tuned = sg.apply_delta(model, delta_of(model))
    assert tuned.info.licence == "do not sell" and tuned.info.notes["delta"]["steps"] == 3
    assert [p["licence"] for p in tuned.info.parents] == ["do not sell"]
    toon = tiny(seed=1)
    toon.info = replace(toon.info, licence="CC0-1.0")
    assert sg.apply_delta(toon, delta_of(model)).info.licence == "CC0-1.0 + do not sell", "a face brings its model's licence"
    back = sg.load(sg.save(tuned, tmp_path / "tuned"))
    assert torch.equal(back.synthesis.head.weight, tuned.synthesis.head.weight)


BAD = {
    "NaN": lambda t: t[CONV + ".up"].fill_(float("nan")),
    "infinity": lambda t: t[BIAS + ".whole"].fill_(float("inf")),
    "ranks": lambda t: t.update({CONV + ".down": torch.zeros(3, 16)}),
    "no rank": lambda t: t.update({CONV + ".down": torch.zeros(0, 16), CONV + ".up": torch.zeros(16, 0)}),
    "vectors": lambda t: t.update({CONV + ".down": torch.zeros(2)}),
    "half a pair": lambda t: t.pop(CONV + ".up"),
    "both kinds": lambda t: t.update({CONV + ".whole": torch.zeros(16, 16, 1, 1)}),
    "whole numbers": lambda t: t.update({BIAS + ".whole": torch.zeros(16, dtype=torch.int32)}),
    "mapping": lambda t: t.update({"mapping.fc0.weight.whole": torch.zeros(2)}),
    "no name": lambda t: t.update({"tensor": torch.zeros(2)}),
}


@pytest.mark.parametrize("damage", BAD.values(), ids=BAD.keys())
def test_damaged_files(model, tmp_path, damage) -> None:
    path = delta_of(model).save(tmp_path / "good")
    with safe_open(str(path), framework="pt") as file:
        metadata, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    damage(tensors)
    save_file(tensors, str(tmp_path / "bad.safetensors"), metadata)
    with pytest.raises(LoadError, match=r"^bad\.safetensors"):
        Delta.load(tmp_path / "bad.safetensors")


@pytest.mark.parametrize("text", ['{"format": 1, "family": "delta"}', '{"format": 1, "family": "delta", "origin": []}',
                                  '{"format": 1, "family": "delta", "origin": {"signature": {"x": 1}}}', "{", '{"format": 2}'])
def test_damaged_metadata(tmp_path, text: str) -> None:
    save_file({}, str(tmp_path / "bad.safetensors"), {METADATA_KEY: text})
    with pytest.raises(LoadError):
        Delta.load(tmp_path / "bad.safetensors")


def test_foreign_files(model, tmp_path) -> None:
    save_file({"lora.up": torch.zeros(2)}, str(tmp_path / "lora.safetensors"))
    (tmp_path / "text.safetensors").write_text("hello")
    for path in (tmp_path / "lora.safetensors", tmp_path / "text.safetensors", tmp_path / "absent.safetensors",
                 sg.save(model, tmp_path / "model")):
        with pytest.raises(LoadError, match=path.stem):
            Delta.load(path)


@pytest.mark.parametrize("strength", [float("nan"), float("inf")])
def test_bad_strength(model, strength: float) -> None:
    with pytest.raises(InvalidInput, match="strength"):
        sg.apply_delta(model, delta_of(model), strength)


def test_principal_directions_say_the_same_and_cut_keeps_the_strongest() -> None:
    draw = torch.Generator().manual_seed(0)
    pair = torch.randn(20, 4, generator=draw), torch.randn(4, 18, generator=draw)
    whole = (pair[0] @ pair[1]).reshape(20, 2, 3, 3)
    singular = torch.linalg.svdvals(whole.flatten(1))
    for part in (pair, (whole,)):
        found = principal(part)
        assert torch.allclose(expand(found, whole.shape), whole, atol=1e-4)
        assert torch.allclose(found[0].norm(dim=0)[:4] ** 2, singular[:4], rtol=1e-3)
        for rank in (1, 2, 3):
            kept = float(singular[:rank].square().sum() / singular.square().sum())
            short = cut(found, kept - 1e-4)
            assert [t.shape for t in short] == [(20, rank), (rank, 18)]
            lost = float((expand(short, whole.shape) - whole).square().sum() / whole.square().sum())
            assert lost == pytest.approx(1 - kept, abs=1e-3)
    vector = (torch.ones(3),)
    assert principal(vector) is vector and cut(vector, 0.1) is vector
