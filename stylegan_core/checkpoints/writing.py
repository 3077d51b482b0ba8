"""The one writer: every file of ours is on the disk whole, or not at all.

A temporary file in the same folder takes the bytes, goes to the disk (fsync) and takes the file's name in one step. What a
killed process left behind goes when the next file is written to its folder: a lock tells a dead writer from a living one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import InvalidInput, SaveError, printable

try:
    import fcntl
except ImportError:  # Windows keeps a file that is open from being removed
    fcntl = None  # type: ignore[assignment]

PREFIX, SUFFIX = ".atelier-", ".tmp"
MAX_NAME = 200
"""Bytes of a file's name, so that one more number fits into the 255 of most file systems."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) if hasattr(errno, "EDQUOT") else (errno.ENOSPC, errno.EFBIG)
RETRIES, PAUSE = 5, 0.1
"""Windows: scanners hold new files for a moment."""


def check_target(path: str | Path, suffixes: Sequence[str], overwrite: bool, add: bool = True) -> Path:
    """Where a file of ours may go: the path, with the first suffix added where it has none of them (add), in a folder that is
    there or can be. Nothing is made yet. Raises InvalidInput for a name that can't be, and for a file that exists unless
    `overwrite`."""
    path = Path(path)
    if not path.name or "\0" in str(path) or len(path.name.encode(errors="replace")) > MAX_NAME:
        raise InvalidInput(f"The name {_short(path)} can't be a file's; use one of 1 to {MAX_NAME} plain characters.")
    if path.suffix.lower() not in suffixes:
        if not add:
            raise InvalidInput(f'"{path.name}" does not end in {", ".join(suffixes)}; give it such an ending.')
        path = path.with_name(path.name + suffixes[0])
    if _status(path, "a file"):
        if path.is_dir():
            raise InvalidInput(f"{_short(path)} is a folder; give a file name in it.")
        if not overwrite:
            raise InvalidInput(f"{path.name} exists already; choose another name or allow overwriting.")
    check_folder(Path(os.path.realpath(path)).parent, path.name)
    return path


def check_folder(folder: str | Path, name: str = "") -> Path:
    """A folder that is there or can be made and takes files, tried with a byte of which nothing stays: told before work begins.
    name: of the file that is to lie in it. Raises InvalidInput, SaveError."""
    folder = Path(folder)
    _status(folder, "a folder")
    above = next(p for p in (folder, *folder.absolute().parents) if os.path.lexists(p))
    if not above.is_dir():
        found = f"{_short(above)} is a {'file' if above.exists() else 'link that leads nowhere'}"
        if above == folder and not name:
            raise InvalidInput(f"{found}; give a folder.")
        raise InvalidInput(f"{found}, so {name or folder.name} can't lie in it; choose another place.")
    try:
        with _temporary(above) as (_, file):
            file.write(b"0")
            file.flush()
    except OSError as error:
        raise _save_error(error, above / (name or folder.name), 0) from error
    return folder


