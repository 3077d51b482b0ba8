"""SHA-256 of files, of the very bytes that are read, once."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

from .source import Source

BLOCK = 1 << 20
AT_ONCE = 4 << 20
"""Bytes that are hashed faster than a thread starts and is waited for."""


def sha256_of(path: str | Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(BLOCK):
            digest.update(block)
        return digest.hexdigest()


def hash_beside(path: Path, stamp: tuple[int, ...]) -> Callable[[], str]:
    """Begin to hash a file that was read, beside what comes next; the function returned waits for the end.

    stamp: what Source.stamp said when it was opened for reading. Of a file that is another one, or changes, the hash is "".
    """
    found: list[str] = [""]

    def work() -> None:
        try:
            source = Source.open(path)
        except OSError:
            return
        digest = hashlib.sha256()
        try:
            for at, count in source.chunks(BLOCK):
                digest.update(source.read(at, count))
            found[0] = digest.hexdigest() if source.stamp() == stamp else ""
        except Exception:  # it shrank: there is no hash of what was read
            found[0] = ""
        finally:
            source.close()

    if stamp[0] <= AT_ONCE:
        work()
        return lambda: found[0]
    thread = threading.Thread(target=work, name="hash of a model file", daemon=True)
    thread.start()

    def wait() -> str:
        thread.join()
        return found[0]

    return wait
