"""A run is a folder: settings, states to go on from, a log. Whole files only, one process at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar

from torch import Tensor

from ..checkpoints.containers import read_file
from ..checkpoints.json_text import parse_json, to_json
from ..checkpoints.safetensors_file import read_json, write_safetensors
from ..checkpoints.writing import FULL, check_folder, too_large, write_bytes
from ..errors import InvalidInput, LoadError, SaveError, TrainingStopped

VERSION = 1
STATES, LOG, SETTINGS, LOCK = "states", "log.jsonl", "settings.json", "run.lock"
KEPT = 2
"""States that stay: should the last be damaged, there is one before."""
T = TypeVar("T")


class RunFolder:
    """Opened for one process; close() lets go of it. Use as a context manager."""

    def __init__(self, path: str | Path, settings: Mapping[str, Any], resume: bool = False,
                 may_change: tuple[str, ...] = ()) -> None:
        """settings: what the run depends on, plain JSON. resume: go on if a run is there.

        Raises InvalidInput: a run is there and resume is off; another version's; settings differ beyond `may_change`; in use;
        not writable.
        """
        self.path = check_folder(path)
        check_folder(self.path / STATES).mkdir(parents=True, exist_ok=True)
        self._lock: IO[str] | None = _lock(self.path / LOCK)
        try:
            self._settle(json.loads(json.dumps(settings)), resume, may_change)
        except BaseException:
            self.close()
            raise

    def _settle(self, settings: dict[str, Any], resume: bool, may_change: tuple[str, ...]) -> None:
        file = self.path / SETTINGS
        if file.is_file():
            self._compare(file, settings, resume, may_change)
        text = to_json({"version": VERSION, "settings": settings}, indent=1)
        self.guard(lambda: _write_text(file, text))

    def _compare(self, file: Path, settings: dict[str, Any], resume: bool, may_change: tuple[str, ...]) -> None:
        try:
            stored = parse_json(file.read_bytes())
            version, old = stored.get("version"), stored.get("settings")
        except (ValueError, AttributeError) as error:
            raise InvalidInput(f"{file} is damaged ({error}); start a run in another folder.") from error
        if version != VERSION or not isinstance(old, dict):
            raise InvalidInput(f"{self.path} holds a run of version {version} and this is version {VERSION}; use the program "
                               f"that began it, or another folder.")
        _check_new(self.path, resume)
        differ = [k for k in {**old, **settings} if old.get(k) != settings.get(k) and k not in may_change]
        if differ:
            told = ", ".join(f"{k} (was {old.get(k)!r}, now {settings.get(k)!r})" for k in differ[:3])
            raise InvalidInput(f"The run in {self.path.name} was begun with other settings: {told[:400]}; on resuming only "
                               f"{', '.join(may_change) or 'nothing'} may change.")

    def forget(self) -> None:
        """Drop the settings of a run in which nothing was done, so that what was refused does not stand in the way."""
        if not self.states() and not self.log_file.is_file():
            (self.path / SETTINGS).unlink(missing_ok=True)

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def guard(self, write: Callable[[], T]) -> T:
        """write(), a full disk or a limit on files told as such. Raises TrainingStopped."""
        try:
            return write()
        except (OSError, SaveError) as error:
            full = error.full if isinstance(error, SaveError) else error.errno in FULL
            if not full:
                raise
            found, remedy = ((f"A file of {self.path} would be larger than files may be there", "allow larger ones (ulimit -f)")
                             if too_large(error) else (f"The disk of {self.path} is full", "free some space"))
            raise TrainingStopped(f"{found}; the run stopped and its last checkpoint is whole, so {remedy} and "
                                  f"resume.") from error

    # states

    def states(self) -> list[Path]:
        """From the newest to the oldest."""
        return sorted((self.path / STATES).glob("state-*.safetensors"), reverse=True)

    def write_state(self, iteration: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Path:
        """A state to go on from, whole or not at all; facts: plain JSON. The ones before the last but one go."""
        path = self.path / STATES / f"state-{iteration:08d}.safetensors"
        metadata = {"family": "training_state", "iteration": iteration, "facts": dict(facts)}
        self.guard(lambda: write_safetensors(path, tensors, metadata, overwrite=True))
        for old in self.states()[KEPT:]:
            old.unlink(missing_ok=True)
        return path

    def read_state(self) -> tuple[int, dict[str, Tensor], dict[str, Any]] | None:
        """(iteration, tensors, facts) of the newest whole state; None when there is none yet. Raises InvalidInput when none of
        those that are there can be read: beginning anew would throw away what was learnt."""
        damaged = ""
        for path in self.states():
            try:
                contents = read_file(path)
                own = read_json(contents.metadata) or {}
                tensors = {key: lazy.read().clone() for key, lazy in contents.tree.items()}
                return int(own["iteration"]), tensors, own["facts"]
            except (LoadError, LookupError, TypeError, ValueError) as error:
                damaged = damaged or f"{path.name}: {error}"
        if damaged:
            raise InvalidInput(f"No state of the run in {self.path} can be read ({damaged[:300]}); put sound ones back, or "
                               f"begin anew in another folder.")
        return None

    # log

    @property
    def log_file(self) -> Path:
        return self.path / LOG

    def log(self, entry: Mapping[str, Any]) -> None:
        """One line of JSON; entries of steps carry their "iteration"."""
        def write() -> None:
            with self.log_file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
        self.guard(write)

    def cut_log(self, iteration: int) -> None:
        """Forget what was logged after the state that is gone on from."""
        kept = [entry for entry in read_log(self.path) if _iteration(entry) <= iteration]
        self.guard(lambda: _write_text(self.log_file, "".join(json.dumps(entry) + "\n" for entry in kept)))


def check_run(path: str | Path, resume: bool) -> None:
    """What RunFolder refuses whatever the settings are, before they are known. Raises InvalidInput, SaveError."""
    check_folder(path)
    _check_new(Path(path), resume)


def _check_new(path: Path, resume: bool) -> None:
    if not resume and (path / SETTINGS).is_file():
        raise InvalidInput(f"{path} holds a run already; resume it or choose another folder.")


def read_log(path: str | Path) -> list[dict[str, Any]]:
    """The entries of a run's log; a last line cut short by a crash is left out. Raises InvalidInput for another folder."""
    file = Path(path) / LOG
    if not file.is_file():
        if (Path(path) / SETTINGS).is_file():
            return []
        raise InvalidInput(f"{path} is no training run; give the folder that the training wrote.")
    entries = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = parse_json(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            entries.append(entry)
    return entries


def _iteration(entry: Mapping[str, Any]) -> float:
    found = entry.get("iteration", 0)
    return found if isinstance(found, (int, float)) else 0


def _write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode("utf-8"), overwrite=True)


def _lock(path: Path) -> IO[str]:
    """A lock of the operating system's, which a killed process lets go of by itself."""
    file = path.open("a", encoding="utf-8")
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise InvalidInput(f"The run in {path.parent} is in use by another process; wait for it or choose another "
                           f"folder.") from error
    return file
