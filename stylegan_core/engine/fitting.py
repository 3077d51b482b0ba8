"""A training in which each step is a function of its number and the weights: Adam, warm-up and cosine, averaged weights,
a run on disk that goes on as if it had never stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import InvalidInput, TrainingStopped
from ..options import check_numbers
from ..runtime import OnStep
from .adam import Adam
from .average import Average, ramped_decay
from .guard import FiniteGuard, first_bad_layer
from .loop import Optimization
from .run_folder import RunFolder
from .schedule import ramp_of_step
from .state import Part, collect, restore

LOWERED = 0.5
"""What the rate is multiplied by when a run goes back after a number that was none."""
RECENT = 0.95
"""How slowly the shown losses follow those of the steps."""

Step = Callable[[int], Mapping[str, Tensor]]
"""step number -> losses by name, to be shown. It leaves the gradients in .grad, and depends on nothing but the number and the
weights: whatever is drawn at random is seeded by the number."""


@dataclass(frozen=True)
class FitOptions:
    """How long and how fast."""

    steps: int
    lr: float
    betas: tuple[float, float] = (0.9, 0.99)
    warm_up: int = 20
    """Steps over which the rate rises."""
    floor: float = 0.0
    """Share of the rate at which the cosine ends."""
    average: float = 0.98
    """Decay of the averaged weights once the run is long enough; 0: the last weights."""
    clip: float | None = None
    """Largest norm of all gradients together."""
    save_every: int = 25
    """Steps between states on disk."""
    save_seconds: float = 0.0
    """Least time between them."""

    def __post_init__(self) -> None:
        check_numbers(self, "A training", ("steps", "save_every"))
        if self.average >= 1 or self.floor > 1:
            raise InvalidInput(f"A training got floor {self.floor} and average {self.average}; use shares of at most 1, the "
                               f"average's below 1.")


class Fitting(Optimization[dict[str, Tensor]]):
    """`run` it; after an interruption, `run` goes on, in another process as well when there is a folder."""

    def __init__(self, trained: Mapping[str, Tensor], take_step: Step, options: FitOptions,
                 share: Callable[[str], float] = lambda name: 1.0, folder: RunFolder | None = None,
                 networks: Mapping[str, nn.Module] | None = None, more: Mapping[str, Part] | None = None,
                 on_save: Callable[[], None] | None = None) -> None:
        """trained: leaf tensors by name, changed in place. share(name): a tensor's rate as a share of the options'.

        folder: keeps the run; a state that it holds is gone on from. networks: by what a person calls them, to say where a
        number went wrong. more: what else changes while it trains (see Part) and belongs into a state. on_save: after each.
        Raises InvalidInput when the folder's state is another model's.
        """
        self.trained, self.take_step, self.options, self.folder = dict(trained), take_step, options, folder
        self.networks, self.on_save, self.steps = networks or {}, on_save, options.steps
        for tensor in self.trained.values():
            tensor.requires_grad_(True)
        groups = [{"params": [p], "share": share(name)} for name, p in self.trained.items()]
        self.adam = Adam(groups, options.lr, options.betas)
        self.average = Average(self.trained)
        self.guard = FiniteGuard(next(iter(self.trained.values())).device)
        self.parts: dict[str, Part] = {"own": self.trained, "average": self.average, "adam": (self.adam, self.trained),
                                       **(more or {})}
        self.recent: dict[str, float] = {}
        """Losses of late, for a person."""
        self.rate = 1.0
        """Share of the rate that is left after going back."""
        self._done, self._pending, self._saved_at = 0, {}, time.monotonic()
        self._restore()

    @property
    def steps_done(self) -> int:
        return self._done

    def run(self, on_step: OnStep | None = None) -> dict[str, Tensor]:
        """All steps left -> the averaged weights. When on_step raises, a state is saved first. Raises TrainingStopped."""
        def tell(step: int, steps: int, shown: Tensor | None) -> None:
            if on_step is not None:
                try:
                    on_step(step, steps, shown)
                except BaseException:
                    self.save()
                    raise

        with torch.inference_mode(False), torch.enable_grad():
            return super().run(tell)

    def advance(self) -> None:
        step = self._done
        self.adam.zero_grad()
        losses = self.take_step(step)
        gradients = [p.grad for p in self.trained.values()]
        self.guard.see(step, (*gradients, *losses.values()))
        if (bad := self.guard.bad_step(step)) is not None:
            return self._go_back(bad)
        if self.guard.every > 1:
            self.guard.clean(gradients)
        if self.options.clip is not None:
            nn.utils.clip_grad_norm_(list(self.trained.values()), self.options.clip)
        share = ramp_of_step(step, self.steps, self.options.warm_up, self.options.floor)
        self.adam.set_rate(self.options.lr * share * self.rate)
        self.adam.step()
        self.average.move(ramped_decay(step, self.options.average) if self.options.average else 0.0)
        self._done += 1
        self._pending = {name: value.detach() for name, value in losses.items()}
        if self._done == self.steps or (self._done % self.options.save_every == 0 and self._due()):
            if (bad := self.guard.bad_step(step, now=True)) is not None:
                return self._go_back(bad)
            self.save()
        return None

    def losses(self) -> dict[str, float]:
        """Those of the last step, and `recent` moved by them. Waits for the device."""
        found = {name: float(value) for name, value in self._pending.items()}
        keep = min(RECENT, (self._done - 1) / max(self._done, 1))
        self.recent.update({k: keep * self.recent.get(k, v) + (1 - keep) * v for k, v in found.items()})
        return found

    def result(self) -> dict[str, Tensor]:
        """The averaged weights by name; those of the trained tensors stay as they are."""
        return {name: mean.clone() for name, mean in self.average.tensors.items()}

    # states

    def _due(self) -> bool:
        return time.monotonic() - self._saved_at >= self.options.save_seconds

    def save(self) -> None:
        """A state to go on from, and a line in the log; none while a number is wrong."""
        if self.folder is not None and self._done and self.guard.bad_step(self._done, now=True) is None:
            losses = self.losses()  # logged first: what is logged after the last state is forgotten on going on
            self.folder.log({"iteration": self._done, "loss": {k: round(v, 6) for k, v in losses.items()}})
            self.folder.write_state(self._done, collect(self.parts), {"rate": self.rate, "recent": self.recent})
        if self.on_save is not None and self._done:
            self.on_save()
        self._saved_at = time.monotonic()

    def _restore(self) -> bool:
        state = None if self.folder is None else self.folder.read_state()
        if self.folder is None or state is None:
            return False
        self._done, tensors, facts = state
        with torch.inference_mode(False):
            restore(self.parts, tensors)
        self.rate, self.recent = float(facts["rate"]), dict(facts["recent"])
        self._pending = {}
        self.folder.cut_log(self._done)
        return True

    def _go_back(self, step: int) -> None:
        """To the last state, once, at a lower rate. Raises TrainingStopped."""
        where = first_bad_layer(self.networks, lambda: self.take_step(step))
        said = f"A loss or gradient was no number at step {step + 1}, {where}"
        lowered = self.rate < 1
        if lowered or not self._restore():
            raise TrainingStopped(f"{said}; training stopped, and what was saved before is whole: lower the rate, or look at "
                                  f"the data.")
        self.rate = LOWERED
        self.guard.clear()
        if self.folder is not None:
            self.folder.log({"iteration": self._done,
                             "note": f"{said}; went back to step {self._done} at {self.rate:g} of the rate."})
