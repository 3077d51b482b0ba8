"""The command line. Exit codes: 0 done, 1 refused with one sentence, 2 wrong usage, 130 interrupted."""

from .main import main

__all__ = ["main"]
