"""Every bundled workflow runs, and its two formats say the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from prompts import options

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.stem for path in (ROOT / "example_workflows").glob("*.json"))
SAVED = {"toonify_portrait": ["toonify/1_crop", "toonify/2_inversion", "toonify/3_toon", "toonify/4_blend_grid",
                              "toonify/5_pasted"],
         "sample_and_mix": ["sample_and_mix/mixed", "sample_and_mix/walk"],
         "blend_grid": ["blend_grid/grid", "blend_grid/curve", "stylegan/toon_curve"]}


def read(folder, name):
    return json.loads((ROOT / folder / f"{name}.json").read_text(encoding="utf-8"))


def test_there_are_three():
    assert set(SAVED) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_twins_agree(engine, name):
    assert engine.ask("convert", workflow=read("example_workflows", name)) == read("tests/workflows", name)


@pytest.mark.parametrize("name", NAMES)
def test_links_are_sound(name):
    """What the editor checks when it opens a file: every link has both ends, every id is used once."""
    workflow = read("example_workflows", name)
    nodes = {node["id"]: node for node in workflow["nodes"]}
    assert len(nodes) == len(workflow["nodes"])
    for number, source, out, target, slot, kind in workflow["links"]:
        assert number in nodes[source]["outputs"][out]["links"]
        assert nodes[target]["inputs"][slot]["link"] == number
        assert nodes[source]["outputs"][out]["type"] == kind
    assert "LoadImage" not in {node["type"] for node in nodes.values()}, "a fresh install lacks the picture"


@pytest.mark.parametrize("name", NAMES)
def test_thumbnails_are_small_pictures(name):
    with Image.open(ROOT / "example_workflows" / f"{name}.jpg") as picture:
        assert max(picture.size) <= 512 and picture.format == "JPEG"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_workflow_runs(engine, name):
    prompt = read("tests/workflows", name)
    prompt["quick"] = options(3)
    for node in prompt.values():
        if node["class_type"] == "AtelierInvertByOptimization":
            node["inputs"]["options"] = ["quick", 0]
    engine.succeed(prompt)
    for prefix in SAVED.get(name, []):
        assert engine.files(f"{prefix}*"), prefix
