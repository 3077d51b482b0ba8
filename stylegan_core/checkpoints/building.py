"""config + canonical tensors -> network, nothing copied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import LoadError
from ..networks import FAMILIES
from ..networks.info import ModelInfo
from ..networks.undrawn import Undrawn

ESTIMATED = "mapping.w_avg"


def build(family: str, config: Any, tensors: Mapping[str, Tensor], info: ModelInfo | None = None,
          source_keys: Mapping[str, str] | None = None) -> nn.Module:
    """Network of FAMILIES[family] holding exactly these tensors (not copied), in eval mode without gradients.

    Raises LoadError when keys or shapes are not the network's.
    """
    return fill(blank(family, config, info), tensors, source_keys)


def blank(family: str, config: Any, info: ModelInfo | None = None) -> nn.Module:
    """Network of FAMILIES[family] whose weights are undefined, for `fill`."""
    with Undrawn():
        return FAMILIES[family][1](config, info) if info else FAMILIES[family][1](config)


def fill(network: nn.Module, tensors: Mapping[str, Tensor], source_keys: Mapping[str, str] | None = None) -> nn.Module:
    """The network with exactly these tensors (not copied), in eval mode without gradients. Raises LoadError as `build` does."""
    slots = _slots(network)
    _check_keys(slots, tensors, source_keys or {})
    for key, tensor in (*_unknown(slots, tensors), *tensors.items()):
        module, leaf = slots[key]
        if leaf in module._parameters:
            module._parameters[leaf] = nn.Parameter(tensor, requires_grad=False)
        else:
            module._buffers[leaf] = tensor
    return network.eval().requires_grad_(False)


def _unknown(slots: Mapping[str, tuple[nn.Module, str]], tensors: Mapping[str, Tensor]) -> list[tuple[str, Tensor]]:
    """What the network estimates itself where a file carries none, in the file's type."""
    dtype = next((t.dtype for t in tensors.values()), torch.float32)
    absent = ((key, module._buffers[leaf]) for key, (module, leaf) in slots.items()
              if key.endswith(ESTIMATED) and key not in tensors)
    return [(key, buffer.to(dtype)) for key, buffer in absent if buffer is not None]


def _slots(network: nn.Module) -> dict[str, tuple[nn.Module, str]]:
    """Every tensor place of a network by key, empty buffers included, non-persistent ones left out."""
    return {
        f"{prefix}.{leaf}" if prefix else leaf: (module, leaf)
        for prefix, module in network.named_modules()
        for leaf in (*module._parameters, *(b for b in module._buffers if b not in module._non_persistent_buffers_set))
    }


def _check_keys(slots: Mapping[str, tuple[nn.Module, str]], tensors: Mapping[str, Tensor],
                source_keys: Mapping[str, str]) -> None:
    expected = {key: module._parameters.get(leaf, module._buffers.get(leaf)) for key, (module, leaf) in slots.items()}
    missing = [key for key, value in expected.items()
               if value is not None and key not in tensors and not key.endswith(ESTIMATED)]
    surplus = [source_keys.get(key, key) for key in tensors if key not in expected]
    if missing or surplus:
        what = f"lacks {', '.join(missing[:5])}" if missing else f"has {', '.join(surplus[:5])}, which its kind does not have"
        raise LoadError(f"The file {what}; it is incomplete or from a modified network.")
    for key, tensor in tensors.items():
        wanted = expected[key]
        if wanted is not None and wanted.shape != tensor.shape:
            raise LoadError(
                f"The tensor {source_keys.get(key, key)} has shape {list(tensor.shape)} and the network needs "
                f"{list(wanted.shape)}; the file is damaged or from a modified network."
            )
