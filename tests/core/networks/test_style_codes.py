"""Style banks and the style sampler: published files, picking, and what is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

import stylegan_core as sg
from stylegan_core.errors import InvalidInput, LoadError, UnsafeCheckpoint
from stylegan_core.networks.sampler import StyleSampler, StyleSamplerConfig
from stylegan_core.networks.style_bank import StyleBank
from tests.rule import fill_all, network

FILES = {"exstyle_code.npy": "ex", "instyle_code.npy": "ins", "refined_exstyle_code.npy": "ref"}


@pytest.mark.parametrize("file", FILES)
def test_published_codes(file: str, golden, tmp_path) -> None:
    case = golden("codes_npy")
    bank = sg.load(case.file(file))
    assert bank.kind == sg.inspect(case.file(file)).kind == "style_bank"
    assert bank.names == tuple(case.array("names")) and torch.equal(bank.codes, case.tensor(FILES[file]))
    assert bank.config.role == ("intrinsic" if file.startswith("in") else "extrinsic")
    again = sg.load(sg.save(bank, tmp_path / "bank.safetensors"))
    assert again.config == bank.config and torch.equal(again.codes, bank.codes)


def test_hostile_codes_run_nothing(golden, capsys) -> None:
    with pytest.raises(UnsafeCheckpoint, match=r"builtins\.print"):
        sg.load(golden("codes_npy").file("hostile_code.npy"))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("value", [
    {"a.png": np.zeros((1, 4, 8), np.float32), "b.png": np.zeros((1, 5, 8), np.float32)},
    {"a.png": [1, 2, 3]}, {"a.png": np.array([{}, {}], dtype=object)}, {}, [1, 2], np.zeros((2, 2, 2, 2), np.float32), 3.0,
])
def test_other_npy_files_are_refused(value, tmp_path) -> None:
    np.save(tmp_path / "codes.npy", value, allow_pickle=True)
    with pytest.raises(LoadError):
        sg.load(tmp_path / "codes.npy")


@pytest.mark.parametrize("damage", ["cut", "header", "shape", "empty"])
def test_damaged_npy_files_are_refused(damage: str, golden, tmp_path) -> None:
    data = golden("codes_npy").file("exstyle_code.npy").read_bytes()
    data = {"cut": data[:-40], "header": data[:10] + b"(" * 60 + data[70:],
            "shape": data.replace(b"'shape': ()", b"'shape': 7 "), "empty": data[:9]}[damage]
    (tmp_path / "codes.npy").write_bytes(data)
    with pytest.raises(LoadError):
        sg.load(tmp_path / "codes.npy")


def test_plain_arrays_are_codes_too(tmp_path) -> None:
    codes = np.random.randn(3, 4, 8).astype(np.float32)
    np.save(tmp_path / "codes.npy", codes)
    bank = sg.load(tmp_path / "codes.npy")
    assert len(bank) == 3 and np.array_equal(bank.codes.numpy(), codes)


def test_picking_by_number_and_name(golden) -> None:
    bank = sg.load(golden("codes_npy").file("exstyle_code.npy"))
    name = bank.names[2]
    for style in (2, "2", name, name.rsplit(".", 1)[0]):
        assert torch.equal(bank.pick(style).tensor, bank.codes[2:3])
    assert torch.equal(bank.pick([3, name]).tensor, bank.codes[[3, 2]])
    with pytest.raises(InvalidInput, match="from 0 to 3"):
        bank.pick(4)
    with pytest.raises(InvalidInput, match="0 to 3"):
        bank.pick("nobody.png")


def test_a_bank_remembers_its_model(tmp_path) -> None:
    signature = sg.ModelSignature("stylegan2", 64, 4, 8, "0123456789abcdef")
    bank = StyleBank.of(sg.Latents(torch.randn(2, 4, 8), "z+", signature), ["a", "b"])
    again = sg.load(sg.save(bank, tmp_path / "bank.safetensors"))
    assert again.pick("b").model == signature
    with pytest.raises(InvalidInput, match="one distinct name"):
        StyleBank.of(sg.Latents(torch.randn(2, 4, 8), "z+"), ["a", "a"])


def test_published_sampler(golden, tmp_path) -> None:
    case = golden("sampler_tiny")
    sampler = sg.load(case.file("sampler.pt"))
    noise = case.tensor("in.e_structure"), case.tensor("in.e_color")
    assert (sampler(*noise).tensor - case.tensor("eval.latent")).abs().max() < 1e-4
    assert (sampler(*(n[:1] for n in noise)).tensor - case.tensor("eval.latent")[:1]).abs().max() < 1e-4
    again = sg.load(sg.save(sampler, tmp_path / "sampler.safetensors"))
    assert again.config == sampler.config and torch.equal(again(*noise).tensor, sampler(*noise).tensor)
    assert (sampler.train()(*noise).tensor - case.tensor("train.latent")).abs().max() < 1e-4


def test_full_size_sampler_by_rule(golden) -> None:
    case = golden("sampler_full_rule")
    sampler = network(fill_all(case.json("manifest.json")))
    codes = sampler(case.tensor("in.e_structure"), case.tensor("in.e_color"))
    assert codes.space == "z+" and (codes.tensor - case.tensor("eval.latent")).abs().max() < 1e-4


def test_sampling_is_seeded_and_parts_can_be_held() -> None:
    torch.manual_seed(0)
    sampler = StyleSampler(StyleSamplerConfig(color_rows=3, dim=16)).eval()
    codes = sampler.sample(4, seed=5).tensor
    assert codes.shape == (4, 10, 16) and torch.allclose(sampler.sample(1, seed=7).tensor[0], codes[2], atol=1e-6)
    held = sampler.sample(4, seed=5, hold_structure=True).tensor
    assert torch.allclose(held[:, :7], codes[:1, :7].expand(4, -1, -1), atol=1e-6)
    assert torch.allclose(held[:, 7:], codes[:, 7:], atol=1e-6)
    assert torch.allclose(sampler.sample(3, 5, hold_color=True).tensor[1, 7:], codes[0, 7:], atol=1e-6)
    with pytest.raises(InvalidInput, match="at least 1"):
        sampler.sample(0)
    with pytest.raises(InvalidInput, match=r"\[batch, 128\]"):
        sampler(torch.randn(2, 128), torch.randn(3, 128))


def test_incomplete_sampler_is_named(golden, tmp_path) -> None:
    tree = torch.load(golden("sampler_tiny").file("sampler.pt"), weights_only=True)
    del tree["color"]["lin_out.weight"]
    torch.save(tree, tmp_path / "sampler.pt")
    with pytest.raises(LoadError, match=r"color\.lin_out\.weight"):
        sg.load(tmp_path / "sampler.pt")


@pytest.mark.parametrize(("named", "error"), [(StyleSamplerConfig, "no {name: code} pairs"), (eval, r"builtins\.eval")])
def test_names_in_codes_are_never_imported(named, error: str, tmp_path) -> None:
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }"
    body = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + pickle.dumps(named)
    (tmp_path / "codes.npy").write_bytes(body)
    with pytest.raises(UnsafeCheckpoint if named is eval else LoadError, match=error):
        sg.load(tmp_path / "codes.npy")
