"""Tensors as a file describes them: shape and type at once, numbers only when asked for."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock

import torch
from torch import Tensor

from ..errors import LoadError, UnsupportedCheckpoint
from .pickle_values import Name
from .source import Source

MAX_DIMS = 8
MAX_KEY = 500
"""Characters of a tensor's name; the longest of any network known here has 120."""
MAX_NUMEL = 1 << 40
MAX_REPEATED = 1 << 20
"""Elements of a tensor that shows fewer stored numbers several times (strides of zero)."""
SPARE_BYTES = 64 << 20
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
MAX_WEIGHT = 1e10
"""Sound networks stay below 1e4; beyond this even float32 activations overflow."""


def check_unfolded(total: int, size: int) -> None:
    """Raise LoadError for tensors of `total` bytes out of a file of `size`."""
    if total > 2 * size + SPARE_BYTES:
        raise LoadError(f"The tensors unfold to {total >> 20} MB from a file of {size >> 20} MB; the file is damaged or made "
                        f"to exhaust memory.")


def _counts(numbers: tuple[object, ...]) -> bool:
    return all(type(n) is int and 0 <= n < MAX_NUMEL for n in numbers)


def _show(numbers: tuple[object, ...]) -> str:
    """A size from a file, whatever it is made of, in a few characters."""
    return str([n if type(n) is int else type(n).__name__ for n in numbers[: MAX_DIMS + 1]])[:200]


