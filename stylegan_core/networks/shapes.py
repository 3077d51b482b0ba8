"""Reading a config off the shapes of a state dict: what every architecture's from_shapes needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

from ..errors import LoadError
from .mapping import MappingConfig

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
MAX_RESOLUTION = 4096
"""Pixels a side that a network draws or sees at most: a file that asks for more is made to exhaust memory."""


def shape_of(shapes: Shapes, key: str, ndim: int) -> Shape:
    """The shape of one tensor; LoadError when it is missing or has another number of axes."""
    if key not in shapes:
        raise LoadError(f"The file has no tensor {key}, which this network needs; load the complete generator instead.")
    shape = tuple(shapes[key])
    if len(shape) != ndim:
        raise LoadError(f"Tensor {key} has shape {list(shape)} but {ndim} axes were expected; use an intact file.")
    return shape


def count_of(shapes: Shapes, pattern: str) -> int:
    """How many of the keys pattern.format(0), pattern.format(1) ... are there in a row."""
    return next(i for i in count() if pattern.format(i) not in shapes)


def block_widths(shapes: Shapes, pattern: str, first: int = 4, axis: int = 0) -> list[int]:
    """Widths by resolution: that axis of the weights [a, b, h, w] at pattern.format(first), pattern.format(2 * first) ... while
    there are any. Raises LoadError."""
    widths = []
    while (key := pattern.format(resolution := first << len(widths))) in shapes:
        if resolution > MAX_RESOLUTION:
            raise LoadError(f"The file has {key}, but {MAX_RESOLUTION} px is the most supported; use an intact file.")
        widths.append(shape_of(shapes, key, 4)[axis])
    return widths


def check_shapes(found: Shapes, expected: Iterable[tuple[str, Shape]], optional: Iterable[str] = ()) -> None:
    """LoadError unless every expected tensor (but the optional ones) is there with its shape."""
    optional = frozenset(optional)
    for key, shape in expected:
        if key in optional and key not in found:
            continue
        if shape_of(found, key, len(shape)) != tuple(shape):
            raise LoadError(
                f"Tensor {key} has shape {list(found[key])} but the other tensors call for {list(shape)}; "
                f"the file mixes two networks, so use an intact one."
            )


def mapping_from_shapes(shapes: Shapes, num_ws: int, facts: Mapping[str, Any]) -> MappingConfig:
    """The mapping's config from keys mapping.fc{i}.weight and mapping.embed.*; facts may give lr_multiplier."""
    depth = count_of(shapes, "mapping.fc{}.weight")
    widths = [shape_of(shapes, f"mapping.fc{i}.weight", 2) for i in range(max(depth, 1))]
    hidden = {out for out, _ in widths[:-1]}
    if len(hidden) > 1 or any(a[0] != b[1] for a, b in zip(widths, widths[1:], strict=False)):
        raise LoadError(f"The mapping's layers have shapes {[list(w) for w in widths]}, which do not follow on one "
                        f"another; use an intact file.")
    z_dim, c_dim, label = widths[0][1], 0, "embed"
    if "mapping.embed.weight" in shapes:
        embedded, c_dim = shape_of(shapes, "mapping.embed.weight", 2)
        label = "embed" if "mapping.embed.bias" in shapes else "concat"
        z_dim -= embedded
    w_dim = widths[-1][0]
    return MappingConfig(z_dim, c_dim, w_dim, num_ws, depth, hidden.pop() if hidden else w_dim,
                         float(facts.get("lr_multiplier", 0.01)), label)


def nested_facts(facts: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Facts of a network inside another: those stored under `name` by a saved config, else the outer ones."""
    inner = facts.get(name)
    inner = inner if isinstance(inner, Mapping) else facts
    mapping = inner.get("mapping")
    return {**inner, **(mapping if isinstance(mapping, Mapping) else {})}
