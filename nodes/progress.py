"""Progress bar, live preview and cancel for the core's long loops."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import comfy.model_management as mm
import comfy.utils
from PIL import Image
from torch import Tensor

from .images import preview_images, to_pil, unchecked

try:
    from comfy_execution.utils import get_executing_context
    from server import PromptServer
except ImportError:  # a host without a browser
    PromptServer = None

NOTE_EVENT, STATE_EVENT = "stylegan-atelier.note", "progress_state"

PREVIEW_PIXELS, RESULT_PIXELS = 512, 2048
PREVIEW_SECONDS = 0.3
"""Previews are sent at most this often; encoding them costs time too."""


class Progress:
    """An on_step(i, n, images) for the core: ticks the node's bar, shows the first images, and raises
    InterruptProcessingException when the user cancels; the core lets it fly through."""

    def __init__(self, total: int = 1) -> None:
        self.bar, self.sent, self.pictured = comfy.utils.ProgressBar(total), -PREVIEW_SECONDS, False

    def __call__(self, i: int, n: int, images: Tensor | None = None) -> None:
        mm.throw_exception_if_processing_interrupted()
        preview = None
        if images is not None and (i == n or time.monotonic() - self.sent > PREVIEW_SECONDS):
            preview, self.sent, self.pictured = _jpeg(images, PREVIEW_PIXELS), time.monotonic(), True
        self.bar.update_absolute(i, n, preview)

    def result(self, image: Tensor, node: type) -> Any:
        """An IMAGE as the node's own preview. Editors go on showing the last live picture, so that is the result as well, and
        then they are told that the node starts anew, at which they drop it; web/live.js puts the result's file in its place."""
        if self.pictured:
            self.bar.update_absolute(self.bar.total, None, _jpeg(unchecked(image), RESULT_PIXELS))
            server, context = _server(), get_executing_context() if PromptServer else None
            if server is not None and context is not None:
                server.send_sync(STATE_EVENT, {"prompt_id": context.prompt_id, "nodes": {}}, server.client_id)
                self.bar.update_absolute(self.bar.total)
        return preview_images(image, node)


def _jpeg(images: Tensor, most: int) -> tuple[str, Image.Image, int]:
    """What a progress bar takes for a picture; hosts enlarge to the size they are told, so no more than there is."""
    picture = to_pil(images)
    return "JPEG", picture, min(most, max(picture.size))


progress = Progress


def _server() -> Any:
    """ComfyUI's web server; None on a host without a browser."""
    return None if PromptServer is None else getattr(PromptServer, "instance", None)


def tell(notes: Iterable[str]) -> None:
    """Sentences for the user: in ComfyUI's log, and in the browser (web/text.js shows them)."""
    for note in notes:
        logging.warning("StyleGAN Atelier: %s", note)
        if (server := _server()) is not None:
            context = get_executing_context()
            server.send_sync(NOTE_EVENT, {"node": context and context.node_id, "text": note}, server.client_id)


def tell_of_rows(model: Any, *latents: Any) -> None:
    """What the row rule does to latents of a model of another depth."""
    tell(dict.fromkeys(filter(None, [some.note(model) for some in latents])))


@contextmanager
def saving_on_interrupt(save: Callable[[], str | None]) -> Iterator[None]:
    """ComfyUI drops a node's outputs when it is cancelled or fails; `save` then saves what there is and says where."""
    try:
        yield
    except BaseException:
        try:
            note = save()
        except Exception as error:  # what ended the work matters more than what could not be saved
            note = f"What was done could not be saved ({error})."
        tell([note] if note else [])
        raise
