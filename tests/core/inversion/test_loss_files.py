"""The user's own loss networks: found, heeded, and replaced with a note when they are not there."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import stylegan_core as sg
from stylegan_core.inversion.loss_files import loss_networks
from stylegan_core.losses.identity import ArcFaceLoss
from stylegan_core.networks.judges.features import vgg16
from stylegan_core.networks.judges.irse import IRSE50, IRSE50Config, IRSEConfig
from tests.core.inversion.tiny import FAST, samples, tiny

WANTED = replace(FAST, lpips_network="vgg", identity=0.1, identity_network="ir_se50", steps=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Narrow networks under the published files' names and keys."""
    root = tmp_path_factory.mktemp("models")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        trunk = {}
        for index in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28):
            trunk[f"features.{index}.weight"] = torch.randn(4, 4 if index else 3, 3, 3) * 0.3
            trunk[f"features.{index}.bias"] = torch.zeros(4)
        torch.save(trunk | {"classifier.0.weight": torch.zeros(2, 2)}, root / "vgg16-397923af.pth")
        torch.save({f"lin{k}.model.1.weight": torch.rand(1, 4, 1, 1) for k in range(5)}, root / "vgg.pth")
        network = IRSE50(IRSE50Config(IRSEConfig((16,) * 4), 8))
        torch.save(network.state_dict(), root / "model_ir_se50.pth")
    return root


def test_files_are_used(folder) -> None:
    found, notes = loss_networks(WANTED, ["/nowhere", folder])
    assert not notes and found["lpips"].trunk.config.name == vgg16().name and isinstance(found["identity"], ArcFaceLoss)
    model = tiny()
    ours = sg.invert(model, samples(model, [1]), options=WANTED, folders=[folder])
    plain = sg.invert(model, samples(model, [1]), options=replace(WANTED, lpips_network="alex", identity_network="embedded"))
    assert not ours.notes and float(ours.losses["lpips"]) != float(plain.losses["lpips"])
    assert float(ours.losses["identity"]) != float(plain.losses["identity"])


def test_missing_files_fall_back_and_say_so(tmp_path) -> None:
    model = tiny()
    found = sg.invert(model, samples(model, [1]), options=WANTED, folders=[tmp_path])
    assert {"lpips", "identity"} <= set(found.losses) and len(found.notes) == 2
    assert "vgg.pth" in found.notes[0] and "LPIPS-Alex" in found.notes[0] and "model_ir_se50.pth" in found.notes[1]


def test_broken_and_foreign_files_fall_back_too(folder, tmp_path) -> None:
    (tmp_path / "model_ir_se50.pth").write_bytes(b"not a network")
    for name in ("vgg.pth", "vgg16-397923af.pth"):
        (tmp_path / name).write_bytes((folder / "vgg.pth").read_bytes())
    found, notes = loss_networks(WANTED, [tmp_path])
    assert not found and len(notes) == 2
    sg.save(tiny(), tmp_path / "generator.safetensors")
    (tmp_path / "model_ir_se50.pth").write_bytes((tmp_path / "generator.safetensors").read_bytes())
    assert "mobilestylegan" in loss_networks(WANTED, [tmp_path])[1][1]


def test_unknown_names_are_refused() -> None:
    with pytest.raises(sg.InvalidInput, match="lpips_network"):
        replace(FAST, lpips_network="squeeze")


def test_weights_of_zero_load_nothing(folder) -> None:
    assert loss_networks(replace(WANTED, lpips=0.0, identity=0.0), [folder]) == ({}, [])


def test_a_given_network_needs_no_file() -> None:
    assert loss_networks(WANTED, [], {"lpips", "identity"}) == ({}, [])
    _, notes = loss_networks(WANTED, [], {"lpips"})
    assert len(notes) == 1 and "ir_se50" in notes[0]


def test_toonify_passes_the_notes_on() -> None:
    model = tiny()
    options = sg.ToonOptions(swap=8, inversion=replace(WANTED, identity=0.0), when_none="whole image")
    made = sg.toonify(torch.zeros(1, 3, 64, 64), model, tiny(1), options)
    assert len(made.notes) == 1 and "vgg" in made.notes[0]