def _status(path: Path, what: str) -> os.stat_result | None:
    """Of a path that is there; None for one that may be. Raises InvalidInput for one that can't."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except (OSError, ValueError) as error:
        raise InvalidInput(f"The name {_short(path)} can't be {what}'s ({_why(error)}); use another.") from error


def write_file(path: Path, write: Callable[[BinaryIO], Any], overwrite: bool = False, size: int = 0) -> Path:
    """Have `write` fill a new file beside `path`, then give it that name; the folder is made where it is missing.

    size: bytes that are needed, where known; asked of the disk before anything is written. Raises SaveError: full disk (with
    the bytes missing), no permission, in use, or there already unless `overwrite`. Nothing is left behind then.
    """
    target = Path(os.path.realpath(path))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_stale(target.parent)
        _check_room(target, size)
        with _temporary(target.parent) as (temporary, file):
            write(file)
            file.flush()
            os.fsync(file.fileno())
            if os.name == "nt":
                file.close()  # an open file can't be renamed there
            _take_name(temporary, target, overwrite)
        _folder_to_disk(target.parent)
    except OSError as error:
        if isinstance(error, FileExistsError) and target.exists():
            raise SaveError(f"{path.name} exists already; choose another name or allow overwriting.") from error
        raise _save_error(error, target, size) from error  # a file in a folder's place among them
    return path


def write_bytes(path: Path, data: bytes | memoryview, overwrite: bool = False) -> Path:
    """write_file for bytes that are there."""
    return write_file(path, lambda file: file.write(data), overwrite, len(data))


def remove_stale(folder: Path) -> None:
    """Remove what dead writers left in a folder; what a living one holds stays."""
    for left in filter(Path.is_file, folder.glob(f"{PREFIX}*{SUFFIX}")):
        with contextlib.suppress(OSError):
            if fcntl:
                with left.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises while its writer lives
                    left.unlink()
            else:
                left.unlink()


@contextlib.contextmanager
def _temporary(folder: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A new file of our own, locked while it is ours, with the permissions of any new file; gone at the end."""
    path = folder / f"{PREFIX}{secrets.token_hex(8)}{SUFFIX}"
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    file = os.fdopen(os.open(path, flags, 0o666), "w+b")
    try:
        if fcntl:
            with contextlib.suppress(OSError):  # a network drive without locks
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield path, file
    finally:
        with contextlib.suppress(OSError):  # what a full disk could not take is tried again here
            file.close()
        path.unlink(missing_ok=True)


def _folder_to_disk(folder: Path) -> None:
    """The folder's entry as well, where folders can be synced."""
    if os.name == "posix":
        with contextlib.suppress(OSError):
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _take_name(temporary: Path, target: Path, overwrite: bool) -> None:
    """Rename; without `overwrite` never over a file that came in the meantime. Raises FileExistsError, PermissionError."""
    for attempt in range(RETRIES):
        try:
            if overwrite:
                os.replace(temporary, target)
            elif os.name == "nt":
                os.rename(temporary, target)  # refuses to replace there
            else:
                _link(temporary, target)
            return
        except PermissionError:
            if os.name != "nt" or attempt == RETRIES - 1:
                raise
            time.sleep(PAUSE)


def _link(temporary: Path, target: Path) -> None:
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if target.exists():
            raise FileExistsError(errno.EEXIST, "exists", str(target)) from None
        os.replace(temporary, target)


def _check_room(target: Path, size: int) -> None:
    free = shutil.disk_usage(target.parent).free if size else size
    if 0 < free < size:  # 0: full, as the first byte will tell, or without a size, such as /proc
        raise _full(target, size, free)


def _full(target: Path, size: int, free: int) -> SaveError:
    missing = max(size - free, 0)
    need = f"{missing} bytes are missing of the {size} it needs" if missing else \
        f"the space ran out on the way to {size} bytes" if size else "no space is left"
    return SaveError(f"The disk of {target.name} is full: {need}; free some space or save elsewhere.", True,
                     missing or None)


def _save_error(error: OSError, target: Path, size: int) -> SaveError:
    """A failure of the system as a sentence."""
    if too_large(error):
        return SaveError(f"{target.name} would be larger than a file may be there{f' ({size} bytes)' if size else ''}; allow "
                         f"larger ones (ulimit -f), or save on another disk (FAT32 ends at 4 GB).", True)
    if error.errno in FULL:
        with contextlib.suppress(OSError):
            return _full(target, size, shutil.disk_usage(target.parent).free)
    if isinstance(error, PermissionError):
        return SaveError(f"{target.name} is in use or its folder {_short(target.parent)} is read-only; choose another name or "
                         f"place, or unload it.")
    return SaveError(f"{target.name} can't be written ({_why(error)}); choose another place.")


def too_large(error: BaseException | None) -> bool:
    """Whether a limit on the size of one file is what stood in the way, not a full disk."""
    return error is not None and (getattr(error, "errno", None) == errno.EFBIG or too_large(error.__cause__))


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)[:200]


def _short(path: Path) -> str:
    """A path in a sentence: on one line, not without end."""
    text = printable(str(path))
    return text if len(text) <= 120 else f"{text[:60]} ... {text[-40:]}"
