"""JSON out of files: no nesting and no number can cost more than its text is long."""

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
