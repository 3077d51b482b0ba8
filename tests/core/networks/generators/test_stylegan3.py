"""StyleGAN3: NVIDIA's images, layer table and filters; files without filters; the input's transform; refusals."""

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from stylegan_core import checkpoints
from stylegan_core.errors import InvalidInput, LatentMismatch, LoadError
from stylegan_core.networks.generators.stylegan3 import (
    HALF_LIFE,
    StyleGAN3,
    StyleGAN3Config,
    following_magnitudes,
    input_transform,
)
from stylegan_core.networks.mapping import MappingConfig
from tests.full_size import assert_image

TINY = ["sg3_t_tiny", "sg3_r_tiny"]
FULL = {"full_sg3_t_1024": "stylegan3-t", "full_sg3_r_1024": "stylegan3-r"}
SMALL = StyleGAN3Config(MappingConfig(z_dim=8, w_dim=8, num_ws=7, num_layers=2, hidden_dim=8), 32, (6, 6, 5, 5, 4, 3))


def snapshot(golden, name):
    return golden(name).file("network-snapshot-000400.pkl")


def draw(golden, model, case):
    transform = golden.tensor("transform") if "transform" in case else None
    if case["input"] == "wplus":
        ws = golden.tensor("wplus")
    else:
        ws = model.mapping(golden.tensor("z"), None, case["psi"], case["cutoff"])
    if case["input"] == "mix":
        ws = torch.cat([ws[:1, : case["mix_index"]], ws[1:2, case["mix_index"] :]], dim=1)
    with torch.no_grad():
        return model.synthesis(ws, noise_mode=case["noise"], transform=transform)


@pytest.mark.parametrize("name", TINY)
def test_images_match_nvidias_and_survive_safetensors(name, golden, tmp_path):
    model = checkpoints.load(snapshot(golden, name))
    again = checkpoints.load(checkpoints.save(model, tmp_path / "saved.safetensors"))
    assert again.config == model.config and again.kind == model.kind == f"stylegan3-{name[4]}"
    torch.testing.assert_close(model.mapping(golden(name).tensor("z"))[:, 0], golden(name).tensor("w"), rtol=1e-5, atol=1e-5)
    for case in golden(name).json()["cases"]:
        expected, image = golden(name).tensor(case["out"]), draw(golden(name), model, case)
        assert (image - expected).abs().max() <= 2e-5 * expected.abs().max(), case["out"]
        assert torch.equal(draw(golden(name), again, case), image)


@pytest.mark.parametrize("name", TINY)
def test_inspect_tells_what_the_file_is(name, golden):
    facts = checkpoints.inspect(snapshot(golden, name))
    assert (facts.kind, facts.resolution, facts.num_ws) == (f"stylegan3-{name[4]}", 64, 16)
    assert (facts.z_dim, facts.w_dim, facts.classes) == (32, 32, 0)
    assert facts.channels[-5:] == (13, 10, 8, 8, 3) and facts.img_channels == 3 and facts.layout.startswith("nvidia-stylegan3")


