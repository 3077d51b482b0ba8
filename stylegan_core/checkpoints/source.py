"""A file's bytes, read when they are asked for, never mapped.

A mapped file that is cut off or written over ends the process with a signal (SIGBUS) at the next touch; a short read is an
error like any other. Nor does a map keep a file from being replaced on Windows.
"""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from threading import Lock

import torch
from torch import Tensor

from ..errors import LoadError

CHUNK = 1 << 20
SHORTER = "The file became shorter while it was read; wait until it is whole and load it again."


class Source:
    """A run of bytes in a file or in memory. Every length is checked before anything is allocated."""

    def __init__(self, file: io.RawIOBase | io.BufferedIOBase, start: int, size: int, turn: Lock | None = None) -> None:
        self._file, self._start, self._size = file, start, size
        self._turn = turn or Lock()  # one place in the file at a time: threads read tensors side by side

    @classmethod
    def open(cls, path: Path) -> Source:
        """The whole file. Raises OSError."""
        file = path.open("rb", buffering=0)
        return cls(file, 0, os.fstat(file.fileno()).st_size)

    @classmethod
    def of(cls, data: bytes | bytearray) -> Source:
        """Bytes that are in memory already, not copied."""
        return cls(io.BytesIO(data), 0, len(data))

    def __len__(self) -> int:
        return self._size

    def __bytes__(self) -> bytes:
        return self.read(0, self._size)

    def read(self, at: int, count: int) -> bytes:
        """`count` bytes from `at` on. Raises LoadError where they are not all there."""
        self._check(at, count)
        with self._turn:
            self._file.seek(self._start + at)
            found = self._file.read(count) or b""
            while len(found) < count:
                more = self._file.read(count - len(found))
                if not more:
                    raise LoadError(SHORTER)
                found += more
        return found

    def head(self, count: int) -> bytes:
        """The first bytes, `count` at most."""
        return self.read(0, min(count, self._size))

    def span(self, at: int, count: int) -> Source:
        """A part of this run, unread. Raises LoadError where it reaches outside."""
        self._check(at, count)
        return Source(self._file, self._start + at, count, self._turn)

    def tensor(self, dtype: torch.dtype) -> Tensor:
        """All bytes as one flat tensor in memory of its own; a number must not be cut. Raises LoadError."""
        found = torch.empty(self._size // dtype.itemsize, dtype=dtype)
        buffer, at = found.view(torch.uint8).numpy().data if len(found) else memoryview(bytearray()), 0
        with self._turn:
            self._file.seek(self._start)
            while at < len(buffer):
                count = self._file.readinto(buffer[at:])  # type: ignore[union-attr]
                if not count:
                    raise LoadError(SHORTER)
                at += count
        return found

    def chunks(self, size: int = CHUNK) -> list[tuple[int, int]]:
        """(place, length) of consecutive parts of at most `size` bytes."""
        return [(at, min(size, self._size - at)) for at in range(0, self._size, size)]

    def stamp(self) -> tuple[int, ...]:
        """(bytes, time of the last change, number) of the open file as it is now; in memory always the same."""
        try:
            status = os.fstat(self._file.fileno())
        except (OSError, ValueError):
            return (self._size,)
        return status.st_size, status.st_mtime_ns, status.st_ino

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()

    def _check(self, at: int, count: int) -> None:
        if at < 0 or count < 0 or at + count > self._size:
            raise LoadError(f"The file asks for {count} bytes at byte {at} of {self._size}: it is truncated or damaged; "
                            f"download it again.")
