"""Progress bar, live preview and cancel for the core's long loops."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import comfy.model_management as mm
import comfy.utils
from torch import Tensor

from .images import to_pil

PREVIEW_PIXELS = 512
PREVIEW_SECONDS = 0.3
"""Previews are sent at most this often; encoding them costs time too."""


def progress(total: int = 1) -> Callable[[int, int, Tensor | None], None]:
    """An on_step(i, n, images) for the core: ticks the node's bar, shows the first images, and raises
    InterruptProcessingException when the user cancels; the core lets it fly through."""
    bar, sent = comfy.utils.ProgressBar(total), -PREVIEW_SECONDS

    def on_step(i: int, n: int, images: Tensor | None = None) -> None:
        nonlocal sent
        mm.throw_exception_if_processing_interrupted()
        preview = None
        if images is not None and (i == n or time.monotonic() - sent > PREVIEW_SECONDS):
            preview, sent = ("JPEG", to_pil(images), PREVIEW_PIXELS), time.monotonic()
        bar.update_absolute(i, n, preview)

    return on_step


def tell(notes: Iterable[str]) -> None:
    """Sentences for the user, in ComfyUI's log."""
    for note in notes:
        logging.warning("StyleGAN Atelier: %s", note)


@contextmanager
def rescued(rescue: Callable[[], str | None]) -> Iterator[None]:
    """ComfyUI drops a node's outputs when it is cancelled or fails; `rescue` then saves what there is and says where."""
    try:
        yield
    except BaseException:
        try:
            told = rescue()
        except Exception as error:  # what ended the work matters more than what could not be saved
            told = f"What was done could not be saved ({error})."
        tell([told] if told else [])
        raise
