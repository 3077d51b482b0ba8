"""File -> plain tree. The container is told by its first bytes, never by its name; nothing in a file is ever run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import LoadError, UnsupportedCheckpoint, one_line
from .checksums import CHECKSUMS_KEY
from .npy_file import MAGIC as NPY_MAGIC
from .npy_file import read_npy, read_npz
from .openvino import read_openvino
from .pickle_names import resolve
from .pickle_reader import PickleReader
from .safetensors_file import read_header
from .source import Source
from .tensors import LazyTensor
from .torch_stream import LEGACY_MAGIC, read_stream
from .torch_zip import read_zip
from .zip_directory import read_directory

MODEL_SUFFIXES = (".safetensors", ".sft", ".pkl", ".pt", ".pth", ".model", ".ckpt", ".bin", ".xml", ".npy")
"""What files of models are called; lists go by it, readers by the first bytes."""
HEAD = 512
LEGACY_HEAD = 32
"""Bytes that hold torch's old magic number; newer protocols put a frame before it."""
PICKLE_STARTS = b"\x80(}]cl"


@dataclass(frozen=True)
class Contents:
    """What a file holds: dicts, lists, tuples, text, numbers, LazyTensors, ArrayStubs and Records."""

    path: Path
    container: str
    """"torch zip", "torch legacy", "pickle", "safetensors", "npy", "npz" or "openvino"."""
    tree: Any
    size: int
    metadata: dict[str, str] = field(default_factory=dict)
    """Text pairs of a safetensors header."""
    checked: bool = False
    """Whether all that is read is compared with checksums in the file."""
    source: Source | None = None
    """The open file; None where nothing is left unread."""
    stamp: tuple[int, ...] = ()
    """What the file was like as it was opened (Source.stamp)."""

    def close(self) -> None:
        """Let go of the file, when all that is wanted has been read: on Windows an open file can't be replaced.

        Raises LoadError when the file was written to in the meantime: what was read is of two files then.
        """
        if self.source:
            stamp = self.source.stamp()
            self.source.close()
            if stamp != self.stamp:
                raise LoadError("The file changed while it was read; wait until it is whole and load it again.")


def read_file(path: str | Path) -> Contents:
    """Read a checkpoint as data. Raises LoadError, UnsafeCheckpoint or UnsupportedCheckpoint, nothing else.

    Tensors stay in the file until they are read.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise LoadError(f"There is no file {path.name} in {path.parent}; check the path.")
        size = path.stat().st_size
        if not size:
            raise LoadError(f"{path.name} is empty (0 bytes); download it again.")
        return _read(path, size)
    except (LoadError, UnsupportedCheckpoint) as error:
        raise with_file(error, path) from error
    except (MemoryError, OSError) as error:
        raise LoadError(f"{path.name} can't be read ({error}); check the disk and the permissions.") from error


def _read(path: Path, size: int) -> Contents:
    if path.suffix == ".xml" or (path.suffix == ".bin" and path.with_suffix(".xml").is_file()):
        with contextlib.closing(Source.open(path)) as file:
            stamp = file.stamp()
        state = _lazy(read_openvino(path))
        return Contents(path, "openvino", state, size + sum(t.nbytes for t in state.values()), stamp=stamp)
    data = Source.open(path)
    stamp = data.stamp()
    container, tree, metadata, checked = _read_container(data, path)
    return Contents(path, container, tree, size, metadata, checked, data, stamp)


def _read_container(data: Source, path: Path) -> tuple[str, Any, dict[str, str], bool]:
    """(container, tree, metadata, whether all of it has checksums)."""
    head = data.head(HEAD)
    if head[:2] == b"PK":
        entries = read_directory(data)
        if entries and all(name.endswith(".npy") for name in entries):
            return "npz", read_npz(data, entries), {}, True
        tree, checked = read_zip(data, entries)
        return "torch zip", tree, {}, checked
    refuse_accident(head, path)
    if head[:6] == NPY_MAGIC:
        return "npy", read_npy(data), {}, False
    if head[:1] == b"\x80" and LEGACY_MAGIC.to_bytes(10, "little") in head[:LEGACY_HEAD]:
        return "torch legacy", read_stream(data, resolve), {}, False
    if int.from_bytes(head[:8], "little") <= len(data) and head[8:9] == b"{" or path.suffix in (".safetensors", ".sft"):
        tensors, metadata = read_header(data)
        return "safetensors", tensors, metadata, CHECKSUMS_KEY in metadata
    if head[:1] in [bytes([c]) for c in PICKLE_STARTS]:
        return "pickle", PickleReader(data, resolve).load(), {}, False
    raise LoadError(f"The file begins with {head[:8]!r}, which is none of PyTorch, pickle, safetensors or OpenVINO; choose a "
                    f"checkpoint file.")


ACCIDENTS: tuple[tuple[Callable[[bytes], bool], str], ...] = (
    (lambda h: h.startswith(b"version https://git-lfs"),
     "is a git-lfs pointer, a text that stands for the model, not the model itself; download the file itself (git lfs pull)"),
    (lambda h: h.lstrip().lower().startswith((b"<!doctype", b"<html")),
     "is a web page saved under a model's name, usually a download page or a sign-in; download it again in the browser"),
    (lambda h: h.startswith((b"{\"", b"{\n")),
     "is a JSON text, often an error message of a server, not a model; download it again"),
    (lambda h: h.startswith((b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ")),
     "is a compressed archive; unpack it and choose the model file inside"),
    (lambda h: h[257:262] == b"ustar" or h.startswith(b"storages"),
     "is a tar archive; unpack it, or save the model again with a PyTorch newer than 0.1.10"),
    (lambda h: h.startswith(b"\x89HDF"), "is an HDF5 (Keras) file, which is not read; choose the original .pkl or .pt"),
    (lambda h: h.startswith((b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"%PDF")),
     "is a picture or document, not a model; choose a checkpoint file"),
    (lambda h: h.startswith(b"GGUF"), "is a GGUF language or diffusion model, not a StyleGAN; choose a StyleGAN checkpoint"),
    (lambda h: not h.strip(b"\0"), "begins with zeros only: its download was interrupted; download it again"),
)


def refuse_accident(head: bytes, path: Path) -> None:
    """Raise a plain sentence for what people save under a model's name by accident."""
    for matches, sentence in ACCIDENTS:
        if matches(head):
            raise LoadError(f"{path.name} {sentence}.")


def _lazy(state: dict[str, Any]) -> dict[str, LazyTensor]:
    return {key: LazyTensor(tuple(t.shape), t.dtype, lambda t=t: t) for key, t in state.items()}


def with_file(error: LoadError, path: Path) -> LoadError:
    """The same error on one printable line, naming the file once."""
    text = str(error)
    if one_line(path.name) in text:
        return type(error)(text)
    return type(error)(f"{path.name}: {text[0].lower() if text.startswith(('The ', 'A ', 'An ')) else text[:1]}{text[1:]}")
