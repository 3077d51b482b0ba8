"""Seeded damage to a checkpoint's bytes: random, or aimed at the structure of its container."""

from __future__ import annotations

import io
import json
import pickletools
import random
import struct
import zipfile
from collections.abc import Callable

Mutation = Callable[[bytes, random.Random], bytes]
PAYLOADS = (
    b"cos\nsystem\n\x8c\x04true\x85R0",
    b"\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R0",
    b"cbuiltins\neval\nX\x03\x00\x00\x001/0\x85R0",
    b"\x8c\x05torch\x8c\x17serialization.os.system\x93\x8c\x04true\x85R0",
    b"(S'true'\nios\nsystem\n0",
    b"\x82\x01",
    b"csubprocess\nPopen\n0",
    b"ctorch.storage\n_load_from_bytes\nC\x10cos\nsystem\n(S'a'\n\x85R0",
    b"N}b0",
    b"(" * 300 + b"t" * 300 + b"0",
    b"]" + b"2" * 5000 + b"0",
    b"}]N}s0",
    b"\x8e" + b"\xff" * 8,
    b"r\xff\xff\xff\x7f",
    b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n\x8a\x06\x00\x00\x00\x00\x00\x01\x85C\x01b\x87R0",
)
"""Pickle code that calls, imports, nests or claims too much; each leaves the stack as it was, where it can."""
CODES = b"()]}NRbtusaeoci0\x81\x85\x86\x87\x93\x94\x8f\x90\x91.2"
ARGUMENTS = (b"K\xff", b"J\xff\xff\xff\xff", b"M\xff\xff", b"K\x00", b"N", b"X\x01\x00\x00\x00a")
NUMBERS = (0, 1, 2, 255, 1 << 16, (1 << 31) - 1, (1 << 32) - 1)


def flip_bits(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 3, 8))):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def flip_at_the_ends(data: bytes, rng: random.Random) -> bytes:
    """Where containers keep their structure."""
    out, span = bytearray(data), min(len(data), 3000)
    at = rng.randrange(span)
    out[at if rng.random() < 0.5 else len(out) - 1 - at] ^= 1 << rng.randrange(8)
    return bytes(out)


def truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def cut_out(data: bytes, rng: random.Random) -> bytes:
    at, size = rng.randrange(len(data)), rng.choice((1, 2, 8, 64, 4096))
    return data[:at] + data[at + size :]


