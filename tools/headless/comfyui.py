"""ComfyUI's own executor, in this process, without its server."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import os
import sys
import uuid
from pathlib import Path
from typing import Any

from . import PACK, Folders, Listener, Result

NEEDS = ("torchsde", "torchvision", "transformers", "aiohttp", "av", "yaml", "scipy", "alembic", "sqlalchemy")
"""What ComfyUI can't start without, beside what this pack needs itself."""

EXTRAS = ("mask", "preview_any", "video", "dataset", "images", "latent", "post_processing", "canny", "morphology", "rebatch",
          "compositing")
"""Of ComfyUI's own further nodes, those that workflows use."""
CACHE = {"lru": 0, "ram": 2.0, "ram_inactive": 4.0}
"""What newer versions ask for, in GB; the classic cache takes no notice of it."""


def folder() -> Path | None:
    """$COMFYUI_PATH, else ~/comfy/ComfyUI, if a ComfyUI is there."""
    for candidate in (os.environ.get("COMFYUI_PATH"), "~/comfy/ComfyUI"):
        if candidate and (path := Path(candidate).expanduser()).joinpath("execution.py").is_file():
            return path
    return None


def missing() -> list[str]:
    """Modules of NEEDS that this interpreter lacks."""
    return [name for name in NEEDS if importlib.util.find_spec(name) is None]


def every_tick() -> None:
    """Newer hosts drop ticks that come fast; whoever counts them wants all."""
    import comfy.utils

    for limit in ("PROGRESS_THROTTLE_MIN_INTERVAL", "PROGRESS_THROTTLE_MIN_PERCENT"):
        setattr(comfy.utils, limit, 0)


class ComfyUIEngine:
    """Loads ComfyUI once (about 10 s); prompts then start at once and share its cache."""

    def __init__(self, comfyui: Path, folders: Folders) -> None:
        places = {"output": folders.output, "temp": folders.scratch, "user": folders.scratch / "user"}
        if folders.base:
            places["input"] = folders.base / "input"
        for path in places.values():
            path.mkdir(parents=True, exist_ok=True)
        sys.argv = ["main.py", *_device(), "--disable-all-custom-nodes", "--database-url",
                    f"sqlite:///{folders.scratch / 'comfyui.db'}",
                    *(("--base-directory", str(folders.base)) if folders.base else ())]
        sys.path.insert(0, str(comfyui))
        import comfy.options

        comfy.options.enable_args_parsing()
        import folder_paths
        import utils.extra_config  # noqa: F401 - before `nodes`, whose sys.path hides the package `utils`

        for kind, path in places.items():  # it is ComfyUI's main.py, not run here, that would heed arguments
            getattr(folder_paths, f"set_{kind}_directory")(str(path))
        self._start()

    def _start(self) -> None:
        import comfyui_version
        import execution
        import server

        import nodes

        self.name = f"ComfyUI {comfyui_version.__version__}"
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        server.PromptServer(self.loop)
        for path in (Path(nodes.__file__).parent / "comfy_extras" / f"nodes_{name}.py" for name in EXTRAS):
            if not path.is_file():  # of a newer or older ComfyUI
                continue
            self.loop.run_until_complete(nodes.load_custom_node(str(path), module_parent="comfy_extras"))
        if not self.loop.run_until_complete(nodes.load_custom_node(str(PACK), module_parent="custom_nodes")):
            raise RuntimeError("ComfyUI could not load this pack; its log says why.")
        self.server = _Server()
        takes = inspect.signature(execution.PromptExecutor).parameters
        self.executor = execution.PromptExecutor(self.server, **({"cache_args": CACHE} if "cache_args" in takes else {}))

    def node_types(self) -> dict[str, type]:
        import nodes

        return nodes.NODE_CLASS_MAPPINGS

    def run(self, prompt: dict[str, Any], listener: Listener) -> Result:
        import comfy.model_management
        import comfy.utils
        import execution

        def tick(value: int, total: int, preview: Any, node_id: str | None = None) -> None:
            listener.progress(value, total, preview)
            comfy.model_management.throw_exception_if_processing_interrupted()

        comfy.utils.set_progress_bar_global_hook(tick)
        prompt_id = str(uuid.uuid4())
        valid, error, targets, node_errors = self.loop.run_until_complete(
            execution.validate_prompt(prompt_id, prompt, None))
        if not valid:
            return _invalid(error, node_errors)
        self.server.begin(listener)
        self.executor.execute(prompt, prompt_id, {"client_id": _Server.client_id}, targets)
        return self.server.result(self.executor)


def _device() -> list[str]:
    import torch

    return [] if torch.cuda.is_available() else ["--cpu"]


def _invalid(error: dict[str, Any], node_errors: dict[str, Any]) -> Result:
    for node_id, found in node_errors.items():
        first = found["errors"][0]
        return Result(error=f"{found['class_type']}: {first['message']} ({first['details']}).",
                      error_type=first["type"], error_node=node_id)
    return Result(error=f"{error['message']} {error.get('details', '')}".strip(), error_type=error["type"])


class _Server:
    """Stands in for ComfyUI's web server: hears what the executor says."""

    client_id = "headless"
    last_node_id: str | None = None
    last_prompt_id: str | None = None
    sockets_metadata: dict = {}

    def begin(self, listener: Listener) -> None:
        self.listener, self.events = listener, []

    def send_sync(self, event: Any, data: Any, sid: str | None = None) -> None:
        if isinstance(event, str) and isinstance(data, dict):
            self.events.append((event, data))
            if event == "executing" and data.get("node"):
                self.listener.node(data["node"])

    def result(self, executor: Any) -> Result:
        last = dict(self.events)
        failure = last.get("execution_error") or last.get("execution_interrupted") or {}
        return Result(
            success=executor.success,
            error="" if executor.success else str(failure.get("exception_message", "interrupted")).strip(),
            error_type=failure.get("exception_type", "" if executor.success else "InterruptProcessingException"),
            error_node=failure.get("node_id", ""),
            outputs=executor.history_result.get("outputs", {}) if executor.success else {},
            cached=list(last.get("execution_cached", {}).get("nodes", [])),
            executed=[data["node"] for event, data in self.events if event == "executing" and data.get("node")])
