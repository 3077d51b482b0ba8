"""Every options class checks its numbers when it is made."""

from __future__ import annotations

from dataclasses import fields

import pytest

import stylegan_core as sg
from stylegan_core.errors import InvalidInput
from stylegan_core.stylization import DestylizeOptions, RefineOptions
from stylegan_core.training.pairs_options import PairsOptions

CLASSES = (sg.InversionOptions, sg.TuneOptions, DestylizeOptions, RefineOptions, PairsOptions)
NUMBERS = [(made, field.name) for made in CLASSES for field in fields(made)
           if isinstance(getattr(made(), field.name), (int, float)) and not isinstance(getattr(made(), field.name), bool)]


@pytest.mark.parametrize(("made", "name"), NUMBERS, ids=lambda x: x if isinstance(x, str) else x.__name__)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1])
def test_no_number_is_wrong(made, name, value):
    with pytest.raises(InvalidInput, match=name):
        made(**{name: value})


@pytest.mark.parametrize(("made", "name"), [
    (sg.InversionOptions, "steps"), (sg.TuneOptions, "chunk"), (DestylizeOptions, "chunk"), (RefineOptions, "chunk"),
    (PairsOptions, "batch"), (DestylizeOptions, "truncation_psi")])
def test_nor_too_small(made, name):
    with pytest.raises(InvalidInput, match=name):
        made(**{name: 0})
