"""A workflow as the editor saves it -> the prompt that ComfyUI's executor takes."""

from __future__ import annotations

from typing import Any

WIDGET_TYPES = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
SEED_NAMES = {"seed", "noise_seed"}
"""The editor adds a "control after generate" widget to inputs of these names, unless the schema says yes or no."""
NOT_EXECUTED = {"Note", "MarkdownNote"}
MUTED, BYPASSED = 2, 4


class WorkflowError(ValueError):
    """A workflow file that can't be turned into a prompt."""


def is_editor_format(workflow: dict[str, Any]) -> bool:
    return isinstance(workflow.get("nodes"), list)


def widgets(node_class: Any) -> list[tuple[str, bool]]:
    """(input name, followed by a control widget) for every input that has a widget, in the editor's order."""
    found = []
    for group in ("required", "optional"):
        for name, (kind, *rest) in node_class.INPUT_TYPES().get(group, {}).items():
            options = rest[0] if rest else {}
            if not options.get("forceInput") and (isinstance(kind, list) or str(kind) in WIDGET_TYPES):
                stated = options.get("control_after_generate")
                found.append((name, str(kind) == "INT" and bool(name in SEED_NAMES if stated is None else stated)))
    return found


def to_prompt(workflow: dict[str, Any], types: dict[str, type]) -> dict[str, Any]:
    """{node id: {"class_type", "inputs", "_meta"}}; a prompt comes back as it is. Raises WorkflowError."""
    if not is_editor_format(workflow):
        return workflow
    links = {link[0]: (link[1], link[2]) for link in workflow.get("links", [])}
    nodes = {node["id"]: node for node in workflow["nodes"]}
    prompt = {}
    for node in workflow["nodes"]:
        if node["type"] in NOT_EXECUTED or node["type"] == "Reroute" or node.get("mode") == MUTED:
            continue
        if node["type"] not in types:
            raise WorkflowError(f"The workflow uses the node {node['type']}, which this engine does not have.")
        if node.get("mode") == BYPASSED:
            raise WorkflowError(f"Node {node['id']} ({node['type']}) is bypassed, which only the editor resolves; "
                                f"remove it.")
        inputs = _widget_values(node, types[node["type"]]) | _linked(node, links, nodes)
        title = node.get("title") or _display_name(node["type"], types)
        prompt[str(node["id"])] = {"class_type": node["type"], "inputs": inputs, "_meta": {"title": title}}
    return prompt


def _display_name(kind: str, types: dict[str, Any]) -> str:
    schema = getattr(types[kind], "GET_SCHEMA", None)
    return schema().display_name if schema else kind


def _widget_values(node: dict[str, Any], node_class: type) -> dict[str, Any]:
    values = node.get("widgets_values") or []
    if isinstance(values, dict):
        return dict(values)
    inputs, at = {}, 0
    for name, seed in widgets(node_class):
        if at < len(values):
            inputs[name] = values[at]
        at += 2 if seed else 1
    return inputs


def _linked(node: dict[str, Any], links: dict[int, tuple[int, int]], nodes: dict[int, dict]) -> dict[str, Any]:
    found = {}
    for slot in node.get("inputs") or []:
        if slot.get("link") is not None:
            source, output = links[slot["link"]]
            while nodes[source]["type"] == "Reroute":
                source, output = links[nodes[source]["inputs"][0]["link"]]
            found[slot["name"]] = [str(source), output]
    return found
