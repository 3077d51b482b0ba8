"""Latents of other projects' inversions, as their scripts write them, and this project's own files."""

from __future__ import annotations

import collections
import hashlib
import json
import pathlib

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import stylegan_core as sg
from stylegan_core import checkpoints
from stylegan_core.errors import InvalidInput, LatentMismatch, LoadError, UnsupportedCheckpoint

W_PLUS = np.random.RandomState(0).randn(1, 18, 512).astype(np.float32)
W = np.random.RandomState(1).randn(1, 1, 512).astype(np.float32)


def write_pickled(path, value) -> None:
    np.save(path, value, allow_pickle=True)


CASES = {
    "projected_w.npz": (lambda p: np.savez(p, w=W_PLUS), "w+", W_PLUS),
    "packed.npz": (lambda p: np.savez_compressed(p, w=W_PLUS), "w+", W_PLUS),
    "latents.pt": (lambda p: torch.save(torch.from_numpy(np.repeat(W_PLUS, 3, 0)), p), "w+", np.repeat(W_PLUS, 3, 0)),
    "0.pt": (lambda p: torch.save(torch.from_numpy(W), p), "w", W[:, 0]),
    "old.pt": (lambda p: torch.save(torch.from_numpy(W), p, _use_new_zipfile_serialization=False), "w", W[:, 0]),
    "latents.npy": (lambda p: write_pickled(p, {"a.jpg": W_PLUS[0], "b.jpg": W_PLUS[0] + 1}), "w+",
                    np.concatenate([W_PLUS, W_PLUS + 1])),
    "latents_restyle.npy": (lambda p: write_pickled(p, {"a.jpg": np.repeat(W_PLUS, 5, 0)}), "w+", np.repeat(W_PLUS, 5, 0)),
    "w.npy": (lambda p: np.save(p, W_PLUS[0]), "w+", W_PLUS),
    "w1.npy": (lambda p: np.save(p, W[0, 0]), "w", W[:, 0]),
    "w_batch.npy": (lambda p: np.save(p, np.repeat(W[0], 3, 0)), "w", np.repeat(W[0], 3, 0)),
    "projector.pt": (lambda p: torch.save({"face.png": {"img": torch.zeros(3, 8, 8), "latent": torch.from_numpy(W_PLUS[0]),
                                                        "noise": [torch.zeros(1, 1, 4, 4)]}}, p), "w+", W_PLUS),
    "double.npy": (lambda p: np.save(p, W_PLUS.astype(np.float64)), "w+", W_PLUS),
    "steps.npy": (lambda p: write_pickled(p, {"a.jpg": [W_PLUS[0] + 1, W_PLUS[0]]}), "w+", W_PLUS),
    "steps_tuple.npy": (lambda p: write_pickled(p, {"a.jpg": (W_PLUS[0] + 1, W_PLUS[0])}), "w+", W_PLUS),
    "ordered.npy": (lambda p: write_pickled(p, collections.OrderedDict(a=W_PLUS[0])), "w+", W_PLUS),
    "default.npy": (lambda p: write_pickled(p, collections.defaultdict(list, {np.str_("a"): [W_PLUS[0]]})), "w+", W_PLUS),
    "path.npy": (lambda p: write_pickled(p, {pathlib.Path("/a/b.jpg"): W_PLUS[0]}), "w+", W_PLUS),
    "tensors.npy": (lambda p: write_pickled(p, {"a.jpg": torch.from_numpy(W_PLUS[0])}), "w+", W_PLUS),
    "nested.npy": (lambda p: write_pickled(p, {"a.jpg": {"latent": W_PLUS[0], "loss": 0.1}}), "w+", W_PLUS),
    "with_facts.npz": (lambda p: np.savez(p, w=W_PLUS, seed=np.array(3), name=np.array("abc")), "w+", W_PLUS),
    "dict.npz": (lambda p: np.savez(p, found=np.array({"a.jpg": W_PLUS[0]}, dtype=object)), "w+", W_PLUS),
    "list.pt": (lambda p: torch.save([torch.from_numpy(W_PLUS[0])] * 2, p), "w+", np.repeat(W_PLUS, 2, 0)),
    "arrays.pt": (lambda p: torch.save({"a.jpg": W_PLUS[0]}, p), "w+", W_PLUS),
    "z.npz": (lambda p: np.savez(p, z=W[0]), "z", W[0]),
    "z_plus.pt": (lambda p: torch.save({"z+": torch.from_numpy(W_PLUS)}, p), "z+", W_PLUS),
}
INFO = [name for name in CASES if name.endswith((".pt", ".npz"))]


