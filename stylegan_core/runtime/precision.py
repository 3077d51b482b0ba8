"""The one door for precision: mapping and styles in float32, convolutions in the type that pays.

The weights stay as they are; what changes is the type that a synthesis computes its features in, on a view of the model
that shares every tensor. Half precision is a choice, or "auto": taken where it was seen to be harmless and faster.
"""

from __future__ import annotations

import copy
import time
import weakref
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast, get_args

import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from ..networks.generators.base import Synthesis
from .drawing import FastForward

Precision = Literal["float32", "bf16", "fp16", "auto"]
PRECISIONS: tuple[str, ...] = get_args(Precision)
TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
HARMLESS = 1.0
"""Mean difference of a picture in levels of 255 below which "auto" takes half precision."""
PROOF_AFTER = 2
"""A proof draws two pictures more; "auto" draws so many of a model exactly before it spends them."""
Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class Verdict:
    """How half precision compared on one picture: mean difference in levels of 255, seconds of both."""

    difference: float
    exact_seconds: float
    half_seconds: float

    @property
    def pays(self) -> bool:
        return self.difference < HARMLESS and self.half_seconds < self.exact_seconds  # False for NaN


def fast_type(device: torch.device | str) -> torch.dtype | None:
    """The half precision that a device computes convolutions in natively; None where it has none. Probed, not guessed."""
    kind = torch.device(device).type
    if kind == "cpu":
        probes = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
        return torch.bfloat16 if any(probe is not None and probe() for probe in probes) else None
    if kind == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return {"mps": torch.float16, "xpu": torch.bfloat16}.get(kind)


def check_precision(precision: str) -> None:
    """Raise InvalidInput unless it is one of PRECISIONS."""
    if precision not in PRECISIONS:
        raise InvalidInput(f'Precision "{precision}" is unknown; use one of {", ".join(PRECISIONS)}.')


def at_precision(model: Module, precision: Precision = "float32", ws: Tensor | None = None) -> Module:
    """A view of a generator or DualStyleGAN that draws at a precision; it shares every tensor, and model is left alone.

    float32 is the model itself. bf16 and fp16 compute the features so, wherever they run. auto takes the device's fast type
    where a picture of ws [B >= 1, num_ws, w_dim] came out less than HARMLESS levels off and sooner; that is found out once
    a model, after the first PROOF_AFTER pictures, and remembered. Raises InvalidInput for a network without such a choice.
    """
    check_precision(precision)
    if precision == "float32":
        return model
    inner: Any = getattr(model, "base", model)
    synthesis = getattr(inner, "synthesis", None)
    if not isinstance(synthesis, Synthesis) or not synthesis.takes_half:
        if precision == "auto":
            return model
        raise InvalidInput(f"A {getattr(inner, 'kind', 'network')} is drawn in float32 only; leave the precision at float32.")
    dtype = TYPES.get(precision)
    if dtype is None:
        dtype = _found(synthesis, ws)
    return model if dtype is None else _view(model, dtype)


def _view(model: Any, dtype: torch.dtype) -> Any:
    """A shallow copy: its modules' tensors are model's own, moved with it."""
    if isinstance(model, Synthesis):
        twin = copy.copy(model)
        twin.compute_dtype = dtype
        if isinstance(model.forward, FastForward):
            twin.forward = model.forward.at(dtype)
        return twin
    name = "base" if "base" in model._modules else "synthesis"
    twin = copy.copy(model)
    twin._modules = {**model._modules, name: _view(model._modules[name], dtype)}
    return twin


@dataclass
class _Memory:
    """What is known of a synthesis; a copy of the network is another one and knows nothing."""

    owner: weakref.ref[Synthesis]
    drawn: int
    verdicts: dict[torch.device, Verdict]


def _memory(synthesis: Synthesis) -> _Memory:
    found = synthesis.__dict__.get("_precision_memory")
    if found is None or found.owner() is not synthesis:
        found = synthesis.__dict__["_precision_memory"] = _Memory(weakref.ref(synthesis), 0, {})
    return found


def verdict_of(model: nn.Module, device: torch.device | str) -> Verdict | None:
    """What "auto" found out of a model on a device; None while it has not looked."""
    inner: Any = getattr(model, "base", model)
    return _memory(inner.synthesis).verdicts.get(torch.device(device))


def _found(synthesis: Synthesis, ws: Tensor | None) -> torch.dtype | None:
    if ws is None or ws.dtype == torch.float64:
        return None
    dtype, memory = fast_type(ws.device), _memory(synthesis)
    if dtype is None:
        return None
    verdict = memory.verdicts.get(ws.device)
    if verdict is None:
        before, memory.drawn = memory.drawn, memory.drawn + len(ws)
        if memory.drawn <= PROOF_AFTER and before < PROOF_AFTER:
            return None
        verdict = memory.verdicts[ws.device] = compare(synthesis, ws[:1].detach(), dtype)
    return dtype if verdict.pays else None


@torch.no_grad()
def compare(synthesis: Synthesis, ws: Tensor, dtype: torch.dtype) -> Verdict:
    """One picture of ws [1, num_ws, w_dim] both ways, the half precision first: its set-up counts against it."""
    half, half_seconds = _timed(_view(synthesis, dtype), ws)
    exact, exact_seconds = _timed(synthesis, ws)
    levels = (half.clamp(-1, 1) - exact.clamp(-1, 1)).abs().mean() * 127.5
    sound = bool(half.isfinite().all())
    return Verdict(float(levels) if sound else float("nan"), exact_seconds, half_seconds)


def _timed(synthesis: Synthesis, ws: Tensor) -> tuple[Tensor, float]:
    cpu = ws.device.type == "cpu"
    clock = time.process_time if cpu else time.perf_counter  # CPU seconds: other work on the machine counts for little
    start = clock()
    image = cast(Tensor, synthesis(ws))
    if not cpu:
        image = image.cpu()  # waits for the device
    return image, clock() - start
