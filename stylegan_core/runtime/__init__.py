"""Where and how networks run: device, dtype, memory, private copies."""

from .allocator import keep_freed_memory
from .copies import alias, private_copy, rebuild, trainable
from .drawing import DRAWINGS, Drawing, Recorder, at_drawing, release
from .memory import OnStep, is_out_of_memory, rows_at_once, run_chunked
from .precision import PRECISIONS, Precision, at_precision, check_precision, fast_type, verdict_of

__all__ = ["DRAWINGS", "PRECISIONS", "Drawing", "OnStep", "Precision", "Recorder", "alias", "at_drawing", "at_precision",
           "check_precision", "fast_type", "is_out_of_memory", "keep_freed_memory", "private_copy", "rebuild", "release",
           "rows_at_once", "run_chunked", "trainable", "verdict_of"]
