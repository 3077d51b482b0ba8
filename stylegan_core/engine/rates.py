"""How far Adam moves each tensor: by about the rate, whatever the tensor's size.

With equalized learning rates (Karras et al. 2018, 1710.10196, section 4.1) stored weights are about 1 in size, so that a rate
of 0.002 is two thousandths of each. Weights stored as they are used lie far from 1, most below; a rate relative to their size
makes the same number mean the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

SMALLEST = 0.01
"""Tensors that are nearly zero must be able to leave it."""


def relative_rate(tensor: Tensor) -> float:
    """What a tensor's rate is multiplied by: its root mean square."""
    return max(float(tensor.detach().square().mean().sqrt()), SMALLEST)


def rate_groups(named: Mapping[str, Tensor], relative: bool) -> list[dict[str, object]]:
    """Groups of an Adam over the tensors: one, or one each with the "share" of the rate that is theirs."""
    if not relative:
        return [{"params": list(named.values()), "share": 1.0}]
    return [{"params": [p], "share": relative_rate(p)} for p in named.values()]
