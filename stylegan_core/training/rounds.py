"""A phase of training in as many parts as memory allows, each process doing its share."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ..runtime import is_out_of_memory
from .processes import Processes
from .trainer import Phase, PhaseInputs, Trainer, split_rows


class Rounds:
    """`count` parts a process, twice as many whenever memory runs out; stays there."""

    def __init__(self, processes: Processes, batch: int, micro_batch: int | None = None) -> None:
        self.processes = processes
        self.count = 1 if micro_batch is None else -(-batch // (micro_batch * processes.count))

    def run(self, trainer: Trainer, name: Phase, batch: int, group: int | None, inputs: Callable[[Tensor], PhaseInputs],
            step: bool = True) -> Tensor:
        """One phase over a batch -> this process' share of its loss. inputs(rows): what those images depend on."""
        processes = self.processes
        while True:
            signs = None if trainer.ada is None else trainer.ada.signs.clone()
            failed: BaseException | None = None
            try:
                every = split_rows(batch, processes.count * self.count, group)
                mine = every[processes.rank :: processes.count]
                return trainer.run_phase(name, [inputs(rows) for rows in mine], step, batch)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or processes.count * self.count >= len(split_rows(batch, batch, group)):
                    raise
                failed = error
            del failed  # lets go of what the traceback holds
            self.count *= 2
            if trainer.ada is not None and signs is not None:
                trainer.ada.signs = signs
