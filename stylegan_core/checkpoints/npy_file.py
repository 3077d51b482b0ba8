"""NumPy's .npy container, for style codes: {file name: array} pickled by np.save, or one plain array."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from typing import Any

from ..errors import LoadError, UnsafeCheckpoint
from .pickle_names import NAMES
from .pickle_reader import PickleReader
from .pickle_values import Name
from .source import Source
from .tensors import MAX_DIMS, ArrayStub, DtypeStub, LazyTensor, Storage, check_unfolded
from .zip_directory import Record, unpacked

MAGIC = b"\x93NUMPY"
MAX_HEADER = 4096
HEADER = re.compile(r"\{'descr': '(?P<descr>[<>|=]?\w{1,4})', 'fortran_order': (?P<fortran>True|False), "
                    r"'shape': \((?P<shape>[\dL, ]*)\),? ?\}")
"""Every part ends where the next one begins, so that nothing is tried twice."""
ROOT = "style_codes"
"""What the codes hang under in the tree, so that a layout can tell them."""


class ObjectArray(ArrayStub):
    """As ArrayStub, but may hold the one Python object np.save wraps into a 0-d array."""

    value: Any = None

    def build(self, state: object) -> None:
        match state:
            case (int(), (), DtypeStub(code="O8" | "O"), bool(), [value]):
                self.value = value
            case _:
                super().build(state)


def _reconstruct(_subtype: Any, shape: Any, *_: Any) -> ObjectArray:
    if shape != (0,):
        raise LoadError("An array in the file asks for memory before its data, which no writer does; it is damaged.")
    return ObjectArray()


def _resolve(module: str, name: str) -> Name:
    """What np.save writes for a dict of float arrays, and nothing else."""
    if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
        return Name(module, name, _reconstruct)
    if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")):
        return NAMES[module, name]
    raise UnsafeCheckpoint(f"The style codes name {module[:80]}.{name[:80]}, which no such file needs; nothing of it was "
                           f"run, get the file from a source you trust.")


def read_npy(data: Source) -> dict[str, dict[str, LazyTensor]]:
    """File -> {"style_codes": {name: LazyTensor}}. Raises LoadError, UnsafeCheckpoint."""
    descr, fortran, shape, start = _header(data)
    if descr == "|O" and shape == ():
        stub = PickleReader(data, _resolve, position=start).load()
        codes = stub.value if isinstance(stub, ObjectArray) else None
        if not isinstance(codes, dict) or not codes:
            raise LoadError("The .npy file holds no {name: code} pairs; give exstyle_code.npy or one like it.")
        return {ROOT: {str(name): _lazy(name, code) for name, code in codes.items()}}
    dtype = DtypeStub(descr.lstrip("<|="))
    dtype.order = descr[:1]
    kind, count = dtype.checked(), math.prod(shape)
    raw = data.span(start, len(data) - start)
    if count * kind.itemsize != len(raw) or not shape:
        raise LoadError(f"The .npy file promises an array of shape {list(shape)} and holds {len(raw)} bytes; it is damaged.")
    steps = [math.prod(shape[:i] if fortran else shape[i + 1 :]) for i in range(len(shape))]
    return {ROOT: {"codes": Storage(kind, count, raw).view(0, shape, tuple(steps))}}


def read_npz(data: Source, records: Mapping[str, Record]) -> dict[str, LazyTensor]:
    """np.savez's zip of .npy files -> arrays by name. Raises LoadError."""
    check_unfolded(sum(record.size for record in records.values()), len(data))
    found = {}
    for name in records:
        if name.endswith(".npy"):
            inner = read_npy(unpacked(data, records[name], name))[ROOT]
            found |= {name[:-4] if key == "codes" else f"{name[:-4]}.{key}": lazy for key, lazy in inner.items()}
    return found


def _lazy(name: object, code: object) -> LazyTensor:
    """An array; of a list of them, as ReStyle saves its steps, the last."""
    code = code[-1] if isinstance(code, list) and code else code
    if not isinstance(code, ArrayStub) or code.lazy is None:
        raise LoadError(f"The style file gives {str(name)[:60]!r} something else than an array of numbers; it is damaged.")
    return code.lazy


def _header(data: Source) -> tuple[str, bool, tuple[int, ...], int]:
    """(type, Fortran order, shape, where the data start). Raises LoadError."""
    head = data.head(12 + MAX_HEADER)
    major = head[6] if len(head) > 12 else 0
    size, start = struct.unpack_from("<H", head, 8)[0] if major == 1 else 0, 10
    if major in (2, 3):
        size, start = struct.unpack_from("<I", head, 8)[0], 12
    if not 0 < size <= min(MAX_HEADER, len(head) - start):
        raise LoadError("The .npy header is broken; download the file again.")
    found = HEADER.fullmatch(str(head[start : start + size], "latin1").strip())
    sides = [part.strip(" L") for part in found["shape"].split(",")] if found else []
    sides = sides[:-1] if sides and not sides[-1] else sides
    if not found or len(sides) > MAX_DIMS or not all(side.isdecimal() and len(side) <= 12 for side in sides):
        raise LoadError("The .npy header describes no plain array of numbers, which style codes are; download the file again.")
    return found["descr"], found["fortran"] == "True", tuple(map(int, sides)), start + size
