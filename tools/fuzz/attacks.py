"""Small files made to hang a reader or to fill the memory: one generator a kind, other values for every seed."""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

PRIME = (1 << 61) - 1
"""Python's whole numbers hash to their rest by it: all its multiples collide."""


@dataclass(frozen=True)
class Attack:
    """One file, and the readers that are to meet it."""

    suffix: str
    data: bytes
    readers: tuple[str, ...] = ("model", "latents", "directions", "delta")
    beside: tuple[tuple[str, bytes], ...] = ()
    """Other files that must lie in the same folder."""
    name: str = ""
    """A file name that the reader asks for."""


def _short(text: bytes) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text


def _number(n: int) -> bytes:
    raw = n.to_bytes(n.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def npy_header(rng: random.Random, size: int) -> Attack:
    """A shape that a careless pattern tries in every way before it gives up."""
    unit = rng.choice((b"1", b"11", b"1L", b"9 ", b"1,", b"12 ,", b"7,,"))
    shape = (unit * 3000)[: rng.choice((60, 90, 700, 3500))]
    end = rng.choice((b"", b"!", b"), 'x': 1}", b",)", b"), }" + b" " * 300 + b"!"))
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + shape + end
    header = header[:4000]
    return Attack(".npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(64))


def prefixes(rng: random.Random, size: int) -> Attack:
    """One tensor whose name is a prefix again and again, or many with long ones."""
    import torch

    prefix = rng.choice(("module.", "_orig_mod.", "model.", "g_ema.", "D.", "netG."))
    count = rng.choice((size // 8, 60))
    keys = [prefix * count + "w"] if count > 60 else [prefix * count + f"{i}" for i in range(20_000)]
    out = io.BytesIO()
    if rng.random() < 0.5 and count > 60:
        text = json.dumps({key: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for key in keys}).encode()
        return Attack(".safetensors", struct.pack("<Q", len(text)) + text + bytes(4))
    one = torch.zeros(1)
    torch.save({"g_ema": dict.fromkeys(keys, one)}, out)
    return Attack(".pt", out.getvalue())


def names_again(rng: random.Random, size: int) -> Attack:
    """A long module's or class's name, kept in the memo and named over and over."""
    text = rng.choice((b"a", b"a.", b"torch.nn.", b"A")) * (size // 2)
    text = text[:size]
    names = (_short(text), _short(b"X")) if rng.random() < 0.5 else (_short(b"mod"), _short(text))
    start = b"\x80\x04" + names[0] + b"\x940" + names[1] + b"\x940"
    again = b"h\x00h\x01\x930" * rng.choice((1000, 20_000))
    return Attack(".pkl", start + b"(" + again + b"t.")


def colliding(rng: random.Random, size: int) -> Attack:
    """Whole numbers of one hash as entries of a set, frozenset or dict, or as numbers of the memo."""
    step, count = PRIME * rng.randrange(1, 1000), min(60_000, size // 12)
    numbers = [_number(step * i + rng.choice((0, 0, 5))) for i in range(1, count)]
    kind = rng.randrange(7)
    if kind == 0:
        body = b"(" + b"".join(numbers) + b"\x91"
    elif kind == 1:
        body = b"\x8f(" + b"".join(numbers) + b"\x90"
    elif kind == 2:
        body = b"}(" + b"".join(n + b"N" for n in numbers) + b"u"
    elif kind == 3:
        body = b"}" + b"".join(n + b"Ns" for n in numbers)
    elif kind == 6:
        body = b"}(" + b"".join(n + b"\x85N" for n in numbers) + b"u"
    elif kind == 4:
        name = rng.choice((b"cbuiltins\nset\n", b"cbuiltins\nfrozenset\n", b"c__builtin__\nset\n"))
        body = name + b"](" + b"".join(numbers) + b"e\x85R"
    else:
        pairs = b"".join(b"](" + n + b"Ne" for n in numbers)
        body = rng.choice((b"ccollections\nOrderedDict\n", b"ccollections\nCounter\n")) + b"](" + pairs + b"e\x85R"
    return Attack(".pkl", b"\x80\x04" + body + b".")


def memo_numbers(rng: random.Random, size: int) -> Attack:
    """The same, as places in the memo, which protocol 0 spells out."""
    return Attack(".pkl", b"(N" + b"".join(b"p%d\n" % (PRIME * i) for i in range(1, min(40_000, size // 20))) + b"t.")


def long_key(rng: random.Random, size: int) -> Attack:
    """A long name above many children, every one of which would repeat it."""
    length, children = rng.choice(((100_000, 10_000), (900, 100_000), (400, 150_000)))
    key = b"k" * length
    inner = b"}(" + b"".join(_short(b"%d" % i) + b"K\x01" for i in range(children)) + b"u"
    outer = inner
    for _ in range(rng.choice((1, 1, 3))):
        outer = b"}" + _short(key) + outer + b"s"
    return Attack(".pkl", b"\x80\x04}" + _short(b"g_ema") + outer + b"s.")


def hidden_directory(rng: random.Random, size: int) -> Attack:
    """A zip whose 64-bit end record tells of a directory far larger than the 32-bit one says."""
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0)
    count = rng.choice((size // 52, 700_000))
    directory = b"".join(entry + b"%06d" % (i % 1_000_000) for i in range(count))
    end64 = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(directory), 0)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(directory), 1)
    shown = rng.choice((0, 1, 0xFFFF))
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, shown, shown, rng.choice((46, 52)), 0, 0)
    return Attack(".pt", directory + end64 + locator + end)


def encoded(rng: random.Random, size: int) -> Attack:
    """A long text turned into bytes, perhaps over and over."""
    size = rng.choice((size * 8, size * 40))
    unit = rng.choice((b"a", "\u00e9".encode(), "\u20ac".encode()))
    text = (unit * (size // len(unit)))
    times = rng.choice((1, 1, 30))
    head = b"\x80\x02" + rng.choice((b"X", b"T")) + struct.pack("<I", len(text)) + text + b"q\x000c_codecs\nencode\nq\x010("
    return Attack(".pkl", head + b"h\x01h\x00X\x06\x00\x00\x00latin1\x86R" * times + b"t.")


def wide_texts(rng: random.Random, size: int) -> Attack:
    """Texts that take four bytes a letter in memory."""
    text = b"a" * 60_000 + "\U0001f600".encode()
    return Attack(".pkl", b"\x80\x02(" + _short(text) * (size // 8_000) + b"t.")


FLOODS = (
    b"h\x00)R", b"h\x00)\x81", b"h\x00]\x85R", b"\x8f", b"}", b"]", b"(t", b"N\x85", b"h\x00N\x85R", b"cA\nB\n", b"}K\x01Ns",
)


def flood(rng: random.Random, size: int) -> Attack:
    """As many objects as a byte or two can ask for."""
    name = rng.choice((b"ca\nA\n", b"ccollections\nOrderedDict\n", b"cnumpy\ndtype\n", b"cargparse\nNamespace\n",
                       b"cbuiltins\nset\n", b"cfunctools\npartial\n", b"cnumpy.random._pickle\n__randomstate_ctor\n"))
    return Attack(".pkl", b"\x80\x04" + name + b"\x940(" + rng.choice(FLOODS) * size + b"t.")


def views(rng: random.Random, size: int) -> Attack:
    """Many tensors that look at one long run of numbers, whole, in part, or one number many times."""
    import torch

    base = torch.zeros(size)
    shapes = {"whole": base, "part": base[:-1], "point": base[:1].expand(1 << 20), "tail": base[size // 2 :]}
    view = shapes[rng.choice(list(shapes))]
    out = io.BytesIO()
    many = {f"w{i}": view for i in range(rng.choice((300, 15_000)))}
    torch.save(many, out, _use_new_zipfile_serialization=rng.random() < 0.7)
    return Attack(".pt", out.getvalue())


def safetensors_text(rng: random.Random, size: int) -> Attack:
    """A header that nests, counts or names without end."""
    entry = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    empty = ',"{}":{{"dtype":"F32","shape":[0],"data_offsets":[4,4]}}'
    kinds = (
        "[" * size, '{"a":' * size, '{"a":' + "9" * size + "}", '{"a":[' + "[],"[: 3] * size + "[]]}",
        '{"a":{"dtype":"F32","shape":[' + "1," * size + '1],"data_offsets":[0,4]}}', '{"' + "k" * size + '":' + entry + "}",
        '{"__metadata__":{"stylegan_atelier":"' + "[" * size + '"},"a":' + entry + "}",
        '{"__metadata__":{"stylegan_atelier":"' + "9" * size + '"},"a":' + entry + "}",
        '{"__metadata__":{"stylegan_atelier_checksums":"' + "[" * size + '"},"a":' + entry + "}",
        '{"__metadata__":{"format":"stylegan-atelier-latents","latents":"' + "[" * size + '"},"latents":' + entry + "}",
        '{"__metadata__":{"format":"stylegan-atelier-latents","latents":"' + "9" * size + '"},"latents":' + entry + "}",
        '{"a":' + entry + "".join(map(empty.format, range(size // 60))) + "}",
    )
    text = rng.choice(kinds)[: 8 << 20].encode()
    return Attack(".safetensors", struct.pack("<Q", len(text)) + text + bytes(4))


def graph(rng: random.Random, size: int) -> Attack:
    """An OpenVINO graph that nests, repeats, names or counts without end, or hides a document type in another encoding."""
    layer = '<layer name="{}" type="Const"><data element_type="f32" shape="{}" offset="0" size="{}"/></layer>'
    kinds = (
        "<a>" * size, "<a/>" * size, "<a " + " ".join(f'b{i}=""' for i in range(size // 8)) + "/>", f'<a b="{"x" * size}"/>',
        layer.format("n", "9" * size, 4), layer.format("n", ",".join("1" for _ in range(size)), 4),
        layer.format("n", "4", 16) * (size // 90), layer.format("n" * size, "1", 4), layer.format("n", "9" * 4000, "9" * 4000),
    )
    text = "<net><layers>" + rng.choice(kinds) + "</layers></net>"
    data = text.encode()
    if rng.random() < 0.2:
        data = '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE n [<!ENTITY a "b">]><n>&a;</n>'.encode("utf-16")
    pair = (("MappingNetwork.bin", bytes(1 << 16)), ("SynthesisNetwork.bin", bytes(64)), ("SynthesisNetwork.xml", b"<net/>"))
    return Attack(".xml", data, ("model",), pair, "MappingNetwork.xml")


def codes(rng: random.Random, size: int) -> Attack:
    """A bank of style codes: one array named over and over, or shapes that promise more than there is."""
    import numpy as np

    out, name = io.BytesIO(), rng.choice(("x", "k" * 900))
    array = np.zeros((1, rng.choice((1, 18)), rng.choice((1, 512))), np.float32)
    np.save(out, {f"{name}{i}": array for i in range(rng.choice((5000, 90_000)))}, allow_pickle=True)  # type: ignore[arg-type]
    return Attack(".npy", out.getvalue(), ("model", "latents", "directions"))


def overlapping(rng: random.Random, size: int) -> Attack:
    """Zip records that share their bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as target:
        target.writestr("a/data.pkl", b"\x80\x02}.")
        target.writestr("a/data/0", bytes(size))
    data = out.getvalue()
    at = data.rfind(b"PK\x01\x02")
    entry, end = data[at:-22], bytearray(data[-22:])
    count = rng.choice((300, 20_000))
    struct.pack_into("<HHII", end, 8, (count + 1) & 0xFFFF, (count + 1) & 0xFFFF, len(entry) * count, at)
    return Attack(".pt", data[:at] + entry * count + bytes(end))


def packed_codes(rng: random.Random, size: int) -> Attack:
    """Arrays of latents that unpack to a hundred times the file, many records or many names of one."""
    import numpy as np

    inner, out, count = io.BytesIO(), io.BytesIO(), rng.choice((20, 60))
    np.save(inner, np.zeros((rng.choice((1, 1400)), 18, 512), np.float32))
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for i in range(1 if rng.random() < 0.5 else count):
            target.writestr(f"w{i:03}.npy", inner.getvalue())
    data = out.getvalue()
    at = data.rfind(b"PK\x01\x02")
    if data.count(b"PK\x01\x02") > 1:
        return Attack(".npz", data, ("model", "latents"))
    count = rng.choice((500, 50_000))
    entries = b"".join(data[at:-22].replace(b"w000", b"%04x" % i) for i in range(count))
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, len(entries), at, 0)
    return Attack(".npz", data[:at] + entries + end, ("model", "latents"))


Kind = Callable[[random.Random, int], Attack]
KINDS: tuple[Kind, ...] = (
    npy_header, prefixes, names_again, colliding, memo_numbers, long_key, hidden_directory, encoded, wide_texts, flood, views,
    safetensors_text, graph, codes, overlapping, packed_codes,
)


def attack(kind: Kind, seed: int, size: int = 1 << 20) -> Attack:
    """The file of one kind for a seed; `size` is about its bytes."""
    return kind(random.Random(seed), size)
