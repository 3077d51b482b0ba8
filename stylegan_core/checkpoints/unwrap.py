"""From a file's tree to the tensors of one network: wrappers off, EMA or raw chosen, module prefixes gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

import torch

from ..errors import InvalidInput, LoadError
from .layout import SourceState
from .pickle_names import Record
from .tensors import MAX_KEY, ArrayStub, LazyTensor

Which = Literal["ema", "raw", "decoder", "discriminator"]
"""ema: averaged weights where the file has them (default); raw: the training weights; decoder: the generator inside an
encoder's file; discriminator: the one a training file carries."""

PARTS: dict[str, tuple[str, ...]] = {
    "ema": ("G_ema", "g_ema", "g_running", "params_ema", "ema", "state_dict", "params", "G", "g", "generator"),
    "raw": ("G", "g", "generator", "params", "state_dict"),
    "decoder": ("G_ema", "g_ema", "state_dict", "generator"),
    "discriminator": ("D", "d", "discriminator", "state_dict", "params"),
}
"""Keys that hold a network inside a training file, first found first taken."""
AVERAGED = ("G_ema", "g_ema", "g_running", "params_ema", "ema")
ABSENT: dict[str, tuple[tuple[str, ...], str]] = {
    "raw": (AVERAGED, "averaged weights only, no raw ones; load it as it is (which=\"ema\")"),
    "discriminator": ((*AVERAGED, "G", "g", "generator"), "generators and no discriminator; choose the model's training file"),
}
"""Which -> keys of a file that could have had it, and what is said then."""
BESIDE = ("latent_avg", "opts", "args")
"""Entries next to the network that belong to it."""
OF_THE_GENERATOR = ("ema", "raw")
"""Only these take tensors beside the network: an encoder's average is an offset in its own space."""
PREFIXES = ("module.", "_orig_mod.", "model.", "g_ema.", "G_ema.", "netG.", "D.", "d.")
MAX_WRAPPERS = 6
"""Prefixes taken off one after the other; a model is wrapped twice at most."""
TF_TUPLE = {"raw": 0, "discriminator": 1}
"""Place in TensorFlow's (G, D, Gs); the last is the averaged generator."""
INNER_GENERATORS = ("decoder.", "generator.")
WITHIN: dict[str, tuple[str, ...]] = {
    "ema": ("generator_ema.", "g_ema.", "G_ema.", "netG_ema.", "ema.", "generator.", "netG.", "G.", "g.", "model.generator."),
    "raw": ("generator.", "netG.", "G.", "g.", "model.generator."),
    "discriminator": ("discriminator.", "netD.", "D.", "d.", "model.discriminator."),
}
"""Prefixes of one network beside others in a state dict."""
MAX_DEPTH = 32
MAX_ENTRIES = 200_000
MAX_TENSORS = 20_000


def unwrap(tree: Any, which: Which = "ema") -> SourceState:
    """The one network of a tree that is wanted. Raises LoadError when there is none."""
    if which not in PARTS:
        raise InvalidInput(f'"{which}" is no part of a checkpoint; use {", ".join(PARTS)}.')
    node, part, beside = _descend(tree, which)
    tensors: dict[str, LazyTensor] = {}
    attributes: dict[str, Any] = {}
    for key, value in walk(node):
        (tensors if isinstance(value, LazyTensor) else attributes)[key] = value
    if len(tensors) > MAX_TENSORS:
        raise LoadError(f"The file holds {len(tensors)} tensors and no known network has over {MAX_TENSORS}; choose another.")
    if not tensors:
        raise LoadError(f"The file holds {_describe(tree)} but no network weights; choose the generator's checkpoint.")
    tensors = _strip_prefixes(tensors)
    if which == "decoder":
        tensors, part = _inner_generator(tensors, part)
    for key, value in walk(beside):
        if isinstance(value, LazyTensor) and which in OF_THE_GENERATOR:
            tensors.setdefault(key, value)
        elif not isinstance(value, LazyTensor):
            attributes[key] = value
    return SourceState(tensors, attributes, part)


def _descend(tree: Any, which: Which) -> tuple[Any, str, dict[str, Any]]:
    """(network, its place, entries beside it)."""
    node, path, beside = tree, [], {}
    for _ in range(4):
        if isinstance(node, tuple) and len(node) == 3 and all(isinstance(n, Record) for n in node):
            index = TF_TUPLE.get(which, 2)
            node = node[index]
            path.append(("G", "D", "Gs")[index])
            continue
        if not isinstance(node, dict):
            break
        name = next((n for n in PARTS[which] if isinstance(node.get(n), (dict, Record, tuple))), None)
        if name is None:
            others, what = ABSENT.get(which, ((), ""))
            if any(other in node for other in others):
                raise LoadError(f"The file holds {what}.")
            break
        beside |= {key: node[key] for key in BESIDE if key in node}
        node = node[name]
        path.append(name)
    return node, ".".join(path), beside


