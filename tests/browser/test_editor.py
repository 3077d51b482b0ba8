"""What a user meets in the real editor: templates open clean and run, results are shown, things are found and translated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.host.serve import SHOTS

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.stem for path in (ROOT / "example_workflows").glob("*.json"))
BLUEPRINTS = sorted(path.stem for path in (ROOT / "subgraphs").glob("*.json"))
QUICK = {"AtelierInvertByOptimization": {"quality": "quick"}, "AtelierInvertVideo": {"steps": 0},
         "AtelierTuneModelToImage": {"steps": 2}, "AtelierDestylizePortrait": {"steps": 2},
         "AtelierRefineStyle": {"steps": 2}, "AtelierPickStyle": {"sheet_of": "picked"}, "AtelierRecommendStyle": {"count": 1},
         "AtelierSampleTrainingPairs": {"count": 8}, "AtelierFineTuneOnPairs": {"steps": 4},
         "AtelierFineTuneStyleGAN": {"steps": 3}, "AtelierTrainingData": {"resolution": "32"},
         "AtelierTrainingOptions": {"kimg": 0.008, "tick_kimg": 0.004, "batch_size": 4},
         "AtelierTrainDualStyleGAN": {"length": 0.01, "drawings": 10, "faces": False},
         "AtelierTrainStyleSampler": {"epochs": 2}, "AtelierFID": {"count": 8},
         "AtelierPerceptualPathLength": {"count": 4}, "AtelierLinearSeparability": {"count": 16}}
"""Widgets in place of the template's, so that a run is short."""
QUICK_IN = {"train_dual_style": QUICK | {"AtelierTrainingData": {}}}
"""A DualStyleGAN takes drawings of its base's size alone."""
LOADED = ["AtelierLoadStyleGAN", {"file": "base-256 (built-in)"}]
OLD = "0.3.64"
MINUTES = 40 * 60_000


def twin(name):
    return json.loads((ROOT / "tests/workflows" / f"{name}.json").read_text(encoding="utf-8"))


def needs_newer(version, name):
    if version == OLD and name == "toonify_folder":
        pytest.skip("ComfyUI 0.3.64 has no node that loads a folder as a list")


def draw_with(host, vue):
    """Old nodes on the canvas, or the new ones (Vue)."""
    version, editor = host
    if vue and version == OLD:
        pytest.skip("ComfyUI 0.3.64 has no Vue nodes")
    wanted = version != OLD and editor.ask("evaluate", code="app.extensionManager.setting.get('Comfy.VueNodes.Enabled')") != vue
    if wanted:
        editor.ask("setting", key="Comfy.VueNodes.Enabled", value=vue)


def run(editor):
    editor.ask("queue")
    ended = editor.ask("ended", timeout_ms=MINUTES)
    assert ended["kind"] == "execution_success", ended["detail"]
    refused = editor.ask("evaluate", code="Object.keys(app.lastNodeErrors ?? {}).join()")
    assert not refused, f"the host left out what needs the nodes {refused}"


@pytest.mark.parametrize("vue", [False, True], ids=["canvas", "vue"])
def test_every_template_opens_clean(host, vue):
    """Nothing red, nothing overlaps, nothing is smaller than its content; what would be queued is the twin."""
    version, editor = host
    draw_with(host, vue)
    faults = []
    for name in NAMES:
        if version == OLD and name == "toonify_folder":
            continue
        seen = editor.ask("load", name=name)
        editor.ask("fit")
        editor.ask("shot", path=str(SHOTS / f"{version}{'_vue' if vue else ''}_{name}.png"))
        faults += [f"{name}: {what} {seen[what]}" for what in ("red", "overlaps", "small") if seen[what]]
        faults += [f"{name}: {fault}" for fault in unlike(seen["prompt"], twin(name))]
    assert not faults


def unlike(queued, expected):
    """Where the editor's prompt is not the twin; of the core's nodes, whose widgets grow by the version, what both know."""
    if set(queued) != set(expected):
        return [f"nodes {set(queued) ^ set(expected)}"]
    found = []
    for key, node in expected.items():
        inputs = queued[key]["inputs"]
        ours = node["class_type"].startswith("Atelier")
        known = set(inputs) | set(node["inputs"]) if ours else set(inputs) & set(node["inputs"])
        found += [f"{node['class_type']}.{widget} is {inputs.get(widget)!r}, not {node['inputs'].get(widget)!r}"
                  for widget in known if inputs.get(widget) != node["inputs"].get(widget)]
    return found


