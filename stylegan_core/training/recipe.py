"""Transfer learning from a person's pictures in one call, as the command line and the nodes make it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import InvalidInput
from ..networks.generators.base import Generator
from .data import PictureSet, list_pictures, prepare_pictures
from .processes import Processes
from .transfer import Transfer, TransferResult, open_run
from .transfer_options import TransferOptions, preset_options

OnStep = Callable[[int, int, Tensor | None], None]
LEAST = 10
"""Pictures from which an unpaired transfer can learn; below, a style is taken from single drawings another way."""
DATA = "data"


def prepare_for(base: Generator, source: str | Path | Tensor, cache: str | Path, align: bool = False,
                resolution: int | None = None, on_step: OnStep | None = None) -> PictureSet:
    """A person's pictures as `base` learns from them; see prepare_pictures. resolution: None is the base's own."""
    if base.img_channels not in (1, 3):
        raise InvalidInput(f"The model draws pictures of {base.img_channels} channels; training takes 1 or 3.")
    return prepare_pictures(source, resolution or base.img_resolution, cache, align, base.img_channels, LEAST, base.c_dim > 0,
                            on_step)


def fine_tune(base: Generator, source: str | Path | Tensor | PictureSet, out: str | Path, preset: str = "standard",
              resume: bool = False, align: bool = False, data_licence: str = "unknown", processes: Processes | None = None,
              on_prepare: OnStep | None = None, on_step: OnStep | None = None, **changes: Any) -> TransferResult:
    """Train a child of base on pictures; `out` is the run's folder. changes: fields of TransferOptions beside the preset's.

    Cancelling (on_step raises) keeps what was learnt; resume goes on. Raises InvalidInput and TrainingStopped, one
    sentence each.
    """
    processes = processes or Processes(device=str(next(base.parameters()).device))
    prepared = isinstance(source, PictureSet)
    count = len(source) if prepared else len(list_pictures(source))
    options = preset_options(preset, count, base.img_resolution, processes.device, **changes)
    if prepared:
        options = _at(options, source, base)
        data = source
    else:
        cache, side = Path(out) / DATA, options.judge_resolution
        data = processes.leader_first(partial(prepare_for, base, source, cache, align, side, on_prepare))
    folder = open_run(out, base, data, options, resume) if processes.leads else None
    try:
        return Transfer(base, data, options, folder, processes=processes, data_licence=data_licence).run(on_step)
    finally:
        if folder is not None:
            folder.close()


def _at(options: TransferOptions, data: PictureSet, base: Generator) -> TransferOptions:
    """The options for pictures that were prepared at a side of their own."""
    if len(data) < LEAST:
        raise InvalidInput(f"{len(data)} pictures are too few for this training and at least {LEAST} are needed; add pictures, "
                           f"or take the style from one drawing.")
    return replace(options, judge_resolution=None if data.resolution == base.img_resolution else data.resolution)
