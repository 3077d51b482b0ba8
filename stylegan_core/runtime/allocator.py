"""Memory that was given back is kept for what comes next: fresh pages cost as much as the arithmetic on them."""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
"""glibc's names for mallopt, <malloc.h>."""
MOST = (1 << 31) - 1
PAD = 64 << 20


def keep_freed_memory() -> bool:
    """Ask the C library to keep up to two gigabytes of freed memory, and large blocks in the heap -> whether it will.

    For a process of one's own: it is a setting of the whole process. glibc only (Linux); elsewhere nothing happens. A step of
    inversion in the 1024 px base takes half the time by it.
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    settings = ((MMAP_MAX, 0), (TRIM_THRESHOLD, MOST), (TOP_PAD, PAD))
    taken = [library.mallopt(name, value) for name, value in settings]
    return all(taken)
