"""Descriptions as the editor saves them: workflows (schema 0.4) and blueprints."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

from headless import PACK
from headless.convert import widgets

from .layout import Box, place
from .parts import Blueprint, Group, Node, Out

CORE_VERSION = "0.3.64"
GROUP_COLOR = "#3f789e"
INPUTS, OUTPUTS = -10, -20
"""Ids of a blueprint's own ends."""


def pack() -> dict[str, str]:
    """Registry name and version, from pyproject.toml alone: what a friend's ComfyUI offers to install."""
    text = (PACK / "pyproject.toml").read_text(encoding="utf-8")
    name, version = (re.search(rf'^{key} = "(.+?)"', text, re.MULTILINE) for key in ("name", "version"))
    if name is None or version is None:
        raise ValueError("pyproject.toml names no project and version.")
    return {"cnr_id": name[1], "ver": version[1]}


def core_nodes() -> dict[str, Any]:
    """The nodes of ComfyUI itself that workflows use, as ComfyUI describes them: written without a ComfyUI at hand."""
    found = json.loads(Path(__file__).with_name("core_nodes.json").read_text(encoding="utf-8"))
    return {name: type(name, (), {"INPUT_TYPES": classmethod(lambda cls, told=told: told["input"]),
                                  "RETURN_NAMES": tuple(n for n, _ in told["output"]),
                                  "RETURN_TYPES": tuple(t for _, t in told["output"])}) for name, told in found.items()}


def workflow(name: str, groups: list[Group], types: dict[str, Any]) -> dict[str, Any]:
    """The description as the editor saves it."""
    nodes, links, boxes, _ = _graph(groups, types)
    return {"id": _id(name), "revision": 0, "last_node_id": len(nodes), "last_link_id": len(links), "nodes": nodes,
            "links": links, "groups": boxes, "config": {}, "extra": {"atelier": {"template": name, **pack()}}, "version": 0.4}


def blueprint(name: str, job: Blueprint, types: dict[str, Any]) -> dict[str, Any]:
    """One node that holds the job's graph, as the editor saves it."""
    nodes, links, boxes, ids = _graph(job.groups, types)
    kept = [_link(link) for link in links]
    inside = {node["id"]: node for node in nodes}
    inputs, outputs, outer, values = [], [], [], []
    for place_, (label, ends) in enumerate(job.inputs.items()):
        numbers, slot = [], {}
        for key, target in ends:
            at = next(i for i, s in enumerate(inside[ids[key]]["inputs"]) if s["name"] == target)
            slot = inside[ids[key]]["inputs"][at]
            slot["link"] = len(kept) + 1
            kept.append(_link([slot["link"], INPUTS, place_, ids[key], at, slot["type"]]))
            numbers.append(slot["link"])
        inputs.append({"id": _id(f"{name}.in.{label}"), "name": label, "type": slot["type"], "linkIds": numbers})
        outer.append({"name": label, "type": slot["type"], "link": None})
        if "widget" in slot:
            outer[-1]["widget"] = {"name": label}
            values.append(_value(job, ends[0], types))
    for place_, (label, out) in enumerate(job.outputs.items()):
        end = inside[ids[out.key]]["outputs"][out.slot]
        kept.append(_link([len(kept) + 1, ids[out.key], out.slot, OUTPUTS, place_, end["type"]]))
        end["links"].append(len(kept))
        outputs.append({"id": _id(f"{name}.out.{label}"), "name": label, "type": end["type"], "linkIds": [len(kept)]})
    width = max(box["bounding"][0] + box["bounding"][2] for box in boxes)
    graph = {"id": _id(f"{name}.graph"), "version": 1,
             "state": {"lastGroupId": len(boxes), "lastNodeId": len(nodes), "lastLinkId": len(kept), "lastRerouteId": 0},
             "revision": 0, "config": {}, "name": name, "category": job.category, "description": job.description,
             "inputNode": {"id": INPUTS, "bounding": [-200, 100, 140, 40 + 20 * len(inputs)]},
             "outputNode": {"id": OUTPUTS, "bounding": [width + 60, 100, 140, 40 + 20 * len(outputs)]},
             "inputs": inputs, "outputs": outputs, "widgets": [], "nodes": nodes, "groups": boxes, "links": kept, "extra": {}}
    node = {"id": 1, "type": graph["id"], "pos": [0, 0], "size": [340, 60 + 26 * (len(outer) + len(outputs))], "flags": {},
            "order": 0, "mode": 0, "inputs": outer,
            "outputs": [{"name": o["name"], "type": o["type"], "links": None} for o in outputs], "title": name,
            "properties": pack(), "widgets_values": values}
    return {"id": _id(name), "revision": 0, "last_node_id": 1, "last_link_id": 0, "nodes": [node], "links": [], "groups": [],
            "definitions": {"subgraphs": [graph]}, "config": {}, "extra": {"atelier": pack()}, "version": 0.4}


