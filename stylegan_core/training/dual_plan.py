"""What a DualStyleGAN's training does in which order: stages II and III and their published lengths (2203.13248, section 4)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..errors import InvalidInput
from ..networks.dualstylegan import DualStyleGAN
from ..networks.style_weights import STRUCTURE_PLACES
from .dual import DUAL_TRAINING, ITERATIONS, STAGE_2, STAGE_3, DualWeights
from .options import TrainOptions

CROSSOVERS = {7: 0.1, 6: 0.1, 5: 1.0}
"""Stage II, crossover by crossover: its share of the iterations of the last one."""
STRUCTURE_ITERATIONS = 3000


@dataclass(frozen=True)
class Stage:
    """A stretch of iterations. Raises InvalidInput."""

    name: str
    iterations: int
    weights: DualWeights
    crossover: int | None = None
    """Stage II: from this of the seven structure places on (7: from the colors on), the target has the style's code. None:
    stage III, on drawings."""

    def __post_init__(self) -> None:
        if self.iterations < 0 or (self.crossover is not None and not 1 <= self.crossover <= STRUCTURE_PLACES):
            raise InvalidInput(f"Stage {self.name} has {self.iterations} iterations and a crossover of {self.crossover}; use 0 "
                               f"or more, and one of the places 1 to {STRUCTURE_PLACES}.")

    def first_row(self, dual: DualStyleGAN) -> int:
        """Row of ws from which on the target has the style's code; in a StyleGAN2 the crossover itself."""
        crossover = self.crossover or STRUCTURE_PLACES
        return dual.rows[0] if crossover == STRUCTURE_PLACES else int(dual.places[crossover].row or 0)


@dataclass(frozen=True)
class StagePlan:
    """Stages in order and what shapes a step. Raises InvalidInput."""

    stages: tuple[Stage, ...]
    seed: int = 0
    batch_size: int = 4
    micro_batch: int | None = None
    """Images that are drawn at once; the rest of the batch is accumulated."""
    preview_every: int = 100
    save_every: int = 100
    bfloat16: bool = False
    """Draws in 16 bits where no regularization differentiates twice."""
    training: TrainOptions = field(default=DUAL_TRAINING)

    def __post_init__(self) -> None:
        if min(self.batch_size, self.preview_every, self.save_every, self.micro_batch or 1) < 1:
            raise InvalidInput(f"A batch of {self.batch_size}, parts of {self.micro_batch}, previews every "
                               f"{self.preview_every} and states every {self.save_every} iterations can't be; use numbers "
                               f"from 1 on.")

    @property
    def total(self) -> int:
        return sum(stage.iterations for stage in self.stages)

    def at(self, iteration: int) -> tuple[Stage, int]:
        """(stage, iteration within it) of an iteration of the run."""
        for stage in self.stages:
            if iteration < stage.iterations:
                return stage, iteration
            iteration -= stage.iterations
        raise InvalidInput("The run is over; give more iterations to go on.")

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def published_plan(kind: str = "cartoon", structure: float = 1.0, style: float = 1.0, **more: Any) -> StagePlan:
    """The paper's stages: crossovers 7, 6, 5 for 300, 300 and 3000 iterations, then the drawings with the weights and
    iterations of their kind. structure, style: share of those counts; 0 leaves a stage out. The average forgets over as large
    a part of a shortened run as of a whole one. Raises InvalidInput."""
    if kind not in STAGE_3:
        raise InvalidInput(f'Drawings of kind "{kind}" have no preset; use {", ".join(STAGE_3)}.')

    def some(count: float, share: float) -> int:
        return max(1, round(count * share)) if share else 0

    stages = [Stage(f"structure {place}", some(STRUCTURE_ITERATIONS * part, structure), STAGE_2, place)
              for place, part in CROSSOVERS.items()]
    stages.append(Stage(kind, some(ITERATIONS[kind], style), STAGE_3[kind]))
    stages = [stage for stage in stages if stage.iterations]
    whole = (structure > 0) * STRUCTURE_ITERATIONS * sum(CROSSOVERS.values()) + (style > 0) * ITERATIONS[kind]
    shorter = max(1.0, whole / max(1, sum(stage.iterations for stage in stages)))
    averaged = replace(DUAL_TRAINING, ema_decay=DUAL_TRAINING.ema_decay ** shorter)  # type: ignore[operator]
    return StagePlan(tuple(stages), **{"training": averaged, **more})
