"""A ComfyUI of build/hosts with this pack, and its editor in a browser."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .set_up import HERE, HOSTS, PINS, python

PACK = HERE.parents[1]
NAME = "stylegan-atelier"
BOOT_SECONDS = 900
SHOTS = PACK / "build" / "shots"
"""Where the browser test leaves its pictures."""
SHIMS = PACK / "tests" / "nodes" / "shims"


def lacking(version: str) -> str:
    """Why the browser can't be tested with this version here; empty if it can."""
    if not (HOSTS / version / "ComfyUI" / "main.py").exists():
        return f"ComfyUI {version} is not set up: run python tools/host/set_up.py"
    if not (chromium() and shutil.which("node")):
        return "Chromium or node is missing: apt-get install chromium nodejs npm"
    if not (HERE / "node_modules" / "playwright-core").is_dir():
        return f"playwright-core is missing: npm install in {HERE.relative_to(PACK)}"
    return ""


def chromium() -> str | None:
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@dataclass(frozen=True)
class Server:
    """A ComfyUI that answers."""

    url: str
    process: subprocess.Popen
    log: Path

    def get(self, path: str, timeout: float = 120) -> Any:
        """What the server answers in JSON."""
        with urllib.request.urlopen(self.url + path, timeout=timeout) as answer:
            return json.load(answer)

    def run(self, prompt: dict[str, Any], timeout: float = 120, pause: float = 0.05) -> dict[str, Any]:
        """Queue a prompt in API format, wait for its end -> its entry of the history. Raises TimeoutError."""
        body = json.dumps({"prompt": prompt, "client_id": NAME}).encode()
        request = urllib.request.Request(self.url + "/prompt", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            prompt_id = json.load(answer)["prompt_id"]
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if found := self.get(f"/history/{prompt_id}"):
                return found[prompt_id]
            time.sleep(pause)
        raise TimeoutError(f"the prompt did not end in {timeout:.0f} s")


@contextmanager
def running(interpreter: Path, comfyui: Path, base: Path) -> Iterator[Server]:
    """ComfyUI's own server on a free port, on the CPU, with this pack in a base folder of its own."""
    for folder in ("custom_nodes", "models", "input", "output", "user", "temp"):
        (base / folder).mkdir(parents=True, exist_ok=True)
    link = base / "custom_nodes" / NAME
    if not link.exists():
        link.symlink_to(PACK, target_is_directory=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [interpreter, "main.py", "--cpu", "--listen", "127.0.0.1", "--port", port, "--disable-api-nodes",
               "--base-directory", base, "--database-url", f"sqlite:///{base}/user/c.db"]
    environment = os.environ | {"PYTHONPATH": str(SHIMS), "PYTHONUNBUFFERED": "1"}
    with (base / "log.txt").open("w") as log:
        process = subprocess.Popen([str(word) for word in command], cwd=comfyui, env=environment, stdout=log,
                                   stderr=subprocess.STDOUT)
        try:
            yield Server(_wait(f"http://127.0.0.1:{port}", process, base / "log.txt"), process, base / "log.txt")
        finally:
            process.terminate()
            process.wait(timeout=60)


@contextmanager
def served(version: str, base: Path) -> Iterator[str]:
    """The server of a version that set_up made -> its address."""
    with running(python(HOSTS / version / "venv"), HOSTS / version / "ComfyUI", base) as server:
        yield server.url


def _wait(url: str, process: subprocess.Popen, log: Path) -> str:
    deadline = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"ComfyUI ended: {log.read_text(encoding='utf-8')[-2000:]}")
        try:
            urllib.request.urlopen(url + "/system_stats", timeout=10).close()
            return url
        except OSError:
            time.sleep(0.5)
    raise RuntimeError("ComfyUI did not come up.")


class Editor:
    """driver.js: the editor in a headless browser. Any operation of it is a method: editor.ask("load", name=...)."""

    def __init__(self, url: str) -> None:
        environment = os.environ | {"CHROMIUM": chromium() or ""}
        self.process = subprocess.Popen(["node", str(HERE / "driver.js"), url, NAME], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env=environment)
        answer = self._answer()
        if "ready" not in answer:
            raise RuntimeError(f"The editor did not open: {answer.get('error')}")
        self.version = answer["ready"]

    def ask(self, op: str, **arguments: Any) -> Any:
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"op": op, **arguments}) + "\n")
        self.process.stdin.flush()
        answer = self._answer()
        if isinstance(answer, dict) and answer.get("error"):
            raise RuntimeError(f"{op}: {answer['error']}")
        return answer

    def close(self) -> None:
        if self.process.stdin:
            self.process.stdin.close()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def _answer(self) -> Any:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("The browser ended.")
        return json.loads(line)


VERSIONS = tuple(PINS["hosts"])