RUNS = [*((name, False) for name in NAMES), ("blend_grid", True), ("toonify_portrait", True)]


@pytest.mark.parametrize(("name", "vue"), RUNS)
def test_run_ends_with_the_result_on_its_node(host, name, vue):
    version, editor = host
    draw_with(host, vue)
    needs_newer(version, name)
    if version == OLD:
        editor.ask("forget")  # it shows nothing of a node that it takes from its cache
    seen = editor.ask("load", name=name)
    for key, node in seen["prompt"].items():
        for widget, value in QUICK_IN.get(name, QUICK).get(node["class_type"], {}).items():
            editor.ask("set", node=key, widget=widget, value=value)
    run(editor)
    editor.ask("fit")
    shown, after = editor.ask("pictures"), editor.ask("seen")
    editor.ask("shot", path=str(SHOTS / f"{version}{'_vue' if vue else ''}_run_{name}.png"))
    assert after["overlaps"] == [], name
    saved = [node for node in shown.values() if node["type"] == "SaveImage"]
    assert all(node["sizes"] for node in saved), name
    for key, node in shown.items():
        latents_only = node["type"] == "AtelierInvertVideo"  # its result has no picture, so the last frame's stays
        assert latents_only or not node["live"], f"{name}: {node['type']} still shows a live picture, not its result"
        assert vue or not node["sizes"] or node["text_height"] < 120, f"{name}: {node['type']}'s note covers its picture"
        if node["type"] in ("AtelierBlendPreviewGrid", "AtelierRecommendStyle", "AtelierDestylizePortrait"):
            saving = [k for k, v in seen["prompt"].items()
                      if v["class_type"] == "SaveImage" and v["inputs"]["images"][0] == key]
            assert node["sizes"], f"{name}: {node['type']} shows nothing"
            assert saving or name == "unseen_style", f"{name}: {node['type']}'s result is not saved"
            for (wide, high), (wide_saved, high_saved) in [(node["sizes"][0], shown[k]["sizes"][0]) for k in saving]:
                assert abs(wide / high - wide_saved / high_saved) < 0.03, f"{name}: {node['type']} shows something else"
        if node["type"] == "AtelierLoadStyleGAN":
            assert "px" in (node["text"] or ""), "what the model is can't be read on its node"


@pytest.mark.parametrize("vue", [False, True], ids=["canvas", "vue"])
def test_a_live_picture_gives_way_to_the_result(host, vue):
    """Vue nodes would show both, the canvas the live one; what is there must be the file, to be saved from the node."""
    version, editor = host
    draw_with(host, vue)
    data = {"folder": "atelier_drawings", "resolution": "64" if vue else "32"}  # prepared anew, so that each is shown
    key, saving = editor.ask("build", nodes=[["AtelierTrainingData", data], ["SaveImage", {"images": [0, 1]}]])
    run(editor)
    editor.ask("fit")
    editor.ask("shot", path=str(SHOTS / f"{version}{'_vue' if vue else ''}_live.png"))
    shown = editor.ask("pictures")
    assert shown[key]["sizes"] == shown[saving]["sizes"] != []
    assert not shown[key]["live"]


@pytest.mark.parametrize("name", BLUEPRINTS)
def test_a_job_runs_as_one_node(host, name, tmp_path):
    version, editor = host
    if version == OLD:
        pytest.skip("ComfyUI 0.3.64 offers no blueprints")
    whole = json.loads((ROOT / "subgraphs" / f"{name}.json").read_text(encoding="utf-8"))
    job, video = whole["nodes"][0], "Video" in name
    loading, kind = ("LoadVideo", "VIDEO") if video else ("LoadImage", "IMAGE")
    file = "atelier_clip.mp4" if video else "atelier_portrait.jpg"
    whole["nodes"].append({"id": 2, "type": loading, "pos": [-600, 0], "size": [340, 400], "flags": {}, "order": 0, "mode": 0,
                           "inputs": [], "outputs": [{"name": kind, "type": kind, "links": [1]}], "properties": {},
                           "widgets_values": [file, "image"]})
    slot = next(i for i, out in enumerate(job["outputs"]) if out["type"] == "IMAGE")
    whole["nodes"].append({"id": 3, "type": "SaveImage", "pos": [600, 0], "size": [340, 400], "flags": {}, "order": 2,
                           "mode": 0, "inputs": [{"name": "images", "type": "IMAGE", "link": 2}], "outputs": [],
                           "properties": {}, "widgets_values": ["job"]})
    whole["links"] = [[1, 2, 0, 1, 0, kind], [2, 1, slot, 3, 0, "IMAGE"]]
    job["inputs"][0]["link"], job["outputs"][slot]["links"] = 1, [2]
    for i, entry in enumerate(e for e in job["inputs"] if "widget" in e):
        job["widgets_values"][i] = {"steps": 2, "quality": "quick"}.get(entry["name"], job["widgets_values"][i])
    path = tmp_path / "job.json"
    path.write_text(json.dumps(whole), encoding="utf-8")
    assert editor.ask("load", file=str(path))["red"] == []
    run(editor)
    editor.ask("fit")
    editor.ask("shot", path=str(SHOTS / f"{version}_job_{name.replace(' ', '_')}.png"))
    assert next(n for n in editor.ask("pictures").values() if n["type"] == "SaveImage")["sizes"]


