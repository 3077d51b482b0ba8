"""The pickle format's vocabulary: instructions that are plain data, and what a name is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import LoadError

MAX_LONG_BYTES = 64
MAX_TEXT_BYTES = 16 << 20
WEIGHTLESS_BYTES = 256


@dataclass(frozen=True)
class Name:
    """A global the pickle named. `make` builds the inert stand-in from the arguments of a call; None: no call allowed."""

    module: str
    name: str
    make: Callable[..., Any] | None = None
    cost: int = 1
    """Instructions that a call counts for."""


Resolve = Callable[[str, str], Name]
"""(module, name) -> Name, or UnsafeCheckpoint."""

KEY_TYPES = (str, int, float, bool, bytes, type(None))


def _text(raw: memoryview) -> str:
    if len(raw) > MAX_TEXT_BYTES:
        raise LoadError(f"The pickle holds a text of {len(raw)} bytes, which no checkpoint needs; it isn't read further.")
    return str(raw, "utf-8", "surrogatepass")


def _latin(raw: memoryview) -> str:
    return str(raw, "latin1")


def _long(raw: memoryview) -> int:
    if len(raw) > MAX_LONG_BYTES:
        raise LoadError(
            f"The pickle holds an integer of {len(raw)} bytes, which no checkpoint needs; the file is damaged."
        )
    return int.from_bytes(raw, "little", signed=True)


def _memory(raw: memoryview) -> memoryview:
    return raw


NUMBERS = {b"J": "<i", b"K": "<B", b"M": "<H", b"G": ">d"}
SIZED: dict[bytes, tuple[str, Callable[[memoryview], Any]]] = {
    b"X": ("<I", _text), b"\x8c": ("<B", _text), b"\x8d": ("<Q", _text),
    b"B": ("<I", _memory), b"C": ("<B", _memory), b"\x8e": ("<Q", _memory), b"\x96": ("<Q", _memory),
    b"T": ("<i", _latin), b"U": ("<B", _latin),
    b"\x8a": ("<B", _long), b"\x8b": ("<i", _long),
}
CONSTANTS: dict[bytes, Callable[[], Any]] = {
    b"N": lambda: None, b"\x88": lambda: True, b"\x89": lambda: False,
    b"]": list, b"}": dict, b")": tuple, b"\x8f": set,
}
TUPLES = {b"\x85": 1, b"\x86": 2, b"\x87": 3}
GETS, PUTS = {b"h": "<B", b"j": "<I"}, {b"q": "<B", b"r": "<I"}


def checked_key(key: Any) -> Any:
    if type(key) not in KEY_TYPES:
        raise LoadError(
            f"The pickle uses a {type(key).__name__} as a dict key, which no checkpoint does; the file is damaged."
        )
    return key


def weight(value: Any) -> int:
    """How much work handling a value may cost, in instructions: entries of containers, bytes by the quarter kilobyte."""
    if isinstance(value, (str, bytes, memoryview)):
        return len(value) // WEIGHTLESS_BYTES
    if isinstance(value, tuple):
        return len(value) + sum(len(v) if isinstance(v, (tuple, list, dict, set)) else weight(v) for v in value)
    return len(value) if isinstance(value, (list, dict, set)) else 0
