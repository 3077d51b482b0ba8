"""StyleGAN2: goldens of both published codes, the plain twin for every option, gradients, shapes."""

import json
import zlib

import numpy as np
import pytest
import torch

from benchmarks.twins.stylegan2 import synthesize
from stylegan_core import checkpoints
from stylegan_core.errors import InvalidInput, LoadError
from stylegan_core.networks import FAMILIES
from stylegan_core.networks.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from stylegan_core.networks.mapping import MappingConfig
from tests.core.networks.models import facts, shapes, tiny_stylegan2

TINY = ["ros2_train_tiny", "ros2_converted_tiny", "ada_sg2_tiny", "ada_sg2_cond", "ada_sg2_gray", "sg3repo_sg2_tiny"]
VARIANTS = {
    "skip": {},
    "scaled demodulation": {"scaled_demodulation": True},
    "clamped": {"conv_clamp": 0.6},
    "resnet": {"architecture": "resnet"},
    "resnet, clamped, rgba": {"architecture": "resnet", "conv_clamp": 0.4, "img_channels": 4},
    "orig": {"architecture": "orig"},
    "gray": {"img_channels": 1},
    "wide then narrow": {"channels": (3, 9, 2, 5, 4)},
    "4 px": {"channels": (5,)},
    "asymmetric filter": {"resample_kernel": (1.0, 4.0, 2.0, 0.5)},
    "short filter, resnet": {"resample_kernel": (1.0, 2.0), "architecture": "resnet"},
    "2-D filter": {"resample_kernel": ((0.0, 1.0, 0.0, 1.0), (1.0, 3.0, 2.0, 1.0), (0.0, 2.0, 4.0, 0.0), (1.0, 0.0, 0.0, 1.0))},
    "swish": {"activation": "swish"},
    "tanh, clamped": {"activation": "tanh", "conv_clamp": 0.5},
    "relu": {"activation": "relu"},
    "linear": {"activation": "linear"},
    "not square": {"const_size": (3, 5)},
    "no noise": {"use_noise": False},
}


