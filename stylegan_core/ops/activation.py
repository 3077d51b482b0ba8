"""Bias, noise, activation, gain and clamp: what follows every styled convolution (1912.04958, section 2)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InvalidInput

ROOT_2 = math.sqrt(2)


@dataclass(frozen=True)
class Activation:
    """A pointwise function and the gain that keeps the variance."""

    apply: Callable[[Tensor], Tensor]
    gain: float = 1.0
    homogeneous: bool = False
    """f(a x) = a f(x) for a > 0, so that a gain can be folded into the convolution before it."""
    in_place: Callable[[Tensor], Tensor] | None = None


ACTIVATIONS: dict[str, Activation] = {
    "linear": Activation(lambda x: x, 1.0, True, lambda x: x),
    "relu": Activation(F.relu, ROOT_2, True, torch.relu_),
    "lrelu": Activation(lambda x: F.leaky_relu(x, 0.2), ROOT_2, True, lambda x: F.leaky_relu_(x, 0.2)),
    "tanh": Activation(torch.tanh),
    "sigmoid": Activation(torch.sigmoid),
    "elu": Activation(F.elu),
    "selu": Activation(F.selu),
    "softplus": Activation(F.softplus),
    "swish": Activation(F.silu, ROOT_2),
}


def find_activation(name: str) -> Activation:
    """The row of ACTIVATIONS, or InvalidInput."""
    if name not in ACTIVATIONS:
        raise InvalidInput(f'Activation "{name}" is unknown; use one of {", ".join(ACTIVATIONS)}.')
    return ACTIVATIONS[name]


def activate(x: Tensor, activation: str = "lrelu", gain: float | None = None, clamp: float | None = None,
             noise: Tensor | None = None) -> Tensor:
    """clip(gain * f(x + noise), -clamp, clamp); gain None means the activation's own (sqrt(2) for leaky ReLU).

    x [B, C, H, W] must be fresh: it is overwritten (a new map costs more than the arithmetic), with autograd as far as
    the backward pass allows. noise broadcasts, e.g. [1|B, 1, H, W].
    """
    function = find_activation(activation)
    gain = function.gain if gain is None else gain
    recorded = torch.is_grad_enabled() and (x.requires_grad or (noise is not None and noise.requires_grad))
    in_place = not (recorded and x._base is not None)  # autograd copies a view's whole base to write to it
    if noise is not None:
        x = x.add_(noise) if in_place else x + noise
    x = (in_place and function.in_place or function.apply)(x)
    if recorded:  # the backward pass reads what the function wrote
        x = x if gain == 1 else x * gain
        return x if clamp is None else x.clamp(-clamp, clamp)
    if gain != 1:
        x.mul_(gain)
    return x if clamp is None else x.clamp_(-clamp, clamp)
