"""A pickle reader that can't run anything: it builds lists, dicts, numbers and this package's own inert stand-ins.

Python's unpickler imports what a file names and calls it. This one has no import, no getattr and no call of anything but
the constructors in the table it is given, so a hostile file can only fail. Long runs of bytes stay in the file; every length
is checked against the data before anything is allocated, and every instruction is charged for what it handles, so that
neither work nor memory grows faster than the file.
"""

from __future__ import annotations

import codecs
import re
import struct
from collections.abc import Callable
from typing import Any

from ..errors import LoadError, UnsafeCheckpoint
from .pickle_values import BYTES_A_UNIT, LongText, Name, Resolve, checked_key, collides, length, weight
from .source import Source

MAX_UNITS = 600_000
WINDOW = 1 << 14
MAX_LINE = 4096
MAX_NAME = 256
NAMED = 8
"""Units of finding out what a name stands for; a file names a thing once."""
MAX_LONG_BYTES = 64
LONG = 1 << 16
"""Texts and byte strings beyond this stay in the file."""
ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})")
MARK = object()
NUMBERS = {b"J": "<i", b"K": "<B", b"M": "<H", b"G": ">d"}
CONSTANTS: dict[bytes, Callable[[], Any]] = {
    b"N": lambda: None, b"\x88": lambda: True, b"\x89": lambda: False,
    b"]": list, b"}": dict, b")": tuple, b"\x8f": set,
}
TUPLES = {b"\x85": 1, b"\x86": 2, b"\x87": 3}
GETS, PUTS = {b"h": "<B", b"j": "<I"}, {b"q": "<B", b"r": "<I"}


