"""What a model learns from: a folder, a zip, a batch of pictures; checked as a whole, prepared once, read from disk."""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import math
import warnings
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ..checkpoints.json_text import parse_json, plain_text
from ..checkpoints.source import Source
from ..checkpoints.writing import write_bytes, write_file
from ..errors import FaceNotFound, InvalidInput, LoadError
from ..faces.batch import take_faces
from ..ops.resize import resize_area
from ..pictures.files import SUFFIXES, from_uint8, to_rgb_picture, to_uint8
from ..pictures.sheets import contact_sheet
from ..runtime import OnStep

LABELS = "dataset.json"
"""NVIDIA's dataset zips tell each picture's class or vector here."""
TINY = 32
"""Pictures whose shorter side is below this are left out."""
WORKERS, AHEAD = 4, 16
UNZIPPABLE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, RuntimeError, NotImplementedError)
"""What the reader of a damaged or encrypted zip raises."""
LARGEST = 1 << 29
"""Bytes of a file in a zip; a few packed ones may unpack to any number."""
CLASSES = 100_000
"""At most; a label beyond is no class but a mistake."""
SOME = 8
"""Names a sentence lists before it counts the rest."""



@dataclass(frozen=True)
class Entry:
    """One picture of a source."""

    name: str
    read: Callable[[], bytes | np.ndarray]
    """Its file's bytes, or uint8 [H, W, 3]."""
    label: Any = None


