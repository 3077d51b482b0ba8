"""Work in chunks that fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..errors import InvalidInput

OnStep = Callable[[int, int, Tensor | None], None]
"""Called with (done, all, a picture or None); what it raises stops the work."""


OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "cudnn_status_alloc_failed",
                 "cublas_status_alloc_failed")
"""What the backends say, in small letters."""


def is_out_of_memory(error: BaseException) -> bool:
    """True for any backend's way of saying that memory ran out."""
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in OUT_OF_MEMORY)


def rows_at_once(most: int, device: torch.device, resolution: int) -> int:
    """Images in one pass with gradients. A CPU's caches hold one large picture's features, not a batch's: up to twice as
    fast one by one, in a batch's share of the memory."""
    return 1 if device.type == "cpu" and resolution >= 128 else most


def run_chunked(fn: Callable[..., Tensor], batch_inputs: Tensor | Sequence[Tensor | None], chunk: int,
                out_device: torch.device | str | None = None, on_step: OnStep | None = None) -> Tensor:
    """fn over slices of at most `chunk` rows, outputs concatenated; halves the chunk when memory runs out and goes on.

    batch_inputs: one tensor or several of the same length B > 0 (None is passed on as it is). out_device moves each
    part away at once, e.g. "cpu". on_step(done, B, None) after each part; what it raises flies through. Raises the
    out-of-memory error when a single row does not fit.
    """
    inputs = [batch_inputs] if isinstance(batch_inputs, Tensor) else list(batch_inputs)
    lengths = {len(x) for x in inputs if x is not None}
    if len(lengths) != 1 or chunk < 1 or 0 in lengths:
        raise InvalidInput(f"Chunked work got inputs of {sorted(lengths)} rows and a chunk of {chunk}; "
                           f"give equally many rows, at least one, and a chunk above 0.")
    total, done, parts = lengths.pop(), 0, []
    while done < total:
        rows = min(chunk, total - done)
        part = None
        try:
            part = fn(*(None if x is None else x[done : done + rows] for x in inputs))
            parts.append(part if out_device is None else _sent(part, torch.device(out_device)))
        except (RuntimeError, MemoryError) as error:
            if rows == 1 or not is_out_of_memory(error):
                raise
        if part is None:  # outside the except block, where the traceback no longer holds the failed tensors
            chunk = rows // 2
            _release_cached()
            continue
        done += rows
        if on_step is not None:
            on_step(done, total, None)
    if part is not None and part.is_cuda and not parts[0].is_cuda:
        torch.cuda.current_stream(part.device).synchronize()  # for what was sent
    return torch.cat(parts)


def _sent(part: Tensor, device: torch.device) -> Tensor:
    """On the device; from a card to the CPU into pinned memory, so that the next part is drawn while this one travels."""
    if not part.is_cuda or device.type != "cpu":
        return part.to(device)
    return torch.empty(part.shape, dtype=part.dtype, pin_memory=True).copy_(part, non_blocking=True)


def _release_cached() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
