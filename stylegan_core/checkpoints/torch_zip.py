"""torch.save's zip container, read without torch.load: records stored, whole, inside the file. Nothing is ever inflated."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import LoadError, UnsupportedCheckpoint
from .pickle_names import resolve
from .pickle_reader import PickleReader
from .source import Source
from .tensors import Storage
from .torch_stream import BIG_ENDIAN, same_storage, storage_id

LOCAL_HEADER = 30
END, END64, LOCATOR64, CENTRAL, LOCAL = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b"PK\x01\x02", b"PK\x03\x04"
MAX_DIRECTORY = 16 << 20
MAX_RECORDS = 60_000
MAX_NAME = 1000
TAIL = (1 << 16) + 128
"""An end record may be followed by a comment of 64 KiB."""
TRUNCATED = "The zip container has no readable directory ({}): the file is truncated; download it again."


@dataclass(frozen=True)
class Record:
    """One entry of the zip's directory."""

    flags: int
    method: int
    crc: int
    packed: int
    """Bytes in the file."""
    size: int
    """Bytes unpacked."""
    at: int
    """Where the record's own header begins."""


def read_directory(data: Source) -> dict[str, Record]:
    """The zip's records by name. Only what the end records agree on is read. Raises LoadError."""
    count, size, start = _end_of(data)
    if size > MAX_DIRECTORY or count > MAX_RECORDS:
        raise LoadError("The zip's directory is larger than any checkpoint's; the file isn't read.")
    try:
        raw, at, found = data.read(start, size), 0, {}
        for _ in range(count):
            name, record, at = _entry(raw, at)
            found[name] = record
    except (struct.error, LoadError, UnicodeDecodeError) as error:
        raise LoadError(TRUNCATED.format(error)) from error
    return found


def _end_of(data: Source) -> tuple[int, int, int]:
    """(number of records, bytes of the directory, where it begins); the 64-bit end record counts wherever there is one."""
    first = max(0, len(data) - TAIL)
    tail = data.read(first, len(data) - first)
    at = tail.rfind(END)
    if at < 0 or at + 22 > len(tail):
        raise LoadError(TRUNCATED.format("no end record"))
    count, size, start = struct.unpack_from("<10xHII", tail, at)
    if at >= 20 and tail[at - 20 : at - 16] == LOCATOR64:
        place = struct.unpack_from("<8xQ", tail, at - 20)[0]
        if place + 56 > len(data):
            raise LoadError(TRUNCATED.format("its 64-bit end record lies outside the file"))
        end = data.read(place, 56)
        if end[:4] != END64:
            raise LoadError(TRUNCATED.format("its 64-bit end record is missing"))
        count, size, start = struct.unpack_from("<32xQQQ", end)
    if start + size > len(data):
        raise LoadError(TRUNCATED.format("its directory reaches beyond the end"))
    return count, size, start


def _entry(raw: bytes, at: int) -> tuple[str, Record, int]:
    """(name, record, where the next one begins)."""
    if raw[at : at + 4] != CENTRAL:
        raise LoadError(f"no record where the {at}th byte should begin one")
    flags, method, crc, packed, size, length, extra, comment, place = struct.unpack_from("<8xHH4xIIIHHH8xI", raw, at)
    if length > MAX_NAME:
        raise LoadError(f"a record's name of {length} bytes")
    name = raw[at + 46 : at + 46 + length].decode("utf-8" if flags & 0x800 else "latin1")
    rest = raw[at + 46 + length : at + 46 + length + extra]
    size, packed, place = _wide(rest, size, packed, place)
    return name, Record(flags, method, crc, packed, size, place), at + 46 + length + extra + comment


def _wide(extra: bytes, *numbers: int) -> list[int]:
    """32-bit numbers, those that are all ones replaced from the 64-bit extra field, in order."""
    values, at = list(numbers), 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            wide = [i for i, n in enumerate(values) if n == 0xFFFFFFFF]
            for i, n in zip(wide, struct.unpack_from(f"<{min(len(wide), size // 8)}Q", extra, at + 4), strict=False):
                values[i] = n
            break
        at += 4 + size
    return values


class ZipRecords:
    """The records of a torch zip."""

    def __init__(self, data: Source) -> None:
        self.data, self.entries = data, read_directory(data)
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
        if entry.at + LOCAL_HEADER > len(self.data):
            raise LoadError(f"Record {name[:80]} reaches beyond the end of the file, which is truncated; download it again.")
        header = self.data.read(entry.at, LOCAL_HEADER)
        if header[:4] != LOCAL:
            raise LoadError(f"Record {name[:80]} does not begin where the zip's directory says; the file is damaged.")
        start = entry.at + LOCAL_HEADER + sum(struct.unpack("<HH", header[26:30]))
        if start + entry.size > len(self.data):
            raise LoadError(f"Record {name[:80]} reaches beyond the end of the file, which is truncated; download it again.")
        return self.data.span(start, entry.size), entry.crc

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


def read_zip(data: Source) -> tuple[Any, bool]:
    """(tree of a torch >= 1.6 checkpoint, whether all of it has checksums)."""
    records = ZipRecords(data)
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
