"""JSON out of files, where no nesting and no number can cost more than its text is long, and into them."""

from __future__ import annotations

import json
from typing import Any

MAX_DIGITS = 400
"""Of a whole number: Python's own limit is newer than the oldest Python this runs on."""


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def parse_json(text: str | bytes) -> Any:
    """What a JSON text says. Raises ValueError, nothing else."""
    try:
        return json.loads(text, parse_int=_whole)
    except RecursionError as error:
        raise ValueError("it nests too deep") from error


def plain_text(text: str) -> str:
    """A text that UTF-8 can spell: bytes of a file's name that are none, half a pair to Python, become JSON's escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def to_json(value: Any, **how: Any) -> str:
    """A JSON text in plain characters, which parse_json reads back; how: of json.dumps."""
    return plain_text(json.dumps(value, ensure_ascii=False, **how))