@pytest.mark.parametrize("name", FULL)
def test_layer_table_and_filters_equal_nvidias(name, golden):
    manifest = golden(name).json("manifest.json")
    shapes = {entry["key"]: tuple(entry["shape"]) for entry in manifest["tensors"]}
    config = StyleGAN3Config.from_shapes(shapes, {})
    assert config.kind == FULL[name]
    for plan, theirs in zip(config.plan(), manifest["arch"]["layers"], strict=True):
        rates = plan.resampling(config.filter_size, 1 if plan.is_rgb else config.kernel)
        assert (plan.name, plan.radial) == (theirs["name"], theirs["radial"])
        assert (rates.up, rates.down) == (theirs["up"], theirs["down"])
        assert [*rates.pad] * 2 == theirs["padding"] and plan.taps(6) == (theirs["up_taps"], theirs["down_taps"])
        assert [plan.size[0]] * 2 == theirs["in_size"] and [plan.size[1]] * 2 == theirs["out_size"]
        for i, side in enumerate(("in", "out")):
            assert plan.rate[i] == theirs[f"{side}_sampling_rate"] and plan.channels[i] == theirs[f"{side}_channels"]
            assert math.isclose(plan.cutoff[i], theirs[f"{side}_cutoff"], rel_tol=1e-12)
            assert math.isclose(plan.half_width[i], theirs[f"{side}_half_width"], rel_tol=1e-9)
    buffers = {f"synthesis.{plan.name}.{n}": f for plan in config.plan()
               for n, f in zip(("up_filter", "down_filter"), plan.filters(6), strict=True)}
    for entry in manifest["tensors"]:
        if entry["key"].endswith("_filter"):
            stored = entry.get("value") or golden(name).array(f"buf:{entry['key']}")
            np.testing.assert_allclose(buffers[entry["key"]], np.float32(stored), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", TINY)
def test_a_bare_state_dict_without_filters_draws_the_same(name, golden, tmp_path):
    model = checkpoints.load(snapshot(golden, name))
    save_file({k: v for k, v in model.state_dict().items() if not k.endswith("_filter")}, tmp_path / "bare.safetensors")
    bare = checkpoints.load(tmp_path / "bare.safetensors")
    assert bare.kind == model.kind
    case = golden(name).json()["cases"][0]
    torch.testing.assert_close(draw(golden(name), bare, case), draw(golden(name), model, case), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", TINY)
def test_half_precision_stays_close(name, golden):
    model, z = checkpoints.load(snapshot(golden, name), dtype=torch.float16), golden(name).tensor("z")
    expected = golden(name).tensor("img_psi1_const")
    with torch.no_grad():
        image = model.synthesis(checkpoints.load(snapshot(golden, name)).mapping(z))
    assert image.dtype == torch.float32 and (image - expected).abs().max() <= 0.02 * expected.abs().max()


def test_layers_are_known_by_the_pixels_of_their_rate(golden):
    model = checkpoints.load(snapshot(golden, "sg3_r_tiny"))
    assert [(layer.resolution, layer.row) for layer in model.layers] == list(zip(
        [16] * 5 + [32] * 4 + [64] * 7, range(16), strict=True))
    kinds = [layer.kind for layer in model.layers]
    assert kinds[0] == "const" and kinds[-1] == "rgb" and kinds.count("up") == 2
    assert model.synthesis.noise_shapes() == ()
    for layer in model.layers:
        assert any(key.startswith(f"synthesis.{layer.name}.") for key in model.state_dict())


@pytest.fixture
def small():
    torch.manual_seed(0)
    model = StyleGAN3(SMALL)
    model.w_avg = torch.zeros(8)
    with torch.no_grad():
        model.synthesis.input.affine.weight.normal_(std=0.1)
    return model.eval()


def test_a_batch_draws_what_its_rows_draw(small):
    ws = small.mapping(torch.randn(3, 8))
    with torch.no_grad():
        torch.testing.assert_close(small.synthesis(ws), torch.cat([small.synthesis(w[None]) for w in ws]), rtol=1e-4, atol=1e-6)


def test_conditional_mapping_uses_the_class():
    torch.manual_seed(0)
    model = StyleGAN3(replace(SMALL, mapping=replace(SMALL.mapping, c_dim=3)))
    assert StyleGAN3Config.from_shapes({k: tuple(v.shape) for k, v in model.state_dict().items()}, {}) == model.config
    z = torch.randn(2, 8)
    a, b = (model.mapping(z, torch.eye(3)[[i, i]]) for i in (0, 1))
    assert a.shape == (2, 7, 8) and (a - b).abs().max() > 0.01
    with pytest.raises(InvalidInput, match="3 classes"):
        model.mapping(z)


def test_magnitudes_follow_in_training_and_stay_in_use(small):
    ws, layer = small.mapping(torch.randn(3, 8)), small.synthesis.get_submodule(small.layers[1].name)
    seen = small.synthesis.input(ws[:, 0]).square().mean()
    small.synthesis(ws)
    assert layer.magnitude_ema == 1, "pictures alone change nothing"
    with torch.no_grad(), following_magnitudes(small.synthesis, HALF_LIFE):
        small.synthesis(ws)
    torch.testing.assert_close(layer.magnitude_ema, 0.5 + 0.5 * seen)
    small.synthesis(ws)
    torch.testing.assert_close(layer.magnitude_ema, 0.5 + 0.5 * seen)


def test_gradients_reach_latent_and_weights(small):
    ws = small.mapping(torch.randn(1, 8)).detach().requires_grad_()
    small.synthesis(ws).square().mean().backward()
    assert (ws.grad.abs().amax(dim=2) > 0).all()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in small.synthesis.parameters())


def test_hook_sees_every_layer_but_the_image(small):
    seen = []
    small.synthesis(small.mapping(torch.randn(1, 8)), hook=lambda layer, x: seen.append((layer.name, x.shape[1])) or x)
    assert [n for n, _ in seen] == [layer.name for layer in small.layers[1:-1]] and [c for _, c in seen] == [6, 6, 5, 5, 4]


def test_transform_is_the_inverse_of_the_motion(golden):
    stored = golden("sg3_t_tiny").tensor("transform")
    motion = torch.linalg.inv(stored)
    turns = math.atan2(float(motion[0, 1]), float(motion[0, 0])) / (2 * math.pi)
    torch.testing.assert_close(input_transform((float(motion[0, 2]), float(motion[1, 2])), turns), stored)
    torch.testing.assert_close(input_transform(), torch.eye(3))


def test_transform_moves_the_image_and_goes_by_row(small):
    ws, moves = small.mapping(torch.randn(2, 8)), torch.stack([torch.eye(3), input_transform((0.25, 0.0))])
    with torch.no_grad():
        still, both = small.synthesis(ws), small.synthesis(ws, transform=moves)
        torch.testing.assert_close(both[:1], still[:1])
        torch.testing.assert_close(both[1:], small.synthesis(ws[1:], transform=moves[1]), rtol=1e-4, atol=1e-6)
    inside = (slice(None), slice(8, 24), slice(16, 24))
    moved, stayed = both[1][inside], still[1][slice(None), slice(8, 24), slice(8, 16)]
    assert (moved - stayed).abs().mean() < 0.1 * (moved - still[1][inside]).abs().mean()


def test_wrong_inputs_are_refused(small):
    ws = small.mapping(torch.randn(2, 8))
    with pytest.raises(InvalidInput, match="transform"):
        small.synthesis(ws, transform=torch.eye(2))
    with pytest.raises((InvalidInput, LatentMismatch), match="ws"):
        small.synthesis(ws[:, :3])
    with pytest.raises(InvalidInput, match="num_critical"):
        replace(SMALL, num_critical=9)


def test_contradicting_shapes_are_refused(small):
    shapes = {k: tuple(v.shape) for k, v in small.state_dict().items()}
    name = small.layers[3].name
    renamed = {k.replace(name, f"{name.rsplit('_', 2)[0]}_999_5"): v for k, v in shapes.items()}
    with pytest.raises(LoadError, match="999"):
        StyleGAN3Config.from_shapes(renamed, {})
    with pytest.raises(LoadError, match="affine"):
        StyleGAN3Config.from_shapes({**shapes, f"synthesis.{name}.affine.weight": (7, 8)}, {})
    with pytest.raises(LoadError, match="gap"):
        StyleGAN3Config.from_shapes({k: v for k, v in shapes.items() if name not in k}, {})


def full_image(name):
    """One 1024 px image in a process of its own: (image, its peak memory in bytes)."""
    script = Path(__file__).with_name("draw_full_stylegan3.py")
    out = subprocess.run([sys.executable, str(script), name], check=True, capture_output=True, timeout=1800)
    return torch.from_numpy(np.frombuffer(out.stdout, np.float32).reshape(1, 3, 1024, 1024).copy()), int(out.stderr.split()[-1])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells a process' peak memory")
@pytest.mark.parametrize("name", FULL)
def test_full_size_image_in_four_gigabytes(name, golden):
    image, peak = full_image(name)
    assert_image(golden(name), "psi1", image, 2e-5)
    assert peak < 4e9


@pytest.mark.parametrize("radial", [False, True])
@pytest.mark.parametrize("batch", [1, 2])
def test_float64_draws_the_float32_picture_more_exactly(radial, batch):
    mapping = MappingConfig(z_dim=8, w_dim=8, hidden_dim=8, num_layers=1, num_ws=6)
    torch.manual_seed(0)
    model = StyleGAN3(StyleGAN3Config(mapping, 16, (4, 4, 4, 4, 3), 1 if radial else 3, radial, num_critical=1))
    model.requires_grad_(False)
    ws = torch.randn(batch, 6, 8)
    single = model.synthesis(ws)
    double = model.double().synthesis(ws.double(), transform=torch.eye(3))
    assert single.dtype == torch.float32 and double.dtype == torch.float64
    assert 0 < float((double - single).abs().max()) < 1e-4 * float(double.abs().max())
