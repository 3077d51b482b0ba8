"""What inspect says of every small file, as it was written down once in snapshots.json.

    python -m tests.core.checkpoints.test_snapshots    writes it anew, for a change that is meant
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from stylegan_core import checkpoints

from .loadable import CASES, GOLDENS, IDS

STORED = Path(__file__).with_name("snapshots.json")


def told(file: str, which: str) -> dict:
    """All facts of a file but its place, as JSON has them, and the sentence."""
    facts = checkpoints.inspect(GOLDENS / file, which)
    plain = {name: value for name, value in asdict(facts).items() if name != "path" and value not in (None, "", (), {})}
    return json.loads(json.dumps({"sentence": facts.sentence(), **plain}))


@pytest.mark.parametrize(("file", "which"), CASES, ids=IDS)
def test_facts_equal_the_snapshot(file: str, which: str) -> None:
    assert told(file, which) == json.loads(STORED.read_text())[f"{file} {which}"]


def test_no_snapshot_is_left_over() -> None:
    assert sorted(json.loads(STORED.read_text())) == sorted(IDS)


if __name__ == "__main__":
    found = {name: told(*case) for name, case in zip(IDS, CASES, strict=True)}
    STORED.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