@pytest.mark.parametrize("name", CASES)
def test_inversions_of_other_projects(name: str, tmp_path) -> None:
    write, space, expected = CASES[name]
    write(tmp_path / name)
    found = sg.Latents.load(tmp_path / name)
    assert found.space == space and found.model is None and found.tensor.dtype == torch.float32
    assert np.array_equal(found.tensor.numpy(), expected)


@pytest.mark.parametrize("name", [*INFO, "latents_restyle.npy"])
def test_info_names_them(name: str, tmp_path) -> None:
    write, space, expected = CASES[name]
    write(tmp_path / name)
    facts = checkpoints.inspect(tmp_path / name)
    assert facts.kind == "latents" and facts.notes == {"space": space, "entries": len(expected)}
    with pytest.raises(UnsupportedCheckpoint, match="holds latents"):
        checkpoints.load(tmp_path / name)


def test_codes_of_two_models_and_what_is_no_latent_are_refused(tmp_path) -> None:
    write_pickled(tmp_path / "mixed.npy", {"a.jpg": W_PLUS[0], "b.jpg": W_PLUS[0, :14]})
    with pytest.raises(LoadError, match="differ in size"):
        sg.Latents.load(tmp_path / "mixed.npy")
    for name in ("smile_w_boundary.npy", "age_direction.npy"):
        np.save(tmp_path / name, W[0])
        with pytest.raises(LoadError, match="Load Directions"):
            sg.Latents.load(tmp_path / name)
    np.save(tmp_path / "exstyle_code.npy", W_PLUS[:0])
    with pytest.raises(LoadError, match="expected"):
        checkpoints.load(tmp_path / "exstyle_code.npy")
    np.savez(tmp_path / "big.npz", w=W_PLUS.astype(">f4"))
    with pytest.raises(LoadError, match="big-endian"):
        sg.Latents.load(tmp_path / "big.npz")


@pytest.mark.parametrize(("space", "shape"), [("w", (18, 512)), ("z", (18, 512)), ("w+", (1, 18, 512)), ("z+", (1, 18, 512))])
def test_the_user_may_say_the_space(space: str, shape: tuple[int, ...], tmp_path) -> None:
    np.save(tmp_path / "codes.npy", W_PLUS[0])
    found = sg.Latents.load(tmp_path / "codes.npy", space=space)  # type: ignore[arg-type]
    assert found.space == space and tuple(found.tensor.shape) == shape


def test_a_space_that_the_shape_forbids_and_one_that_is_none(tmp_path) -> None:
    np.save(tmp_path / "w.npy", W_PLUS)
    with pytest.raises(LoadError, match="choose w\\+ or z\\+"):
        sg.Latents.load(tmp_path / "w.npy", space="w")
    with pytest.raises(InvalidInput, match="unknown"):
        sg.Latents.load(tmp_path / "w.npy", space="v")  # type: ignore[arg-type]


def test_the_model_is_checked(tiny, tmp_path) -> None:
    model = sg.load(tiny("swap_ros2_tiny"))
    np.savez(tmp_path / "a.npz", w=W_PLUS)
    with pytest.raises(LatentMismatch, match="18, 512"):
        sg.Latents.load(tmp_path / "a.npz", model=model)
    np.save(tmp_path / "rows.npy", np.zeros((model.num_ws, model.w_dim), np.float32))
    assert sg.Latents.load(tmp_path / "rows.npy", model=model).space == "w+"


