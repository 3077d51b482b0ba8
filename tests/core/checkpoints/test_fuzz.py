"""Damaged variants of every small checkpoint keep every promise of the loader; tools/fuzz says which."""

from __future__ import annotations

import pytest

from tools.fuzz.__main__ import fuzz
from tools.fuzz.mutations import mutate


def test_mutations_are_seeded(tiny) -> None:
    data = tiny("tf_sg2_gray").read_bytes()
    assert mutate(data, 7) == mutate(data, 7) and mutate(data, 7)[1] != data


def test_a_few_variants(tmp_path) -> None:
    findings, outcomes = fuzz(60, 10_000, tmp_path)
    assert findings == [] and outcomes.total() == 60


@pytest.mark.slow
def test_two_thousand_variants(tmp_path) -> None:
    findings, outcomes = fuzz(2000, 0, tmp_path)
    assert findings == [] and outcomes.total() == 2000 and outcomes["LoadError"] > 1000
