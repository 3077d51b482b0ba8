"""The pickle reader: the same plain data as Python's, nothing else, and never more work than the file is worth."""

from __future__ import annotations

import collections
import contextlib
import io
import pickle
import struct
import time
import zipfile

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stylegan_core import checkpoints
from stylegan_core.checkpoints.pickle_names import Record, resolve
from stylegan_core.checkpoints.pickle_reader import PickleReader
from stylegan_core.checkpoints.source import Source
from stylegan_core.checkpoints.tensors import ArrayStub, LazyTensor
from stylegan_core.errors import LoadError, UnsafeCheckpoint

KEYS = st.one_of(st.text(max_size=8), st.integers(-(1 << 70), 1 << 70), st.booleans(), st.none())
PLAIN = st.recursive(
    st.one_of(KEYS, st.floats(allow_nan=False), st.text(max_size=300)),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(KEYS, inner, max_size=5), st.tuples(inner, inner),
                            st.sets(KEYS, max_size=4), st.frozensets(KEYS, max_size=4)),
    max_leaves=25,
)


def read(data: bytes):
    return PickleReader(Source.of(data), resolve).load()


@settings(max_examples=150, deadline=None)
@given(PLAIN, st.integers(0, 5))
def test_plain_data_reads_as_pickle_reads_it(value, protocol) -> None:
    assert read(pickle.dumps(value, protocol)) == value


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_end_in_a_value_or_a_typed_error(data) -> None:
    with contextlib.suppress(LoadError, UnsafeCheckpoint):
        read(data)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_arrays(protocol) -> None:
    import numpy as np

    for array in (np.arange(6, dtype=np.float32).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.int64(7)):
        found = read(pickle.dumps(array, protocol))
        value = found.lazy.read().numpy() if isinstance(found, ArrayStub) else found
        assert np.array_equal(value, array)


@pytest.mark.parametrize("code", ["object", "str"])
def test_arrays_of_anything_but_numbers_hold_none(code) -> None:
    """They may lie beside a network; nothing in them is taken for weights."""
    import numpy as np

    found = read(pickle.dumps(np.array(["a", "b"], dtype=code)))
    assert isinstance(found, ArrayStub) and found.lazy is None


def test_python_2_pickles() -> None:
    data = b"\x80\x02}q\x00(U\x01aq\x01K\x01U\x01bq\x02ccollections\nOrderedDict\nq\x03]q\x04]q\x05(U\x01cK\x02ea\x85Rq\x06u."
    assert read(data) == {"a": 1, "b": {"c": 2}}
    assert read(b"(dp0\nS'a'\np1\nI1\nsS'b'\np2\nF2.5\nsS't'\nI01\nsS'n'\nL7L\ns.") == {"a": 1, "b": 2.5, "t": True, "n": 7}


def test_shared_and_cyclic_objects() -> None:
    value: list = [1]
    value.append(value)
    found = read(pickle.dumps(value))
    assert found[0] == 1 and found[1] is found


@pytest.mark.parametrize(("module", "name"), [
    ("os", "system"), ("posix", "system"), ("builtins", "eval"), ("torch", "load"), ("torch.hub", "load"), ("pip", "main"),
    ("numpy", "fromfile"), ("torch.jit", "CompilationUnit"), ("collections", "namedtuple"), ("someone", "function"),
    ("a.b", "C.d"), ("subprocess", "Popen"), ("torch.nn.modules.x", "os.system"), ("torch.utils", "Data"),
])
def test_names_of_code_are_refused(module, name) -> None:
    with pytest.raises(UnsafeCheckpoint, match=name):
        resolve(module, name)


def test_unknown_classes_of_training_code_become_inert_records() -> None:
    found = read(b"\x80\x02ctraining.dataset\nImageFolderDataset\n)\x81}X\x04\x00\x00\x00pathX\x01\x00\x00\x00/sb.")
    assert isinstance(found, Record) and found.state == {"path": "/"}


