"""What a pickle's values are and weigh: names, texts left in the file, keys, and the work that handling them may cost."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from ..errors import LoadError
from .source import Source

BYTES_A_UNIT = 256
"""A unit of work: one instruction, one entry of a container, or this many bytes."""
MAX_KEY = 1000
UNIQUE = 1 << 60
"""Whole numbers below this have hashes of their own; larger ones can be chosen to collide."""
MAX_COLLIDING = 100


@dataclass(frozen=True)
class Name:
    """A global the pickle named. `make` builds the inert stand-in from the arguments of a call; None: no call allowed."""

    module: str
    name: str
    make: Callable[..., Any] | None = None
    cost: int = 4
    """Units that a call counts for: what it makes weighs up to a kilobyte."""


@dataclass(frozen=True)
class LongText:
    """A text too long to be of use, still in the file as UTF-8."""

    source: Source

    def __len__(self) -> int:
        return len(self.source)

    def latin1(self) -> bytes:
        """Its characters as bytes; Python 3 writes byte strings for Python 2 that way. Raises LoadError for other texts."""
        decoder, found = codecs.getincrementaldecoder("utf-8")(), bytearray()
        try:
            for at, count in self.source.chunks():
                found += decoder.decode(self.source.read(at, count)).encode("latin1")
            decoder.decode(b"", final=True)
        except UnicodeError as error:
            raise LoadError(f"A byte string in the file is written as no text can be ({error}); it is damaged.") from error
        return bytes(found)


Resolve = Callable[[str, str], Name]
"""(module, name) -> Name, or UnsafeCheckpoint."""

KEY_TYPES = (str, int, float, bool, bytes, type(None), Name)
MAX_PARTS = 8
"""Of a key that is a tuple."""


def checked_key(key: Any) -> Any:
    """A key that is plain and short, a name, an object of a class that is never built, or a tuple of few such. Raises
    LoadError."""
    if isinstance(key, tuple) and len(key) <= MAX_PARTS and not any(isinstance(part, tuple) for part in key):
        return tuple(checked_key(part) for part in key)
    if type(key) not in KEY_TYPES and not hasattr(key, "build"):
        raise LoadError(f"The pickle uses a {type(key).__name__} as a dict key, which no checkpoint does; the file is damaged.")
    if isinstance(key, (str, bytes)) and len(key) > MAX_KEY:
        raise LoadError(f"The pickle has a key of {len(key)} characters and {MAX_KEY} are the most that is read; the file is "
                        f"damaged or made to exhaust memory.")
    return key


def plain_keys(keys: Collection[Any]) -> list[Any]:
    """Keys that are plain and short, few of which can be chosen to collide. Raises LoadError."""
    found = [checked_key(key) for key in keys]
    if sum(map(collides, found)) > MAX_COLLIDING:
        raise LoadError("The pickle uses many numbers of over 18 digits, or tuples, as keys, which no checkpoint does; it is "
                        "damaged.")
    return found


def collides(key: Any) -> bool:
    """Whether a key's hash can be chosen."""
    return isinstance(key, tuple) or (isinstance(key, (int, float)) and not abs(key) < UNIQUE)


def length(value: Any) -> int:
    """Units of one entry: bytes of texts, entries of containers."""
    if isinstance(value, str):
        return sys.getsizeof(value) // BYTES_A_UNIT
    if isinstance(value, (bytes, LongText)):
        return len(value) // BYTES_A_UNIT
    return len(value) if isinstance(value, (tuple, list, dict, set, frozenset)) else 0


def weight(value: Any) -> int:
    """How much work handling a value may cost, in units: its own entries, and those one level below where it is a tuple."""
    return length(value) + (sum(map(length, value)) if isinstance(value, tuple) else 0)
