"""Where and how networks run: device, dtype, memory, private copies."""

from .copies import alias, private_copy, rebuild, trainable
from .memory import OnStep, is_out_of_memory, rows_at_once, run_chunked
from .precision import HALF, prepare

__all__ = ["HALF", "OnStep", "alias", "is_out_of_memory", "prepare", "private_copy", "rebuild", "rows_at_once", "run_chunked",
           "trainable"]
