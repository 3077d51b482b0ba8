"""Adam (Kingma & Ba 2014, 1412.6980), number for number torch's, without torch's: constructing that imports a compiler."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..errors import InvalidInput

MOMENTS = ("exp_avg", "exp_avg_sq")
foreach: Any = torch
"""Its calls for lists of tensors, which its type stubs leave out."""


class Adam:
    """torch.optim.Adam's groups, state and arithmetic, for dense real tensors.

    A group is a dict with "params" and whatever should differ from the defaults; other keys of its are kept.
    """

    def __init__(self, params: Iterable[Tensor] | Iterable[dict[str, Any]], lr: float = 1e-3,
                 betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0.0) -> None:
        """Raises InvalidInput for a rate, beta or epsilon that can't be, and where there is nothing to optimize."""
        if not lr >= 0 or not eps >= 0 or not weight_decay >= 0 or not all(0 <= b < 1 for b in betas):
            raise InvalidInput(f"Adam can't run at rate {lr} with betas {betas}, epsilon {eps} and decay {weight_decay}; use "
                               f"betas in 0..1 and the others from 0 on.")
        given = list(params)
        groups = [{"params": given}] if given and isinstance(given[0], Tensor) else given
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        self.param_groups: list[dict[str, Any]] = [
            {**defaults, **group, "params": list(group["params"])} for group in groups]  # type: ignore[dict-item]
        self.state: dict[Tensor, dict[str, Tensor]] = {}
        if not any(group["params"] for group in self.param_groups):
            raise InvalidInput("An optimizer got no tensors; give at least one that may change.")

    @property
    def params(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def set_rate(self, rate: float) -> None:
        """The rate of every group, times the group's "share" where it has one."""
        for group in self.param_groups:
            group["lr"] = rate * group.get("share", 1.0)

    def zero_grad(self, set_to_none: bool = True) -> None:
        for p in self.params:
            if set_to_none or p.grad is None:
                p.grad = None
            else:
                p.grad.zero_()

    @torch.no_grad()
    def step(self) -> None:
        """Move every tensor that has a gradient. A CPU takes them one by one, an accelerator all in a few launches."""
        for group in self.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            lists = [[p] for p in moved if p.device.type == "cpu"]
            for device in dict.fromkeys((p.device, p.dtype) for p in moved if p.device.type != "cpu"):
                lists.append([p for p in moved if (p.device, p.dtype) == device])
            for tensors in lists:
                self._move(tensors, group)

    def _move(self, params: list[Tensor], group: Mapping[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        states = [self._state_of(p) for p in params]
        steps, means, squares = ([s[key] for s in states] for key in ("step", *MOMENTS))
        for step in steps:
            step += 1
        counts = [float(step) for step in steps]
        grads = [p.grad for p in params if p.grad is not None]
        if group["weight_decay"]:
            grads = foreach._foreach_add(grads, params, alpha=group["weight_decay"])
        foreach._foreach_lerp_(means, grads, 1 - beta1)
        foreach._foreach_mul_(squares, beta2)
        foreach._foreach_addcmul_(squares, grads, grads, 1 - beta2)
        roots = foreach._foreach_sqrt(squares)
        foreach._foreach_div_(roots, [(1 - beta2**count) ** 0.5 for count in counts])
        foreach._foreach_add_(roots, group["eps"])
        foreach._foreach_addcdiv_(params, means, roots, [-(group["lr"] / (1 - beta1**count)) for count in counts])

    def _state_of(self, p: Tensor) -> dict[str, Tensor]:
        if p not in self.state:
            self.state[p] = {"step": torch.zeros(()), **{key: torch.zeros_like(p, memory_format=torch.preserve_format,
                                                                               requires_grad=False) for key in MOMENTS}}
        return self.state[p]

    # files

    def state_dict(self) -> dict[str, Any]:
        """As torch.optim.Adam's: state by the number of the tensor, groups with those numbers."""
        numbers = {p: i for i, p in enumerate(self.params)}
        groups = [{**group, "params": [numbers[p] for p in group["params"]]} for group in self.param_groups]
        return {"state": {numbers[p]: dict(entry) for p, entry in self.state.items()}, "param_groups": groups}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take state and groups' settings of `state_dict`, this class' or torch's. Raises InvalidInput for other groups."""
        theirs = state["param_groups"]
        if [len(g["params"]) for g in theirs] != [len(g["params"]) for g in self.param_groups]:
            raise InvalidInput("The optimizer's state is that of other tensors; go on with the model it was saved with.")
        numbered = [i for g in theirs for i in g["params"]]
        self.load_entries(zip(self.params, (state["state"].get(i, {}) for i in numbered), strict=True))
        for group, given in zip(self.param_groups, theirs, strict=True):
            group.update({key: value for key, value in given.items() if key != "params" and key in group})

    def by_name(self, named: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
        """State of the tensors `named` that had a step."""
        return {name: dict(self.state[p]) for name, p in named.items() if p in self.state}

    def load_by_name(self, named: Mapping[str, Tensor], entries: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take the state of `by_name`, copied; tensors without an entry begin anew."""
        self.load_entries((p, entries.get(name, {})) for name, p in named.items())

    def load_entries(self, pairs: Iterable[tuple[Tensor, Mapping[str, Tensor]]]) -> None:
        """Replace all state by copies of that given by tensor; an empty entry is none. Raises InvalidInput for other shapes."""
        found = {}
        for p, entry in pairs:
            if not entry:
                continue
            if any(entry[key].shape != p.shape for key in MOMENTS):
                raise InvalidInput(f"The optimizer's state has shape {list(entry[MOMENTS[0]].shape)} for a tensor of "
                                   f"{list(p.shape)}; go on with the model it was saved with.")
            found[p] = {"step": torch.as_tensor(entry["step"], dtype=torch.float32).cpu().clone(),
                        **{key: torch.empty_like(p, requires_grad=False).copy_(entry[key]) for key in MOMENTS}}
        self.state = found
