"""Files made to hang a reader or to fill the memory: every reader refuses them, at a cost that grows with the file only.

In a process of its own, which is ended after some seconds of computing; memory is measured.
"""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

from stylegan_core.checkpoints.detect import telling_keys
from stylegan_core.checkpoints.layout import SourceState
from stylegan_core.checkpoints.pickle_names import resolve
from stylegan_core.checkpoints.pickle_reader import MAX_UNITS, PickleReader
from stylegan_core.checkpoints.pickle_values import BYTES_A_UNIT
from stylegan_core.checkpoints.source import Source
from stylegan_core.errors import LoadError
from tools.fuzz.__main__ import besiege, judge_attack, meet
from tools.fuzz.attacks import KINDS, colliding, names_again


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> dict[str, list[dict]]:
    """What happened to two attacks of each kind."""
    return meet(KINDS, range(2), tmp_path_factory.mktemp("attacks"))


@pytest.mark.parametrize("kind", [kind.__name__ for kind in KINDS])
def test_cost_grows_with_the_file_only(kind: str, reports) -> None:
    assert reports[kind] and [why for report in reports[kind] if (why := judge_attack(report))] == []


@pytest.mark.slow
def test_with_other_values(tmp_path) -> None:
    assert besiege(4, 100, tmp_path)[0] == []


@pytest.mark.parametrize(("body", "least"), [
    (b"X" + (60_000).to_bytes(4, "little") + b"a" * 60_000 + b".", 60_000 // BYTES_A_UNIT),  # bytes of texts
    (b"B" + (60_000).to_bytes(4, "little") + b"a" * 60_000 + b".", 60_000 // BYTES_A_UNIT),  # and of byte strings
    (b"](" + b"N" * 500 + b"e\x940ccollections\nOrderedDict\n0cbuiltins\nset\nh\x00\x85R.", 1000),  # entries handled again
    (b"](" + b"cA\nB\n" * 50 + b"e.", 400),  # and of names found out
    (b"}(" + b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x1fN" * 50 + b"u.", 100),
])
def test_work_is_charged_by_what_it_touches(body: bytes, least: int) -> None:
    reader = PickleReader(Source.of(b"\x80\x04" + body), resolve)
    before = reader.left
    reader.load()
    assert before - reader.left >= least and before == MAX_UNITS + (len(body) + 2) // BYTES_A_UNIT


@pytest.mark.parametrize("seed", range(9))
def test_colliding_keys_are_charged_before_they_collide(seed: int) -> None:
    made = colliding(random.Random(seed), 1 << 20)
    with pytest.raises(LoadError, match="more work|many numbers"):
        PickleReader(Source.of(made.data), resolve).load()


@pytest.mark.parametrize("seed", range(3))
def test_long_names_are_never_looked_up(seed: int) -> None:
    def never(module: str, name: str):
        raise AssertionError(f"{len(module)} {len(name)}")

    with pytest.raises(LoadError, match="256 characters"):
        PickleReader(Source.of(names_again(random.Random(seed), 1 << 20).data), never).load()


def test_naming_an_unknown_network_compares_each_key_a_few_times() -> None:
    compared = 0

    class Key(str):
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

    state = SourceState({Key(f"k{i}"): SimpleNamespace(numel=1, shape=(1,)) for i in range(2000)})  # type: ignore[arg-type]
    assert len(telling_keys(state)) == 5 and compared < 20_000
