"""What the editor shows: ids, tooltips, defaults, translations, docs; and that every node is used somewhere."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = ("en", "ko", "ja", "zh")
NODES = ("LoadStyleGAN", "SaveStyleGAN", "BlendStyleGANsByResolution", "BlendStyleGANsByCurve", "BlendPreviewGrid",
         "SampleLatents", "TruncateLatents", "MixStyles", "InterpolateLatents", "CombineLatents", "PickLatents",
         "SaveLatents", "LoadLatents", "GenerateImage", "Finish", "LoadExamplePortrait", "AlignFaces", "PasteFacesBack",
         "InvertByOptimization", "InversionOptions", "LoadGANEncoder", "InvertWithEncoder", "ReconstructionReport",
         "FindDirections", "DirectionPreviewGrid", "ApplyDirection", "LoadDirections", "SaveDirections", "AlignVideoFaces",
         "InvertVideo", "MovingCrop",
         "LoadDualStyleGAN", "LoadStyleCodes", "SaveStyleCodes", "PickStyle", "BlendStyles", "InterpolateStyles",
         "LoadStyleSampler", "SampleStyle", "RecommendStyle", "TransferExemplarStyle", "DestylizePortrait", "RefineStyle",
         "HeadMask",
         "TuneModelToImage", "ApplyModelDelta", "SaveModelDelta", "LoadModelDelta",
         "SampleTrainingPairs", "FineTuneOnPairs", "TrainingData", "TrainingOptions", "FineTuneStyleGAN", "TrainingCurves",
         "TrainGANEncoder",
         "TrainDualStyleGAN", "TrainStyleSampler",
         "FID", "PerceptualPathLength", "LinearSeparability")
"""Released ids; they never change."""
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
MAX_VISIBLE = 6
MAX_EXECUTE_LINES = 25


@pytest.fixture(scope="module")
def schemas(engine):
    return engine.ask("schemas")


def inputs(schema):
    """(name, type, options, optional) of every input."""
    for group in ("required", "optional"):
        for name, (kind, *rest) in schema["input"].get(group, {}).items():
            yield name, kind, rest[0] if rest else {}, group == "optional"


def translations(language):
    return json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))


def test_ids_are_the_released_ones(schemas):
    assert {name.removeprefix("Atelier") for name in schemas} >= set(NODES)
    for name, schema in schemas.items():
        assert re.fullmatch(r"Atelier[A-Z]\w+", name) and re.fullmatch(r"StyleGAN/\w+", schema["category"])


def test_names_are_told_apart(schemas):
    names = [schema["display_name"] for schema in schemas.values()]
    assert len(set(names)) == len(names)
    of_the_core = {"Save Latent", "Load Latent", "Load Image", "Save Image", "Load Checkpoint"}
    alike = {name for name in names for other in of_the_core if name.rstrip("s") == other}
    assert not alike, f"{alike} can't be told from ComfyUI's own"


@pytest.mark.parametrize("word", ["toon", "toonify", "cartoon", "stylegan", "dualstylegan", "psp", "e4e", "pti"])
def test_what_people_type_is_in_a_display_name(schemas, word):
    """ComfyUI 0.3.64 searches nothing else."""
    assert any(word in schema["display_name"].lower() for schema in schemas.values())


def test_everything_is_explained(schemas):
    for name, schema in schemas.items():
        assert schema["description"].endswith("."), name
        for key, _, options, _ in inputs(schema):
            assert options.get("tooltip", "").endswith("."), f"{name}.{key} has no tooltip"
        assert all(tooltip and tooltip.endswith(".") for tooltip in schema["output_tooltips"] or []), name


def test_defaults_are_possible(schemas):
    for name, schema in schemas.items():
        for key, kind, options, _ in inputs(schema):
            where, default = f"{name}.{key}", options.get("default")
            if kind in ("INT", "FLOAT"):
                assert options["min"] <= default <= options["max"], where
            elif kind == "COMBO" and default is not None:
                assert default in options["options"], where
            elif kind in WIDGETS and kind != "COMBO":
                assert default is not None, where


def test_the_editor_keeps_every_number(schemas):
    """Editors round a float to the decimal place of its step: what matters must lie on that grid."""
    floats = [(name, key, told) for name, schema in schemas.items() for key, kind, told, _ in inputs(schema) if kind == "FLOAT"]
    changed = [f"{name}.{key}: {number}" for name, key, told in floats
               for number in (told["default"], told["step"], told["max"])
               if round(number, max(0, -math.floor(math.log10(told["step"])))) != number]
    assert not changed


def test_few_widgets_are_visible(schemas):
    for name, schema in schemas.items():
        visible = [key for key, kind, options, _ in inputs(schema) if kind in WIDGETS and not options.get("advanced")]
        assert len(visible) <= MAX_VISIBLE, f"{name} shows {visible}"


def test_what_is_advanced_is_optional(schemas):
    """So that a prompt without it is taken, and workflows outlive new widgets."""
    for name, schema in schemas.items():
        for key, kind, options, optional in inputs(schema):
            assert optional or not options.get("advanced"), f"{name}.{key} is advanced: make it optional"
            if optional and kind in WIDGETS and not schema["takes_any"]:
                default = options.get("default", options.get("options", [None])[0])
                assert schema["defaults"].get(key) == default, f"{name}.execute needs {key}={default!r}, as its widget has"


def test_the_last_picture_shown_is_the_result(schemas):
    """Editors leave the last live preview in the place of a node's own picture."""
    for name, schema in schemas.items():
        live = "progress()" in schema["execute"] and "ui=" in schema["execute"] and "image" in schema["execute"]
        assert not live or "preview_images(" not in schema["execute"], f"{name} has a bar: show its result by steps.result()"


