"""Networks made to be filled."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

DRAWN = (Tensor.normal_, Tensor.uniform_, init.normal_, init.uniform_, init.kaiming_uniform_)
"""What torch's layers and ours draw their first weights with."""


class Undrawn(TorchFunctionMode):
    """Leaves initial weights undrawn, which are replaced at once. (The meta device's first use takes seconds.)"""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in DRAWN:
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        if func in (torch.randn, torch.rand):
            func, kwargs = torch.empty, {key: value for key, value in kwargs.items() if key != "generator"}
        return func(*args, **kwargs)
