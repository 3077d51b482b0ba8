"""ComfyUI's own server, once: the pack loads without a warning and everything it serves is there."""

from __future__ import annotations

import urllib.request

import pytest
from conftest import comfyui_python

from tools.headless import comfyui
from tools.host.serve import running

pytestmark = [pytest.mark.comfy, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A ComfyUI that has this pack in custom_nodes."""
    python = comfyui_python() or pytest.skip("no ComfyUI with its requirements here")
    with running(python, comfyui.folder(), tmp_path_factory.mktemp("server")) as found:
        yield found


def test_the_log_has_no_complaint_of_ours(server):
    lines = [line for line in server.log.read_text().splitlines() if "atelier" in line.lower()]
    assert any("stylegan-atelier" in line for line in lines), "the pack is not listed among the custom nodes"
    assert not [line for line in lines if any(word in line for word in ("IMPORT FAILED", "WARNING", "Error", "Traceback"))]


def test_nodes_templates_docs_and_translations_are_served(server):
    url = server.url
    nodes = {name: info for name, info in server.get("/object_info").items() if name.startswith("Atelier")}
    assert len(nodes) >= 19 and all(info["python_module"] == "custom_nodes.stylegan-atelier" for info in nodes.values())
    templates = server.get("/api/workflow_templates")["stylegan-atelier"]
    assert {"toonify_portrait", "sample_and_mix", "blend_grid"} <= set(templates)
    for path in ("toonify_portrait.json", "toonify_portrait.jpg"):
        assert urllib.request.urlopen(f"{url}/api/workflow_templates/stylegan-atelier/{path}", timeout=30).status == 200
    page = urllib.request.urlopen(f"{url}/extensions/stylegan-atelier/docs/AtelierAlignFaces.md", timeout=30).read().decode()
    assert page.startswith("# Align Faces")
    languages = server.get("/api/i18n")
    assert all("AtelierAlignFaces" in languages[language]["nodeDefs"] for language in ("en", "ko", "ja", "zh"))
    assert "stylegan" in [folder["name"] for folder in server.get("/api/experiment/models")]


def test_a_prompt_over_http(server):
    prompt = {"1": {"class_type": "AtelierLoadExamplePortrait", "inputs": {}},
              "2": {"class_type": "AtelierAlignFaces", "inputs": {
                  "image": ["1", 0], "faces_taken": "largest", "size": 128, "when_none": "error", "smallest": 0}},
              "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "http"}}}
    entry = server.run(prompt)
    assert entry["status"]["status_str"] == "success"
    assert entry["outputs"]["3"]["images"][0]["type"] == "output"
