"""safetensors: what is saved comes back, with its history, and never over somebody's file."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch
from safetensors import safe_open

from stylegan_core import checkpoints
from stylegan_core.errors import InvalidInput, LoadError, SaveError, UnsupportedCheckpoint
from stylegan_core.networks.dualstylegan import DualStyleGAN
from stylegan_core.networks.generators.mobilestylegan import MobileStyleGAN, MobileStyleGANConfig
from stylegan_core.networks.mapping import MappingConfig

from .conftest import TINY


def image_of(model) -> torch.Tensor:
    z = torch.randn(2, model.z_dim, generator=torch.Generator().manual_seed(0))
    c = torch.eye(model.c_dim)[:2] if model.c_dim else None
    with torch.no_grad():
        return model(z, c, truncation_psi=0.7)


@pytest.mark.parametrize("name", TINY)
def test_round_trip_draws_identical_images(name, tiny, tmp_path) -> None:
    model = checkpoints.load(tiny(name))
    back = checkpoints.load(checkpoints.save(model, tmp_path / "m"))
    assert back.config == model.config
    assert torch.equal(image_of(back), image_of(model))


@pytest.fixture
def mobile() -> MobileStyleGAN:
    torch.manual_seed(0)
    return MobileStyleGAN(MobileStyleGANConfig(MappingConfig(32, 0, 32, 8, 3, 32), (16, 16, 8))).eval()


def test_mobilestylegan_round_trip(mobile, tmp_path) -> None:
    back = checkpoints.load(checkpoints.save(mobile, tmp_path / "m.safetensors"))
    assert torch.equal(image_of(back), image_of(mobile))


def test_bare_state_dict_of_a_mobilestylegan(mobile, tmp_path) -> None:
    torch.save(mobile.state_dict(), tmp_path / "bare.pt")
    assert torch.equal(image_of(checkpoints.load(tmp_path / "bare.pt")), image_of(mobile))


def test_metadata(golden, tiny, tmp_path) -> None:
    model = checkpoints.load(tiny("ros2_converted_tiny"))
    path = checkpoints.save(model, tmp_path / "m", {"licence": "CC0-1.0", "notes": {"made": "by hand"}})
    with safe_open(path, "pt") as file:
        told = json.loads(file.metadata()["stylegan_atelier"])
        assert set(file.keys()) == set(model.state_dict())
    source = tiny("ros2_converted_tiny")
    assert told["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest() == checkpoints.sha256_of(source)
    assert told["source"] == source.name and told["licence"] == "CC0-1.0" and told["format"] == 1
    assert str(tmp_path) not in json.dumps(told)
    facts = checkpoints.inspect(path)
    assert facts.licence == "CC0-1.0" and facts.sha256 == told["sha256"] and facts.notes == {"made": "by hand"}
    again = checkpoints.load(path)
    assert checkpoints.lineage(again)["name"] == source.name and checkpoints.lineage(again)["sha256"] == told["sha256"]


def test_the_generator_inside_a_dualstylegan_tells_its_files_licence(tmp_path) -> None:
    mobile = MobileStyleGAN(MobileStyleGANConfig(MappingConfig(16, 0, 16, 11, 2, 16), (16,) * 4)).eval()
    path = checkpoints.save(DualStyleGAN.over(mobile), tmp_path / "dual", {"licence": "do not sell"})
    dual = checkpoints.load(path)
    told = checkpoints.lineage(dual.base)
    assert told == checkpoints.lineage(dual) | {"family": mobile.kind} and told["licence"] == "do not sell"
    assert checkpoints.load(checkpoints.save(dual.base, tmp_path / "base")).info.licence == "do not sell"


def test_half_precision_storage_loads_as_float32(tiny, tmp_path) -> None:
    model = checkpoints.load(tiny("ada_sg2_tiny"))
    path = checkpoints.save(model, tmp_path / "half", dtype=torch.float16)
    full = checkpoints.save(model, tmp_path / "full")
    assert path.stat().st_size < 0.6 * full.stat().st_size
    back = checkpoints.load(path)
    assert {p.dtype for p in back.parameters()} == {torch.float32}
    assert {p.dtype for p in checkpoints.load(path, dtype=torch.float16).parameters()} == {torch.float16}
    assert (image_of(back) - image_of(model)).abs().max() < 0.05 * image_of(model).abs().max()


def test_half_precision_that_overflows_is_refused(mobile, tmp_path) -> None:
    mobile.mapping.fc0.weight.data.fill_(1e6)
    with pytest.raises(InvalidInput, match="mapping.fc0.weight"):
        checkpoints.save(mobile, tmp_path / "m", dtype=torch.float16)


def test_existing_files_stay(mobile, tmp_path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_text("mine")
    with pytest.raises(InvalidInput, match="exists"):
        checkpoints.save(mobile, path)
    assert path.read_text() == "mine"
    checkpoints.save(mobile, path, overwrite=True)
    assert checkpoints.load(path).kind == "mobilestylegan"
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_failed_write_leaves_nothing(mobile, tmp_path, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("stylegan_core.checkpoints.safetensors_file._write", fail)
    with pytest.raises(SaveError, match="disk full"):
        checkpoints.save(mobile, tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_loaded_models_are_ready_for_inference(tiny) -> None:
    model = checkpoints.load(str(tiny("ros2_train_tiny")))
    assert not model.training and not any(p.requires_grad for p in model.parameters())
    assert model.info.layout == "rosinality-stylegan2" and model.info.source.endswith("010000.pt")


def test_writing_to_a_loaded_tensor_leaves_the_file_alone(mobile, tmp_path) -> None:
    path = checkpoints.save(mobile, tmp_path / "m")
    before = path.read_bytes()
    checkpoints.load(path).synthesis.const.data.zero_()
    assert path.read_bytes() == before


@pytest.mark.parametrize(("device", "dtype"), [("nowhere", None), ("cuda:77", None), ("cpu", torch.int8)])
def test_impossible_targets(device, dtype, tiny) -> None:
    with pytest.raises(InvalidInput):
        checkpoints.load(tiny("swap_ros2_tiny"), device, dtype)


def rewritten(path, tmp_path, **changes):
    """A copy of a saved file with other metadata."""
    with safe_open(path, "pt") as file:
        tensors, told = {k: file.get_tensor(k) for k in file.keys()}, json.loads(file.metadata()["stylegan_atelier"])  # noqa: SIM118
    from safetensors.torch import save_file

    save_file(tensors, tmp_path / "changed.safetensors", {"stylegan_atelier": json.dumps({**told, **changes})})
    return tmp_path / "changed.safetensors"


def test_metadata_that_contradicts_the_tensors(mobile, tmp_path) -> None:
    path = checkpoints.save(mobile, tmp_path / "m")
    config = json.loads(json.dumps({"channels": [16, 16, 16]}))
    with pytest.raises(LoadError, match="channels"):
        checkpoints.load(rewritten(path, tmp_path, config=config))
    with pytest.raises(UnsupportedCheckpoint, match="stylegan9"):
        checkpoints.load(rewritten(path, tmp_path, family="stylegan9"))
    with pytest.raises(LoadError, match="format 2"):
        checkpoints.load(rewritten(path, tmp_path, format=2))


@pytest.mark.parametrize("which", ["ema", "discriminator"])
@pytest.mark.parametrize(("field", "value"), [("resample_kernel", []), ("resample_kernel", [1.0, float("nan")]),
                                              ("conv_clamp", -1), ("conv_clamp", "x"), ("activation", "x")])
def test_metadata_that_no_network_can_have(field, value, which, tiny, tmp_path) -> None:
    path = checkpoints.save(checkpoints.load(tiny("ros2_train_tiny"), which=which), tmp_path / "m")
    with safe_open(path, "pt") as file:
        config = json.loads(file.metadata()["stylegan_atelier"])["config"]
    with pytest.raises(LoadError):
        checkpoints.load(rewritten(path, tmp_path, config={**config, field: value}))


def test_tied_and_partial_tensors_are_written_whole(tmp_path) -> None:
    base = torch.arange(12.0)
    path = checkpoints.write_safetensors(tmp_path / "t", {"a": base[:4], "b": base, "c": base}, {"family": "none"})
    with safe_open(path, "pt") as file:
        assert torch.equal(file.get_tensor("a"), base[:4]) and torch.equal(file.get_tensor("c"), base)
