"""A tenth of the long runs, counted, whatever the machine is busy with; the whole of them is `make soak`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tools.soak import __main__ as soak
from tools.soak.world import ROOT

TENTH = ("--share", "0.1", "--minutes", "inf", "--patience", "5")


@pytest.mark.slow
def test_a_tenth_of_the_long_runs() -> None:
    done = subprocess.run([sys.executable, "-m", "tools.soak", *TENTH], cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert all(f"\n{part}\n" in f"\n{done.stdout}" for part in soak.PARTS) and "ended after" not in done.stdout


def test_a_broken_promise_is_told(monkeypatch, capsys) -> None:
    def growing(world: soak.Soak) -> None:
        for i in world.many(30):
            world.check(i != 1, f"number {i}")

    monkeypatch.setattr("logging.disable", lambda level: None)
    monkeypatch.setattr(soak, "PARTS", {"prompts": growing})
    assert soak.main(["prompts", "--share", "0.1"]) == 1
    assert "BROKEN: number 1\n1 broken promises" in capsys.readouterr().out
    assert soak.main(["prompts", "--share", "0.03"]) == 0
