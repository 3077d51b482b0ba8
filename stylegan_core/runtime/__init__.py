"""Where and how networks run: device, dtype, memory, private copies."""

from .copies import alias, private_copy, rebuild, trainable
from .memory import OnStep, is_out_of_memory, rows_at_once, run_chunked
from .precision import PRECISIONS, Precision, at_precision, check_precision, fast_type, verdict_of

__all__ = ["PRECISIONS", "OnStep", "Precision", "alias", "at_precision", "check_precision", "fast_type", "is_out_of_memory",
           "private_copy", "rebuild", "rows_at_once", "run_chunked", "trainable", "verdict_of"]
