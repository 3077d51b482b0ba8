"""What a file says of its network beside the tensors must be of the config's types before anything reckons with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ..errors import LoadError
from ..networks import FAMILIES

WIDER: dict[Any, tuple[type, ...]] = {float: (int, float), bool: (bool, int)}
"""Types that stand for another: files write 256 for 256.0."""


def check_facts(config: type, facts: Mapping[str, Any]) -> None:
    """Raise LoadError for a fact that is named as a field of the config or of one inside it, and of none of their types."""
    fields = FIELDS.get(config) or _fields_of(config)
    for name, value in facts.items():
        if name in fields and not any(_is_a(value, hint) for hint in fields[name]):
            raise LoadError(f"The file gives {name} = {str(value)[:80]!r}, which is of another type than this network's; the "
                            f"file is damaged.")


def _fields_of(config: type) -> dict[str, list[Any]]:
    """Field name -> its types, those of configs inside among them."""
    found: dict[str, list[Any]] = {}
    for name, hint in get_type_hints(config).items():
        found.setdefault(name, []).append(hint)
        for inner in (hint, *get_args(hint)):
            if is_dataclass(inner):
                for field, hints in _fields_of(inner).items():  # type: ignore[arg-type]
                    found.setdefault(field, []).extend(hints)
    return found


def _is_a(value: Any, hint: Any) -> bool:
    """Whether a value out of JSON or a pickle is one of the type; lists stand for tuples, objects for configs."""
    kind, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if kind is Literal:
        return isinstance(value, tuple({type(known) for known in inner}))
    if kind is tuple:
        return isinstance(value, (list, tuple)) and all(any(_is_a(v, h) for h in inner if h is not ...) for v in value)
    if inner and kind is not None and not isinstance(kind, type) or kind is type(int | str):
        return any(_is_a(value, h) for h in inner)
    if is_dataclass(hint):
        return isinstance(value, Mapping)
    wanted = kind or hint
    return not isinstance(wanted, type) or isinstance(value, WIDER.get(wanted, wanted))


FIELDS = {config: _fields_of(config) for config, _ in FAMILIES.values()}
"""Of every network; found at import, since the interpreter compiles annotations for it, and nothing is compiled while a file is
read."""
