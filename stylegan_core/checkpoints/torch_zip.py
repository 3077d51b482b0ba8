"""torch.save's zip container, read without torch.load: records stored, whole, inside the file. Nothing is ever inflated."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import LoadError, UnsupportedCheckpoint
from .pickle_names import resolve
from .pickle_reader import PickleReader
from .source import Source
from .tensors import Storage
from .torch_stream import BIG_ENDIAN, same_storage, storage_id
from .zip_directory import Record, record_bytes


class ZipRecords:
    """The records of a torch zip."""

    def __init__(self, data: Source, entries: Mapping[str, Record]) -> None:
        self.data, self.entries = data, entries
        if sum(entry.size for entry in self.entries.values() if not entry.method) > len(data):
            raise LoadError("The zip's records overlap each other, which PyTorch never writes; the file isn't read.")
        roots = [name for name in self.entries if name.endswith("/data.pkl") and name.count("/") == 1]
        if any("/code/" in name for name in self.entries) or any(name.endswith("/constants.pkl") for name in self.entries):
            raise UnsupportedCheckpoint("The file is a TorchScript program, which would run its code; save the model's "
                                        "state_dict instead.")
        if len(roots) != 1:
            some = ", ".join(name[:80] for name in list(self.entries)[:5])
            raise LoadError(f"The zip holds {some or 'nothing'} but no data.pkl, so it is no PyTorch checkpoint; unpack it and "
                            f"choose the model file inside.")
        self.root = roots[0][: -len("data.pkl")]

    def find(self, name: str) -> tuple[Source, int]:
        """(bytes, recorded CRC or 0) of a record, unread."""
        entry = self.entries.get(self.root + name)
        if entry is None:
            raise LoadError(f"The zip container lacks its record {name[:80]}; the file is incomplete, download it again.")
        if entry.method or entry.flags & 1 or entry.packed != entry.size:
            raise LoadError(f"Record {name[:80]} is compressed or encrypted, and PyTorch never writes that; it isn't read.")
        return record_bytes(self.data, entry, name), entry.crc

    def checked(self, name: str) -> Source:
        """A record whose bytes are those its CRC was made of. Raises LoadError."""
        raw, crc = self.find(name)
        found = 0
        for at, count in raw.chunks() if crc else ():
            found = zlib.crc32(raw.read(at, count), found)
        if found != crc:
            raise LoadError(f"The checksum of record {name[:80]} does not match, so the file is damaged; download it again.")
        return raw


def _checker(key: str, crc: int) -> Callable[[memoryview], None]:
    def check(data: memoryview) -> None:
        if zlib.crc32(data) != crc:
            raise LoadError(f"The checksum of tensor data {key[:40]} does not match, so the file is damaged; get it again.")
    return check


def read_zip(data: Source, entries: Mapping[str, Record]) -> tuple[Any, bool]:
    """(tree of a torch >= 1.6 checkpoint, whether all of it has checksums)."""
    records = ZipRecords(data, entries)
    if records.root + "byteorder" in records.entries and records.checked("byteorder").head(16) != b"little":
        raise UnsupportedCheckpoint(BIG_ENDIAN)
    storages: dict[str, Storage] = {}

    def persistent(pid: Any) -> Storage:
        dtype, key, numel = storage_id(pid)
        if key not in storages:
            raw, crc = records.find(f"data/{key}")
            if len(raw) != numel * dtype.itemsize:
                raise LoadError(f"Tensor data {key[:40]} claims {numel} elements but has {len(raw)} bytes; it is damaged.")
            storages[key] = Storage(dtype, numel, raw, _checker(key, crc) if crc else None)
        return same_storage(storages[key], dtype, numel)

    tree = PickleReader(records.checked("data.pkl"), resolve, persistent).load()
    return tree, all(entry.crc or not entry.size for entry in records.entries.values())
