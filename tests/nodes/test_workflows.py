"""Every bundled workflow runs, and its two formats say the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from prompts import options

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.stem for path in (ROOT / "example_workflows").glob("*.json"))
SAVED = {
    "toonify_portrait": ["toonify/1_crop", "toonify/2_inversion", "toonify/3_toon", "toonify/4_blend_grid", "toonify/5_pasted"],
    "sample_and_mix": ["sample_and_mix/mixed", "sample_and_mix/walk"],
    "blend_grid": ["blend_grid/grid", "blend_grid/curve", "stylegan/toon_curve"],
    "invert_and_compare": ["invert/1_encoder", "invert/2_optimized", "invert/3_tuned", "stylegan_deltas/example_portrait"],
    "edit_with_directions": ["edit/sweep", "edit/grid", "stylegan_directions/my_directions"],
    "toonify_video": ["toonify_video/frame"],
    "exemplar_transfer": ["exemplar_transfer/style", "exemplar_transfer/pasted", "exemplar_transfer/ranking"],
    "style_grid": ["style_grid/cell", "style_grid/bank", "style_grid/walk"],
    "destylize_and_restyle": ["destylize/1_drawing", "destylize/2_face", "destylize/3_restyled"],
    "unseen_style": ["unseen_style/1_drawing", "unseen_style/2_redrawn", "unseen_style/3_faces", "stylegan/my_style"],
    "portrait_generator": ["portrait_generator/new", "portrait_generator/one_palette"],
}
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
QUICK = {
    "AtelierInvertByOptimization": {"options": ["quick", 0]},
    "AtelierInvertVideo": {"options": ["quick", 0], "steps": 1},
    "AtelierMovingCrop": {"frames": 3},
    "AtelierTuneModelToImage": {"steps": 2},
    "AtelierDestylizePortrait": {"steps": 2},
    "AtelierRefineStyle": {"steps": 2},
    "AtelierPickStyle": {"sheet_of": "picked"},
    "AtelierRecommendStyle": {"count": 1},
}
"""Inputs in place of the workflow's, so that a run takes seconds."""


def read(folder, name):
    return json.loads((ROOT / folder / f"{name}.json").read_text(encoding="utf-8"))


def test_all_are_listed():
    assert set(SAVED) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_twins_agree(engine, name):
    assert engine.ask("convert", workflow=read("example_workflows", name)) == read("tests/workflows", name)


RELEASED = sorted((ROOT / "tests" / "released").glob("*/prompts/*.json"))
"""Workflows as earlier releases wrote them; RELEASED/../../editor holds what their editor saved."""


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_a_released_workflow_is_still_read_as_it_was_meant(engine, path):
    """Each value still goes to its widget; what the workflow doesn't know has a default."""
    was = json.loads(path.read_text(encoding="utf-8"))
    editor = json.loads((path.parents[1] / "editor" / path.name).read_text(encoding="utf-8"))
    now, schemas = engine.ask("convert", workflow=editor), engine.ask("schemas")
    assert set(now) == set(was)
    for key, node in was.items():
        assert now[key]["inputs"] == node["inputs"], node["class_type"]
        required = schemas.get(node["class_type"], {"input": {}})["input"].get("required", {})
        assert set(required) <= set(node["inputs"]), f"{node['class_type']} refuses a prompt of {path.parts[-3]}"


def places(schema):
    """What the editor reads widgets_values as, by the host's word alone: (name, type, options) of each place."""
    for group in ("required", "optional"):
        for key, (kind, *rest) in schema["input"].get(group, {}).items():
            options = rest[0] if rest else {}
            if kind in WIDGETS and not options.get("forceInput"):
                yield key, kind, options
                stated = options.get("control_after_generate")
                if kind == "INT" and (stated or stated is None and key in ("seed", "noise_seed")):
                    yield f"{key}'s control", "COMBO", {"options": ["fixed", "increment", "decrement", "randomize"]}


def fits(value, kind, options):
    if kind in ("INT", "FLOAT"):
        number = isinstance(value, int if kind == "INT" else (int, float)) and not isinstance(value, bool)
        return number and options["min"] <= value <= options["max"]
    if kind == "COMBO":
        return value in options["options"]
    return isinstance(value, bool if kind == "BOOLEAN" else str)


@pytest.mark.parametrize("name", NAMES)
def test_every_value_lies_where_the_editor_reads_it(engine, name):
    """Not with the function that wrote them: a value too many shifts all that follow."""
    schemas = engine.ask("schemas")
    for node in read("example_workflows", name)["nodes"]:
        if node["type"] in schemas:
            expected = list(places(schemas[node["type"]]))
            assert len(node["widgets_values"]) == len(expected), f"{node['type']}: {[key for key, *_ in expected]}"
            for value, (key, kind, options) in zip(node["widgets_values"], expected, strict=True):
                assert fits(value, kind, options), f"{node['type']}.{key} can't be {value!r}"


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
@pytest.mark.parametrize("path", RELEASED, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_a_released_prompt_still_runs(engine, path):
    engine.succeed(quick(json.loads(path.read_text(encoding="utf-8"))))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_workflow_runs(engine, name):
    engine.succeed(quick(read("tests/workflows", name)))
    for prefix in SAVED[name]:
        assert engine.files(f"{prefix}*"), prefix


def quick(prompt):
    """The prompt with few steps."""
    prompt["quick"] = options(3)
    for node in prompt.values():
        node["inputs"] |= QUICK.get(node["class_type"], {})
    return prompt
