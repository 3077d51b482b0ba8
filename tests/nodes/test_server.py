"""ComfyUI's own server, once: the pack loads without a warning and everything it serves is there."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from conftest import comfyui_python

ROOT = Path(__file__).resolve().parents[2]
BOOT_SECONDS = 240

pytestmark = [pytest.mark.comfy, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """(url, log file) of a ComfyUI that has this pack in custom_nodes."""
    python = comfyui_python() or pytest.skip("no ComfyUI with its requirements here")
    comfyui = Path(os.environ.get("COMFYUI_PATH", "~/comfy/ComfyUI")).expanduser()
    base = tmp_path_factory.mktemp("server")
    for folder in ("custom_nodes", "models", "input", "output", "user"):
        (base / folder).mkdir()
    (base / "custom_nodes" / "stylegan-atelier").symlink_to(ROOT)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (base / "log.txt").open("w+")
    command = [python, "main.py", "--cpu", "--listen", "127.0.0.1", "--port", str(port), "--disable-api-nodes",
               "--base-directory", str(base), "--database-url", f"sqlite:///{base}/user/c.db"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent / "shims"), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, cwd=comfyui, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield wait(f"http://127.0.0.1:{port}", process, base / "log.txt"), base / "log.txt"
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait(url, process, log):
    deadline = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            get(url + "/system_stats")
            return url
        except OSError:
            time.sleep(0.5)
    pytest.fail("the server did not come up")


def get(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.loads(answer.read())


def test_the_log_has_no_complaint_of_ours(server):
    lines = [line for line in server[1].read_text().splitlines() if "atelier" in line.lower()]
    assert any("stylegan-atelier" in line for line in lines), "the pack is not listed among the custom nodes"
    assert not [line for line in lines if any(word in line for word in ("IMPORT FAILED", "WARNING", "Error", "Traceback"))]


def test_nodes_templates_docs_and_translations_are_served(server):
    url = server[0]
    nodes = {name: info for name, info in get(url + "/object_info").items() if name.startswith("Atelier")}
    assert len(nodes) >= 19 and all(info["python_module"] == "custom_nodes.stylegan-atelier" for info in nodes.values())
    templates = get(url + "/api/workflow_templates")["stylegan-atelier"]
    assert {"toonify_portrait", "sample_and_mix", "blend_grid"} <= set(templates)
    for path in ("toonify_portrait.json", "toonify_portrait.jpg"):
        assert urllib.request.urlopen(f"{url}/api/workflow_templates/stylegan-atelier/{path}", timeout=30).status == 200
    page = urllib.request.urlopen(f"{url}/extensions/stylegan-atelier/docs/AtelierAlignFaces.md", timeout=30).read().decode()
    assert page.startswith("# Align Faces")
    languages = get(url + "/api/i18n")
    assert all("AtelierAlignFaces" in languages[language]["nodeDefs"] for language in ("en", "ko", "ja", "zh"))
    assert "stylegan" in [folder["name"] for folder in get(url + "/api/experiment/models")]


def test_a_prompt_over_http(server):
    url = server[0]
    prompt = {"1": {"class_type": "AtelierLoadExamplePortrait", "inputs": {}},
              "2": {"class_type": "AtelierAlignFaces", "inputs": {
                  "image": ["1", 0], "faces_taken": "largest", "size": 128, "when_none": "error", "smallest": 0}},
              "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "http"}}}
    body = json.dumps({"prompt": prompt, "client_id": "test"}).encode()
    request = urllib.request.Request(url + "/prompt", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        prompt_id = json.loads(answer.read())["prompt_id"]
    deadline = time.monotonic() + 120
    while not (history := get(f"{url}/history/{prompt_id}")) and time.monotonic() < deadline:
        time.sleep(0.3)
    assert history[prompt_id]["status"]["status_str"] == "success"
    assert history[prompt_id]["outputs"]["3"]["images"][0]["type"] == "output"
