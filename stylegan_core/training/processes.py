"""One process among several, as torchrun starts them; alone without it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """This process and how many there are."""

    rank: int = 0
    """0 leads."""
    count: int = 1
    device: str = "cpu"

    @property
    def leads(self) -> bool:
        """Whether this one writes files and talks."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The tensor summed over all processes; the same numbers in each."""
        if self.count == 1:
            return tensor
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    def from_leader(self, value: T) -> T:
        """What the leading process gives, in all of them."""
        if self.count == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def wait(self) -> None:
        """Until all have come here."""
        self.sum(torch.zeros(1, device=self.device))

    def leader_first(self, make: Callable[[], T]) -> T:
        """make() in every process, in the leading one before the others: they find the files that it wrote."""
        if self.leads:
            found = make()
            self.wait()
            return found
        self.wait()
        return make()

    def any(self, flag: bool) -> bool:
        """Whether any process says so."""
        return flag if self.count == 1 else bool(self.sum(torch.tensor(float(flag), device=self.device)) > 0)


def join_processes(device: str = "cpu") -> Processes:
    """Meet the others that torchrun started (NCCL on CUDA, gloo elsewhere); a single process needs none of it."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Processes(device=device)
    on_cuda = device.startswith("cuda")
    if on_cuda:
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if on_cuda else "gloo")
    return Processes(dist.get_rank(), count, device)


def leave_processes() -> None:
    """The end of join_processes; nothing where that had nothing to do."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