def walk(node: Any) -> Iterator[tuple[str, Any]]:
    """(dotted name, tensor or plain value) of everything below a node; each container once, bounded in depth and number."""
    stack: list[tuple[Any, str, int]] = [(node, "", 0)]
    seen: set[int] = set()
    while stack:
        node, prefix, depth = stack.pop()
        if depth > MAX_DEPTH or len(stack) + len(seen) > MAX_ENTRIES:
            raise LoadError(
                f"The file nests deeper than {MAX_DEPTH} levels or has more than {MAX_ENTRIES} entries; it is no "
                "checkpoint."
            )
        if isinstance(node, ArrayStub):
            node = node.lazy
        if isinstance(node, (LazyTensor, str, int, float, bool, type(None))):
            yield prefix, node
        elif id(node) not in seen:
            seen.add(id(node))
            stack += [(child, _join(prefix, key, node), depth + 1) for key, child in reversed(_children(node))]


def _join(prefix: str, key: str, node: Any) -> str:
    if len(prefix) + len(key) >= MAX_KEY:
        raise LoadError(f"The file has a name of over {MAX_KEY} characters ({(prefix or key)[:40]} ...), which no network has; "
                        f"it is damaged or made to exhaust memory.")
    slash = isinstance(node, Record) and _is_tensorflow(node) or "/" in prefix
    return f"{prefix}{'/' if slash else '.'}{key}" if prefix else key


def _is_tensorflow(node: Record) -> bool:
    return node.name == "Network" and "variables" in node.state


def _children(node: Any) -> list[tuple[str, Any]]:
    if isinstance(node, Mapping):
        return [(str(k), v) for k, v in node.items() if isinstance(k, (str, int))]
    if isinstance(node, (list, tuple)):
        plain = len(node) <= 64 and all(isinstance(v, (int, float, str)) for v in node)
        return [(str(i), v) for i, v in enumerate(node)] if plain else []
    if not isinstance(node, Record):
        return []
    return _tensorflow_children(node) if _is_tensorflow(node) else _module_children(node)


def _module_children(node: Record) -> list[tuple[str, Any]]:
    """A pickled torch module: parameters, buffers, sub-modules, then its plain attributes; of a class that is a dict, its
    items."""
    found: list[tuple[str, Any]] = _children(node.items)
    for kind in ("_parameters", "_buffers", "_modules"):
        group = node.state.get(kind)
        found += [(str(k), v) for k, v in group.items() if v is not None] if isinstance(group, dict) else []
    taken = {key for key, _ in found}
    plain = (str, int, float, bool, type(None), list, tuple)
    own = ((k, v) for k, v in node.state.items() if isinstance(k, str) and not k.startswith("_"))
    return found + [(k, v) for k, v in own if k not in taken and isinstance(v, plain)]


def _tensorflow_children(node: Record) -> list[tuple[str, Any]]:
    """A pickled TensorFlow network: variables by name, components, and the keyword arguments it was made with."""
    variables, components = node.state.get("variables"), node.state.get("components")
    pairs = variables if isinstance(variables, list) else []
    found = [(v[0], _number(v[1])) for v in pairs if isinstance(v, tuple) and len(v) == 2 and isinstance(v[0], str)]
    found += list(components.items()) if isinstance(components, dict) else []
    found += [("build_func_name", node.state.get("build_func_name"))]
    return found + [("static_kwargs", node.state.get("static_kwargs") or {}), ("version", node.state.get("version"))]


def _number(value: Any) -> Any:
    """Scalar variables arrive as plain numbers; they are tensors of no axes."""
    return LazyTensor((), torch.float32, lambda: torch.tensor(float(value))) if isinstance(value, (int, float)) else value


def _strip_prefixes(tensors: dict[str, LazyTensor]) -> dict[str, LazyTensor]:
    for _ in range(MAX_WRAPPERS):
        prefix = next((p for p in PREFIXES if all(key.startswith(p) for key in tensors)), None)
        if prefix is None:
            break
        tensors = {key[len(prefix) :]: value for key, value in tensors.items()}
    return tensors


def _inner_generator(tensors: dict[str, LazyTensor], part: str) -> tuple[dict[str, LazyTensor], str]:
    for prefix in INNER_GENERATORS:
        inner = {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}
        if inner:
            return inner, f"{part}.{prefix[:-1]}".lstrip(".")
    raise LoadError("The file has no generator inside (no keys under decoder. or generator.); load it as what it is.")


def inner_networks(state: SourceState, which: Which) -> Iterator[SourceState]:
    """The networks that lie under a trainer's prefixes, best first."""
    for prefix in WITHIN.get(which, ()):
        inner = {key[len(prefix) :]: value for key, value in state.tensors.items() if key.startswith(prefix)}
        if inner:
            yield replace(state, tensors=inner, part=f"{state.part}.{prefix[:-1]}".lstrip("."))


def _describe(tree: Any) -> str:
    if isinstance(tree, dict):
        return "a dict with " + (", ".join(str(k)[:40] for k in list(tree)[:5]) or "nothing")
    if isinstance(tree, Record):
        return f"an object of class {tree.name[:60]}"
    return f"a {type(tree).__name__}"
