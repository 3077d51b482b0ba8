"""Every bundled workflow runs, and its two formats say the same."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import tomllib
from PIL import Image
from prompts import options

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.stem for path in (ROOT / "example_workflows").glob("*.json"))
SAVED = {
    "toonify_portrait": ["toonify/1_crop", "toonify/2_inversion", "toonify/3_toon", "toonify/4_strengths", "toonify/5_pasted"],
    "sample_and_mix": ["sample_and_mix/mixed", "sample_and_mix/walk"],
    "blend_grid": ["blend_grid/grid", "blend_grid/swap", "blend_grid/curve", "stylegan/toon_curve"],
    "invert_and_compare": ["invert/1_encoder", "invert/2_optimized", "invert/3_tuned", "stylegan_deltas/example_portrait"],
    "edit_with_directions": ["edit/sweep", "edit/grid", "stylegan_directions/my_directions"],
    "toonify_video": ["toonify_video/toon"],
    "toonify_folder": ["toonify_folder/pasted"],
    "toon_into_pipeline": ["pipeline/blurred", "pipeline/large", "pipeline/edges", "pipeline/head"],
    "exemplar_transfer": ["exemplar_transfer/style", "exemplar_transfer/pasted", "exemplar_transfer/ranking"],
    "style_grid": ["style_grid/cell", "style_grid/bank", "style_grid/walk"],
    "destylize_and_restyle": ["destylize/1_drawing", "destylize/2_face", "destylize/3_restyled"],
    "unseen_style": ["unseen_style/1_drawing", "unseen_style/2_redrawn", "unseen_style/3_faces", "stylegan/my_style"],
    "distill_a_look": ["distill/drawn", "distill/comparison", "stylegan/distilled_look"],
    "train_your_style": [*(f"train_your_style/{part}" for part in ("data", "samples", "curves", "blend")), "stylegan/my_style"],
    "train_dual_style": [*(f"train_dual_style/{part}" for part in ("1_drawings", "2_faces_and_styles", "3_drawn", "4_new")),
                         "stylegan/my_dual", "stylegan/my_dual_styles"],
    "style_from_one_drawing": ["one_drawing/drawn", "one_drawing/samples", "stylegan/one_drawing"],
    "score_a_model": ["score/fid", "score/ppl", "score/separability"],
    "portrait_generator": ["portrait_generator/new", "portrait_generator/one_palette"],
}
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
QUICK = {
    "AtelierInvertByOptimization": {"options": ["quick", 0]},
    "AtelierInvertVideo": {"options": ["quick", 0], "steps": 1},
    "AtelierBlendPreviewGrid": {"max_faces": 1},
    "AtelierDirectionPreviewGrid": {"max_directions": 2},
    "AtelierMovingCrop": {"frames": 3},
    "AtelierSampleTrainingPairs": {"count": 4},
    "AtelierFineTuneOnPairs": {"steps": 2},
    "AtelierFineTuneStyleGAN": {"steps": 2},
    "AtelierTrainingOptions": {"kimg": 0.004, "batch_size": 4},
    "AtelierTrainDualStyleGAN": {"length": 0.01, "drawings": 10, "faces": False},
    "AtelierTrainStyleSampler": {"epochs": 1},
    "AtelierFID": {"count": 4},
    "AtelierPerceptualPathLength": {"count": 4},
    "AtelierLinearSeparability": {"count": 16},
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
    given = {"atelier_portrait.jpg"} | {path.name for path in (ROOT / "example_workflows" / "input").iterdir()}
    for node in nodes.values():
        if node["type"] in ("LoadImage", "LoadVideo", "LoadImageDataSetFromFolder"):
            assert node["widgets_values"][0] in given, "a fresh install lacks it"


@pytest.mark.parametrize("name", NAMES)
def test_nodes_name_the_pack_that_has_them(name):
    """So that a friend's ComfyUI offers to install it; from pyproject.toml alone."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    workflow = read("example_workflows", name)
    assert workflow["extra"]["atelier"] == {"template": name, "cnr_id": project["name"], "ver": project["version"]}
    for node in workflow["nodes"]:
        if node["type"].startswith("Atelier"):
            told = node["properties"]
            assert (told["cnr_id"], told["ver"]) == (project["name"], project["version"])


