"""Directions: their definitions in plain algebra, files in and out, sweeps."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

import stylegan_core as sg
from stylegan_core.checkpoints import sha256_of
from stylegan_core.checkpoints.borrowing import FORMER
from stylegan_core.directions.find import style_weights
from stylegan_core.errors import InvalidInput, LatentMismatch, LoadError, UnsafeCheckpoint
from stylegan_core.pictures.sheets import contact_sheet
from tests.core.networks.models import tiny_stylegan2
from tools.demo.make_directions import RECIPE

FAMILIES = ("ada_sg2_tiny/network-snapshot-000400.pkl", "tf_sg1_tiny/karras2019stylegan-tiny.pkl",
            "sg3_t_tiny/network-snapshot-000400.pkl", "sg3_r_tiny/network-snapshot-000400.pkl",
            "ada_sg2_cond/network-snapshot-000400.pkl")
GOLDENS = Path(__file__).parents[2] / "goldens"


@pytest.fixture(scope="module")
def model():
    return tiny_stylegan2()


@pytest.fixture(scope="module")
def found(model):
    return sg.find_directions(model, "sefa", count=3)


@pytest.mark.parametrize("file", FAMILIES)
@pytest.mark.parametrize("method", ["sefa", "pca"])
def test_every_family_has_directions_that_move_its_picture(file, method):
    model = sg.load(GOLDENS / file)
    found = sg.find_directions(model, method, count=2, samples=200)
    torch.testing.assert_close(found.tensor @ found.tensor.T, torch.eye(2), atol=1e-5, rtol=0)
    face = sg.Latents(model.mapping.sample(1, 3)[1], "w", model)
    moved = sg.render(model, sg.apply_direction(face, found, 0, [-2, 0, 2], model))
    torch.testing.assert_close(moved[1:2], sg.render(model, face), atol=1e-4, rtol=0)
    assert (moved[0] - moved[2]).abs().mean() > 1e-4


def test_sefa_is_the_top_of_a_quadratic_form(model):
    """Shen & Zhou 2021, equation 6: n maximizes |A n|^2 over unit vectors; here against a singular value decomposition."""
    rows = sg.rows_between(model, "8-16")
    weights = style_weights(model, rows).double()
    names = [layer.name for layer in model.layers if layer.row in rows and layer.kind in ("conv", "up")]
    assert names == ["b8.conv0", "b8.conv1", "b16.conv0", "b16.conv1"]
    unit = weights / weights.norm(dim=1, keepdim=True)
    _, strengths, axes = torch.linalg.svd(unit, full_matrices=False)
    found = sg.find_directions(model, "sefa", "8-16", 4)
    overlap = (found.tensor.double() @ axes[:4].T).abs()
    torch.testing.assert_close(overlap, torch.eye(4).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close((unit @ found.tensor.double().T).norm(dim=0), strengths[:4], rtol=1e-5, atol=0)
    assert found.layers == ("8-16",) * 4 and found.names[0] == "sefa 0"


def test_pca_scales_are_standard_deviations(model):
    found = sg.find_directions(model, "pca", count=5, seed=7, samples=500)
    w = model.mapping.sample(500, 7)[1]
    centred = w - w.mean(0)
    strengths = torch.linalg.svdvals(centred)[:5] / 499**0.5
    torch.testing.assert_close(found.scale, strengths, rtol=1e-4, atol=0)
    torch.testing.assert_close((centred @ found.tensor.T).std(0), strengths, rtol=1e-4, atol=0)
    again, other = (sg.find_directions(model, "pca", count=5, seed=seed, samples=500) for seed in (7, 8))
    assert torch.equal(again.tensor, found.tensor) and torch.equal(again.scale, found.scale)
    assert not torch.equal(other.tensor, found.tensor)


def test_an_image_head_counts_where_there_is_nothing_else():
    model = sg.load(sg.builtin("base-256"))
    assert style_weights(model, sg.rows_between(model, "256")).shape == (model.synthesis.head.affine.weight.shape[0], 512)


def test_a_sweep_keeps_order_noise_and_other_layers(model, found):
    noise = [torch.randn(n, 1, *shape) for n, shape in zip((1, 2, 1, 2, 1, 2, 1), model.synthesis.noise_shapes(), strict=True)]
    faces = sg.Latents(model.mapping.sample(2, 0)[1], "w", model, noise)
    strengths = [-1.0, 0.0, 2.5]
    swept = sg.apply_direction(faces, found, "SEFA 1", strengths, model, rows="8-16")
    rows, ws = sg.rows_between(model, "8-16"), faces.ws(model)
    assert swept.space == "w+" and len(swept) == 6 and [len(n) for n in swept.noise] == [1, 6, 1, 6, 1, 6, 1]
    for i in range(6):
        expected = ws[i // 3].clone()
        expected[rows] += strengths[i % 3] * found.scale[1] * found.tensor[1]
        torch.testing.assert_close(swept.tensor[i], expected)
        torch.testing.assert_close(swept.noise[1][i], noise[1][i // 3])
    untouched = [r for r in range(model.num_ws) if r not in rows]
    assert torch.equal(swept.tensor[0, untouched], ws[0, untouched])


def test_z_is_mapped_with_psi_first(model, found):
    z = sg.Latents(sg.sample_z([4], model.z_dim), "z", model)
    moved = sg.apply_direction(z, found, 0, 0.0, model, psi=0.5)
    torch.testing.assert_close(moved.tensor, z.ws(model, 0.5))


def test_saved_directions_come_back(tmp_path, model, found):
    path = found.save(tmp_path / "mine")
    again = sg.Directions.load(path)
    assert torch.equal(again.tensor, found.tensor) and torch.equal(again.scale, found.scale)
    assert (again.names, again.layers, again.method, again.model) == (found.names, found.layers, "sefa", found.model)
    with pytest.raises(InvalidInput, match="exists already"):
        found.save(path)
    with pytest.raises(LoadError, match="directions"):
        sg.load(path)


def test_directions_get_names(found):
    named = found.renamed("2 = smile, sefa 0, -2= age ")
    assert named.names == ("smile", "sefa 0", "age") and torch.equal(named.tensor, found.tensor[[2, 0, 1]])
    assert torch.equal(named.scale, found.scale[[2, 0, 1]]) and found.renamed(" ") is found
    with pytest.raises(InvalidInput, match='called "9"'):
        found.renamed("9 = x")


def save_npy(path, value):
    np.save(path, value)


def save_pt(path, value):
    torch.save(torch.from_numpy(value), path)


def save_safetensors(path, value):
    from safetensors.torch import save_file

    save_file({"boundary": torch.from_numpy(value).contiguous()}, path)


@pytest.mark.parametrize(("suffix", "write"), [("npy", save_npy), ("pt", save_pt), ("safetensors", save_safetensors)])
@pytest.mark.parametrize(("shape", "num_ws", "result"), [
    ((12,), None, (1, 12)), ((1, 12), None, (1, 12)), ((5, 12), None, (5, 12)), ((8, 12), None, (1, 8, 12)),
    ((8, 12), 10, (8, 12)), ((10, 12), 10, (1, 10, 12)), ((3, 8, 12), None, (3, 8, 12)), ((3, 1, 12), None, (3, 12))])
def test_boundaries_of_every_usual_shape(tmp_path, suffix, write, shape, num_ws, result):
    value = np.random.RandomState(0).randn(*shape).astype(np.float64)
    write(tmp_path / f"age.{suffix}", value)
    found = sg.Directions.load(tmp_path / f"age.{suffix}", num_ws)
    assert tuple(found.tensor.shape) == result and found.tensor.dtype == torch.float32 and found.method == "boundary"
    np.testing.assert_allclose(found.tensor.numpy().reshape(shape), value, rtol=1e-6)
    name = "boundary" if suffix == "safetensors" else "age"
    assert found.names[0] == (name if result[0] == 1 else f"{name} 0") and set(found.scale.tolist()) == {1.0}


def test_several_boundaries_by_name_and_eigenvectors_in_columns(tmp_path, model):
    torch.save({"age": torch.randn(1, 12), "smile": torch.randn(12)}, tmp_path / "two.pt")
    assert sg.Directions.load(tmp_path / "two.pt").names == ("age", "smile")
    eigenvectors = torch.linalg.qr(torch.randn(12, 12)).Q
    torch.save({"ckpt": "model.pt", "eigvec": eigenvectors}, tmp_path / "factor.pt")
    found = sg.Directions.load(tmp_path / "factor.pt")
    assert torch.equal(found.tensor[3], eigenvectors[:, 3]) and found.names[3] == "eigvec 3"
    np.save(tmp_path / "plus.npy", np.ones((model.num_ws, 12), np.float32))
    plus = sg.Directions.load(tmp_path / "plus.npy", model.num_ws)
    face = sg.Latents(model.mapping.sample(1, 0)[1], "w", model)
    moved = sg.apply_direction(face, plus, "plus", 2.0, model, rows="8")
    rows = sg.rows_between(model, "8")
    torch.testing.assert_close((moved.tensor - face.ws(model))[0, rows], torch.full((len(rows), 12), 2.0))


def hostile_npy(path):
    class Bomb:
        def __reduce__(self):
            return (eval, ("__import__('os').abort()",))

    np.save(path, np.array(Bomb(), dtype=object), allow_pickle=True)


def test_files_are_never_executed(tmp_path):
    hostile_npy(tmp_path / "bomb.npy")
    with pytest.raises(UnsafeCheckpoint):
        sg.Directions.load(tmp_path / "bomb.npy")
    with pytest.raises(UnsafeCheckpoint):
        sg.Directions.load(GOLDENS / "hostile" / "torch_zip_os_system.pt")


@pytest.mark.parametrize(("value", "told"), [
    (np.full((1, 12), np.nan, np.float32), "NaN"), (np.ones((2, 2, 2, 2), np.float32), "no direction"),
    (np.ones((1, 12), np.int64), "no direction"), (np.ones((0, 12), np.float32), "no direction")])
def test_what_is_no_boundary_is_refused(tmp_path, value, told):
    np.save(tmp_path / "odd.npy", value)
    with pytest.raises(LoadError, match=told) as caught:
        sg.Directions.load(tmp_path / "odd.npy")
    assert "odd.npy" in str(caught.value)


def test_a_file_that_unfolds_without_end_is_refused(tmp_path):
    """A few hundred bytes whose lists hold each other ten times at every level."""
    code, level = [b"\x80\x02]q\x00"], 0
    for level in range(1, 12):
        code.append(b"]q" + bytes([level]) + b"(" + (b"h" + bytes([level - 1])) * 10 + b"e")
    (tmp_path / "bomb.pkl").write_bytes(b"".join(code) + b".")
    with pytest.raises(LoadError):
        sg.Directions.load(tmp_path / "bomb.pkl")


def test_arrays_that_unfold_to_gigabytes_are_refused(tmp_path):
    torch.save([torch.zeros(1).expand(1 << 20)] * 150, tmp_path / "bomb.pt")
    with pytest.raises(LoadError, match="exhaust memory"):
        sg.Directions.load(tmp_path / "bomb.pt")


def test_numbers_beside_a_direction_do_not_matter(tmp_path):
    torch.save({"age": torch.ones(1, 12), "history": [0.5] * 150_000}, tmp_path / "age.pt")
    assert sg.Directions.load(tmp_path / "age.pt").names == ("age",)


def test_other_files_are_refused(tmp_path, model):
    sg.save(model, tmp_path / "model.safetensors")
    with pytest.raises(LoadError, match="no directions"):
        sg.Directions.load(tmp_path / "model.safetensors")
    with pytest.raises(LoadError, match="model.safetensors"):
        sg.Directions.load(tmp_path / "model.safetensors")
    torch.save({"a": torch.ones(1, 12), "b": torch.ones(1, 8)}, tmp_path / "mixed.pt")
    with pytest.raises(LoadError, match="differ in shape"):
        sg.Directions.load(tmp_path / "mixed.pt")
    torch.save({"note": "nothing"}, tmp_path / "none.pt")
    with pytest.raises(LoadError, match="no array"):
        sg.Directions.load(tmp_path / "none.pt")


def test_damaged_metadata_is_refused(tmp_path, found):
    path = found.save(tmp_path / "d")
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    facts = json.loads(header["__metadata__"]["stylegan_atelier"])
    for change in ({"names": ["one"]}, {"names": None}, {"model": {"family": "x"}}):
        header["__metadata__"]["stylegan_atelier"] = json.dumps(facts | change)
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
        with pytest.raises(LoadError, match="d.safetensors"):
            sg.Directions.load(path)


def test_wrong_models_are_named(model, found):
    stranger, wide = tiny_stylegan2(5), tiny_stylegan2(w_dim=14)
    with pytest.raises(LatentMismatch, match="found in stylegan2 32 px .* but the model is stylegan2 32 px"):
        found.check(stranger)
    foreign = sg.Directions(torch.ones(1, 12), ("a",), torch.ones(1), ("all",))
    with pytest.raises(LatentMismatch, match=r"\[12\] numbers each but stylegan2 32 px \(8 rows of 14.* takes \[14\]"):
        sg.apply_direction(sg.Latents(torch.zeros(1, 14), "w"), foreign, 0, 1.0, wide)
    with pytest.raises(LatentMismatch, match=r"\[3, 12\]"):
        sg.Directions(torch.ones(1, 3, 12), ("a",), torch.ones(1), ("all",)).check(model)


@pytest.mark.parametrize(("call", "told"), [
    (lambda m, d: sg.find_directions(m, "ica"), "ica"), (lambda m, d: sg.find_directions(m, count=0), "1 to 12"),
    (lambda m, d: sg.find_directions(m, count=13), "1 to 12"), (lambda m, d: sg.find_directions(m, layers="2048"), "No layer"),
    (lambda m, d: d.find("smile"), "sefa 0, sefa 1, sefa 2"), (lambda m, d: d.find(3), "0 to 2"),
    (lambda m, d: sg.apply_direction(sg.Latents(torch.zeros(1, 12), "w"), d, 0, [], m), "at least one"),
    (lambda m, d: sg.apply_direction(sg.Latents(torch.zeros(1, 12), "w"), d, 0, float("nan"), m), "finite"),
    (lambda m, d: sg.even_steps(0, 1, 0), "at least 1"), (lambda m, d: sg.direction_grid(m, d, count=0), "at least 1")])
def test_wrong_wishes_are_answered(model, found, call, told):
    with pytest.raises(InvalidInput, match=told):
        call(model, found)


def test_numbers_count_from_the_end_too(found):
    assert found.find("-1") == found.find(2) == 2


def test_even_steps():
    assert sg.even_steps(-2, 2, 1) == [2] and sg.even_steps(-2, 2, 5) == [-2, -1, 0, 1, 2]


def test_grid_shows_a_row_a_direction(model, found):
    grid = sg.direction_grid(model, found, columns=3, count=2, cell=32)
    assert grid.shape[0] == 1 and grid.shape[2] >= 2 * 32 and grid.shape[3] >= 3 * 32
    average = sg.Latents(model.w_avg[None], "w", model)
    drawn = [sg.render(model, sg.apply_direction(average, found, i, [-3.0, 0.0, 3.0], model)) for i in (0, 1)]
    wanted = contact_sheet(torch.cat(drawn), 3, ("-3", "0", "+3"), found.names[:2], 32)
    torch.testing.assert_close(grid, wanted, atol=1e-4, rtol=0)
    steps = []
    sg.direction_grid(model, found, sg.Latents(torch.zeros(2, 12), "w", model), columns=1, count=9, cell=32, chunk=2,
                      on_step=lambda i, n, _: steps.append((i, n)))
    assert steps == [(2, 3), (3, 3)]


def test_the_named_directions_are_what_their_card_tells():
    path = sg.builtin("directions")
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    named, base = sg.Directions.load(path), sg.load(sg.builtin("base-256"))
    for told in (sha256_of(path), *FORMER):
        assert told in card
    assert ", ".join(named.names) in card and path.stat().st_size < 100_000
    named.check(base)
    for name, method, where, number, gain, layers in RECIPE[:2]:
        found, i = sg.find_directions(base, method, where, number + 1), named.find(name)
        assert abs(float(found.tensor[number] @ named.tensor[i])) > 0.999 and named.layers[i] == layers
        torch.testing.assert_close(abs(gain) * found.scale[number], named.scale[i].abs(), rtol=1e-3, atol=0)
