"""Where a number that is none comes from: the phase run again, watched layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .trainer import Phase, PhaseInputs, Trainer


def find_bad_layer(trainer: Trainer, phase: Phase, inputs: Sequence[PhaseInputs]) -> str:
    """"layer b16.conv0 of the discriminator gave NaN" and the like. Changes no weight; gradients are overwritten."""
    first: list[str] = []

    def watch(label: str) -> Any:
        def look(_: nn.Module, args: Any, output: Any) -> None:
            if not first and isinstance(output, Tensor) and not bool(output.isfinite().all()):
                first.append(label)
        return look

    named = [(f"{name} of the {network}", module) for network, net in (("generator", trainer.G), ("discriminator", trainer.D))
             for name, module in net.named_modules() if name and next(module.parameters(recurse=False), None) is not None]
    handles = [module.register_forward_hook(watch(label)) for label, module in named]
    try:
        trainer.run_phase(phase, list(inputs), step=False)
    except RuntimeError as error:
        return f"where the step failed ({error})"
    finally:
        for handle in handles:
            handle.remove()
    if first:
        return f"first in the output of layer {first[0]}"
    net, network = (trainer.G, "generator") if phase[0] == "G" else (trainer.D, "discriminator")
    for name, parameter in reversed(list(net.named_parameters())):
        if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all()):
            return f"first in the gradient of {name} of the {network}"
    return "in a place that is sound when the step is run again"