@pytest.mark.parametrize("name", NAMES)
def test_groups_are_read_from_left_to_right_and_hold_their_nodes(name):
    workflow = read("example_workflows", name)
    boxes = [group["bounding"] for group in workflow["groups"]]
    assert all(a[0] + a[2] < b[0] for a, b in itertools.pairwise(boxes))
    for node in workflow["nodes"]:
        (x, y), (width, height) = node["pos"], node["size"]
        assert any(b[0] < x and x + width < b[0] + b[2] and b[1] < y and y + height < b[1] + b[3] for b in boxes), node["type"]


BLUEPRINTS = sorted((ROOT / "subgraphs").glob("*.json"))


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda path: path.stem)
def test_blueprints_are_whole(engine, path):
    """One node around a graph whose every link has both ends, with nodes that exist; found by what people type."""
    whole = json.loads(path.read_text(encoding="utf-8"))
    (outer,), (graph,) = whole["nodes"], whole["definitions"]["subgraphs"]
    assert outer["type"] == graph["id"] and graph["name"] == path.stem and graph["category"].startswith("StyleGAN")
    assert graph["description"].endswith(".") and "StyleGAN" in graph["description"]
    nodes, links = {node["id"]: node for node in graph["nodes"]}, {link["id"]: link for link in graph["links"]}
    assert not [kind for kind in engine.ask("lacks", kinds=[n["type"] for n in nodes.values()]) if kind.startswith("Atelier")]
    for link in links.values():
        kinds = {link["type"]}
        if link["origin_id"] == -10:
            assert link["id"] in graph["inputs"][link["origin_slot"]]["linkIds"]
        else:
            kinds.add(nodes[link["origin_id"]]["outputs"][link["origin_slot"]]["type"])
        if link["target_id"] == -20:
            assert link["id"] in graph["outputs"][link["target_slot"]]["linkIds"]
        else:
            target = nodes[link["target_id"]]["inputs"][link["target_slot"]]
            assert target["link"] == link["id"]
            kinds.add(target["type"])
        assert len(kinds) == 1, link
    for node in nodes.values():
        required = engine.ask("schemas").get(node["type"], {"input": {}})["input"].get("required", {})
        for slot in node["inputs"]:
            assert slot["link"] or slot.get("widget") or slot["name"] not in required, f"{node['type']}.{slot['name']} is open"
    assert [i["name"] for i in outer["inputs"]] == [i["name"] for i in graph["inputs"]]
    assert len(outer["widgets_values"]) == sum("widget" in i for i in outer["inputs"])


@pytest.mark.parametrize("name", NAMES)
def test_thumbnails_are_small_pictures(name):
    with Image.open(ROOT / "example_workflows" / f"{name}.jpg") as picture:
        assert max(picture.size) <= 512 and picture.format == "JPEG"


@pytest.mark.slow
@pytest.mark.parametrize("path", RELEASED, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_a_released_prompt_still_runs(engine, path):
    run(engine, json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_workflow_runs(engine, name):
    run(engine, read("tests/workflows", name))
    for prefix in SAVED[name]:
        assert engine.files(f"{prefix}*"), prefix


def run(engine, prompt):
    lacking = engine.ask("lacks", kinds=[node["class_type"] for node in prompt.values()])
    if lacking:
        pytest.skip(f"{engine.name} has no {', '.join(lacking)}")
    engine.succeed(quick(prompt))


def quick(prompt):
    """The prompt with few steps."""
    prompt["quick"] = options(3)
    for node in prompt.values():
        node["inputs"] |= QUICK.get(node["class_type"], {})
    return prompt
