"""Numbers that are none: seen without waiting for the device, and traced to their layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

CLEANED = 1e5
"""What stands in for an infinite gradient."""
foreach: Any = torch
"""Its calls for lists of tensors, which its type stubs leave out."""


class FiniteGuard:
    """The first step at which a gradient was NaN or infinite, kept on the device."""

    def __init__(self, device: torch.device | str, every: int = 8) -> None:
        """every: steps between readings, each of which waits for the device; a CPU is read at every step."""
        self.every = 1 if torch.device(device).type == "cpu" else every
        self.first = torch.full((), -1, dtype=torch.int64, device=device)

    @torch.no_grad()
    def see(self, step: int, tensors: Iterable[Tensor | None]) -> None:
        """Look at gradients (or losses) of a step before anything cleans them."""
        found = [t.detach() for t in tensors if t is not None and t.numel()]
        if found:
            norms = foreach._foreach_norm(found, float("inf"))
            bad = ~torch.stack([norm.isfinite().to(self.first.device) for norm in norms]).all()
            self.first = torch.where(bad & (self.first < 0), step, self.first)

    def bad_step(self, step: int, now: bool = False) -> int | None:
        """The first bad step, if there is one; looked for after every `every`th step only, unless `now`."""
        if not now and (step + 1) % self.every:
            return None
        first = int(self.first)
        return None if first < 0 else first

    @staticmethod
    @torch.no_grad()
    def clean(gradients: Iterable[Tensor | None]) -> None:
        """In place: NaN becomes 0 and what is infinite large, so that one bad step does not destroy the weights."""
        for gradient in gradients:
            if gradient is not None:
                torch.nan_to_num_(gradient, nan=0.0, posinf=CLEANED, neginf=-CLEANED)

    def clear(self) -> None:
        self.first.fill_(-1)


def first_bad_layer(networks: Mapping[str, nn.Module], replay: Callable[[], Any]) -> str:
    """Where the numbers of a step went wrong: "first in the output of layer b16.conv0 of the generator" and the like.

    networks: by what a person calls them. replay: runs forward and backward passes of the step again and changes no weight.
    """
    first: list[str] = []

    def watch(label: str) -> Callable[[nn.Module, Any, Any], None]:
        def look(_: nn.Module, args: Any, output: Any) -> None:
            if not first and isinstance(output, Tensor) and not bool(output.isfinite().all()):
                first.append(label)
        return look

    handles = [module.register_forward_hook(watch(f"{name} of the {label}" if name else f"the {label}"))
               for label, network in networks.items() for name, module in network.named_modules()
               if next(module.parameters(recurse=False), None) is not None]
    try:
        replay()
    except RuntimeError as error:
        return f"where the step failed ({error})"
    finally:
        for handle in handles:
            handle.remove()
    if first:
        return f"first in the output of layer {first[0]}"
    for label, network in networks.items():
        for name, parameter in reversed(list(network.named_parameters())):
            if parameter.grad is not None and not bool(parameter.grad.isfinite().all()):
                return f"first in the gradient of {name} of the {label}"
    return "in a place that is sound when the step is run again"
