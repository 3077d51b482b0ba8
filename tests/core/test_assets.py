"""Every embedded network has a card that tells its true hash."""

from __future__ import annotations

import hashlib
import re

import pytest

from stylegan_core.assets import FOLDER, asset_path, load_asset
from stylegan_core.errors import LoadError

SIZES = {"mtcnn": 1.1e6, "lpips_alex": 5.1e6, "identity": 6.6e6}


@pytest.mark.parametrize("name", SIZES)
def test_card(name) -> None:
    path = asset_path(name)
    card = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    told = re.search(rf"- sha256 of {name}\.safetensors: `([0-9a-f]{{64}})`", card)
    assert told is not None and told[1] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "## Licence" in card and "python -m tools.assets.convert_" in card
    assert path.stat().st_size < SIZES[name]


@pytest.mark.parametrize("name", SIZES)
def test_values_are_finite(name) -> None:
    assert all(t.float().isfinite().all() for t in load_asset(name).values())



def test_unknown_asset() -> None:
    with pytest.raises(LoadError, match="mtcnn"):
        asset_path("nothing")
