"""Tensors as a file describes them: shape and type at once, numbers only when asked for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import LoadError

MAX_DIMS = 8
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
        return LazyTensor(shape, self.dtype, lambda: self.read().reshape(shape))

    def permute(self, *dims: int) -> LazyTensor:
        if len(dims) != len(self.shape):
            raise LoadError(
                f"A tensor of shape {list(self.shape)} stands where {len(dims)} axes were expected; the file is "
                "damaged."
            )
        return LazyTensor(tuple(self.shape[d] for d in dims), self.dtype, lambda: self.read().permute(dims))

    def map(self, fn: Callable[[Tensor], Tensor]) -> LazyTensor:
        """Apply a function that keeps shape and type."""
        return LazyTensor(self.shape, self.dtype, lambda: fn(self.read()))


class Storage:
    """A run of raw little-endian numbers inside the file; tensors are views of it.

    check: raises LoadError for damaged bytes; asked once, when they are first read.
    """

    def __init__(self, dtype: torch.dtype, numel: int, data: memoryview | None = None,
                 check: Callable[[memoryview], None] | None = None) -> None:
        self.dtype = dtype
        self.numel = numel
        self._data = data
        self._check = check

    def attach(self, data: memoryview) -> None:
        """Give a storage of the legacy container its bytes, which follow the pickles that name it."""
        self._data = data

    def tensor(self) -> Tensor:
        """All numbers as one flat tensor over the mapped file, for as long as the file is read."""
        if self._data is None and self.numel or len(self._data or b"") != self.numel * self.dtype.itemsize:
            raise LoadError("A tensor's data is missing from the file, which is truncated; download it again.")
        if self._check:
            self._check(self._data or memoryview(b""))
            self._check = None
        if not self._data:
            return torch.empty(0, dtype=self.dtype)
        return torch.frombuffer(self._data, dtype=self.dtype)

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
        return LazyTensor(size, self.dtype, lambda: self.tensor().as_strided(size, stride, offset).clone())


def plausible(tensor: Tensor) -> bool:
    """All numbers finite and below MAX_WEIGHT (a NaN fails every comparison)."""
    if not tensor.numel():
        return True
    low, high = map(float, torch.aminmax(tensor))
    return low > -MAX_WEIGHT and high < MAX_WEIGHT


class ArrayStub:
    """numpy.ndarray under construction: geometry and bytes, never an array until it is read."""

    def __init__(self) -> None:
        self.lazy: LazyTensor | None = None

    def build(self, state: object) -> None:
        """(version, shape, dtype, fortran order, data), as ndarray.__setstate__ takes it."""
        match state:
            case (int(), tuple(shape), DtypeStub() as dtype, bool(fortran), (bytes() | memoryview() | str()) as data):
                pass
            case _:
                raise LoadError("An array in the file has an unknown form (object arrays are never read).")
        data = data.encode("latin1") if isinstance(data, str) else data
        raw = data if isinstance(data, memoryview) else memoryview(bytearray(data))  # writable, as tensors are
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


class DtypeStub:
    """numpy.dtype: a letter and a byte order."""

    def __init__(self, code: object) -> None:
        self.code = code
        self.order: object = "<"

    def build(self, state: object) -> None:
        if not (isinstance(state, tuple) and len(state) >= 2):
            raise LoadError("A number type in the file has an unknown form; the file is damaged.")
        self.order = state[1]

    def checked(self) -> torch.dtype:
        """The torch type. Raises LoadError for objects, texts and big-endian numbers."""
        if not isinstance(self.code, str) or self.code not in NUMPY_DTYPES or self.order not in ("<", "|", "="):
            code = self.code[:20] if isinstance(self.code, str) else type(self.code).__name__
            raise LoadError(f"An array holds {code} in an order or of a type that is not read; only little-endian numbers are.")
        return NUMPY_DTYPES[self.code]
