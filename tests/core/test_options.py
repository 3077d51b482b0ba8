"""Every options class checks what it is given when it is made."""

from __future__ import annotations

import math
from dataclasses import MISSING, fields
from typing import Any

import pytest

import stylegan_core as sg
from stylegan_core.engine.fitting import FitOptions
from stylegan_core.errors import InvalidInput
from stylegan_core.stylization import DestylizeOptions, RefineOptions
from stylegan_core.training.options import TrainOptions
from stylegan_core.training.pairs_options import PairsOptions
from stylegan_core.training.transfer_options import TransferOptions

CLASSES = (sg.InversionOptions, sg.VideoOptions, sg.TuneOptions, DestylizeOptions, RefineOptions, sg.ToonOptions, PairsOptions,
           TransferOptions, TrainOptions, FitOptions)
CALLED = {"swap": "resolution", "ada_target": "target"}
"""Fields that the sentence names otherwise."""


def needed(made: type) -> dict[str, Any]:
    """What a class has no default for."""
    return {field.name: 1 for field in fields(made) if field.default is MISSING}


def numbers(made: type) -> list[str]:
    plain = made(**needed(made))
    return [field.name for field in fields(made) if type(getattr(plain, field.name)) in (int, float)]


NUMBERS = [(made, name) for made in CLASSES for name in numbers(made)]


@pytest.mark.parametrize(("made", "name"), NUMBERS, ids=lambda x: x if isinstance(x, str) else x.__name__)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -3])
def test_no_number_is_wrong(made, name, value):
    with pytest.raises(InvalidInput, match=CALLED.get(name, name)):
        made(**{**needed(made), name: value})


@pytest.mark.parametrize(("made", "name"), [
    (sg.InversionOptions, "steps"), (sg.TuneOptions, "chunk"), (DestylizeOptions, "chunk"), (RefineOptions, "chunk"),
    (PairsOptions, "batch"), (DestylizeOptions, "truncation_psi"), (FitOptions, "save_every"), (sg.VideoOptions, "lr")])
def test_nor_too_small(made, name):
    with pytest.raises(InvalidInput, match=name):
        made(**{**needed(made), name: 0})


@pytest.mark.parametrize(("made", "given"), [
    (sg.ToonOptions, {"mode": "melt", "swap": -3}), (sg.ToonOptions, {"precision": "half"}), (sg.ToonOptions, {"which": "x"}),
    (sg.VideoOptions, {"first": "thorough"}), (sg.InversionOptions, {"lpips_network": "resnet"}),
    (TrainOptions, {"betas": (0.0, math.nan)}), (TrainOptions, {"D_lr": math.nan}), (TransferOptions, {"augment": "all"}),
    (TransferOptions, {"layers": "some"}), (TransferOptions, {"judge_resolution": 100}),
    (PairsOptions, {"resolutions": "some"})])
def test_nor_a_word_or_a_tuple(made, given):
    with pytest.raises(InvalidInput):
        made(**given)