def put_in(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + rng.randbytes(rng.choice((1, 2, 8, 64))) + data[at:]


def overwrite(data: bytes, rng: random.Random) -> bytes:
    at, fill = rng.randrange(len(data)), rng.choice((b"\0", b"\xff", rng.randbytes(1)))
    size = min(rng.choice((1, 4, 16, 512)), len(data) - at)
    return data[:at] + fill * size + data[at + size :]


GENERAL: tuple[Mutation, ...] = (flip_bits, flip_bits, flip_at_the_ends, truncate, cut_out, put_in, overwrite)


def pickle_instruction(data: bytes, rng: random.Random) -> bytes:
    """Change one instruction of a pickle: its code, its argument, or a payload before it."""
    places = [at for _, _, at in pickletools.genops(data) if at is not None]
    if len(places) < 3:
        return flip_bits(data, rng)
    i = rng.randrange(len(places) - 1)
    at, end = places[i], places[i + 1]
    kind = rng.randrange(4)
    if kind == 0:
        return data[:at] + bytes([rng.choice(CODES)]) + data[at + 1 :]
    if kind == 1:
        return data[:at] + rng.choice(PAYLOADS) + data[at:]
    if kind == 2:
        return data[:at] + data[end:]
    return data[:at] + rng.choice(ARGUMENTS) + data[end:]


CENTRAL_FIELDS, LOCAL_FIELDS = (8, 10, 16, 20, 24, 28, 30, 42), (6, 8, 14, 18, 22, 26, 28)
"""Offsets of flags, method, checksum, sizes, name and extra lengths, and place."""


def zip_field(data: bytes, rng: random.Random) -> bytes:
    """Change a number in the zip's directory or in a record's own header."""
    out, central = bytearray(data), rng.random() < 0.7
    marker, fields = (b"PK\x01\x02", CENTRAL_FIELDS) if central else (b"PK\x03\x04", LOCAL_FIELDS)
    places = _find_all(data, marker)
    if not places:
        return flip_bits(data, rng)
    at = rng.choice(places) + rng.choice(fields)
    out[at : at + 2] = struct.pack("<H", rng.choice(NUMBERS) & 0xFFFF) if rng.random() < 0.5 else rng.randbytes(2)
    return bytes(out)


def _find_all(data: bytes, marker: bytes) -> list[int]:
    found, at = [], data.find(marker)
    while at >= 0:
        found.append(at)
        at = data.find(marker, at + 1)
    return found


def rezip(data: bytes, rng: random.Random) -> bytes:
    """A whole new zip, checksums right, around a changed pickle: what an attacker would make."""
    source, out = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
    with zipfile.ZipFile(out, "w") as target:
        for entry in source.infolist():
            raw = source.read(entry)
            target.writestr(entry.filename, pickle_instruction(raw, rng) if entry.filename.endswith("/data.pkl") else raw)
    return out.getvalue()


def safetensors_header(data: bytes, rng: random.Random) -> bytes:
    """Change shapes, offsets, types, names or metadata in the JSON header, its length kept right."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    key = rng.choice([k for k in header if k != "__metadata__"])
    entry = header[key]
    change = rng.randrange(8)
    if rng.random() < 0.5:  # as by a writer that knows nothing of checksums: the other checks must hold alone
        header.get("__metadata__", {}).pop("stylegan_atelier_checksums", None)
    if change == 0:
        shape = entry["shape"]
        entry["shape"] = rng.choice(([], [-1], [1 << 40, 1 << 40], [1.5], shape[::-1], [1, *shape], None, "x"))
    elif change == 1:
        offsets = entry["data_offsets"]
        entry["data_offsets"] = rng.choice(([0, 0], [-4, 4], [0, 1 << 62], offsets[::-1], [0], None, ["0", "4"]))
    elif change == 2:
        entry["dtype"] = rng.choice(("F16", "F64", "I32", "F8_E4M3", "X", None, 3))
    elif change == 3:
        header[rng.choice(("a", "mapping.fc0.weight", "", "x" * 5000))] = header.pop(key)
    elif change == 4:
        header[key] = rng.choice((None, 3, [], {}, {"dtype": "F32"}))
    elif change == 5:
        header["__metadata__"] = rng.choice((None, [], {"stylegan_atelier": "{"}, {"stylegan_atelier": "[]"}, {"a": 1}))
    elif change == 6 and "__metadata__" in header:
        _change_metadata(header["__metadata__"], rng)
    else:
        del header[key]
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def _change_metadata(metadata: dict[str, str], rng: random.Random) -> None:
    told = json.loads(metadata["stylegan_atelier"])
    config = told["config"]
    field = rng.choice(list(config))
    config[field] = rng.choice((None, -1, 1 << 40, "x", [], {}, [1 << 30] * 5, 1e308))
    if rng.random() < 0.3:
        told[rng.choice(list(told))] = rng.choice((None, 3, "x", [], {"a": 1}))
    metadata["stylegan_atelier"] = json.dumps(told)


AIMED: dict[str, tuple[Mutation, ...]] = {
    "zip": (zip_field, zip_field, rezip, rezip),
    "pickle": (pickle_instruction,) * 4,
    "safetensors": (safetensors_header,) * 4,
    "other": (),
}


def container_of(data: bytes) -> str:
    if data[:2] == b"PK":
        return "zip"
    if data[8:9] == b"{":
        return "safetensors"
    return "pickle" if data[:1] == b"\x80" else "other"


def mutate(data: bytes, seed: int) -> tuple[str, bytes]:
    """(name of the mutation, damaged bytes)."""
    rng = random.Random(seed)
    mutation = rng.choice((*GENERAL, *AIMED[container_of(data)]))
    return mutation.__name__, mutation(data, rng)
