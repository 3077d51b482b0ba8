"""torch.save's container from before 1.6: a sequence of pickles, then each storage's raw numbers. One storage saved on its
own, as NVIDIA's pickles carry every tensor, has the same form."""

from __future__ import annotations

import struct
from typing import Any

import torch

from ..errors import LoadError, UnsafeCheckpoint, UnsupportedCheckpoint
from .pickle_reader import PickleReader
from .pickle_values import Name, Resolve
from .source import Source
from .tensors import MAX_NUMEL, Storage

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
NESTED_UNITS = 150
"""A tensor's own pickle has about 40 instructions."""
BIG_ENDIAN = "The file was written on a big-endian machine, which is not read; save it again on a little-endian one."

STORAGE_DTYPES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64, "ComplexDoubleStorage": torch.complex128, "UntypedStorage": torch.uint8,
    "QInt8Storage": torch.int8, "QUInt8Storage": torch.uint8, "QInt32Storage": torch.int32,
}
"""Quantized numbers count as the whole numbers that they are stored as."""
STORAGE_NAMES = {(module, name): Name(module, name) for name in STORAGE_DTYPES for module in ("torch", "torch.cuda")}
STORAGE_NAMES[("torch.storage", "UntypedStorage")] = Name("torch.storage", "UntypedStorage")


def storage_id(pid: Any) -> tuple[torch.dtype, str, int]:
    """('storage', type, key, location, numel[, view]) -> dtype, key, numel; the location (cuda:0 ...) means nothing here."""
    pid = pid[:5] if isinstance(pid, tuple) and len(pid) == 6 and pid[5] is None else pid
    match pid:
        case ("storage", Name(name=kind), str(key), str(), int(numel)):
            pass
        case _:
            raise LoadError("The file refers to a tensor's data in an unknown way; it is damaged or older than PyTorch 0.4.")
    if kind not in STORAGE_DTYPES or not 0 <= numel <= MAX_NUMEL:
        raise LoadError(f"The file claims {numel} elements of {kind}; it is damaged.")
    return STORAGE_DTYPES[kind], key, numel


def same_storage(storage: Storage, dtype: torch.dtype, numel: int) -> Storage:
    """The storage, unless a second mention of it differs. Raises LoadError."""
    if storage.dtype != dtype or storage.numel != numel:
        raise LoadError("One run of tensor data is claimed in two different ways; the file is damaged.")
    return storage


def resolve_storage(module: str, name: str) -> Name:
    """Inside a tensor's own bytes only storage types may be named."""
    if found := STORAGE_NAMES.get((module, name)):
        return found
    raise UnsafeCheckpoint(f"A tensor's data names {module[:80]}.{name[:80]} instead of a storage type; nothing of it was run, "
                           f"get the model from a source you trust.")


def resolve_nothing(module: str, name: str) -> Name:
    """Headers of torch's containers hold numbers and text only."""
    raise UnsafeCheckpoint(f"The file's header names {module[:80]}.{name[:80]}, and headers name nothing; nothing of it was "
                           f"run, get the model from a source you trust.")


def read_storage(data: Source) -> Storage:
    """One storage saved on its own; its pickle may name storage types only."""
    found = read_stream(data, resolve_storage, NESTED_UNITS)
    if not isinstance(found, Storage):
        raise LoadError("A tensor's data holds something else than numbers; the file is damaged.")
    return found


def read_stream(data: Source, resolve: Resolve, units: int | None = None) -> Any:
    """The tree of such a container: magic, version, system, tree, keys, then each storage's numbers."""
    position = _check_header(data)
    storages: dict[str, Storage] = {}

    def persistent(pid: Any) -> Storage | Name:
        match pid:
            case ("module", Name() as kind, _, _):  # with its source, which stays unread
                return kind
        dtype, key, numel = storage_id(pid)
        return same_storage(storages.setdefault(key, Storage(dtype, numel)), dtype, numel)

    tree, position = _pickle(data, position, resolve, persistent, units)
    keys, position = _pickle(data, position, resolve_nothing, None, units)
    if not isinstance(keys, list) or not all(isinstance(k, str) for k in keys) or set(keys) != set(storages):
        raise LoadError("The file's list of tensors does not match the tensors it names; it is damaged.")
    for key in keys:
        storage = storages[key]
        size = storage.numel * storage.dtype.itemsize
        if position + 8 + size > len(data):
            raise LoadError(f"The file ends {position + 8 + size - len(data)} bytes too early: it is truncated; download it "
                            f"again.")
        if struct.unpack("<q", data.read(position, 8))[0] != storage.numel:
            raise LoadError(f"Tensor data {key[:40]} has another length than announced; the file is damaged.")
        storage.attach(data.span(position + 8, size))
        position += 8 + size
    return tree


def _check_header(data: Source) -> int:
    magic, position = _pickle(data, 0, resolve_nothing, None, NESTED_UNITS)
    protocol, position = _pickle(data, position, resolve_nothing, None, NESTED_UNITS)
    system, position = _pickle(data, position, resolve_nothing, None, NESTED_UNITS)
    if magic != LEGACY_MAGIC or protocol != LEGACY_PROTOCOL or not isinstance(system, dict):
        raise LoadError("The data does not begin like a PyTorch file; it is damaged.")
    if system.get("little_endian") is not True:
        raise UnsupportedCheckpoint(BIG_ENDIAN)
    return position


def _pickle(data: Source, position: int, resolve: Resolve, persistent: Any = None, units: int | None = None) -> tuple[Any, int]:
    reader = PickleReader(data, resolve, persistent, position, units)
    return reader.load(), reader.position
