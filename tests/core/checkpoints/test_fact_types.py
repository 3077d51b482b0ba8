"""Facts beside the tensors: of the config's types, or refused before anything reckons with them; our own mistakes fly."""

from __future__ import annotations

import pytest
import torch

import stylegan_core as sg
from stylegan_core.checkpoints.fact_types import check_facts
from stylegan_core.checkpoints.layout import ConvertedState
from stylegan_core.checkpoints.loading import configure
from stylegan_core.checkpoints.saving import plain_config
from stylegan_core.networks import FAMILIES
from stylegan_core.networks.generators.stylegan2 import StyleGAN2Config
from tests.core.networks.models import tiny_stylegan2

BUILT_IN = ("base", "base-256", "encoder", "dualstylegan", "styles", "style_sampler")


@pytest.mark.parametrize("name", BUILT_IN)
def test_what_is_saved_passes(name) -> None:
    model = sg.load(sg.builtin(name))
    family = str(getattr(model, "family", model.kind))
    stored = plain_config(model.config)
    check_facts(FAMILIES[family][0], {**stored, **(stored["mapping"] if isinstance(stored.get("mapping"), dict) else {})})


@pytest.mark.parametrize(("name", "value"), [
    ("conv_clamp", "256"), ("conv_clamp", [256]), ("resample_kernel", 3), ("resample_kernel", ["a"]), ("lr_multiplier", {}),
    ("activation", 3), ("mapping", 5), ("scaled_demodulation", "yes"), ("channels", None)])
def test_another_type_is_refused_by_name(name, value) -> None:
    with pytest.raises(sg.LoadError, match=f"gives {name} = "):
        check_facts(StyleGAN2Config, {name: value})


@pytest.mark.parametrize(("name", "value"), [
    ("conv_clamp", None), ("conv_clamp", 256), ("resample_kernel", [1, 3, 3, 1]), ("resample_kernel", [[1, 2], [2, 1.5]]),
    ("activation", "lrelu"), ("lr_multiplier", 1), ("scaled_demodulation", True), ("unheard of", object())])
def test_what_files_write_passes(name, value) -> None:
    check_facts(StyleGAN2Config, {name: value})


@pytest.mark.parametrize(("name", "value", "words"), [
    ("resample_kernel", [1.0] * 100_000, "64 at most"),
    ("lr_multiplier", 0, "above 0"), ("lr_multiplier", float("nan"), "above 0")])
def test_a_number_that_no_network_has_is_refused_before_it_costs_anything(name, value, words) -> None:
    tensors = {key: torch.empty(tensor.shape) for key, tensor in tiny_stylegan2().state_dict().items()}
    with pytest.raises(sg.LoadError, match=words):
        configure("stylegan2", ConvertedState(tensors, {name: value}))  # type: ignore[arg-type]


def test_a_mistake_of_ours_is_not_the_files(monkeypatch) -> None:
    model = tiny_stylegan2()
    tensors = {key: torch.empty(tensor.shape) for key, tensor in model.state_dict().items()}
    monkeypatch.setattr(StyleGAN2Config, "from_shapes", lambda shapes, facts: None.anything)  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        configure("stylegan2", ConvertedState(tensors, {}))  # type: ignore[arg-type]
