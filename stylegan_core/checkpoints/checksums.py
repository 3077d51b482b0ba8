"""Checksums of this project's safetensors files: one of the metadata text, one of each tensor with its name, type and shape.

Against accidents, not against forgers: anyone can write a checksum. A CRC-32 of every byte would double the time that loading
takes, so large tensors are summed first, at the speed of memory; numbers that change places within 512 bytes go unseen.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ..errors import LoadError
from .json_text import parse_json

CHECKSUMS_KEY = "stylegan_atelier_checksums"
SMALL, BLOCK = 1 << 16, 512
DAMAGED = "the file was damaged, or edited by another program; get an unchanged copy"
UNVERIFIED = "unverified"
UNVERIFIED_SENTENCE = ("the file holds no checksums, so damage that leaves plausible weights can't be told; compare its "
                       "SHA-256 with its publisher's")
"""A note on the model."""


def checksum(data: memoryview) -> int:
    """CRC-32 of the bytes, or beyond 64 KiB of the sums of 512-byte blocks (of 64-bit words, modulo 2^64) and the rest."""
    if len(data) <= SMALL:
        return zlib.crc32(data)
    whole = len(data) // BLOCK * BLOCK
    sums = torch.frombuffer(data[:whole], dtype=torch.int64).view(-1, BLOCK // 8).sum(1)  # aligned or not, as the file has it
    return zlib.crc32(data[whole:], zlib.crc32(sums.numpy().data))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # JSON can spell what UTF-8 can't


def _signed(value: int, key: str, code: str, shape: tuple[int, ...]) -> str:
    return f"{zlib.crc32(_bytes(f'{key} {code} {shape}'), value):08x}"


def describe_checksums(text: str, tensors: Mapping[str, Tensor], codes: Mapping[torch.dtype, str]) -> str:
    """The metadata entry for contiguous CPU tensors and the metadata text beside them."""
    found = {key: _signed(checksum(t.reshape(-1).view(torch.uint8).numpy().data), key, codes[t.dtype], tuple(t.shape))
             for key, t in tensors.items()}
    return json.dumps({"text": f"{zlib.crc32(_bytes(text)):08x}", "tensors": found}, sort_keys=True)


def read_checksums(metadata: Mapping[str, str], text: str, keys: set[str]) -> dict[str, str] | None:
    """Checksums by tensor, None where the file has none. Raises LoadError unless the text and the names are as written."""
    if CHECKSUMS_KEY not in metadata:
        return None
    try:
        match parse_json(metadata[CHECKSUMS_KEY]):
            case {"text": str(text_sum), "tensors": dict(found)}:
                pass
            case _:
                raise LoadError(f"The file's checksums are in an unknown form: {DAMAGED}.")
    except ValueError as error:
        raise LoadError(f"The file's checksums are no JSON: {DAMAGED}.") from error
    if text_sum != f"{zlib.crc32(_bytes(text)):08x}" or set(found) != keys:
        raise LoadError(f"The file's metadata or tensor names are not those its checksums were made for: {DAMAGED}.")
    return found


def checker(key: str, code: str, shape: tuple[int, ...], expected: str) -> Callable[[memoryview], None]:
    """A function that raises LoadError for bytes that are not the tensor that was written."""
    def check(data: memoryview) -> None:
        if _signed(checksum(data), key, code, shape) != expected:
            raise LoadError(f"The checksum of tensor {key[:80]} does not match its numbers: {DAMAGED}.")
    return check
