"""torch.save's two containers (zip, and the sequence of pickles from before 1.6), read without torch.load."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

from ..errors import LoadError, UnsupportedCheckpoint
from .pickle_codes import Name
from .pickle_names import STORAGE_DTYPES, resolve, resolve_nothing, resolve_storage
from .pickle_vm import PickleReader
from .tensors import MAX_NUMEL, Storage

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
LOCAL_HEADER = 30
MAX_DIRECTORY = 16 << 20
NESTED_OPERATIONS = 150
"""A tensor's own pickle has about 40 instructions."""


def _storage_id(pid: Any) -> tuple[Any, str, int]:
    """('storage', type, key, location, numel[, view]) -> dtype, key, numel; the location (cuda:0 ...) means nothing here."""
    pid = pid[:5] if isinstance(pid, tuple) and len(pid) == 6 and pid[5] is None else pid
    match pid:
        case ("storage", Name(name=kind), str(key), str(), int(numel)):
            pass
        case _:
            raise LoadError(
                "The file refers to a tensor's data in an unknown way; it is damaged or older than PyTorch 0.4."
            )
    if kind not in STORAGE_DTYPES or not 0 <= numel <= MAX_NUMEL:
        raise LoadError(f"The file claims {numel} elements of {kind}; it is damaged.")
    return STORAGE_DTYPES[kind], key, numel


class ZipRecords:
    """The records of a torch zip: stored, whole, inside the file. Nothing is ever inflated."""

    def __init__(self, data: memoryview, file: io.IOBase) -> None:
        self.data = data
        if _directory_bytes(data) > MAX_DIRECTORY:
            raise LoadError("The zip's directory is larger than any checkpoint's; the file isn't read.")
        try:
            entries = zipfile.ZipFile(file).infolist()  # type: ignore[arg-type]
        except (zipfile.BadZipFile, NotImplementedError, struct.error, ValueError, OSError, RecursionError, EOFError) as error:
            raise LoadError(
                f"The zip container has no readable directory ({error}): the file is truncated; download it again."
            ) from error
        self.entries = {entry.filename: entry for entry in entries}
        if sum(entry.file_size for entry in entries if entry.compress_type == zipfile.ZIP_STORED) > len(data):
            raise LoadError("The zip's records overlap each other, which PyTorch never writes; the file isn't read.")
        roots = [name for name in self.entries if name.endswith("/data.pkl") and name.count("/") == 1]
        if any("/code/" in name for name in self.entries) or any(name.endswith("/constants.pkl") for name in self.entries):
            raise UnsupportedCheckpoint(
                "The file is a TorchScript program, which would run its code; save the model's state_dict instead."
            )
        if len(roots) != 1:
            some = ", ".join(list(self.entries)[:5])
            raise LoadError(
                f"The zip holds {some or 'nothing'} but no data.pkl, so it is no PyTorch checkpoint; unpack it and "
                "choose the model file inside."
            )
        self.root = roots[0][: -len("data.pkl")]

    def bytes(self, name: str) -> tuple[memoryview, int]:
        """(bytes, recorded CRC or 0) of a record."""
        entry = self.entries.get(self.root + name)
        if entry is None:
            raise LoadError(
                f"The zip container lacks its record {name[:80]}; the file is incomplete, download it again."
            )
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 or entry.compress_size != entry.file_size:
            raise LoadError(
                f"Record {name[:80]} is compressed or encrypted, and PyTorch never writes that; the file isn't read."
            )
        header = self.data[entry.header_offset : entry.header_offset + LOCAL_HEADER]
        if len(header) < LOCAL_HEADER or header[:4] != b"PK\x03\x04":
            raise LoadError(f"Record {name[:80]} does not begin where the zip's directory says; the file is damaged.")
        name_length, extra_length = struct.unpack("<HH", header[26:30])
        start = entry.header_offset + LOCAL_HEADER + name_length + extra_length
        if start + entry.file_size > len(self.data):
            raise LoadError(
                f"Record {name[:80]} reaches beyond the end of the file, which is truncated; download it again."
            )
        return self.data[start : start + entry.file_size], entry.CRC

    def checked(self, name: str) -> memoryview:
        raw, crc = self.bytes(name)
        if crc and zlib.crc32(raw) != crc:
            raise LoadError(
                f"The checksum of record {name[:80]} does not match, so the file is damaged; download it again."
            )
        return raw


def _checker(key: str, crc: int) -> Callable[[memoryview], None]:
    def check(data: memoryview) -> None:
        if zlib.crc32(data) != crc:
            raise LoadError(f"The checksum of tensor data {key[:40]} does not match, so the file is damaged; get it again.")
    return check