@pytest.mark.parametrize("word", ["toon", "cartoon", "stylegan", "toonify"])
def test_what_people_type_finds_us_among_the_first_five(host, word):
    rows = host[1].ask("search", word=word)
    names = json.loads((ROOT / "locales" / "en" / "nodeDefs.json").read_text(encoding="utf-8")).values()
    mine = {*BLUEPRINTS, *(node["display_name"] for node in names)}
    assert any(line in mine for row in rows[:5] for line in row.split(" | ")), rows


def cancel(editor, key, at):
    """Run, and Cancel when that node's bar is there -> where the bar began."""
    editor.ask("queue")
    began = editor.ask("progressed", node=key, value=at, timeout_ms=MINUTES)
    editor.ask("interrupt")
    assert editor.ask("ended", timeout_ms=MINUTES)["kind"] == "execution_interrupted"
    return began


def test_cancel_leaves_the_queue_working(host):
    _, editor = host
    seen = editor.ask("load", name="toonify_portrait")
    key = next(k for k, node in seen["prompt"].items() if node["class_type"] == "AtelierInvertByOptimization")
    editor.ask("set", node=key, widget="quality", value="high")
    editor.ask("set", node=key, widget="seed", value=7)
    cancel(editor, key, 3)
    assert "stylegan_latents" in editor.ask("pictures")[key]["text"], "where Cancel left the work"
    editor.ask("load", name="sample_and_mix")
    run(editor)


TRAININGS = {
    "AtelierTrainGANEncoder": (4, [LOADED, ["AtelierTrainGANEncoder", {
        "model": [0, 0], "steps": 12, "image_steps": 2, "batch": 2, "run": "browser_encoder"}],
        ["SaveImage", {"images": [1, 1]}]]),
    "AtelierTrainDualStyleGAN": (2100, [LOADED, ["AtelierTrainDualStyleGAN", {
        "base": [0, 0], "encoder": [3, 0], "data": [4, 0], "run": "browser_dual", "length": 0.01, "drawings": 10,
        "faces": False}],
        ["SaveImage", {"images": [1, 4]}], ["AtelierLoadGANEncoder", {"file": "encoder (built-in)"}],
        ["AtelierTrainingData", {"folder": "atelier_drawings", "resolution": "256"}]]),
    "AtelierTrainStyleSampler": (40, [
        ["AtelierLoadDualStyleGAN", {"file": "dualstylegan (built-in)"}],
        ["AtelierTrainStyleSampler", {"model": [0, 0], "styles": [2, 0], "epochs": 300}],
        ["AtelierLoadStyleCodes", {"file": "styles (built-in)"}], ["PreviewAny", {"source": [1, 1]}]])}
"""Node -> where its bar is when Cancel is pressed, and a graph whose second node it is."""


@pytest.mark.parametrize("kind", TRAININGS)
def test_a_training_is_cancelled_and_goes_on(host, kind):
    version, editor = host
    at, nodes = TRAININGS[kind]
    key = editor.ask("build", nodes=nodes)[1]
    began = cancel(editor, key, at)
    assert "interrupted" in editor.ask("pictures")[key]["text"], "what became of the work"
    editor.ask("queue")
    goes_on = editor.ask("progressed", node=key, value=at, timeout_ms=MINUTES)
    ended = editor.ask("ended", timeout_ms=MINUTES)
    assert ended["kind"] == "execution_success", ended["detail"]
    assert goes_on > began, "all was done again"
    editor.ask("fit")  # the canvas loads no picture of a node that is out of sight
    node = editor.ask("pictures")[key]
    editor.ask("shot", path=str(SHOTS / f"{version}_train_{kind}.png"))
    assert "interrupted" not in (node["text"] or "")
    assert node["text"] if kind == "AtelierTrainStyleSampler" else node["sizes"] and not node["live"]


