"""Ctrl-C while the command line is still importing: exit code 130 and one word, no traceback. Imported first of all."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType

INTERRUPTED = 130
PROGRAMS = ("-m", "stylegan-atelier", "stylegan-atelier.exe")
"""sys.argv[0] while `python -m stylegan_core` imports this package, and of the installed command."""


def leave(_signal: int, _frame: FrameType | None) -> None:
    """End at once: half-made imports have nothing to tidy up."""
    os.write(2, b"Interrupted.\n")
    os._exit(INTERRUPTED)


def over() -> None:
    """The command begins: it handles Ctrl-C itself."""
    if signal.getsignal(signal.SIGINT) is leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


if sys.argv and Path(sys.argv[0]).name in PROGRAMS and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, leave)
