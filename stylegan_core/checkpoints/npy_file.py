"""NumPy's .npy container, for codes: arrays by file name or in a list, pickled by np.save, or one plain array."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from typing import Any

from ..errors import LoadError
from .pickle_names import resolve
from .pickle_reader import PickleReader
from .pickle_values import Name
from .source import Source
from .tensors import MAX_DIMS, NUMPY_DTYPES, ArrayStub, DtypeStub, LazyTensor, Storage, check_unfolded
from .zip_directory import Record, unpacked

MAGIC = b"\x93NUMPY"
MAX_HEADER = 4096
HEADER = re.compile(r"\{'descr': '(?P<descr>[<>|=]?\w{1,4})', 'fortran_order': (?P<fortran>True|False), "
                    r"'shape': \((?P<shape>[\dL, ]*)\),? ?\}")
"""Every part ends where the next one begins, so that nothing is tried twice."""
ROOT = "style_codes"
"""What the codes hang under in the tree, so that a layout can tell them."""


class ObjectArray(ArrayStub):
    """As ArrayStub, but may hold Python objects: the one that np.save wraps into a 0-d array, or several."""

    values: tuple[Any, ...] = ()

    def build(self, state: object) -> None:
        match state:
            case (int(), tuple(), DtypeStub(code="O8" | "O"), bool(), list(values)):
                self.values = tuple(values)
            case _:
                super().build(state)


def _reconstruct(_subtype: Any, shape: Any, *_: Any) -> ObjectArray:
    if shape != (0,):
        raise LoadError("An array in the file asks for memory before its data, which no writer does; it is damaged.")
    return ObjectArray()


def _resolve(module: str, name: str) -> Name:
    """As in every pickle, but arrays may hold objects."""
    found = resolve(module, name)
    return Name(module, name, _reconstruct) if name == "_reconstruct" and "multiarray" in module else found


def read_npy(data: Source) -> dict[str, dict[str, LazyTensor]]:
    """File -> {"style_codes": {name: LazyTensor}}. Raises LoadError, UnsafeCheckpoint."""
    descr, fortran, shape, start = _header(data)
    if descr == "|O":
        return {ROOT: _pickled(PickleReader(data, _resolve, position=start).load())}
    kind, count = _type(descr).checked(), math.prod(shape)
    raw = data.span(start, len(data) - start)
    if count * kind.itemsize != len(raw):
        raise LoadError(f"The .npy file promises an array of shape {list(shape)} and holds {len(raw)} bytes; it is damaged.")
    steps = [math.prod(shape[:i] if fortran else shape[i + 1 :]) for i in range(len(shape))]
    return {ROOT: {"codes": Storage(kind, count, raw).view(0, shape, tuple(steps))}}


def read_npz(data: Source, records: Mapping[str, Record]) -> dict[str, LazyTensor]:
    """np.savez's zip of .npy files -> arrays by name. Raises LoadError."""
    check_unfolded(sum(record.size for record in records.values()), len(data))
    found = {}
    for name in records:
        raw = unpacked(data, records[name], name)
        kind = _type(_header(raw)[0])
        if kind.code in (*NUMPY_DTYPES, "O") or not kind.passed_over:  # not texts and the like beside the codes
            inner = read_npy(raw)[ROOT]
            found |= {name[:-4] if key == "codes" else f"{name[:-4]}.{key}": lazy for key, lazy in inner.items()}
    return found


def _type(descr: str) -> DtypeStub:
    found = DtypeStub(descr.lstrip("<>|="))
    found.order = descr[:1]
    return found


def _pickled(stub: Any) -> dict[str, LazyTensor]:
    """Codes by name: of a dict, of a list, or of an array of such."""
    values = stub.values if isinstance(stub, ObjectArray) else ()
    codes = values[0] if len(values) == 1 and isinstance(values[0], (dict, list, tuple)) else values
    codes = dict(enumerate(codes)) if isinstance(codes, (list, tuple)) else codes
    if not isinstance(codes, dict) or not codes:
        raise LoadError("The .npy file holds no {name: code} pairs; give exstyle_code.npy or one like it.")
    found = {}
    for name, code in codes.items():
        inner = {f"{name}.{key}": part for key, part in code.items() if _lazy(part)} if isinstance(code, dict) else {}
        for key, part in (inner or {str(name): code}).items():
            lazy = _lazy(part)
            if lazy is None:
                raise LoadError(f"The file gives {key[:60]!r} something else than an array of numbers; it is damaged, or holds "
                                f"no codes.")
            found[key] = lazy
    return found


def _lazy(code: object) -> LazyTensor | None:
    """An array's or tensor's numbers; of several in a row, as ReStyle saves its steps, the last."""
    code = code[-1] if isinstance(code, (list, tuple)) and code else code
    return code if isinstance(code, LazyTensor) else code.lazy if isinstance(code, ArrayStub) else None


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
