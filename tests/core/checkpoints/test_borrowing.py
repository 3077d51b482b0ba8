"""A file that builds on an embedded network: it loads whole, refuses another version, and names nothing but assets."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import stylegan_core as sg
from stylegan_core.assets import asset_path
from stylegan_core.checkpoints.borrowing import KEY, lend
from stylegan_core.checkpoints.safetensors_file import METADATA_KEY
from stylegan_core.errors import LoadError


def rewritten(tmp_path, entry):
    """The built-in DualStyleGAN with another `borrows` entry."""
    with safe_open(str(asset_path("dualstylegan")), framework="pt") as file:
        own = json.loads(file.metadata()[METADATA_KEY])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    path = tmp_path / "dual.safetensors"
    save_file(tensors, str(path), {METADATA_KEY: json.dumps({**own, KEY: entry})})
    return path


def test_it_holds_the_base_itself() -> None:
    dual, base = sg.load(asset_path("dualstylegan")), sg.load(asset_path("base"))
    ours, theirs = dual.base.state_dict(), base.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in theirs)


def test_a_saved_copy_borrows_nothing(tmp_path) -> None:
    path = sg.save(sg.load(asset_path("dualstylegan")), tmp_path / "whole", dtype=torch.float16)
    with safe_open(str(path), framework="pt") as file:
        assert KEY not in json.loads(file.metadata()[METADATA_KEY]) and "base.synthesis.const" in file.keys()  # noqa: SIM118
    assert sg.load(path).kind == "dualstylegan"


def test_another_version_is_refused(tmp_path) -> None:
    with pytest.raises(LoadError, match='another version of the built-in "base"'):
        sg.load(rewritten(tmp_path, {**lend("base", "base.")[KEY], "sha256": "0" * 64}))


@pytest.mark.parametrize("entry", [{"asset": "../../secret", "sha256": "", "prefix": ""}, {"asset": "base"}, "base", 3,
                                   {"asset": "nothing", "sha256": "", "prefix": "base."}])
def test_only_assets_can_be_borrowed(tmp_path, entry) -> None:
    with pytest.raises(LoadError):
        sg.load(rewritten(tmp_path, entry))
