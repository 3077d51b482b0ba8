"""This project's files carry checksums: a damaged number, name, shape or fact is told; files without them carry a warning."""

from __future__ import annotations

import json
import zlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from stylegan_core import checkpoints
from stylegan_core.checkpoints.checksums import BLOCK, CHECKSUMS_KEY, SMALL, checksum
from stylegan_core.errors import LoadError


@pytest.fixture
def saved(tiny, tmp_path):
    return checkpoints.save(checkpoints.load(tiny("ada_sg2_tiny")), tmp_path / "model")


def parts_of(path):
    with safe_open(path, "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118 - no dict


def rewritten(path, tensors, metadata):
    """The file as another program would write it: other tensors or text, the old checksums kept."""
    save_file(tensors, path, metadata)
    return path


@given(st.integers(0, 10_000), st.data())
def test_large_data_is_told_by_sums_of_blocks(size, data):
    draw = torch.Generator().manual_seed(size)
    raw = bytearray(torch.randint(256, (SMALL + size,), dtype=torch.uint8, generator=draw).numpy())
    sums = [sum(int.from_bytes(raw[i + j : i + j + 8], "little") for j in range(0, BLOCK, 8)) % (1 << 64)
            for i in range(0, len(raw) // BLOCK * BLOCK, BLOCK)]
    plain = zlib.crc32(raw[len(sums) * BLOCK :], zlib.crc32(b"".join(s.to_bytes(8, "little") for s in sums)))
    before = checksum(memoryview(raw))
    assert before == (plain if size else zlib.crc32(raw))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert checksum(memoryview(raw)) != before


def test_unaligned_data_has_the_same_checksum():
    raw = bytearray(torch.arange(3 * SMALL).to(torch.uint8).numpy())
    shifted = memoryview(bytearray(1) + raw)[1:]
    assert checksum(shifted) == checksum(memoryview(raw))


def test_every_flipped_bit_is_told(saved, tmp_path):
    data, draw = saved.read_bytes(), torch.Generator().manual_seed(0)
    target = tmp_path / saved.name
    start = 8 + int.from_bytes(data[:8], "little")
    for at in torch.randint(start, len(data), (40,), generator=draw).tolist():
        bad = bytearray(data)
        bad[at] ^= 1 << int(torch.randint(8, (), generator=draw))
        target.write_bytes(bad)
        with pytest.raises(LoadError, match="checksum of tensor"):
            checkpoints.load(target)


def test_a_changed_fact_is_told_without_reading_weights(saved, tmp_path):
    tensors, metadata = parts_of(saved)
    own = json.loads(metadata["stylegan_atelier"])
    for change in ({"licence": "CC0"}, {"config": {**own["config"], "resample_kernel": [1, 2, 1]}}):
        text = json.dumps({**own, **change})
        with pytest.raises(LoadError, match="metadata"):
            checkpoints.inspect(rewritten(tmp_path / "m.safetensors", tensors, {**metadata, "stylegan_atelier": text}))


@pytest.mark.parametrize("change", ["swapped", "renamed", "dropped", "half"])
def test_a_changed_tensor_is_told(saved, tmp_path, change):
    tensors, metadata = parts_of(saved)
    first, second = [key for key in tensors if key.endswith("fc0.weight") or key.endswith("fc1.weight")][:2]
    if change == "swapped":
        tensors[first], tensors[second] = tensors[second], tensors[first]
    elif change == "renamed":
        tensors["other"] = tensors.pop(first)
    elif change == "dropped":
        del tensors[first]
    else:
        tensors[first] = tensors[first].half()
    with pytest.raises(LoadError, match="get an unchanged copy"):
        checkpoints.load(rewritten(tmp_path / "m.safetensors", tensors, metadata))


@pytest.mark.parametrize("entry", ["{", "[]", "{}", '{"text": 3, "tensors": {}}', '{"text": "0", "tensors": []}'])
def test_unreadable_checksums_are_refused(saved, tmp_path, entry):
    tensors, metadata = parts_of(saved)
    with pytest.raises(LoadError, match="unchanged copy"):
        checkpoints.load(rewritten(tmp_path / "m.safetensors", tensors, {**metadata, CHECKSUMS_KEY: entry}))


def test_what_utf8_cant_spell_is_refused_in_words(saved, tmp_path):
    tensors, metadata = parts_of(saved)
    data = saved.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    for change in ({"__metadata__": {**metadata, "stylegan_atelier": "\ud800"}}, {"\ud800": header[next(iter(tensors))]}):
        changed = json.dumps({**header, **change}).encode()
        path = tmp_path / "odd.safetensors"
        path.write_bytes(len(changed).to_bytes(8, "little") + changed + data[8 + length :])
        with pytest.raises(LoadError):
            checkpoints.inspect(path)
    key = "\ud800"
    header[key] = header.pop(next(iter(tensors)))
    told = json.loads(metadata[CHECKSUMS_KEY])
    told["tensors"][key] = told["tensors"].pop(next(iter(tensors)))
    header["__metadata__"][CHECKSUMS_KEY] = json.dumps(told)
    changed = json.dumps(header).encode()
    path.write_bytes(len(changed).to_bytes(8, "little") + changed + data[8 + length :])
    with pytest.raises(LoadError):
        checkpoints.load(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e20])
def test_right_checksums_excuse_no_broken_weights(saved, tmp_path, value):
    """Anyone can write a checksum."""
    tensors, metadata = parts_of(saved)
    own = json.loads(metadata["stylegan_atelier"])
    own.pop("format")
    key = next(key for key in tensors if key.endswith("conv0.weight"))
    tensors[key] = torch.where(torch.arange(tensors[key].numel()).view_as(tensors[key]) == 5, value, tensors[key])
    with pytest.raises(LoadError, match="absurdly large"):
        checkpoints.load(checkpoints.write_safetensors(tmp_path / "bad", tensors, own))


def test_weights_beyond_half_precision_are_refused_in_it(saved, tmp_path):
    model = checkpoints.load(saved)
    next(model.synthesis.parameters()).data.view(-1)[0] = 1e5
    path = checkpoints.save(model, tmp_path / "large")
    checkpoints.load(path)
    with pytest.raises(LoadError, match="absurdly large"):
        checkpoints.load(path, dtype=torch.float16)


def test_what_has_no_checksums_loads_with_a_warning(saved, tiny, tmp_path):
    tensors, metadata = parts_of(saved)
    del metadata[CHECKSUMS_KEY]
    bare = rewritten(tmp_path / "m.safetensors", tensors, metadata)
    zipped = tmp_path / "m.pt"
    torch.save({"g_ema": tensors}, zipped)
    told = {path: "unverified" in checkpoints.inspect(path).notes for path in (saved, bare, tiny("ada_sg2_tiny"))}
    assert told == {saved: False, bare: True, tiny("ada_sg2_tiny"): True}
    assert "unverified" in checkpoints.load(bare).info.notes and "unverified" not in checkpoints.load(saved).info.notes


def test_a_torch_zip_without_checksums_carries_the_warning(tiny, tmp_path):
    source = tiny("swap_ros2_tiny")
    assert "unverified" not in checkpoints.inspect(source).notes
    data = bytearray(source.read_bytes())
    at = data.find(b"PK\x01\x02")
    while at >= 0:
        data[at + 16 : at + 20] = bytes(4)
        at = data.find(b"PK\x01\x02", at + 1)
    bare = tmp_path / "model.pt"
    bare.write_bytes(data)
    assert "unverified" in checkpoints.inspect(bare).notes


def test_the_note_stays_behind_when_a_copy_is_saved(tiny, tmp_path):
    model = checkpoints.load(tiny("ada_sg2_tiny"))
    path = checkpoints.save(model, tmp_path / "copy", {"notes": {**model.info.notes, "comment": "mine"}})
    assert "unverified" in model.info.notes and dict(checkpoints.inspect(path).notes) == {
        **{k: v for k, v in model.info.notes.items() if k != "unverified"}, "comment": "mine"}


def test_directions_are_checked_too(tmp_path):
    from stylegan_core.directions import Directions

    found = Directions(torch.randn(2, 12), ("age", "smile"), torch.ones(2), ("all", "all"))
    path = found.save(tmp_path / "directions")
    assert Directions.load(path).names == found.names
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    path.write_bytes(data)
    with pytest.raises(LoadError, match="checksum"):
        Directions.load(path)
