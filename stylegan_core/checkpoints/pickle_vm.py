"""A pickle reader that can't run anything: it builds lists, dicts, numbers and this package's own inert stand-ins.

Python's unpickler imports what a file names and calls it. This one has no import, no getattr and no call of anything but
the constructors in the table it is given, so a hostile file can only fail. Bytes stay views of the file; every length
is checked against the data before anything is allocated.
"""

from __future__ import annotations

import codecs
import re
import struct
from collections.abc import Callable
from typing import Any

from ..errors import LoadError, UnsafeCheckpoint
from .pickle_codes import CONSTANTS, GETS, MAX_LONG_BYTES, NUMBERS, PUTS, SIZED, TUPLES, Name, Resolve, checked_key, weight

MAX_OPERATIONS = 1_000_000
BYTES_AN_OPERATION = 128
MAX_LINE = 4096
ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})")


MARK = object()


class PickleReader:
    """Reads one pickle from `data` at `position`; afterwards `position` is behind it."""

    def __init__(self, data: memoryview, resolve: Resolve, persistent: Callable[[Any], Any] | None = None,
                 position: int = 0, operations: int | None = None) -> None:
        self.data = data
        self.position = position
        self._resolve = resolve
        self._persistent = persistent
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._left = operations or MAX_OPERATIONS + len(data) // BYTES_AN_OPERATION

    def load(self) -> Any:
        """The pickled tree. Raises LoadError or UnsafeCheckpoint, nothing else."""
        try:
            return self._run()
        except (IndexError, KeyError, TypeError, ValueError, struct.error, RecursionError, OverflowError) as error:
            where = f"byte {self.position}"
            raise LoadError(
                f"The pickle breaks off or makes no sense at {where} ({error}); download the file again."
            ) from error

    def _run(self) -> Any:
        while True:
            self._charge(1)
            op = bytes(self._take(1))
            if op == b".":
                return self._pop()
            if op in SIZED:
                form, decode = SIZED[op]
                self._stack.append(decode(self._take(self._number(form))))
            elif op in NUMBERS:
                self._stack.append(self._number(NUMBERS[op]))
            elif op in CONSTANTS:
                self._stack.append(CONSTANTS[op]())
            elif op in TUPLES:
                self._stack.append(tuple(self._pop_many(TUPLES[op])))
            elif op in PUTS:
                self._memo[self._number(PUTS[op])] = self._top()
            elif op in GETS:
                self._stack.append(self._memo[self._number(GETS[op])])
            elif op in HANDLERS:
                HANDLERS[op](self)
            else:
                raise LoadError(
                    f"The file holds byte {op!r} where a pickle instruction should be; it is damaged or no "
                    "checkpoint."
                )

    def _charge(self, work: int) -> None:
        """Every instruction costs one, and more where it handles much: memoized values could be handled over and over."""
        self._left -= work
        if self._left < 0:
            raise LoadError("The pickle asks for more work than any checkpoint needs; it isn't read further.")

    # reading
    def _take(self, count: int) -> memoryview:
        end = self.position + count
        if count < 0 or end > len(self.data):
            raise LoadError(
                f"The pickle asks for {count} bytes at byte {self.position} of {len(self.data)}: the file is "
                "truncated or damaged; download it again."
            )
        raw = self.data[self.position : end]
        self.position = end
        return raw

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _line(self) -> str:
        raw = bytes(self.data[self.position : self.position + MAX_LINE])
        end = raw.index(b"\n")
        self.position += end + 1
        return raw[:end].decode("latin1")

    # the stack
    def _pop(self) -> Any:
        value = self._stack.pop()
        if value is MARK:
            raise LoadError("The pickle's marks don't match; the file is damaged.")
        return value

    def _top(self) -> Any:
        if self._stack[-1] is MARK:
            raise LoadError("The pickle's marks don't match; the file is damaged.")
        return self._stack[-1]

    def _pop_many(self, count: int) -> list[Any]:
        return [self._pop() for _ in range(count)][::-1]

    def _pop_mark(self) -> list[Any]:
        found: list[Any] = []
        while (value := self._stack.pop()) is not MARK:
            found.append(value)
        return found[::-1]

    # instructions
    def frame(self) -> None:
        self._take(8)

    def proto(self) -> None:
        if (version := self._number("<B")) > 5:
            raise LoadError(f"The pickle says protocol {version}; 5 is the newest there is, so the file is damaged.")

    def mark(self) -> None:
        self._stack.append(MARK)

    def pop(self) -> None:
        self._stack.pop()

    def pop_to_mark(self) -> None:
        self._pop_mark()

    def duplicate(self) -> None:
        self._stack.append(self._top())

    def memoize(self) -> None:
        self._memo[len(self._memo)] = self._top()

    def get_line(self) -> None:
        self._stack.append(self._memo[int(self._line())])

    def put_line(self) -> None:
        self._memo[int(self._line())] = self._top()

    def int_line(self) -> None:
        line = self._line()
        self._stack.append({"00": False, "01": True}[line] if line in ("00", "01") else int(line[:MAX_LONG_BYTES]))

    def long_line(self) -> None:
        self._stack.append(int(self._line()[:MAX_LONG_BYTES].rstrip("L")))

    def float_line(self) -> None:
        self._stack.append(float(self._line()))

    def string_line(self) -> None:
        self._stack.append(str(codecs.escape_decode(self._line()[1:-1].encode("latin1"))[0], "latin1"))

    def unicode_line(self) -> None:
        self._stack.append(ESCAPE.sub(lambda m: chr(int(m[1] or m[2], 16)), self._line()))

    def append(self) -> None:
        value = self._pop()
        self._extend([value])

    def appends(self) -> None:
        self._extend(self._pop_mark())

    def _extend(self, values: list[Any]) -> None:
        if not isinstance(self._top(), list):
            raise LoadError("The pickle appends to something that is no list; the file is damaged.")
        self._top().extend(values)

    def set_item(self) -> None:
        self._update(self._top_dict(skip=2), self._pop_many(2))

    def set_items(self) -> None:
        pairs = self._pop_mark()
        self._update(self._top_dict(), pairs)

    def _top_dict(self, skip: int = 0) -> dict[Any, Any]:
        target = self._stack[-1 - skip]
        if not isinstance(target, dict):
            raise LoadError("The pickle sets an item of something that is no dict; the file is damaged.")
        return target

    def _update(self, target: dict[Any, Any], pairs: list[Any]) -> None:
        if len(pairs) % 2:
            raise LoadError("The pickle has a key without a value; the file is damaged.")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            target[checked_key(key)] = value

    def dict_from_mark(self) -> None:
        target: dict[Any, Any] = {}
        self._update(target, self._pop_mark())
        self._stack.append(target)

    def list_from_mark(self) -> None:
        self._stack.append(self._pop_mark())

    def tuple_from_mark(self) -> None:
        self._stack.append(tuple(self._pop_mark()))

    def frozen_set(self) -> None:
        self._stack.append(frozenset(map(checked_key, self._pop_mark())))

    def add_items(self) -> None:
        items = self._pop_mark()
        if not isinstance(self._top(), set):
            raise LoadError("The pickle adds to something that is no set; the file is damaged.")
        self._top().update(map(checked_key, items))

    def global_line(self) -> None:
        module = self._line()
        self._stack.append(self._resolve(module, self._line()))

    def global_stack(self) -> None:
        module, name = self._pop_many(2)
        if not (isinstance(module, str) and isinstance(name, str)):
            raise LoadError("The pickle names a global by something that is no text; the file is damaged.")
        self._stack.append(self._resolve(module, name))

    def call(self) -> None:
        target, args = self._pop_many(2)
        self._stack.append(self._call(target, args))

    def call_with_keywords(self) -> None:
        target, args, keywords = self._pop_many(3)
        if keywords:
            raise LoadError("The pickle calls with keywords, which no checkpoint does; the file is damaged.")
        self._stack.append(self._call(target, args))

    def instance_line(self) -> None:
        module = self._line()
        target = self._resolve(module, self._line())
        self._stack.append(self._call(target, tuple(self._pop_mark())))

    def instance_stack(self) -> None:
        target, *args = self._pop_mark()
        self._stack.append(self._call(target, tuple(args)))

    def _call(self, target: Any, args: Any) -> Any:
        if not isinstance(target, Name) or not isinstance(args, tuple):
            raise LoadError("The pickle calls something that is no known class; the file is damaged.")
        if target.make is None:
            raise UnsafeCheckpoint(
                f"The pickle calls {target.module}.{target.name}, which a checkpoint never does; nothing of it was "
                "run, don't use this file."
            )
        self._charge(target.cost + weight(args))
        return target.make(*args)

    def build(self) -> None:
        state = self._pop()
        self._charge(weight(state))
        target = self._top()
        if isinstance(target, Name):
            raise UnsafeCheckpoint(
                f"The pickle changes {target.module}.{target.name} itself; nothing of it was run, don't use this "
                "file."
            )
        # dicts carry only their items; attributes set on them (torch's _metadata) have no use here
        if hasattr(target, "build"):
            target.build(state)

    def persistent(self) -> None:
        if self._persistent is None:
            raise LoadError("The pickle refers to data outside itself; the file is incomplete.")
        self._stack.append(self._persistent(self._pop()))