def test_what_a_node_shows_stays_in_a_fresh_page(schemas):
    for name, schema in schemas.items():
        if "ui=" in schema["execute"] and "has_intermediate_output" in schema:
            assert schema["has_intermediate_output"] or schema["output_node"], f"{name} shows something: give it shows=True"


def test_seeds_and_only_seeds_are_called_seed(schemas):
    for name, schema in schemas.items():
        for key, kind, options, _ in inputs(schema):
            if kind == "INT" and key in ("seed", "noise_seed"):
                assert options["max"] == 2**64 - 1 and "control_after_generate" in options, name


def test_a_node_is_a_sentence(schemas):
    for name, schema in schemas.items():
        assert len(schema["execute"].splitlines()) <= MAX_EXECUTE_LINES, name


@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_follow_the_schemas(schemas, language):
    """Names, tooltips and the words of combos, all of them; one sentence says what lacks."""
    texts, english, lacking = translations(language), translations("en"), []
    assert set(texts) <= set(schemas)
    for name, schema in schemas.items():
        node = texts.get(name, {})
        lacking += [f"{name}.{key}" for key in ("display_name", "description") if not node.get(key)]
        told, outputs = node.get("inputs", {}), node.get("outputs", {})
        for key, _, options, _ in inputs(schema):
            words = {str(word) for word in options.get("options", []) if not str(word).isdigit()} if key != "file" else set()
            lacking += [f"{name}.{key}.{part}" for part in ("name", "tooltip") if not told.get(key, {}).get(part)]
            lacking += [f"{name}.{key}.options.{word}" for word in words - set(told.get(key, {}).get("options", {}))]
            if language != "en" and told.get(key, {}).get("tooltip") == english[name]["inputs"][key]["tooltip"]:
                lacking.append(f"{name}.{key}.tooltip (it is English)")
        for i in range(len(schema["output"])):
            lacking += [f"{name}.outputs.{i}.{part}" for part in ("name", "tooltip") if not outputs.get(str(i), {}).get(part)]
        assert set(told) <= {key for key, *_ in inputs(schema)}, f"{name} tells of inputs that it has not"
    assert not lacking, f"locales/{language}/nodeDefs.json lacks {len(lacking)} texts: {', '.join(lacking[:20])}"


def test_english_is_the_schemas_text(schemas):
    for name, text in translations("en").items():
        assert text["display_name"] == schemas[name]["display_name"]
        assert text["description"] == schemas[name]["description"]
        for key, _, options, _ in inputs(schemas[name]):
            assert text["inputs"][key]["tooltip"] == options["tooltip"], f"{name}.{key}: run tools/make_locales.py"


def test_docs_are_of_nodes_that_exist(schemas):
    pages = {path.stem for path in (ROOT / "web" / "docs").glob("*.md")}
    assert pages <= set(schemas)
    assert not (lacking := sorted(set(schemas) - pages)), f"web/docs lacks a page for {', '.join(lacking)}"


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_every_help_page_is_translated(schemas, language):
    """web/docs/NODE/ko.md beside web/docs/NODE.md."""
    lacking = [name for name in schemas if not (ROOT / "web" / "docs" / name / f"{language}.md").is_file()]
    assert not lacking, f"web/docs lacks the page in {language} of {len(lacking)} nodes: {', '.join(lacking[:20])}"


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_every_word_of_the_workflows_is_translated(language):
    """Notes, titles and names of groups: web/templates.js puts them in the place of the English."""
    table, words = json.loads((ROOT / "web" / "texts" / f"{language}.json").read_text(encoding="utf-8")), set()
    for path in (ROOT / "example_workflows").glob("*.json"):
        workflow = json.loads(path.read_text(encoding="utf-8"))
        words |= {group["title"] for group in workflow["groups"]}
        words |= {node["title"] for node in workflow["nodes"] if "title" in node}
        words |= {node["widgets_values"][0] for node in workflow["nodes"] if node["type"] == "MarkdownNote"}
    assert not (lacking := sorted(words - set(table))), f"web/texts/{language}.json lacks {lacking}"
    assert set(table) <= words, f"web/texts/{language}.json holds {sorted(set(table) - words)}, which no workflow says"


def test_every_node_is_used(schemas):
    used = {node["class_type"] for path in (ROOT / "tests/workflows").glob("*.json")
            for node in json.loads(path.read_text(encoding="utf-8")).values()}
    for path in (*Path(__file__).parent.glob("*.py"), ROOT / "tools/headless/prompts.py"):  # which the tests build on
        used |= set(re.findall(r'"(Atelier\w+)"', path.read_text(encoding="utf-8")))
    assert set(schemas) <= used