@pytest.mark.parametrize(("write", "words"), [
    (lambda p: np.savez(p, picture=np.zeros((4, 4, 3, 3))), "no array|latents are"),
    (lambda p: np.savez(p, w=np.full((1, 18, 512), np.nan, np.float32)), "NaN"),
    (lambda p: np.savez(p, w=np.zeros((1, 18, 512), np.int32)), "floating-point"),
    (lambda p: p.write_bytes(b"PK\x05\x06" + bytes(18)), "nothing"),
])
def test_what_is_no_latents_is_one_sentence(write, words: str, tmp_path) -> None:
    write(tmp_path / "a.npz")
    with pytest.raises(LoadError, match=words) as told:
        sg.Latents.load(tmp_path / "a.npz")
    assert "a.npz" in str(told.value) and str(told.value).isprintable()


def test_info_names_latents_and_load_sends_them_where_they_belong(tmp_path) -> None:
    np.savez(tmp_path / "projected_w.npz", w=W_PLUS)
    write_pickled(tmp_path / "latents.npy", {"a.jpg": W_PLUS[0]})
    sg.Latents(torch.zeros(2, 512), "z").save(tmp_path / "own")
    assert sg.inspect(tmp_path / "projected_w.npz").sentence() == "1 latents in w+, 18 rows of 512"
    assert "w+" in sg.inspect(tmp_path / "latents.npy").sentence()
    assert sg.inspect(tmp_path / "own.safetensors").sentence() == "2 latents in z, vectors of 512"
    for path in tmp_path.iterdir():
        with pytest.raises(UnsupportedCheckpoint, match="latents"):
            sg.load(path)


@pytest.mark.parametrize(("name", "told"), [("exstyle_code.npy", False), ("instyle_code.npy", False), ("face.npy", True)])
def test_an_npy_is_not_silently_taken_for_style_codes(name: str, told: bool, tmp_path) -> None:
    write_pickled(tmp_path / name, {"a.jpg": W_PLUS})
    notes = sg.inspect(tmp_path / name).notes.get("warnings", [])
    assert any("style codes in z+ or latents in w+" in note for note in notes) is told


def test_nvidias_form_on_demand(tiny, tmp_path) -> None:
    ws = sg.Latents(torch.from_numpy(W_PLUS), "w+", None, [torch.zeros(1, 1, 4, 4)])
    assert ws.save(tmp_path / "face.npz").name == "face.npz"
    with np.load(tmp_path / "face.npz") as file:
        assert file.files == ["w"] and np.array_equal(file["w"], W_PLUS)
    model = sg.load(tiny("swap_ros2_tiny"))
    one = sg.Latents(torch.ones(2, model.w_dim), "w", model)
    one.save(tmp_path / "one.npz")
    with np.load(tmp_path / "one.npz") as file:
        assert file["w"].shape == (2, model.num_ws, model.w_dim)
    with pytest.raises(InvalidInput, match="bring them to w"):
        sg.Latents(torch.ones(1, 512), "z").save(tmp_path / "z.npz")


def test_own_files_carry_checksums_and_are_not_overwritten(tmp_path) -> None:
    latents = sg.Latents(torch.randn(2, 18, 512), "w+", None, [torch.randn(1, 1, 4, 4)])
    path = latents.save(tmp_path / "new" / "a")
    assert path == tmp_path / "new" / "a.safetensors"
    with pytest.raises(InvalidInput, match="exists already"):
        latents.save(path)
    data = bytearray(path.read_bytes())
    data[-40_000] ^= 1
    path.write_bytes(data)
    with pytest.raises(LoadError, match="checksum"):
        sg.Latents.load(path)


def old_file(path, meta: str, tensor: torch.Tensor) -> None:
    save_file({"latents": tensor}, path, {"format": "stylegan-atelier-latents", "latents": meta})


