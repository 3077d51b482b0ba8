"""A zip's directory and its records' places, read without inflating anything but NumPy's own small archives."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from ..errors import LoadError
from .source import Source

LOCAL_HEADER = 30
END, END64, LOCATOR64, CENTRAL, LOCAL = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b"PK\x01\x02", b"PK\x03\x04"
MAX_DIRECTORY = 16 << 20
MAX_RECORDS = 60_000
MAX_NAME = 1000
MAX_UNPACKED = 64 << 20
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


def record_bytes(data: Source, record: Record, name: str) -> Source:
    """The bytes of a record as they lie in the file. Raises LoadError."""
    if record.flags & 1:
        raise LoadError(f"Record {name[:80]} is encrypted; the file isn't read.")
    if record.at + LOCAL_HEADER > len(data):
        raise LoadError(f"Record {name[:80]} reaches beyond the end of the file, which is truncated; download it again.")
    header = data.read(record.at, LOCAL_HEADER)
    if header[:4] != LOCAL:
        raise LoadError(f"Record {name[:80]} does not begin where the zip's directory says; the file is damaged.")
    start = record.at + LOCAL_HEADER + sum(struct.unpack("<HH", header[26:30]))
    if start + record.packed > len(data):
        raise LoadError(f"Record {name[:80]} reaches beyond the end of the file, which is truncated; download it again.")
    return data.span(start, record.packed)


def unpacked(data: Source, record: Record, name: str) -> Source:
    """The bytes of a record, inflated where np.savez_compressed packed it, and their CRC checked. Raises LoadError."""
    if record.method not in (0, 8) or record.size > MAX_UNPACKED or record.packed > MAX_UNPACKED:
        raise LoadError(f"Record {name[:80]} is packed in a way that is not read, or larger than {MAX_UNPACKED >> 20} MB.")
    raw = bytes(record_bytes(data, record, name))
    if record.method:
        try:
            raw = zlib.decompressobj(-15).decompress(raw, record.size)
        except zlib.error as error:
            raise LoadError(f"Record {name[:80]} does not unpack ({error}); the file is damaged.") from error
    if len(raw) != record.size or zlib.crc32(raw) != record.crc:
        raise LoadError(f"The checksum of record {name[:80]} does not match, so the file is damaged; get it again.")
    return Source.of(raw)