def keep_only(editor, prefix):
    """Take out all that saves but the SaveImage of that prefix, so that a run is short."""
    editor.ask("evaluate", code="app.graph._nodes.filter(n => n.type.startsWith('Save') || n.type.startsWith('AtelierSave'))"
                                f".filter(n => !n.widgets.some(w => w.value === '{prefix}')).forEach(n => app.graph.remove(n))")


@pytest.mark.parametrize("vue", [False, True], ids=["canvas", "vue"])
def test_a_cached_run_in_a_fresh_page_shows_all_again(host, vue):
    version, editor = host
    draw_with(host, vue)
    if version == OLD:
        pytest.skip("ComfyUI 0.3.64 sends nothing of a node that it takes from its cache")
    for fresh in (False, True):
        if fresh:
            editor.ask("reload")
        editor.ask("load", name="toonify_portrait")
        keep_only(editor, "toonify/1_crop")
        run(editor)
        editor.ask("fit")
        shown = {node["type"]: node for node in editor.ask("pictures").values() if node["sizes"] or node["text"]}
        assert shown["AtelierAlignFaces"]["sizes"], f"blank in {'a fresh page' if fresh else 'the first'}"
        assert "px" in shown["AtelierLoadStyleGAN"]["text"], fresh


CHOICES = [("blend_grid", "AtelierBlendStyleGANsByResolution", "swap_at", "blend_grid/swap", "8", "16"),
           ("style_grid", "AtelierPickStyle", "which", "style_grid/bank", "5", "10")]


@pytest.mark.parametrize("vue", [False, True], ids=["canvas", "vue"])
@pytest.mark.parametrize(("name", "kind", "widget", "kept", "one", "next_one"), CHOICES)
def test_a_value_is_chosen_by_its_picture(host, vue, name, kind, widget, kept, one, next_one):
    """With the mouse, with the keys, several with Ctrl where several fit; the host's own copy of the picture stays away."""
    version, editor = host
    draw_with(host, vue)
    if version == OLD:
        editor.ask("forget")
    seen = editor.ask("load", name=name)
    (key,) = [k for k, node in seen["prompt"].items() if node["class_type"] == kind]
    if kind == "AtelierPickStyle":
        editor.ask("set", node=key, widget="sheet_of", value="picked")
    keep_only(editor, kept)
    run(editor)
    editor.ask("fit")
    tile = "[role=listbox] button[data-value='{}']".format
    value = f"app.graph.getNodeById({key}).widgets.find(w => w.name === '{widget}').value"
    editor.ask("click", selector=tile(one))
    assert editor.ask("evaluate", code=value) == one
    editor.ask("press", selector=tile(one), keys=["ArrowRight", "Enter"])
    assert editor.ask("evaluate", code=value) == next_one
    if kind == "AtelierPickStyle":
        editor.ask("click", selector=tile(one), modifiers=["Control"])
        assert editor.ask("evaluate", code=value) == f"{next_one}, {one}"
    marked = "[...document.querySelectorAll('[role=listbox] [aria-selected=true]')].map(b => b.dataset.value)"
    assert set(editor.ask("evaluate", code=value).split(", ")) == set(editor.ask("evaluate", code=marked))
    editor.ask("shot", path=str(SHOTS / f"{version}{'_vue' if vue else ''}_choose_{name}.png"))
    assert not editor.ask("pictures")[key]["sizes"], "the same pictures twice"
    assert editor.ask("seen")["overlaps"] == []


@pytest.mark.parametrize("language", ["ko", "ja", "zh"])
def test_a_changed_language_shows_translated_nodes(host, language):
    _, editor = host
    editor.ask("setting", key="Comfy.Locale", value=language)
    try:
        editor.ask("load", name="toonify_portrait")
        titles = editor.ask("evaluate", code="app.graph._nodes.map(n => n.title).join('|')")
        name = json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))
        assert name["AtelierAlignFaces"]["display_name"] in titles
        words = json.loads((ROOT / "web" / "texts" / f"{language}.json").read_text(encoding="utf-8"))
        groups = editor.ask("evaluate", code="app.graph._groups.map(g => g.title)")
        assert words["1 Your picture"] in groups
        editor.ask("fit")
        editor.ask("shot", path=str(SHOTS / f"{host[0]}_{language}.png"))
    finally:
        editor.ask("setting", key="Comfy.Locale", value="en")