def random_ws(model, batch, seed=1):
    return torch.randn(batch, model.num_ws, model.w_dim, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", TINY)
def test_goldens(golden, name):
    g = golden(name)
    cases = g.json()
    model = checkpoints.load(g.file(cases["file"]))
    arrays = dict(np.load(g.file("expected.npz")))
    if "trunc_latent" in arrays:
        model.w_avg = torch.from_numpy(arrays["trunc_latent"]).reshape(-1)
    z, c = torch.from_numpy(arrays["z"]), torch.from_numpy(arrays["c"]) if "c" in arrays else None
    np.testing.assert_allclose(model.mapping(z, c)[:, 0], arrays["w"].reshape(len(z), -1), atol=2e-5)
    for case in cases["cases"]:
        explicit = case["noise"] == "explicit"
        noise = [torch.from_numpy(arrays[f"noise_{i}"]) for i in range(model.num_ws - 1)] if explicit else None
        ws = model.mapping(z, c, case["psi"], case["cutoff"])
        if case["input"] == "wplus":
            ws = torch.from_numpy(arrays["wplus"])
        if case["input"] == "mix":
            ws = torch.cat([ws[:1, : case["mix_index"]], ws[1:2, case["mix_index"] :]], dim=1)
        image = model.synthesis(ws, noise_mode="const" if explicit else case["noise"], noise=noise).numpy()
        expected = arrays[case["out"]]
        assert np.abs(image - expected).max() < 1e-5 * np.abs(expected).max(), case["out"]


def rule_weights(golden_):
    """The tensors of a rule-filled fixture: seeded by their names."""
    for t in json.loads(golden_.file("manifest.json").read_text())["tensors"]:
        if t["rule"] == "normal":
            drawn = np.random.Generator(np.random.PCG64(zlib.crc32(t["key"].encode()))).standard_normal(t["shape"])
            yield t["key"], torch.from_numpy(np.asarray(drawn * t["mul"] + t["add"], dtype=np.float32))
        elif t["rule"] == "value":
            yield t["key"], torch.tensor(t["value"]).reshape(t["shape"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["full_ros2_ffhq1024", "full_ada_sg2_1024"])
def test_full_size_goldens(golden, name, tmp_path):
    g = golden(name)
    state = dict(rule_weights(g))
    if name.startswith("full_ros2"):
        center = g.tensor("trunc_latent")
        torch.save({"g_ema": state, "latent_avg": center.reshape(-1)}, tmp_path / "full.pt")
        model = checkpoints.load(tmp_path / "full.pt")
    else:
        canonical = {k: v for k, v in state.items() if not k.endswith("resample_filter")}
        config = StyleGAN2Config.from_shapes({k: tuple(v.shape) for k, v in canonical.items()}, {"conv_clamp": 256})
        model = StyleGAN2(config).requires_grad_(False)
        model.load_state_dict(canonical)
    z = g.tensor("z")
    np.testing.assert_allclose(model.mapping(z)[:, 0], g.array("w").reshape(1, -1), atol=2e-5)
    for case, psi in (("psi1", 1.0), ("psi07", 0.7)):
        image = model.synthesis(model.mapping(z, truncation_psi=psi))
        peak = float(g.array(f"{case}_absmax"))
        picked = image.flatten()[torch.from_numpy(g.array(f"{case}_idx")).long()]
        assert (picked - g.tensor(f"{case}_val")).abs().max() < 2e-5 * peak
        small = torch.nn.functional.avg_pool2d(image, 16)[0]
        assert (small - g.tensor(f"{case}_ds64").float().reshape(small.shape)).abs().max() < 1e-3 * peak


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_every_variant_equals_the_plain_twin(variant, batch):
    model = tiny_stylegan2(**variant)
    ws = random_ws(model, batch)
    explicit = [torch.randn(batch, 1, *size) for size in model.synthesis.noise_shapes()]
    for given, twin in ({}, None), ({"noise_mode": "none"}, []), ({"noise": explicit}, explicit):
        image = model.synthesis(ws, **given)
        expected = synthesize(model, ws, twin)
        assert image.shape == expected.shape and image.dtype == torch.float32
        assert (image - expected).abs().max() < 2e-5 * expected.abs().max()


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_config_is_read_off_the_shapes(variant):
    model = tiny_stylegan2(**variant)
    told = {k: v for k, v in facts(model.config).items()
            if k in ("conv_clamp", "activation", "resample_kernel", "scaled_demodulation", "architecture")}
    assert StyleGAN2Config.from_shapes(shapes(model), told) == model.config
    expected = {k: s for k, s in shapes(model).items() if k.startswith("synthesis.")}
    assert dict(model.config.synthesis_shapes()) == expected


@pytest.mark.parametrize(("mapping", "label"), [({"c_dim": 3}, "embed"), ({"c_dim": 3, "label": "concat"}, "concat"),
                                                ({"num_layers": 1, "hidden_dim": 12}, "embed")])
def test_mapping_is_read_off_the_shapes(mapping, label):
    model = tiny_stylegan2(mapping=mapping)
    found = StyleGAN2Config.from_shapes(shapes(model), {}).mapping
    assert found == model.config.mapping and found.label == label


@pytest.mark.parametrize(("key", "shape"), [
    ("synthesis.b8.conv0.weight", (6, 7, 3, 3)), ("synthesis.b8.conv1.affine.weight", (5, 12)),
    ("synthesis.b16.torgb.weight", (4, 4, 1, 1)), ("synthesis.b4.const", (8, 4)), ("synthesis.b8.conv0.bias", None),
    ("mapping.fc1.weight", (12, 8)), ("synthesis.b4.conv1.weight", None), ("mapping.fc0.weight", None),
])
def test_contradicting_shapes_are_named(key, shape):
    found = shapes(tiny_stylegan2())
    del found[key]
    if shape is not None:
        found[key] = shape
    with pytest.raises(LoadError, match="mapping" if key.startswith("mapping") else key):
        StyleGAN2Config.from_shapes(found, {})


def test_layers_and_rows_follow_the_published_table():
    layers = {layer.name: layer for layer in tiny_stylegan2(channels=(4,) * 9).layers}
    rows = {"b4.conv1": 0, "b4.torgb": 1, "b8.conv0": 1, "b8.conv1": 2, "b8.torgb": 3, "b16.conv0": 3, "b256.conv0": 11,
            "b512.conv0": 13, "b512.conv1": 14, "b1024.conv0": 15, "b1024.conv1": 16, "b1024.torgb": 17}
    assert {name: layers[name].row for name in rows} == rows
    assert layers["b4.const"].kind == "const" and layers["b4.const"].row is None
    assert {layer.kind for layer in layers.values()} == {"const", "conv", "up", "rgb"}


def test_every_tensor_belongs_to_one_layer():
    for architecture in ("skip", "resnet", "orig"):
        model = tiny_stylegan2(architecture=architecture)
        for key in model.synthesis.state_dict():
            owners = [x for x in model.layers if key == x.name or key.startswith(x.name + ".")]
            assert len(owners) == 1, key


def test_noise_random_is_seeded_and_differs_by_row():
    model = tiny_stylegan2()
    ws = random_ws(model, 1).expand(2, -1, -1)
    a, b = (model.synthesis(ws, noise_mode="random", generator=torch.Generator().manual_seed(s)) for s in (1, 1))
    assert torch.equal(a, b) and not torch.allclose(a[0], a[1])


def test_equal_rows_give_equal_pictures_and_take_the_one_style_form():
    model = tiny_stylegan2()
    one = random_ws(model, 1)
    for ws in (one.expand(3, -1, -1), one.repeat(3, 1, 1)):
        torch.testing.assert_close(model.synthesis(ws), model.synthesis(one).expand(3, -1, -1, -1), atol=1e-5, rtol=1e-5)


def test_without_autograd_a_batch_is_drawn_row_by_row_with_the_same_noise():
    model = tiny_stylegan2()
    ws = random_ws(model, 3)
    explicit = [torch.randn(b, 1, *size) for b, size in zip((1, 3) * 9, model.synthesis.noise_shapes(), strict=False)]
    for given in ({}, {"noise_mode": "random"}, {"noise": explicit}):
        def draw(given=given):
            return model.synthesis(ws, generator=torch.Generator().manual_seed(3), **given)
        with torch.no_grad():
            rows = draw()
        torch.testing.assert_close(rows, draw(), atol=2e-5, rtol=1e-4)


def test_hook_sees_every_convolution_and_may_replace_features():
    model, seen = tiny_stylegan2(), []

    def hook(layer, x):
        seen.append((layer.name, tuple(x.shape)))
        return x * 0 if layer.name == "b32.conv1" else x

    image = model.synthesis(random_ws(model, 2), hook=hook)
    names = [name for name, _ in seen]
    assert names == ["b4.conv1", *(f"b{r}.conv{i}" for r in (8, 16, 32) for i in (0, 1))]
    assert seen[1] == ("b8.conv0", (2, 6, 8, 8))
    assert not torch.allclose(image, model.synthesis(random_ws(model, 2)))


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("variant", [{}, {"architecture": "resnet", "conv_clamp": 1.0}], ids=["skip", "resnet"])
def test_gradients_equal_the_plain_twins(batch, frozen, variant):
    model = tiny_stylegan2(**variant).requires_grad_(not frozen)
    grads = []
    for path in (lambda ws, noise: model.synthesis(ws, noise=noise), lambda ws, noise: synthesize(model, ws, noise)):
        ws = random_ws(model, batch).requires_grad_()
        noise = [torch.randn(1, 1, *size, generator=torch.Generator().manual_seed(9)).requires_grad_()
                 for size in model.synthesis.noise_shapes()]
        wanted = [ws, *noise, *([] if frozen else [p for n, p in model.synthesis.named_parameters()])]
        with torch.no_grad():
            path(ws, noise)  # fills the cache of squared weights, which must not hide the weights from autograd
        grads.append(torch.autograd.grad(path(ws, noise).square().sum(), wanted))
    for got, expected in zip(*grads, strict=True):
        assert (got - expected).abs().max() <= 1e-4 * expected.abs().max() + 1e-6


def test_training_moves_the_picture():
    model = tiny_stylegan2().requires_grad_(True)
    ws = random_ws(model, 1)
    before = model.synthesis(ws).detach()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(2):
        optimizer.zero_grad()
        model.synthesis(ws).square().mean().backward()
        optimizer.step()
    with torch.no_grad():
        after = model.synthesis(ws)
        assert not torch.allclose(before, after)
        assert (after - synthesize(model, ws)).abs().max() < 1e-4


def test_made_under_inference_mode_it_still_runs():
    with torch.inference_mode():
        model = tiny_stylegan2()
        expected = model.synthesis(random_ws(model, 2))
    torch.testing.assert_close(model.synthesis(random_ws(model, 2)), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("batch", [1, 2])
def test_half_precision_stays_near(dtype, batch):
    from stylegan_core.runtime import private_copy

    model = tiny_stylegan2()
    half = private_copy(model)
    half.synthesis.to(dtype)
    expected, got = model.synthesis(random_ws(model, batch)), half.synthesis(random_ws(model, batch))
    assert got.dtype == torch.float32
    assert (got - expected).abs().max() < (0.02 if dtype == torch.float16 else 0.15) * expected.abs().max()


@pytest.mark.parametrize(("given", "text"), [
    ({"ws": torch.zeros(1, 7, 12)}, "8, 12"), ({"noise": [torch.zeros(1, 1, 4, 4)]}, "1 noise maps"),
    ({"transform": torch.eye(3)}, "StyleGAN3"), ({"noise_mode": "loud"}, "loud"),
    ({"noise": [torch.zeros(1, 1, 4, 4)] * 7}, "b8.conv0"),
])
def test_bad_inputs_are_named(given, text):
    model = tiny_stylegan2()
    with pytest.raises(InvalidInput, match=text):
        model.synthesis(**{"ws": random_ws(model, 1), **given})


@pytest.mark.parametrize(("fields", "text"), [
    ({"img_resolution": 48}, "48 px"), ({"architecture": "dense"}, "dense"), ({"activation": "gelu"}, "gelu"),
    ({"mapping": MappingConfig(num_ws=7)}, "7 rows"),
])
def test_a_config_that_contradicts_itself(fields, text):
    base = {"mapping": MappingConfig(num_ws=8), "img_resolution": 32, "channels": (4, 4, 4, 4)}
    with pytest.raises(InvalidInput, match=text):
        StyleGAN2Config(**{**base, **fields})


def test_families_know_both():
    assert FAMILIES["stylegan2"] == (StyleGAN2Config, StyleGAN2)
    assert FAMILIES["mobilestylegan"][1].kind == "mobilestylegan"
