"""Numbers a person gives: short texts read into them, ranges that every options class checks when it is made."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from .errors import InvalidInput

T = TypeVar("T")
MAX_SPAN = 1 << 16
_POINT = re.compile(r"(\d{1,5})\s*(?:px)?\s*:\s*([-+]?\d*\.?\d+)")


def parse_indices(text: str) -> list[int]:
    """"3", "0, 2, 5-8", "-1": entries of a batch, spans with both ends. Raises InvalidInput."""
    found: list[int] = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        match = re.fullmatch(r"(-?\d{1,20})(?:\s*-\s*(\d{1,20}))?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first or (match and match[2] and first < 0) or last - first >= MAX_SPAN:
            raise InvalidInput(f'"{part}" is no list of numbers; write them such as "0, 2, 5-8".')
        found += range(first, last + 1)
    if not found:
        raise InvalidInput('No numbers were given; write them such as "0, 2, 5-8".')
    return found


def parse_numbers(text: str) -> list[float]:
    """"2, 1, 0.5" -> [2.0, 1.0, 0.5]. Raises InvalidInput."""
    try:
        numbers = [float(part) for part in text.replace(",", " ").split()]
    except ValueError:
        numbers = []
    if not numbers or not all(map(math.isfinite, numbers)):
        raise InvalidInput(f'"{text}" is no list of numbers; write them such as "2, 1, 0.5".')
    return numbers


def parse_curve(text: str) -> dict[int, float]:
    """"4:1, 16:1, 64:0" -> {4: 1.0, 16: 1.0, 64: 0.0}: pixels and the weight there. Raises InvalidInput."""
    curve: dict[int, float] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        match = _POINT.fullmatch(part)
        if match is None:
            raise InvalidInput(f'"{part}" is no point of a curve; write pixels and weight such as "4:1, 32:0.5, 64:0".')
        curve[int(match[1])] = float(match[2])
    if not curve:
        raise InvalidInput('The curve is empty; write pixels and weight such as "4:1, 32:0.5, 64:0".')
    return curve


def check_numbers(options: Any, what: str, from_one: tuple[str, ...] = (), signed: tuple[str, ...] = ()) -> None:
    """Every number of an options dataclass is finite and, but for those of `signed`, not below 0, those of `from_one` not below
    1; None and texts pass, of a tuple each number counts.

    what: whose options they are, as a sentence begins. Raises InvalidInput.
    """
    for field in fields(options):
        value = getattr(options, field.name)
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, (int, float)) and not (math.isfinite(number) and (number >= 0 or field.name in signed)):
                wanted = "a finite number" if field.name in signed else "a finite number from 0 on"
                raise InvalidInput(f"{what} got {field.name} = {value}; use {wanted}.")
    for name in from_one:
        value = getattr(options, name)
        if value is not None and value < 1:
            raise InvalidInput(f"{what} got {name} = {value}; use at least 1.")


def of_preset(options: T | str, presets: Mapping[str, T], what: str) -> T:
    """Options as they are, or those of a preset by its name. what: whose, as a sentence begins. Raises InvalidInput."""
    if not isinstance(options, str):
        return options
    if options not in presets:
        raise InvalidInput(f'{what} preset "{options}" is unknown; use one of {", ".join(presets)}.')
    return presets[options]
