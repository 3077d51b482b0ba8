"""Every embedded network has a card that tells its true hash, and all of them together stay small."""

from __future__ import annotations

import hashlib
import re

import pytest

import stylegan_core as sg
from stylegan_core.assets import FOLDER, asset_path, load_asset
from stylegan_core.errors import LoadError

SIZES = {"mtcnn": 1.1, "lpips_alex": 5.1, "identity": 6.6, "line_x4": 1.3, "base": 20.5, "base-256": 3.5, "figurine": 5.0,
         "ink": 4.0, "painting": 4.0,
         "encoder": 16.0, "dualstylegan": 28.5, "styles": 1.0, "style_sampler": 3.5, "directions": 0.1}
"""Megabytes at most."""
KINDS = {**dict.fromkeys(("base", "base-256", "figurine", "ink", "painting", "toon"), "mobilestylegan"),
         "encoder": "encoder", "dualstylegan": "dualstylegan", "styles": "style_bank", "style_sampler": "style_sampler"}
ALL_TOGETHER = 105.0


def test_every_file_is_known() -> None:
    assert {path.stem for path in FOLDER.glob("*.safetensors")} == set(SIZES)
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.is_file()) < ALL_TOGETHER * 1e6


@pytest.mark.parametrize("name", SIZES)
def test_card(name) -> None:
    path = asset_path(name)
    card = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    told = re.search(rf"- sha256 of {name}\.safetensors: `([0-9a-f]{{64}})`", card)
    assert told is not None and told[1] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "licence" in card.lower() and "tools" in card
    assert path.stat().st_size < SIZES[name] * 1e6


@pytest.mark.parametrize("name", SIZES)
def test_values_are_finite(name) -> None:
    assert all(t.float().isfinite().all() for t in load_asset(name).values())


@pytest.mark.parametrize("name", KINDS)
def test_networks_load(name) -> None:
    model = sg.load(sg.builtin(name))
    assert model.kind == sg.inspect(sg.builtin(name)).kind == KINDS[name]


def test_the_family_fits_together() -> None:
    names = ("base-256", "figurine", "encoder", "dualstylegan", "styles")
    base, look, encoder, dual, bank = (sg.load(sg.builtin(name)) for name in names)
    latents = bank.pick("owl night")
    for model in (base, look, dual.base):
        latents.check(model)
    assert encoder.signature.mapping_hash == sg.ModelSignature.of(base).mapping_hash
    assert sg.load(sg.builtin("style_sampler")).sample(2, 0).ws(dual.base).shape == (2, dual.num_ws, dual.w_dim)
    assert dual.img_resolution == 1024 and len(bank) >= 30
    first = ("comic", "sepia", "sunset", "vivid", "ink", "night", "pastel", "forest")
    assert {name.split()[1] for name in bank.names[:24]} == set(first), "saved workflows name them"


def test_unknown_asset() -> None:
    with pytest.raises(LoadError, match="mtcnn"):
        asset_path("nothing")
