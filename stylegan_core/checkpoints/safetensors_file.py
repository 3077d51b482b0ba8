"""safetensors: a JSON header and raw numbers, written and read with a strict check of the header."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from ..errors import LoadError
from ..version import __version__
from .checksums import CHECKSUMS_KEY, checker, describe_checksums, read_checksums
from .json_text import parse_json, to_json
from .source import Source
from .tensors import MAX_DIMS, MAX_KEY, LazyTensor, Storage, formed
from .writing import check_target, write_file

SUFFIXES = (".safetensors",)
METADATA_KEY = "stylegan_atelier"
MAX_HEADER = 8 << 20
DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}
OTHER_CODES = {"F8_E4M3": "fp8", "F8_E5M2": "fp8", "F8_E8M0": "fp8", "F8_E4M3FNUZ": "fp8", "F8_E5M2FNUZ": "fp8", "F4": "fp4",
               "F6_E2M3": "fp6", "F6_E3M2": "fp6", "C64": "complex", "U16": "uint16", "U32": "uint32", "U64": "uint64"}
"""Types that no StyleGAN is stored in, by what they are called."""
CODES = {dtype: code for code, dtype in DTYPES.items()}


def read_header(data: Source) -> tuple[dict[str, LazyTensor], dict[str, str]]:
    """(tensors by key, metadata) of a safetensors file's bytes. Raises LoadError for any header that lies."""
    length = int.from_bytes(data.head(8), "little")
    if len(data) < 8 or length > min(len(data) - 8, MAX_HEADER):
        raise LoadError(
            f"The safetensors header claims {length} bytes of a file of {len(data)}: it is truncated or no "
            "safetensors file."
        )
    try:
        header = parse_json(data.read(8, length))
    except ValueError as error:
        raise LoadError(
            f"The safetensors header is no JSON ({error}); the file is damaged, download it again."
        ) from error
    if not isinstance(header, dict):
        raise LoadError("The safetensors header is no table of tensors; the file is damaged.")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise LoadError("The safetensors metadata is no table of texts; the file is damaged.")
    checksums = read_checksums(metadata, metadata.get(METADATA_KEY, ""), set(header))
    return _tensors(header, data.span(8 + length, len(data) - 8 - length), checksums), metadata


def _tensors(header: dict[str, Any], body: Source, checksums: Mapping[str, str] | None) -> dict[str, LazyTensor]:
    found, spans = {}, []
    for key, entry in header.items():
        code, shape, begin, end = _entry(key, entry)
        spans.append((begin, end))
        if code in OTHER_CODES:
            found[key] = formed(shape, torch.uint8, OTHER_CODES[code])
            continue
        dtype = DTYPES[code]
        if math.prod(shape) * dtype.itemsize != end - begin or end > len(body):
            raise LoadError(f"Tensor {key[:80]} of shape {list(shape)} has bytes {begin} to {end} of {len(body)}; the file is "
                            f"truncated or damaged.")
        steps = tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))
        check = None if checksums is None else checker(key, code, shape, checksums[key])
        found[key] = Storage(dtype, math.prod(shape), body.span(begin, end - begin), check).view(0, shape, steps)
    spans.sort()
    at = 0
    for begin, end in spans:
        if begin != at:
            raise LoadError(f"Tensors overlap or leave a gap at byte {begin}; the safetensors file is damaged.")
        at = end
    if at != len(body):
        raise LoadError(f"The safetensors file has {len(body) - at} bytes that belong to no tensor; it is damaged.")
    return found


def _entry(key: str, entry: Any) -> tuple[str, tuple[int, ...], int, int]:
    """(type code, shape, first byte, byte after the last)."""
    if len(key) > MAX_KEY:
        raise LoadError(f"The file names a tensor by {len(key)} characters and {MAX_KEY} are the most that is read; it is "
                        f"damaged.")
    match entry:
        case {"dtype": str(code), "shape": list(shape), "data_offsets": [int(begin), int(end)]}:
            sane = len(shape) <= MAX_DIMS and all(type(n) is int and 0 <= n < 1 << 40 for n in shape) and 0 <= begin <= end
            if sane and (code in DTYPES or code in OTHER_CODES):
                return code, tuple(shape), begin, end
            raise LoadError(f"Tensor {key[:80]} has type {code[:10]} and shape {str(shape)[:80]}, which can't be read; the "
                            f"file is damaged or not for this package.")
    raise LoadError(f"The safetensors header describes {key[:80]} in an unknown form; the file is damaged.")


def read_json(metadata: Mapping[str, str]) -> dict[str, Any] | None:
    """This project's metadata object, or None when another program wrote the file."""
    if METADATA_KEY not in metadata:
        return None
    try:
        found = parse_json(metadata[METADATA_KEY])
    except ValueError as error:
        raise LoadError(f"The file's metadata is no JSON ({error}); it is damaged.") from error
    if not isinstance(found, dict) or found.get("format") != 1:
        version = found.get("format") if isinstance(found, dict) else None
        raise LoadError(
            f"The file's metadata has format {str(version)[:20]} and this version reads format 1; update StyleGAN "
            "Atelier."
        )
    return found


def write_safetensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any],
                      overwrite: bool = False, beside: Mapping[str, Any] | None = None) -> Path:
    """Write tensors and this project's metadata to `path` (suffix .safetensors is added), whole or not at all.

    beside: further metadata entries, texts or what JSON makes of them, for other readers. The metadata gets the version of
    the package that wrote it. Never replaces an existing file unless `overwrite`; raises InvalidInput then, SaveError where
    the disk is full or the place can't be written to.
    """
    target = check_target(path, SUFFIXES, overwrite)
    text = to_json({"format": 1, "version": __version__, **metadata}, sort_keys=True)
    plain = {key: tensor.detach().to("cpu").contiguous() for key, tensor in tensors.items()}
    entries = {METADATA_KEY: text, CHECKSUMS_KEY: describe_checksums(text, plain, CODES)}
    entries |= {key: value if isinstance(value, str) else json.dumps(value) for key, value in (beside or {}).items()}
    size = sum(t.nbytes for t in plain.values()) + 2 * sum(map(len, entries.values()))
    return write_file(target, lambda file: _write(file, plain, entries), overwrite, size)


def _write(file: BinaryIO, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """The format itself: the header's length, the header in JSON, the numbers, the widest types first so that all lie aligned.

    The library's writer makes a file of its own, with its own permissions and no lock.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    ordered, at = sorted(tensors.items(), key=lambda pair: (-pair[1].dtype.itemsize, pair[0])), 0
    for key, tensor in ordered:
        header[key] = {"dtype": CODES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, at + tensor.nbytes]}
        at += tensor.nbytes
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for _, tensor in ordered:
        file.write(tensor.reshape(-1).view(torch.uint8).numpy().data)
