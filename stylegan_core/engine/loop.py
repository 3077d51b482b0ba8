"""The loop of everything that optimizes: steps with a history, a best state, an end; one work, or one after another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from ..runtime import OnStep

R = TypeVar("R")
W = TypeVar("W", bound="Optimization[Any]")


class Optimization(ABC, Generic[R]):
    """One optimization as an object: `run` it, and take `result` at any time, also after `on_step` raised to cancel; `run`
    then goes on. A subclass says what a step is."""

    steps: int

    @property
    @abstractmethod
    def steps_done(self) -> int: ...

    @property
    def converged(self) -> bool:
        """Whether further steps are needless."""
        return False

    @abstractmethod
    def advance(self) -> Tensor | None:
        """One step -> what to show of it."""

    @abstractmethod
    def result(self) -> R:
        """What the steps so far have found."""

    def run(self, on_step: OnStep | None = None) -> R:
        """All steps left, or until it has converged. Whatever on_step(i, n, preview) raises flies through."""
        while self.steps_done < self.steps and not self.converged:
            shown = self.advance()
            if on_step is not None:
                on_step(self.steps_done, self.steps, shown)
        return self.result()


class Series(ABC, Generic[W, R]):
    """Optimizations done one after another, `count` items in all; the one at hand survives an interruption."""

    count: int
    current: W | None = None

    @property
    @abstractmethod
    def done(self) -> int:
        """Items that are finished."""

    @abstractmethod
    def begin(self, first: int) -> W:
        """The work on the items from number `first` on."""

    @abstractmethod
    def keep(self, work: W, found: R) -> None:
        """Take a finished work and its result; `done` grows."""

    @abstractmethod
    def steps_before(self, item: int) -> int:
        """Steps of all items before this one, as on_step counts them."""

    def run_all(self, on_step: OnStep | None = None) -> None:
        """Every item that is left; on_step(step, all steps, preview) counts them as one run."""
        while self.done < self.count:
            work = self.current = self.current or self.begin(self.done)
            before, total = self.steps_before(self.done), self.steps_before(self.count)
            self.keep(work, work.run(None if on_step is None else _shifted(on_step, before, total)))
            self.current = None


def _shifted(on_step: OnStep, before: int, total: int) -> OnStep:
    return lambda step, _, shown: on_step(before + step, total, shown)


class History:
    """Losses of every step: rows of [images, losses], by name."""

    def __init__(self, names: Sequence[str], images: int, skipped: int = 0) -> None:
        """skipped: steps that an earlier run has done, NaN."""
        self.names = tuple(names)
        self.rows = [torch.full((images, len(names)), float("nan"))] * skipped
        self._empty = torch.empty(0, images, len(names))

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, row: Tensor) -> dict[str, Tensor]:
        """[images, losses] of a step -> `named`."""
        self.rows.append(row)
        return self.named(row)

    def named(self, row: Tensor) -> dict[str, Tensor]:
        """[images, losses] -> [images] by name."""
        return dict(zip(self.names, row.unbind(1), strict=True))

    def by_name(self) -> dict[str, Tensor]:
        """[steps, images] by name."""
        return dict(zip(self.names, (torch.stack(self.rows) if self.rows else self._empty).unbind(2), strict=True))


class Best(Generic[R]):
    """The state of the step with the lowest total."""

    def __init__(self, state: R, losses: Tensor) -> None:
        """state: before the first step. losses: none yet, NaN."""
        self.total, self.state, self.losses = float("inf"), state, losses

    def offer(self, total: float, losses: Tensor, state: Callable[[], R]) -> None:
        """Keep state() if its total is the lowest so far."""
        if total < self.total:
            self.total, self.losses, self.state = total, losses, state()


class Plateau:
    """Steps since a total last fell by `tolerance`, relatively."""

    def __init__(self, tolerance: float) -> None:
        self.tolerance, self.reference, self.waiting = tolerance, float("inf"), 0

    def note(self, total: float) -> None:
        self.waiting += 1
        if total < self.reference * (1 - self.tolerance):
            self.reference, self.waiting = total, 0