def test_files_of_the_version_before_are_read_and_read_ours(tmp_path) -> None:
    signature = {"family": "stylegan2", "resolution": 1024, "num_ws": 18, "w_dim": 512, "mapping_hash": "0" * 16}
    old_file(tmp_path / "old.safetensors", json.dumps({"space": "w", "model": signature}), torch.ones(1, 512))
    found = sg.Latents.load(tmp_path / "old.safetensors")
    assert found.space == "w" and found.model == sg.ModelSignature(**signature)
    from safetensors import safe_open

    with safe_open(found.save(tmp_path / "new"), "pt") as file:  # the way version 0.1 reads
        assert file.metadata()["format"] == "stylegan-atelier-latents"
        assert json.loads(file.metadata()["latents"]) == {"space": "w", "model": signature}


@pytest.mark.parametrize("meta", [
    "[" * 100_000, "9" * 100_000, "{}", "null", '{"space": "w"}', '{"space": "w", "model": 3}', '{"space": 3, "model": null}',
    '{"space": "w", "model": {"family": "x", "resolution": 1, "num_ws": 1, "w_dim": 1, "mapping_hash": 7}}',
    '{"space": "w", "model": {"family": "x"}}',
])
def test_metadata_that_lies_is_one_sentence(meta: str, tmp_path) -> None:
    old_file(tmp_path / "a.safetensors", meta, torch.ones(1, 512))
    with pytest.raises(LoadError) as told:
        sg.Latents.load(tmp_path / "a.safetensors")
    assert "a.safetensors" in str(told.value) and len(str(told.value)) < 400


def test_the_hash_is_that_of_the_file_that_was_read(tiny, tmp_path) -> None:
    path, other = tmp_path / "a.pt", tmp_path / "b.pt"
    path.write_bytes(tiny("swap_ros2_tiny").read_bytes())
    other.write_bytes(tiny("swap_ros2_tiny").with_name("model_B.pt").read_bytes())
    expected = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (path, other)}
    model, second = sg.load(path), sg.load(other)
    path.write_bytes(b"replaced")
    other.unlink()
    saved = sg.inspect(sg.save(model, tmp_path / "saved"))
    assert saved.sha256 == expected["a.pt"]
    parents = sg.inspect(sg.save(sg.blend(model, second, 8), tmp_path / "blend")).parents
    assert {p["name"]: p["sha256"] for p in parents} == expected


def test_nothing_is_hashed_again(tiny, monkeypatch) -> None:
    model = sg.load(tiny("swap_ros2_tiny"))

    def never(*_: object) -> str:
        raise AssertionError("read again")

    monkeypatch.setattr("stylegan_core.checkpoints.hashing.Source.open", never)
    assert len(checkpoints.lineage(model)["sha256"]) == 64 and checkpoints.lineage(model) == checkpoints.lineage(model)


def test_large_files_are_hashed_by_a_thread(tmp_path) -> None:
    from stylegan_core.checkpoints.hashing import AT_ONCE, hash_beside
    from stylegan_core.checkpoints.source import Source

    path = tmp_path / "large"
    path.write_bytes(np.random.RandomState(0).bytes(2 * AT_ONCE))
    source = Source.open(path)
    stamp = source.stamp()
    source.close()
    assert hash_beside(path, stamp)() == hashlib.sha256(path.read_bytes()).hexdigest()
    assert hash_beside(path, (1, *stamp[1:]))() == "" == hash_beside(tmp_path / "none", stamp)()


def test_lists_of_codes_and_of_steps(tmp_path) -> None:
    """A list is a batch; ReStyle keeps a list of steps for each picture, the last of which counts."""
    steps = [np.full((18, 512), i, np.float32) for i in range(3)]
    np.save(tmp_path / "latents.npy", {"a.jpg": steps, "b.jpg": steps[:2]}, allow_pickle=True)
    assert sg.Latents.load(tmp_path / "latents.npy").tensor[:, 0, 0].tolist() == [2, 1]
    torch.save([torch.from_numpy(step) for step in steps], tmp_path / "latents.pt")
    found = sg.Latents.load(tmp_path / "latents.pt")
    assert found.space == "w+" and found.tensor[:, 0, 0].tolist() == [0, 1, 2]
    np.save(tmp_path / "latents.npy", {"a.jpg": [], "b.jpg": steps}, allow_pickle=True)
    with pytest.raises(LoadError, match="a.jpg"):
        sg.Latents.load(tmp_path / "latents.npy")