def _directory_bytes(data: memoryview) -> int:
    """Size of a zip's directory as its end record tells (the 64-bit one, where that says so); 0 if there is none."""
    tail = bytes(data[-(1 << 16) - 128 :])
    at = tail.rfind(b"PK\x05\x06")
    size = int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0
    if size == 0xFFFFFFFF and (at := tail.rfind(b"PK\x06\x06")) >= 0:
        return int.from_bytes(tail[at + 40 : at + 48], "little")
    return size


def read_zip(data: memoryview, file: io.IOBase) -> tuple[Any, bool]:
    """(tree of a torch >= 1.6 checkpoint, whether all of it has checksums). `file` is the same bytes, for the directory."""
    records = ZipRecords(data, file)
    if records.root + "byteorder" in records.entries and bytes(records.checked("byteorder")) != b"little":
        raise UnsupportedCheckpoint(
            "The file was written on a big-endian machine, which is not read; save it again on a little-endian one."
        )
    storages: dict[str, Storage] = {}

    def persistent(pid: Any) -> Storage:
        dtype, key, numel = _storage_id(pid)
        if key not in storages:
            raw, crc = records.bytes(f"data/{key}")
            if len(raw) != numel * dtype.itemsize:
                raise LoadError(
                    f"Tensor data {key[:40]} claims {numel} elements but has {len(raw)} bytes; the file is damaged."
                )
            storages[key] = Storage(dtype, numel, raw, _checker(key, crc) if crc else None)
        return _same(storages[key], dtype, numel)

    tree = PickleReader(records.checked("data.pkl"), resolve, persistent).load()
    return tree, all(entry.CRC or not entry.file_size for entry in records.entries.values())


def read_legacy(data: memoryview) -> Any:
    """The tree of a torch < 1.6 checkpoint: magic, version, system, tree, keys, then each storage's raw numbers."""
    return _read_stream(data, resolve)


def read_storage(data: memoryview) -> Storage:
    """One storage saved on its own, as NVIDIA's pickles carry every tensor; its pickle may name storage types only."""
    found = _read_stream(data, resolve_storage, NESTED_OPERATIONS)
    if not isinstance(found, Storage):
        raise LoadError("A tensor's data holds something else than numbers; the file is damaged.")
    return found


def _read_stream(data: memoryview, resolve_tree: Any, operations: int | None = None) -> Any:
    position = _check_header(data)
    storages: dict[str, Storage] = {}

    def persistent(pid: Any) -> Storage:
        dtype, key, numel = _storage_id(pid)
        return _same(storages.setdefault(key, Storage(dtype, numel)), dtype, numel)

    tree, position = _pickle(data, position, resolve_tree, persistent, operations)
    keys, position = _pickle(data, position, resolve_nothing, None, operations)
    if not isinstance(keys, list) or not all(isinstance(k, str) for k in keys) or set(keys) != set(storages):
        raise LoadError("The file's list of tensors does not match the tensors it names; it is damaged.")
    for key in keys:
        storage = storages[key]
        size = storage.numel * storage.dtype.itemsize
        if position + 8 + size > len(data):
            raise LoadError(
                f"The file ends {position + 8 + size - len(data)} bytes too early: it is truncated; download it "
                "again."
            )
        if struct.unpack("<q", data[position : position + 8])[0] != storage.numel:
            raise LoadError(f"Tensor data {key[:40]} has another length than announced; the file is damaged.")
        storage.attach(data[position + 8 : position + 8 + size])
        position += 8 + size
    return tree


def _check_header(data: memoryview) -> int:
    magic, position = _pickle(data, 0, resolve_nothing, None, NESTED_OPERATIONS)
    protocol, position = _pickle(data, position, resolve_nothing, None, NESTED_OPERATIONS)
    system, position = _pickle(data, position, resolve_nothing, None, NESTED_OPERATIONS)
    if magic != LEGACY_MAGIC or protocol != LEGACY_PROTOCOL or not isinstance(system, dict):
        raise LoadError("The data does not begin like a PyTorch file; it is damaged.")
    if system.get("little_endian") is not True:
        raise UnsupportedCheckpoint(
            "The file was written on a big-endian machine, which is not read; save it again on a little-endian one."
        )
    return position


def _pickle(data: memoryview, position: int, resolve_name: Any, persistent: Any = None,
            operations: int | None = None) -> tuple[Any, int]:
    reader = PickleReader(data, resolve_name, persistent, position, operations)
    return reader.load(), reader.position


def _same(storage: Storage, dtype: Any, numel: int) -> Storage:
    if storage.dtype != dtype or storage.numel != numel:
        raise LoadError("One run of tensor data is claimed in two different ways; the file is damaged.")
    return storage