HANDLERS: dict[bytes, Callable[[PickleReader], None]] = {
    b"\x80": PickleReader.proto, b"\x95": PickleReader.frame, b"(": PickleReader.mark,
    b"0": PickleReader.pop, b"1": PickleReader.pop_to_mark, b"2": PickleReader.duplicate,
    b"\x94": PickleReader.memoize, b"g": PickleReader.get_line, b"p": PickleReader.put_line,
    b"I": PickleReader.int_line, b"L": PickleReader.long_line, b"F": PickleReader.float_line,
    b"S": PickleReader.string_line, b"V": PickleReader.unicode_line,
    b"a": PickleReader.append, b"e": PickleReader.appends, b"s": PickleReader.set_item, b"u": PickleReader.set_items,
    b"d": PickleReader.dict_from_mark, b"l": PickleReader.list_from_mark, b"t": PickleReader.tuple_from_mark,
    b"\x91": PickleReader.frozen_set, b"\x90": PickleReader.add_items,
    b"c": PickleReader.global_line, b"\x93": PickleReader.global_stack,
    b"R": PickleReader.call, b"\x81": PickleReader.call, b"\x92": PickleReader.call_with_keywords,
    b"i": PickleReader.instance_line, b"o": PickleReader.instance_stack,
    b"b": PickleReader.build, b"Q": PickleReader.persistent,
}
