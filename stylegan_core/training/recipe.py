"""Making a style of one's own from pictures in one call, as the command line and the nodes make it."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ..engine import check_run, read_log
from ..errors import InvalidInput
from ..networks.generators.base import Generator, plain_generator
from ..runtime import OnStep
from .data import PictureSet, list_pictures, prepare_pictures
from .growing import GROWTH, Growing, GrowthOptions, open_growth
from .one_drawing import OneDrawing, OneDrawingOptions, open_drawing_run
from .processes import Processes
from .shown import with_curves
from .transfer import Transfer, TransferResult
from .transfer_options import LENGTHS, TransferOptions, open_run, preset_options

LEAST = 10
"""Pictures from which an unpaired transfer can learn; below, a style is taken from single drawings another way."""
DATA = "data"
ONE = "one drawing"
GROW = "grow"
PRESETS = (*LENGTHS, ONE, GROW)


def prepare_for(base: Generator, source: str | Path | Tensor, cache: str | Path, align: bool = False,
                resolution: int | None = None, on_step: OnStep | None = None, least: int = LEAST) -> PictureSet:
    """A person's pictures as `base` learns from them; see prepare_pictures. resolution: None is the base's own."""
    if base.img_channels not in (1, 3):
        raise InvalidInput(f"The model draws pictures of {base.img_channels} channels; training takes 1 or 3.")
    return prepare_pictures(source, resolution or base.img_resolution, cache, align, base.img_channels, least, base.c_dim > 0,
                            on_step)


def fine_tune(base: Generator, source: str | Path | Tensor | PictureSet, out: str | Path, preset: str = "standard",
              resume: bool = False, align: bool = False, data_licence: str = "unknown", processes: Processes | None = None,
              on_prepare: OnStep | None = None, on_step: OnStep | None = None, **changes: Any) -> TransferResult:
    """Train a child of base on pictures; `out` is the run's folder. preset: quick, standard, long, one drawing, or grow.

    changes: fields of TransferOptions (OneDrawingOptions, GrowthOptions) beside the preset's. on_step(images shown, all,
    preview): a preview holds samples and the curves so far. Cancelling (on_step raises) keeps what was learnt; resume goes on.
    Raises InvalidInput and TrainingStopped, one sentence each.
    """
    base = plain_generator(base)
    processes = processes or Processes(device=str(next(base.parameters()).device))
    if processes.leads:
        check_run(out, resume)
    if preset == ONE:
        return learn_drawing(base, source, out, resume, align, data_licence, on_prepare, on_step, **changes)
    make, start = (Growing, open_growth) if preset == GROW else (Transfer, open_run)
    options, data = _options_and_data(base, source, out, preset, align, processes, on_prepare, changes)
    licence = data_licence if data_licence != "unknown" else data.licence
    folder = start(out, base, data, options, resume) if processes.leads else None  # type: ignore[arg-type]

    def tell(shown: int, total: int, preview: Tensor | None) -> None:
        assert on_step is not None
        on_step(shown, total, None if preview is None else with_curves(preview, read_log(out)))

    try:
        run = make(base, data, options, folder, processes=processes, data_licence=licence)  # type: ignore[arg-type]
        return run.run(None if on_step is None else tell)
    finally:
        if folder is not None:
            folder.forget()
            folder.close()


def _options_and_data(base: Generator, source: str | Path | Tensor | PictureSet, out: str | Path, preset: str, align: bool,
                      processes: Processes, on_prepare: OnStep | None, changes: dict[str, Any]
                      ) -> tuple[TransferOptions, PictureSet]:
    if preset == GROW:
        options: TransferOptions = growth_options(changes)
    else:
        check_names(changes, TransferOptions)
        count = len(source) if isinstance(source, PictureSet) else len(list_pictures(source))
        options = preset_options(preset, count, base.img_resolution, processes.device, **changes)
    if isinstance(source, PictureSet):
        return _at(options, source, base), source
    prepare = partial(prepare_for, base, source, Path(out) / DATA, align, options.judge_resolution, on_prepare)
    data = processes.leader_first(prepare)
    return options, data


def growth_options(changes: dict[str, Any]) -> GrowthOptions:
    """Of given settings; what does not apply may only have its usual value."""
    check_names(changes, GrowthOptions)
    usual = TransferOptions()
    if foreign := [n for n, value in changes.items() if n not in GROWTH and value != getattr(usual, n, None)]:
        raise InvalidInput(f'Preset "{GROW}" has no place for {", ".join(foreign)}; it takes {", ".join(GROWTH)}.')
    return GrowthOptions(**{n: value for n, value in changes.items() if n in GROWTH})


def check_names(changes: dict[str, Any], options: type) -> None:
    """Raise InvalidInput for settings that a recipe does not have."""
    known = {field.name for field in fields(options)}
    if unknown := [name for name in changes if name not in known]:
        raise InvalidInput(f"This training has no setting {', '.join(unknown)}; it has {', '.join(sorted(known))}.")


def _at(options: TransferOptions, data: PictureSet, base: Generator) -> TransferOptions:
    """The options for pictures that were prepared at a side of their own."""
    if len(data) < LEAST:
        raise InvalidInput(f"{len(data)} pictures are too few for this training and at least {LEAST} are needed; add pictures, "
                           f'or take the style from one with the preset "{ONE}".')
    if data.images.shape[1] != base.img_channels:
        raise InvalidInput(f"The pictures have {data.images.shape[1]} channels and the model draws {base.img_channels}; give "
                           f"the folder itself, which is then prepared for the model.")
    return replace(options, judge_resolution=None if data.resolution == base.img_resolution else data.resolution)


def learn_drawing(base: Generator, source: str | Path | Tensor | PictureSet, out: str | Path, resume: bool = False,
                  align: bool = False, data_licence: str = "unknown", on_prepare: OnStep | None = None,
                  on_step: OnStep | None = None, **changes: Any) -> TransferResult:
    """A child of base in the style of one drawing, the first of the pictures; see OneDrawing and fine_tune."""
    check_names(changes, OneDrawingOptions)
    options = OneDrawingOptions(**changes)
    if isinstance(source, PictureSet):
        data = source
    else:
        data = prepare_pictures(source, base.img_resolution, Path(out) / DATA, align, 3, 1, on_step=on_prepare)
    licence = data_licence if data_licence != "unknown" else data.licence
    drawing = data.take(np.array([0])).expand(-1, 3, -1, -1)
    with open_drawing_run(out, base, drawing, options, resume) as folder:
        try:
            run = OneDrawing(base, drawing, options, folder, licence=licence, on_prepare=on_prepare)
            try:
                run.run(on_step)
            finally:
                run.write()
        finally:
            folder.forget()
        return TransferResult(run.child(), run.grid(), run.report(), run.fitting.steps_done * options.batch)