class PickleReader:
    """Reads one pickle from `data` at `position`; afterwards `position` is behind it.

    units: the most work it may ask for; None for MAX_UNITS and one for every BYTES_A_UNIT of the data.
    """

    def __init__(self, data: Source, resolve: Resolve, persistent: Callable[[Any], Any] | None = None,
                 position: int = 0, units: int | None = None) -> None:
        self.data = data
        self.position = position
        self.left = units or MAX_UNITS + len(data) // BYTES_A_UNIT
        self._resolve = resolve
        self._persistent = persistent
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._window, self._window_at = b"", 0

    def load(self) -> Any:
        """The pickled tree. Raises LoadError or UnsafeCheckpoint, nothing else."""
        try:
            return self._run()
        except (IndexError, KeyError, TypeError, ValueError, struct.error, RecursionError, OverflowError) as error:
            raise LoadError(f"The pickle breaks off or makes no sense at byte {self.position} ({error}); download the file "
                            f"again.") from error

    def _run(self) -> Any:
        while True:
            self.charge(1)
            op = self._take(1)
            if op == b".":
                return self._pop()
            if op in SIZED:
                form, decode = SIZED[op]
                self._stack.append(decode(self, self._number(form)))
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
                raise LoadError(f"The file holds byte {op!r} where a pickle instruction should be; it is damaged or no "
                                f"checkpoint.")

    def charge(self, units: int) -> None:
        """Count work: memoized values could be handled over and over."""
        self.left -= units
        if self.left < 0:
            raise LoadError("The pickle asks for more work than any checkpoint needs; it isn't read further.")

    # reading
    def _take(self, count: int) -> bytes:
        """The next bytes, out of a window over the file."""
        at = self.position - self._window_at
        if not 0 <= at <= len(self._window) - count:
            if count > len(self.data) - self.position or count < 0:
                raise LoadError(f"The pickle asks for {count} bytes at byte {self.position} of {len(self.data)}: the file is "
                                f"truncated or damaged; download it again.")
            self._window_at, at = self.position, 0
            self._window = self.data.read(self.position, min(max(count, WINDOW), len(self.data) - self.position))
        self.position += count
        return self._window[at : at + count]

    def _skip(self, count: int) -> Source:
        """The next bytes, left in the file."""
        found = self.data.span(self.position, count)
        self.position += count
        return found

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _line(self) -> str:
        start = self.position
        raw = self._take(min(MAX_LINE, len(self.data) - start))
        end = raw.index(b"\n")
        self.position = start + end + 1
        self.charge(end // BYTES_A_UNIT)
        return raw[:end].decode("latin1")

    def _text(self, count: int) -> str | LongText:
        if count > LONG:
            return LongText(self._skip(count))
        found = str(self._take(count), "utf-8", "surrogatepass")
        self.charge(length(found))
        return found

    def _bytes(self, count: int) -> bytes | Source:
        if count > LONG:
            return self._skip(count)
        found = self._take(count)
        self.charge(count // BYTES_A_UNIT)
        return found

    def _old_text(self, count: int) -> str | Source:
        """Python 2 has one type for texts and bytes."""
        found = self._bytes(count)
        return str(found, "latin1") if isinstance(found, bytes) else found

    def _long(self, count: int) -> int:
        if count > MAX_LONG_BYTES:
            raise LoadError(f"The pickle holds an integer of {count} bytes, which no checkpoint needs; the file is damaged.")
        return int.from_bytes(self._take(count), "little", signed=True)

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

    def _keyed(self, key: Any, entries: int) -> Any:
        """A key for a container of so many entries; one whose hash can be chosen costs a look at each of them."""
        if collides(key):
            self.charge(entries)
        return checked_key(key)

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
        self._stack.append(self._memo[int(self._line()[:MAX_LONG_BYTES])])

    def put_line(self) -> None:
        number = int(self._line()[:MAX_LONG_BYTES])
        self._memo[self._keyed(number, len(self._memo))] = self._top()

    def int_line(self) -> None:
        line = self._line()
        self._stack.append({"00": False, "01": True}[line] if line in ("00", "01") else int(line[:MAX_LONG_BYTES]))

    def long_line(self) -> None:
        self._stack.append(int(self._line()[:MAX_LONG_BYTES].rstrip("L")))

    def float_line(self) -> None:
        self._stack.append(float(self._line()[:MAX_LONG_BYTES]))

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
        target = getattr(self._top(), "values", None) if hasattr(self._top(), "build") else self._top()
        if not isinstance(target, list):
            raise LoadError("The pickle appends to something that is no list; the file is damaged.")
        target.extend(values)

    def set_item(self) -> None:
        self._update(self._top_dict(skip=2), self._pop_many(2))

    def set_items(self) -> None:
        pairs = self._pop_mark()
        self._update(self._top_dict(), pairs)

    def _top_dict(self, skip: int = 0) -> dict[Any, Any]:
        target = self._stack[-1 - skip]
        target = getattr(target, "items", None) if hasattr(target, "build") else target
        if not isinstance(target, dict):
            raise LoadError("The pickle sets an item of something that is no dict; the file is damaged.")
        return target

    def _update(self, target: dict[Any, Any], pairs: list[Any]) -> None:
        if len(pairs) % 2:
            raise LoadError("The pickle has a key without a value; the file is damaged.")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            target[self._keyed(key, len(target))] = value

    def dict_from_mark(self) -> None:
        target: dict[Any, Any] = {}
        self._update(target, self._pop_mark())
        self._stack.append(target)

    def list_from_mark(self) -> None:
        self._stack.append(self._pop_mark())

    def tuple_from_mark(self) -> None:
        self._stack.append(tuple(self._pop_mark()))

    def frozen_set(self) -> None:
        self._stack.append(frozenset(self._members(self._pop_mark(), set())))

    def add_items(self) -> None:
        items = self._pop_mark()
        if not isinstance(self._top(), set):
            raise LoadError("The pickle adds to something that is no set; the file is damaged.")
        self._members(items, self._top())

    def _members(self, items: list[Any], target: set[Any]) -> set[Any]:
        for item in items:
            target.add(self._keyed(item, len(target)))
        return target

    def global_line(self) -> None:
        module = self._line()
        self._name(module, self._line())

    def global_stack(self) -> None:
        self._name(*self._pop_many(2))

    def _name(self, module: Any, name: Any) -> None:
        self._stack.append(self._resolved(module, name))

    def _resolved(self, module: Any, name: Any) -> Name:
        if not (isinstance(module, str) and isinstance(name, str)) or len(module) > MAX_NAME or len(name) > MAX_NAME:
            raise LoadError(f"The pickle names a global by something that is no text of up to {MAX_NAME} characters; the file "
                            f"is damaged.")
        self.charge(NAMED)
        return self._resolve(module, name)

    def call(self) -> None:
        target, args = self._pop_many(2)
        self._stack.append(self._call(target, args))

    def call_with_keywords(self) -> None:
        target, args, keywords = self._pop_many(3)
        made = self._call(target, args)
        if keywords and not hasattr(made, "build"):
            raise LoadError("The pickle calls with keywords, which no checkpoint does; the file is damaged.")
        self._stack.append(made)  # an object of a class that is never built needs none

    def instance_line(self) -> None:
        module = self._line()
        target = self._resolved(module, self._line())
        self._stack.append(self._call(target, tuple(self._pop_mark())))

    def instance_stack(self) -> None:
        target, *args = self._pop_mark()
        self._stack.append(self._call(target, tuple(args)))

    def _call(self, target: Any, args: Any) -> Any:
        if not isinstance(target, Name) or not isinstance(args, tuple):
            raise LoadError("The pickle calls something that is no known class; the file is damaged.")
        if target.make is None:
            raise UnsafeCheckpoint(f"The pickle calls {target.module}.{target.name}, which a checkpoint never does; nothing of "
                                   f"it was run, don't use this file.")
        self.charge(target.cost + weight(args))
        return target.make(*args)

    def build(self) -> None:
        state = self._pop()
        self.charge(weight(state))
        target = self._top()
        if isinstance(target, Name):
            raise UnsafeCheckpoint(f"The pickle changes {target.module}.{target.name} itself; nothing of it was run, don't use "
                                   f"this file.")
        # dicts carry only their items; attributes set on them (torch's _metadata) have no use here
        if hasattr(target, "build"):
            target.build(state)

    def persistent(self) -> None:
        if self._persistent is None:
            raise LoadError("The pickle refers to data outside itself; the file is incomplete.")
        self.charge(4)
        self._stack.append(self._persistent(self._pop()))


SIZED: dict[bytes, tuple[str, Callable[[PickleReader, int], Any]]] = {
    b"X": ("<I", PickleReader._text), b"\x8c": ("<B", PickleReader._text), b"\x8d": ("<Q", PickleReader._text),
    b"B": ("<I", PickleReader._bytes), b"C": ("<B", PickleReader._bytes), b"\x8e": ("<Q", PickleReader._bytes),
    b"\x96": ("<Q", PickleReader._bytes),
    b"T": ("<i", PickleReader._old_text), b"U": ("<B", PickleReader._old_text),
    b"\x8a": ("<B", PickleReader._long), b"\x8b": ("<i", PickleReader._long),
}
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
