"""Bad files of every kind: none runs, none hangs, none exhausts memory, each is refused in plain words."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import TINY

WATCH = Path(__file__).with_name("watch.py")
GOLDENS = Path(__file__).parents[2] / "goldens"
EXPECTED = json.loads((GOLDENS / "hostile" / "expected.json").read_text())
REFUSALS = {"LoadError", "UnsafeCheckpoint", "UnsupportedCheckpoint"}
SAYS = {
    "html.pkl": "web page", "text.pt": "git-lfs", "empty.pt": "empty", "truncated_zip.pt": "truncated",
    "truncated_legacy.pt": "truncated", "truncated.pkl": "truncated", "missing_key.pt": "convs.1.conv.weight",
    "nan_weights.pt": "convs.1.conv.weight", "absurd_resolution.pt": "1048576 px", "reduce_os_system.pkl": "system",
    "builtins_eval.pkl": "builtins.eval", "storage_numel_lie.pt": "2199023255552",
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> dict[str, dict]:
    """What happened to each hostile file, read in one watched process in an empty folder."""
    here = tmp_path_factory.mktemp("empty")
    files = [str(GOLDENS / "hostile" / name) for name in EXPECTED]
    each_container = ("ros2_converted_tiny", "swap_ros2_tiny", "ada_sg2_cond", "tf_sg2_gray")
    warm_up = [str(GOLDENS / name / TINY[name]) for name in each_container]
    done = subprocess.run([sys.executable, str(WATCH), *warm_up], input="\n".join(files), text=True, capture_output=True,
                          cwd=here, timeout=600, check=True)
    assert not list(here.iterdir()), "a file left something behind"
    return {Path(r["path"]).name: r for r in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", EXPECTED)
def test_hostile_file(name: str, reports: dict[str, dict]) -> None:
    report, must = reports[name], EXPECTED[name]["must"]
    assert report["events"] == []
    assert report["seconds"] < 5 and report["megabytes"] < 500
    allowed = REFUSALS | ({"loaded"} if must == "load_or_reject" else set())
    assert report["outcome"] in allowed, report
    if "os_system" in name or "dotted" in name or "nested" in name or "eval" in name:
        assert report["outcome"] == "UnsafeCheckpoint"
    assert SAYS.get(name, "") in report.get("message", "")
    assert "\n" not in report.get("message", "") and name in report.get("message", name)


def test_wrong_shape_names_the_key_and_both_shapes(reports: dict[str, dict]) -> None:
    message = reports["wrong_shape.pt"]["message"]
    assert "convs.0.conv.weight" in message and "4, 5, 3, 3" in message and "4, 4, 3, 3" in message
