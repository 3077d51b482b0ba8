"""The weight vector of DualStyleGAN: seven structure weights, then one a color row (Yang et al. 2022, section 4)."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence

from torch import Tensor

from ..errors import InvalidInput

STRUCTURE_PLACES = 7
FULL_LENGTH = 18
"""Weights at 1024 px. Vectors of this length serve every model: smaller ones use the first part, longer ones repeat the end."""

Weights = str | float | Sequence[float] | Tensor
_TERM = re.compile(r"(?:(\d{1,3})\s*\*\s*)?([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,2})?)")


def parse_weights(weights: Weights, count: int) -> tuple[float, ...]:
    """A number for all, `count` (or 18) numbers, or the paper's "[4*0, 3*0.75, 11*1]" -> `count` floats.

    In a string a term is "value" or "times*value"; commas, spaces and brackets only separate. Raises InvalidInput.
    """
    if isinstance(weights, str):
        values = _parse_text(weights)
    elif isinstance(weights, (int, float)):
        values = [float(weights)]
    elif isinstance(weights, Tensor):
        values = [float(v) for v in weights.flatten().tolist()]
    else:
        values = [float(v) for v in weights]
    if not all(math.isfinite(v) for v in values):
        raise InvalidInput("A style weight is NaN or infinite; give numbers, usually from 0 to 1.")
    if len(values) == 1:
        return tuple(values * count)
    if len(values) not in (count, FULL_LENGTH):
        raise InvalidInput(
            f"{len(values)} style weights were given but this model takes {count}: {STRUCTURE_PLACES} for structure, "
            f'then {count - STRUCTURE_PLACES} for color, for example "[7*0.75, {count - STRUCTURE_PLACES}*1]".'
        )
    return tuple(values[:count]) + (values[-1],) * (count - len(values))


def _parse_text(text: str) -> list[float]:
    body = text.strip()
    if body.startswith("[") and body.endswith("]"):
        body = body[1:-1].strip()
    # Spaces around * belong to the term; everywhere else they separate.
    terms = re.split(r"\s*,\s*|\s+", re.sub(r"\s*\*\s*", "*", body))
    values: list[float] = []
    for term in terms:
        match = _TERM.fullmatch(term)
        if match is None:
            raise InvalidInput(f'"{text}" is no weight vector: "{term}" can\'t be read; write it like '
                               '"[4*0, 3*0.75, 11*1]".')
        values += [float(match[2])] * int(match[1] or 1)
    if not values:
        raise InvalidInput(f'"{text}" holds no weights; write them like "[4*0, 3*0.75, 11*1]".')
    return values


def format_weights(values: Sequence[float]) -> str:
    """Floats -> the paper's notation, e.g. "[4*0, 3*0.75, 11*1]"; parse_weights reads it back."""
    runs = ((value, len(list(group))) for value, group in itertools.groupby(values))
    return "[" + ", ".join(f"{length}*{value:.6g}" for value, length in runs) + "]"
