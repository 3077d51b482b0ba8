"""Models that were not trained from one another: noted, or refused where nothing sensible can come out."""

from __future__ import annotations

import pytest
import torch

import stylegan_core as sg
from stylegan_core.errors import BlendMismatch
from stylegan_core.networks.generators.mobilestylegan import MobileStyleGAN, MobileStyleGANConfig
from stylegan_core.networks.mapping import MappingConfig


def model(seed: int, mapping_seed: int = 0, layers: int = 2, moved: float = 0.0) -> MobileStyleGAN:
    config = MobileStyleGANConfig(MappingConfig(12, 0, 8, 5, layers, 8), (8, 8))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = MobileStyleGAN(config)
        torch.manual_seed(mapping_seed)
        made.mapping.load_state_dict(MobileStyleGAN(config).mapping.state_dict())
        for parameter in made.mapping.parameters():
            parameter.data += moved * parameter.data.std() * torch.randn_like(parameter) if moved else 0
    return made.eval().requires_grad_(False)


def warning(base: MobileStyleGAN, other: MobileStyleGAN, **how) -> str | None:
    return sg.blend(base, other, 8, **how).info.notes.get("warning")


def test_relatives_need_no_note() -> None:
    assert warning(model(0), model(1)) is None and warning(model(0), model(1), mapping="other") is None


@pytest.mark.parametrize("moved", [0.01, 0.2])
def test_a_mapping_trained_on_is_noted(moved) -> None:
    assert "a little" in str(warning(model(0), model(1, moved=moved)))
    assert "a little" in str(warning(model(0), model(1, moved=moved), mapping="other"))


def test_strangers_are_noted_and_the_note_travels(tmp_path) -> None:
    blended = sg.blend(model(0), model(1, mapping_seed=7), 8)
    assert "strangers" in blended.info.notes["warning"]
    assert "strangers" in sg.load(sg.save(blended, tmp_path / "blend.safetensors")).info.notes["warning"]


@pytest.mark.parametrize("layers", [1, 3])
def test_a_mapping_of_another_depth_is_refused(layers) -> None:
    """Neither was trained from the other, so no layer of one knows the codes of the other."""
    for mapping in ("base", "other"):
        with pytest.raises(BlendMismatch, match=f"number of mapping layers is 2 and {layers}; .* fine-tuned"):
            warning(model(0), model(1, layers=layers), mapping=mapping)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_relative_that_was_stored_in_16_bits_needs_no_note(dtype, tmp_path) -> None:
    stored = sg.load(sg.save(model(1), tmp_path / "half.safetensors", dtype=dtype))
    assert warning(model(0), stored) is None and warning(stored, model(0)) is None


@pytest.mark.parametrize("stranger", [None, "model.pt", torch.nn.Linear(2, 2)])
def test_what_is_no_generator_is_refused(stranger) -> None:
    for pair in ((model(0), stranger), (stranger, model(0))):
        with pytest.raises(BlendMismatch, match="can't be blended; give generators"):
            sg.blend(*pair, 8)


@pytest.mark.parametrize("how", [
    {"resolution": "32"}, {"resolution": None}, {"resolution": float("nan")}, {"curve": [1]}, {"curve": {"8": 1}},
    {"curve": {}}, {"curve": {8: 1e30}}, {"curve": {8: -101}}, {"curve": {8: "1"}}, {"strength": 1e30}, {"strength": "1"},
    {"width": "1"},
])
def test_numbers_that_give_no_picture_are_refused(how) -> None:
    with pytest.raises(sg.InvalidInput):
        sg.blend(model(0), model(1), **({"resolution": 8} | how))