class FiledPictures:
    """uint8 [N, C, R, R] in a file, rows read when they are asked for; never mapped (see Source)."""

    def __init__(self, source: Source, shape: tuple[int, ...]) -> None:
        """Raises LoadError where the file is of another size."""
        self.shape, self._source, self._size = shape, source, math.prod(shape[1:])
        if min(shape) < 0 or len(source) != shape[0] * self._size:
            raise LoadError(f"The prepared pictures have {len(source)} bytes and not {shape[0] * self._size}; prepare them "
                            f"again.")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        which = np.arange(len(self))[rows]
        found = np.empty((which.size, *self.shape[1:]), np.uint8)
        for picture, row in zip(found, which.flat, strict=True):
            picture.data.cast("B")[:] = self._source.read(int(row) * self._size, self._size)
        return found.reshape(*which.shape, *self.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    def __del__(self) -> None:
        self._source.close()


@dataclass(frozen=True)
class PictureSet:
    """Prepared pictures: uint8 [N, C, R, R] in a file of which only what is asked for is read."""

    images: np.ndarray | FiledPictures
    names: tuple[str, ...]
    labels: np.ndarray | None = None
    """float32 [N, c_dim]."""
    notes: tuple[str, ...] = ()
    """What was left out or changed, a sentence a kind."""
    sha256: str = ""
    """Of what was prepared."""
    licence: str = "unknown"
    """Of the pictures; goes into the licence chain of what learns from them."""

    def __len__(self) -> int:
        return len(self.images)

    @property
    def resolution(self) -> int:
        return self.images.shape[-1]

    @property
    def c_dim(self) -> int:
        return 0 if self.labels is None else self.labels.shape[1]

    def take(self, rows: np.ndarray, flips: np.ndarray | None = None) -> Tensor:
        """float32 [B, C, R, R] in [-1, 1]; flips: which are mirrored."""
        pixels = torch.from_numpy(self.images[rows]).float() / 127.5 - 1
        if flips is not None and flips.any():
            pixels = torch.where(torch.from_numpy(flips).view(-1, 1, 1, 1), pixels.flip(3), pixels)
        return pixels

    def with_licence(self, licence: str) -> PictureSet:
        return replace(self, licence=licence.strip() or "unknown")

    def report(self) -> str:
        """How many, and what was left out or changed."""
        return "\n".join([f"{len(self)} pictures of {self.resolution} px.", *self.notes])

    def labels_of(self, rows: np.ndarray) -> Tensor | None:
        return None if self.labels is None else torch.from_numpy(self.labels[rows])


def prepare_pictures(source: str | Path | Tensor, resolution: int, cache: str | Path, align: bool = False, channels: int = 3,
                     least: int = 1, labelled: bool = False, on_step: OnStep | None = None) -> PictureSet:
    """Check every picture of a folder, a zip or a batch [N, C, H, W] in [-1, 1]; make them square; keep them in `cache`.

    Left out, with a note that names them: unreadable ones, doubles, those below 32 px, those without a face when `align`.
    Kept, with a note: gray ones, those with alpha (laid on white), those smaller than `resolution`. align: turn and crop faces
    as FFHQ does. labelled: dataset.json must tell each picture's class. Raises InvalidInput when fewer than `least` are left.
    """
    entries = list_pictures(source)
    if labelled and any(e.label is None for e in entries):
        raise InvalidInput(f"The model has classes and {sum(e.label is None for e in entries)} of {len(entries)} pictures have "
                           f"no label; give a zip or folder with a {LABELS} that tells each picture's class.")
    key = _key(source, entries, resolution, align, channels)
    folder = Path(cache)
    try:
        found = open_prepared(folder, key)
    except LoadError:  # nothing there yet, or damaged
        _prepare(entries, resolution, folder, key, align, channels, on_step)
        found = open_prepared(folder, key)
    if len(found) < least:
        detail = f" ({' '.join(found.notes)})" if found.notes else ""
        raise InvalidInput(f"{len(found)} of {len(entries)} pictures can be used and at least {least} are needed; add "
                           f"pictures{detail}.")
    return found


def some_of(data: PictureSet, most: int) -> PictureSet:
    """At most so many of the pictures, from the first to the last; 0: all."""
    if not 0 < most < len(data):
        return data
    rows = np.linspace(0, len(data) - 1, most).round().astype(int)
    labels = None if data.labels is None else data.labels[rows]
    return replace(data, images=data.images[rows], names=tuple(data.names[i] for i in rows), labels=labels,
                   sha256=hashlib.sha256(f"{data.sha256} {most}".encode()).hexdigest()[:24])


def shrunk(data: PictureSet, side: int) -> PictureSet:
    """The same pictures at a smaller side, by area means; themselves where they have it."""
    if side == data.resolution:
        return data
    small = np.concatenate([((resize_area(data.take(np.array([i])), side) + 1) * 127.5).round().byte().numpy()
                            for i in range(len(data))])
    return replace(data, images=small)


def list_pictures(source: str | Path | Tensor) -> list[Entry]:
    """The pictures of a source in the order of their names, unread. Raises InvalidInput when there are none."""
    if isinstance(source, Tensor):
        if source.ndim != 4 or source.shape[1] not in (1, 3, 4):
            raise InvalidInput(f"A batch of pictures has shape {list(source.shape)}; give [batch, 3, height, width].")
        return [Entry(f"picture {i}", lambda x=x: to_uint8(x[:3].expand(3, -1, -1))) for i, x in enumerate(source)]
    path = Path(source)
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        index = path / LABELS
        labels = _labels(index.read_bytes() if index.is_file() else None)
        named = [(p.relative_to(path).as_posix(), p.read_bytes) for p in files]
    elif path.is_file() and path.suffix.lower() in SUFFIXES:
        named, labels = [(path.name, path.read_bytes)], {}
    elif path.is_file() and zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                names = sorted(n for n in archive.namelist() if Path(n).suffix.lower() in SUFFIXES)
                labels = _labels(_from_zip(path, LABELS) if LABELS in archive.namelist() else None)
        except UNZIPPABLE as error:
            raise InvalidInput(f"{path.name} is no zip that can be read ({error}); pack or download it again.") from error
        named = [(name, lambda name=name: _from_zip(path, name)) for name in names]
    else:
        raise InvalidInput(f"{path} is neither a folder nor a zip of pictures nor a picture; check the path.")
    if not named:
        raise InvalidInput(f"{path} holds no pictures; give {', '.join(SUFFIXES)} files.")
    return [Entry(name, read, labels.get(name)) for name, read in named]


def _from_zip(path: Path, name: str) -> bytes:
    """Raises one of UNZIPPABLE."""
    with zipfile.ZipFile(path) as archive:
        if (size := archive.getinfo(name).file_size) > LARGEST:
            raise ValueError(f"{name} has {size} bytes unpacked")
        return archive.read(name)


def _labels(text: bytes | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        pairs = parse_json(text)["labels"] or []
        return {str(name): label for name, label in pairs}
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{LABELS} can't be understood ({error}); it has the form "
                           '{"labels": [["name.png", class], ...]}.') from error


def _key(source: str | Path | Tensor, entries: list[Entry], resolution: int, align: bool, channels: int) -> str:
    """Names what is prepared and how; another one for a changed file."""
    digest = hashlib.sha256(f"2 {resolution} {align} {channels}".encode())
    for entry in entries:
        digest.update(plain_text(f"{entry.name} {entry.label}").encode())
        if isinstance(source, Tensor):
            digest.update(np.ascontiguousarray(entry.read()).tobytes())
        elif Path(source).is_dir():
            stat = (Path(source) / entry.name).stat()
            digest.update(f"{stat.st_size} {stat.st_mtime_ns}".encode())
    if not isinstance(source, Tensor) and Path(source).is_file():
        stat = Path(source).stat()
        digest.update(f"{stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()[:24]


@dataclass
class _Report:
    """What happened to which pictures."""

    left_out: dict[str, list[str]] = field(default_factory=dict)
    changed: dict[str, list[str]] = field(default_factory=dict)

    def notes(self) -> list[str]:
        said = [f"Left out, {why}: {_some(names)}." for why, names in self.left_out.items()]
        return said + [f"Kept, {why}: {_some(names)}." for why, names in self.changed.items()]


def _some(names: list[str]) -> str:
    rest = f" and {len(names) - SOME} more" if len(names) > SOME else ""
    return ", ".join(names[:SOME]) + rest


def _prepare(entries: list[Entry], resolution: int, folder: Path, key: str, align: bool, channels: int,
             on_step: OnStep | None) -> None:
    """Write key.bin and, last, key.json; what is not whole has no json. Raises SaveError."""
    report, used, seen = _Report(), [], {}

    def write(file: BinaryIO) -> None:
        for i, (entry, picture) in enumerate(_decoded(entries, report)):
            square = None if picture is None else _square(entry, picture, resolution, align, report)
            if square is not None:
                pixels = square.convert("L" if channels == 1 else "RGB")
                data = np.atleast_3d(np.asarray(pixels)).transpose(2, 0, 1).tobytes()
                twin = seen.setdefault(hashlib.sha256(data).digest(), entry.name)
                if twin == entry.name:
                    file.write(data)
                    used.append(entry)
                else:
                    report.left_out.setdefault("doubles of others", []).append(entry.name)
            if on_step is not None:
                on_step(i + 1, len(entries), None if square is None else from_uint8(np.array(square)))

    write_file(folder / f"{key}.bin", write, overwrite=True)
    facts = {"shape": [len(used), channels, resolution, resolution], "names": [e.name for e in used],
             "labels": [e.label for e in used], "notes": report.notes()}
    write_bytes(folder / f"{key}.json", json.dumps(facts).encode(), overwrite=True)


def _decoded(entries: list[Entry], report: _Report) -> Iterator[tuple[Entry, Image.Image | None]]:
    """Pictures in order, a few read ahead by threads (decoding lets go of the interpreter)."""
    with ThreadPoolExecutor(WORKERS) as pool:
        waiting: deque[tuple[Entry, Future]] = deque()
        for entry in [*entries, *[None] * AHEAD]:
            if entry is not None:
                waiting.append((entry, pool.submit(_decode, entry)))
            if waiting and (entry is None or len(waiting) > AHEAD):
                first, future = waiting.popleft()
                picture, left_out, changed = future.result()
                for said, into in ((left_out, report.left_out), (changed, report.changed)):
                    if said:
                        into.setdefault(said, []).append(first.name)
                yield first, picture


def _decode(entry: Entry) -> tuple[Image.Image | None, str, str]:
    """(picture, why it is left out, what was changed)."""
    try:
        content = entry.read()
        if isinstance(content, np.ndarray):
            picture, changed = Image.fromarray(content), ""
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                with Image.open(io.BytesIO(content)) as file:
                    upright = ImageOps.exif_transpose(file)
                    changed = _oddity(upright)
                    picture = to_rgb_picture(upright)
    except Exception as error:  # whatever a decoder raises about a broken file
        return None, f"unreadable ({type(error).__name__})", ""
    if min(picture.size) < TINY:
        return None, f"smaller than {TINY} px", ""
    return picture, "", changed


def _oddity(picture: Image.Image) -> str:
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        alpha = picture.convert("RGBA").getchannel("A").getextrema()
        return "transparent places became white" if alpha != (255, 255) else ""
    return "gray" if picture.mode in ("1", "L") or picture.mode.startswith("I") else ""


def _square(entry: Entry, picture: Image.Image, resolution: int, align: bool, report: _Report) -> Image.Image | None:
    if align:
        try:
            crops, _ = take_faces([from_uint8(np.array(picture))[0]], resolution)
        except FaceNotFound:
            report.left_out.setdefault("no face found", []).append(entry.name)
            return None
        return Image.fromarray(to_uint8(crops[0]))
    side = min(picture.size)
    if side < resolution:
        report.changed.setdefault(f"smaller than {resolution} px and enlarged", []).append(entry.name)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.resize((resolution, resolution), Image.Resampling.LANCZOS, (left, top, left + side, top + side),
                          reducing_gap=3.0)


def open_prepared(folder: Path, key: str) -> PictureSet:
    """What prepare_pictures left in a folder under a key. Raises LoadError where that isn't there or isn't whole."""
    try:
        facts: Mapping[str, Any] = parse_json((folder / f"{key}.json").read_bytes())
        shape = tuple(map(int, facts["shape"]))
        names, labels, notes = tuple(facts["names"]), list(facts["labels"]), tuple(facts["notes"])
        if not len(names) == len(labels) == shape[0]:
            raise ValueError(f"{len(names)} names and {len(labels)} labels of {shape[0]} pictures")
        images = FiledPictures(Source.open(folder / f"{key}.bin"), shape)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise LoadError(f"The prepared pictures {key} in {folder} can't be read ({error}); prepare them again.") from error
    return PictureSet(images, names, _one_hot(labels), notes, key)


def _one_hot(labels: list[Any]) -> np.ndarray | None:
    """Classes -> one-hot rows, vectors as they are; None without labels. Raises InvalidInput for a mixture."""
    if not labels or any(label is None for label in labels):
        return None
    if all(isinstance(label, int) for label in labels):
        if not 0 <= min(labels) <= max(labels) < CLASSES:
            raise InvalidInput(f"{LABELS} has classes from {min(labels)} to {max(labels)}; number them from 0 on.")
        return (np.array(labels)[:, None] == np.arange(max(labels) + 1)).astype(np.float32)
    try:
        return np.array(labels, np.float32).reshape(len(labels), -1)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{LABELS} mixes classes and vectors; give one kind for all pictures.") from error


def data_sheet(data: PictureSet, columns: int = 10, most: int = 100, cell: int = 96) -> Tensor:
    """What is learnt from, at most `most` pictures spread over all -> one picture [1, 3, h, w]."""
    rows = np.unique(np.linspace(0, len(data) - 1, min(len(data), most)).round().astype(int))
    return contact_sheet(data.take(rows), min(columns, len(rows)), cell=cell)


def rows_of(position: int, batch: int, total: int, seed: int) -> np.ndarray:
    """Rows of `batch` draws from place `position` of an endless order: every `total` draws are a fresh permutation.

    A function of its arguments, so that a resumed run goes on where it was.
    """
    places = np.arange(position, position + batch)
    orders = {epoch: np.random.default_rng([seed, int(epoch)]).permutation(total) for epoch in np.unique(places // total)}
    return np.array([orders[place // total][place % total] for place in places])