@dataclass(frozen=True)
class LazyTensor:
    """A tensor still in its file. `read` gives it memory of its own: a file may shrink or change under a loaded model."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], Tensor]
    form: str = ""
    """What keeps it from being plain numbers in order: "sparse", "quantized" ...; `read` raises UnsupportedCheckpoint then."""

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.numel * self.dtype.itemsize

    def reshape(self, *shape: int) -> LazyTensor:
        if math.prod(shape) != self.numel:
            raise LoadError(
                f"A tensor of shape {list(self.shape)} stands where {list(shape)} was expected; the file is damaged."
            )
        return replace(self, shape=shape, read=lambda: self.read().reshape(shape))

    def permute(self, *dims: int) -> LazyTensor:
        if len(dims) != len(self.shape):
            raise LoadError(
                f"A tensor of shape {list(self.shape)} stands where {len(dims)} axes were expected; the file is "
                "damaged."
            )
        return replace(self, shape=tuple(self.shape[d] for d in dims), read=lambda: self.read().permute(dims))

    def map(self, fn: Callable[[Tensor], Tensor]) -> LazyTensor:
        """Apply a function that keeps shape and type."""
        return replace(self, read=lambda: fn(self.read()))


def formed(shape: tuple[int, ...], dtype: torch.dtype, form: str) -> LazyTensor:
    """A tensor of a form that is not read: it may stand beside a network, not in it."""
    def refuse() -> Tensor:
        raise UnsupportedCheckpoint(f"The file holds {form} tensors, which no StyleGAN layout does; save the model as plain "
                                    f"float32 tensors.")
    return LazyTensor(shape, dtype, refuse, form)


class Storage:
    """A run of raw little-endian numbers inside the file; tensors are views of it.

    check: raises LoadError for damaged bytes.
    """

    def __init__(self, dtype: torch.dtype, numel: int, data: Source | None = None,
                 check: Callable[[memoryview], None] | None = None) -> None:
        self.dtype = dtype
        self.numel = numel
        self._data = data
        self._check = check
        self._held: Tensor | None = None
        self._turn = Lock()

    def attach(self, data: Source) -> None:
        """Give a storage of the legacy container its bytes, which follow the pickles that name it."""
        self._data = data

    def _whole(self) -> Tensor:
        """All numbers as one flat tensor of its own memory, checked."""
        if self._data is None and self.numel or len(self._data or b"") != self.numel * self.dtype.itemsize:
            raise LoadError("A tensor's data is missing from the file, which is truncated; download it again.")
        found = self._data.tensor(self.dtype) if self._data else torch.empty(0, dtype=self.dtype)
        if self._check:
            self._check(found.view(torch.uint8).numpy().data)
        return found

    def _read(self, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
        """One view. A storage that holds more than its tensors is read once and kept, as several may look at it."""
        if math.prod(size) == self.numel and not offset:
            return self._whole().as_strided(size, stride)
        with self._turn:
            self._held = self._whole() if self._held is None else self._held
        return self._held.as_strided(size, stride, offset).clone()

    def view(self, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> LazyTensor:
        """Tensor of the given geometry, refused where it would reach outside the storage."""
        numbers = (offset, *size, *stride)
        if len(size) != len(stride) or len(size) > MAX_DIMS or not _counts(numbers):
            raise LoadError(
                f"A tensor claims size {_show(size)} and strides {_show(stride)}, which no tensor has; the "
                "file is damaged."
            )
        last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
        if math.prod(size) and last >= self.numel:
            raise LoadError(
                f"A tensor of size {list(size)} reaches element {last} of a storage of {self.numel}; the file is "
                "damaged."
            )
        if math.prod(size) > max(self.numel, MAX_REPEATED):
            raise LoadError(f"A tensor of size {list(size)} repeats {self.numel} numbers, which no writer does; it isn't read.")
        return LazyTensor(size, self.dtype, lambda: self._read(offset, size, stride))


def plausible(tensor: Tensor) -> bool:
    """All numbers finite and below MAX_WEIGHT (a NaN fails every comparison)."""
    if not tensor.numel():
        return True
    low, high = map(float, torch.aminmax(tensor))
    return low > -MAX_WEIGHT and high < MAX_WEIGHT


class ArrayStub:
    """numpy.ndarray under construction: geometry and bytes, never an array until it is read.

    lazy: its numbers; None where it holds none that are read (random states, big-endian numbers, texts, objects), which is
    nobody's concern until a network needs them.
    """

    def __init__(self) -> None:
        self.lazy: LazyTensor | None = None

    def build(self, state: object) -> None:
        """(version, shape, dtype, fortran order, data), as ndarray.__setstate__ takes it."""
        match state:
            case (int(), tuple(), DtypeStub(passed_over=True), bool(), _):
                return
            case (int(), tuple(shape), DtypeStub() as dtype, bool(fortran), (bytes() | Source() | str()) as data):
                pass
            case _:
                raise LoadError("An array in the file has an unknown form; the file is damaged.")
        raw = data if isinstance(data, Source) else Source.of(data.encode("latin1") if isinstance(data, str) else data)
        if len(shape) > MAX_DIMS or not _counts(shape):
            raise LoadError(f"An array claims shape {_show(shape)}, which no array has; the file is damaged.")
        kind = dtype.checked()
        if math.prod(shape) * kind.itemsize != len(raw):
            raise LoadError(f"An array of shape {list(shape)} comes with {len(raw)} bytes; the file is damaged.")
        steps = [math.prod(shape[:i] if fortran else shape[i + 1 :]) for i in range(len(shape))]
        self.lazy = Storage(kind, math.prod(shape), raw).view(0, tuple(shape), tuple(steps))


NUMPY_DTYPES = {
    "f2": torch.float16, "f4": torch.float32, "f8": torch.float64, "i1": torch.int8, "i2": torch.int16,
    "i4": torch.int32, "i8": torch.int64, "u1": torch.uint8, "b1": torch.bool,
}
OTHER_NUMBERS = {"u2", "u4", "u8", "c8", "c16", "c32", "f12", "f16", "m8", "M8"}
"""Numbers that no network is made of, and random states and dates are."""
NO_NUMBERS = re.compile(r"[OUSaV]\d{0,9}")
"""Objects, texts, bytes, fields: names of classes beside a network, for example."""


class DtypeStub:
    """numpy.dtype: a letter and a byte order."""

    def __init__(self, code: object) -> None:
        self.code = code
        self.order: object = "<"

    def build(self, state: object) -> None:
        if not (isinstance(state, tuple) and len(state) >= 2):
            raise LoadError("A number type in the file has an unknown form; the file is damaged.")
        self.order = state[1]

    @property
    def passed_over(self) -> bool:
        """Whether arrays of this type may lie beside a network unread."""
        if not isinstance(self.code, str):
            return isinstance(self.code, Name)  # of a class, as record arrays are
        other = self.code in OTHER_NUMBERS or NO_NUMBERS.fullmatch(self.code) is not None
        return other or (self.code in NUMPY_DTYPES and self.order == ">")

    def checked(self) -> torch.dtype:
        """The torch type. Raises LoadError for objects, texts, numbers torch has not, and big-endian ones."""
        code = self.code[:20] if isinstance(self.code, str) else type(self.code).__name__
        if code not in NUMPY_DTYPES:
            raise LoadError(f"An array holds values of NumPy's type {code}, which no weights have; save it as float32.")
        if self.order not in ("<", "|", "="):
            raise LoadError("An array holds big-endian numbers, which are not read; save it on a little-endian machine.")
        return NUMPY_DTYPES[code]