def short(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


ONES = b"\x80\x04](" + b"K\x01" * 50_000 + b"e\x940"
"""Leaves a long list in memo 0."""
STATE = b"\x80\x04}(" + b"".join(short(f"k{i}") + b"N" for i in range(9000)) + b"u\x940"
TEXT = b"\x80\x04X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20) + b"\x940"
BOMBS = {
    "a dict made of one list, over and over": ONES
     + b"(ccollections\nOrderedDict\n\x94h\x00\x85R0" + b"h\x01h\x00\x85R" * 50_000 + b"t.",
    "a state set over and over": STATE + b"cargparse\nNamespace\n)\x81" + b"h\x00b" * 100_000 + b".",
    "one text encoded over and over": TEXT
     + b"c_codecs\nencode\n\x940(" + (b"h\x01h\x00" + short("latin1") + b"\x86R") * 20_000 + b"t.",
    "memo numbers without end": b"\x80\x02]r\xff\xff\xff\x7f.",
    "sets without end": b"\x80\x04(" + b"\x8f" * 1_200_000 + b"t.",
    "nesting without end": b"\x80\x04" + b"]" + b"]\x94" * 400_000 + b"a" * 400_000 + b".",
    "a deep tuple as a key": b"\x80\x04)" + b"\x85" * 100_000 + b"\x940}h\x00Ns.",
    "an endless integer": b"\x80\x02\x8b\x00\x00\x10\x00" + b"\x01" * (1 << 20) + b".",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_fizzle(name, tmp_path) -> None:
    (tmp_path / "bomb.pkl").write_bytes(BOMBS[name])
    start = time.process_time()
    with pytest.raises(LoadError) as told:
        checkpoints.load(tmp_path / "bomb.pkl")
    assert time.process_time() - start < 5
    assert len(str(told.value)) < 2000


def test_control_characters_stay_out_of_messages(tmp_path) -> None:
    (tmp_path / "f.pkl").write_bytes(pickle.dumps({"g_ema": {}, "a\n\x1b[31m": 1}, 4))
    with pytest.raises(LoadError) as told:
        checkpoints.load(tmp_path / "f.pkl")
    assert str(told.value).isprintable()


@pytest.mark.parametrize("legacy", [False, True])
def test_torch_containers_read_as_torch_reads_them(legacy, tmp_path) -> None:
    base = torch.arange(24.0)
    tree = {"view": base.view(4, 6)[1:, ::2], "turned": base.view(4, 6).t(), "half": base.half(), "whole": base.long(),
            "none": torch.empty(0, 3), "scalar": torch.tensor(3.5), "bf16": base.bfloat16(), "mask": base > 3,
            "parameter": torch.nn.Parameter(base[:3].clone()), "nested": [1, (2.5, "x"), collections.OrderedDict(a=None)]}
    torch.save(tree, tmp_path / "t.pt", _use_new_zipfile_serialization=not legacy)
    found = checkpoints.read_file(tmp_path / "t.pt").tree
    for key, value in tree.items():
        if isinstance(value, torch.Tensor):
            assert isinstance(found[key], LazyTensor) and found[key].shape == tuple(value.shape)
            assert torch.equal(found[key].read(), value.detach()) and found[key].dtype == value.dtype
    assert found["nested"] == [1, (2.5, "x"), {"a": None}]


def zip_with(path, pickled: bytes, **records: bytes):
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("a/data.pkl", pickled)
        for name, raw in records.items():
            target.writestr(f"a/data/{name}", raw)
    return path


def rebuild(numel: int, size: tuple, stride: tuple, offset: int = 0) -> bytes:
    """A state dict of one tensor with this geometry."""
    class Pid:
        pass

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            return ("storage", torch.FloatStorage, "0", "cpu", numel) if isinstance(obj, Pid) else None

        def reducer_override(self, obj):
            if isinstance(obj, Size):
                return torch._utils._rebuild_tensor_v2, (Pid(), offset, size, stride, False, collections.OrderedDict())
            return NotImplemented

    class Size:
        pass

    out = io.BytesIO()
    Pickler(out, 2).dump({"g_ema": {"input.input": Size()}})
    return out.getvalue()


@pytest.mark.parametrize(("size", "stride", "offset"), [
    ((5,), (1,), 0), ((2, 2), (3, 1), 0), ((1,), (1,), 4), ((1 << 30, 1 << 30), (0, 0), 0), ((-1,), (1,), 0), ((4,), (-1,), 3),
    ((2, 2), (1,), 0), ((1,) * 40, (1,) * 40, 0), ((0, 1 << 60), (1, 1), 0), ((True,), (1,), 0), (("4",), (1,), 0),
])
def test_tensors_that_reach_outside_or_unfold_are_refused(size, stride, offset, tmp_path) -> None:
    path = zip_with(tmp_path / "t.pt", rebuild(4, size, stride, offset), **{"0": bytes(16)})
    with pytest.raises(LoadError):
        checkpoints.read_file(path)


def test_damaged_tensor_data_fails_its_checksum(tiny, tmp_path) -> None:
    data = bytearray(tiny("swap_ros2_tiny").read_bytes())
    with zipfile.ZipFile(tiny("swap_ros2_tiny")) as file:
        at = file.getinfo("model_A/data/0").header_offset
    data[at + 2000] ^= 1
    (tmp_path / "m.pt").write_bytes(data)
    with pytest.raises(LoadError, match="checksum"):
        checkpoints.load(tmp_path / "m.pt")


@pytest.mark.skipif(not hasattr(torch.serialization, "set_crc32_options"), reason="torch before 2.3 always writes them")
def test_checksums_may_be_absent(tiny, tmp_path) -> None:
    """torch.serialization.set_crc32_options(False) writes zeros."""
    state = torch.load(tiny("swap_ros2_tiny"))
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(state, tmp_path / "m.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert checkpoints.load(tmp_path / "m.pt").img_resolution == 32