def _graph(groups: list[Group], types: dict[str, Any]) -> tuple[list, list, list, dict[str, int]]:
    """Nodes, links, groups and ids by key; wires from keys that aren't there are left open for a blueprint's inputs."""
    placed, columns = place(groups)
    everything = [node for group in groups for node in group.nodes]
    ids = {node.key: i + 1 for i, node in enumerate(everything)}
    links: list[list[Any]] = []
    nodes = [_node(node, placed[node.key], order, ids, types, links) for order, node in enumerate(everything)]
    for link in links:
        end = nodes[link[1] - 1]["outputs"][link[2]]
        end["links"].append(link[0])
        link[5] = end["type"] if link[5] == "*" else link[5]
    boxes = [{"id": i + 1, "title": title, "bounding": [b.x, b.y, b.width, b.height], "color": GROUP_COLOR, "font_size": 24,
              "flags": {}} for i, (title, b) in enumerate(columns)]
    return nodes, links, boxes, ids


def _node(node: Node, box: Box, order: int, ids: dict[str, int], types: dict[str, Any],
          links: list[list[Any]]) -> dict[str, Any]:
    made = {"id": ids[node.key], "type": node.type, "pos": [box.x, box.y], "size": [box.width, box.height], "flags": {},
            "order": order, "mode": 0, "inputs": [], "outputs": [], "properties": {}, "widgets_values": []}
    if node.title:
        made["title"] = node.title
    if node.type == "MarkdownNote":
        return made | {"widgets_values": [node.inputs[""]]}
    cls = types[node.type]
    ours = node.type.startswith("Atelier")
    made["properties"] = {"Node name for S&R": node.type,
                          **(pack() if ours else {"cnr_id": "comfy-core", "ver": CORE_VERSION})}
    kinds = {key: spec for group in ("required", "optional") for key, spec in cls.INPUT_TYPES().get(group, {}).items()}
    with_widget = dict(widgets(cls))
    for key in sorted(kinds, key=lambda key: key in with_widget):  # the editor lists sockets first
        kind = kinds[key][0]
        slot = {"name": key, "type": "COMBO" if isinstance(kind, list) else str(kind), "link": None}
        if key in with_widget:
            slot["widget"] = {"name": key}
        if isinstance(source := node.inputs.get(key), Out) and source.key in ids:
            links.append([len(links) + 1, ids[source.key], source.slot, ids[node.key], len(made["inputs"]), slot["type"]])
            slot["link"] = len(links)
        made["inputs"].append(slot)
    for key, controlled in with_widget.items():
        value = _given(node, key, kinds[key])
        made["widgets_values"] += [value, "fixed"] if controlled else [value]
    names = getattr(cls, "RETURN_NAMES", None) or cls.RETURN_TYPES
    made["outputs"] = [{"name": str(n), "type": str(t), "links": []} for n, t in zip(names, cls.RETURN_TYPES, strict=True)]
    return made


def _given(node: Node, key: str, spec: Any) -> Any:
    """The description's value of a widget, else its default."""
    given = node.inputs.get(key)
    if given is not None and not isinstance(given, Out):
        return given
    options = spec[1] if len(spec) > 1 else {}
    choices = spec[0] if isinstance(spec[0], list) else options.get("options")
    return options.get("default", choices[0] if choices else None)


def _value(job: Blueprint, end: tuple[str, str], types: dict[str, Any]) -> Any:
    node = next(node for group in job.groups for node in group.nodes if node.key == end[0])
    kinds = types[node.type].INPUT_TYPES()
    return _given(node, end[1], {**kinds.get("required", {}), **kinds.get("optional", {})}[end[1]])


def _link(link: list[Any]) -> dict[str, Any]:
    return dict(zip(("id", "origin_id", "origin_slot", "target_id", "target_slot", "type"), link, strict=True))


def _id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"stylegan-atelier/{name}"))
