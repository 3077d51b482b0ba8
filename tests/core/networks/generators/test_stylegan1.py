"""The first StyleGAN: reference images of both published implementations, and NVIDIA's graph as a plain twin."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.twins import stylegan1 as plain
from stylegan_core import checkpoints
from stylegan_core.checkpoints.building import build
from stylegan_core.checkpoints.layout import SourceState
from stylegan_core.checkpoints.layouts import rosinality1, tf_stylegan1
from stylegan_core.checkpoints.loading import configure
from stylegan_core.checkpoints.tensors import LazyTensor
from stylegan_core.errors import InvalidInput, LoadError, UnsupportedCheckpoint
from stylegan_core.networks.generators.stylegan1 import StyleGAN1, StyleGAN1Config, upsample_conv
from stylegan_core.networks.mapping import MappingConfig
from tests.full_size import assert_image, rule_tensors

FILES = {"tf_sg1_tiny": "karras2019stylegan-tiny.pkl", "ros1_running_tiny": "010000.model",
         "ros1_train_tiny": "train_step-4.model"}


def state_of(tensors, **more):
    lazy = {k: LazyTensor(tuple(t.shape), torch.float32, lambda t=t: t.float()) for k, t in tensors.items()}
    return SourceState(lazy, **more)


def built(layout, state):
    assert layout.matches(state)
    converted = layout.convert(state)
    tensors = {k: t.read().contiguous() for k, t in converted.tensors.items()}
    return build("stylegan1", configure("stylegan1", converted), tensors)


def draw(golden, model, case, steps):
    """One image of cases.json; `steps` is the training step of a rosinality network, None for TensorFlow's."""
    known = golden.npz_names()
    noise = [golden.tensor(n) for n in sorted(known) if n.startswith("noise_")] if case["noise"] == "explicit" else None
    lod = case.get("lod") if steps is None else steps + 1 - case["step"] - case["alpha"]
    ws = golden.tensor("wplus") if case["input"] == "wplus" else model.mapping(
        golden.tensor("z"), truncation_psi=case["psi"], truncation_cutoff=case.get("cutoff"))
    if case["input"] == "mix":
        blocks = case.get("mixing_range")
        a, b = (2 * blocks[0], 2 * blocks[1] + 2) if blocks else (case["mix_index"], 99)
        ws = torch.cat([ws[:1, :a], ws[1:2, a:b], ws[:1, b:]], dim=1)
    with torch.no_grad():
        return model.synthesis(ws[: case.get("batch", 9)], "const" if noise else case["noise"], noise, lod=lod)


@pytest.mark.parametrize("name", FILES)
def test_images_match_the_reference_and_survive_safetensors(name, golden, tmp_path):
    model = checkpoints.load(golden(name).file(FILES[name]))
    again = checkpoints.load(checkpoints.save(model, tmp_path / "saved.safetensors"))
    assert again.config == model.config
    steps = golden(name).json().get("step")
    if steps is not None:
        model, again = (m.at_resolution(4 << steps) for m in (model, again))
        model.w_avg = again.w_avg = golden(name).tensor("mean_style")[0]
    torch.testing.assert_close(model.mapping(golden(name).tensor("z"))[:, 0], golden(name).tensor("w"), rtol=1e-5, atol=1e-5)
    for case in golden(name).json()["cases"]:
        image, expected = draw(golden(name), model, case, steps), golden(name).tensor(case["out"])
        smaller = image[..., :: image.shape[-1] // expected.shape[-1], :: image.shape[-1] // expected.shape[-1]]
        assert (smaller - expected).abs().max() <= 2e-5 * expected.abs().max(), case["out"]
        assert torch.equal(draw(golden(name), again, case, steps), image)


def test_inspect_tells_what_the_files_are(golden):
    seen = {name: checkpoints.inspect(golden(name).file(file)) for name, file in FILES.items()}
    assert {(f.kind, f.z_dim, f.w_dim, f.img_channels) for f in seen.values()} == {("stylegan1", 32, 32, 3)}
    assert [seen[n].resolution for n in FILES] == [128, 1024, 64] and [seen[n].num_ws for n in FILES] == [12, 18, 10]
    assert [seen[n].layout for n in FILES] == ["tensorflow-stylegan1"] + ["rosinality-stylegan1"] * 2
    assert seen["ros1_train_tiny"].channels == (8, 8, 8, 8, 8)


@pytest.mark.parametrize(("fused", "labels", "layers", "lod"), [(True, 3, 3, 0.0), (False, 0, 1, 0.4), ("auto", 5, 2, 2.25)])
def test_equals_nvidias_graph(fused, labels, layers, lod):
    v = plain.random_variables([6, 5, 7, 4, 3, 4], w_dim=9, z_dim=8, layers=layers, labels=labels, seed=1)
    settings_ = {"static_kwargs.fused_scale": fused, "synthesis/static_kwargs/use_styles": True}
    model = built(tf_stylegan1.LAYOUT, state_of(v, attributes=settings_))
    assert (model.z_dim, model.w_dim, model.c_dim, model.num_ws) == (8, 9, labels, 12)
    z = torch.randn(2, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    c = torch.eye(labels, dtype=torch.float64)[[0, labels - 1]] if labels else None
    w = plain.mapping(v, z, c)
    ws = model.mapping(z.float(), c)
    torch.testing.assert_close(ws[:, 4].double(), w, rtol=1e-5, atol=1e-6)
    expected = plain.synthesis(v, w[:, None].expand(-1, 12, -1), {True: 0, False: 999, "auto": 128}[fused], lod)
    with torch.no_grad():
        image = model.synthesis(ws, lod=lod).double()
    assert (image - expected).abs().max() <= 2e-5 * expected.abs().max()


def test_a_growing_networks_own_level_of_detail_is_honoured():
    v = plain.random_variables([4, 4, 4], w_dim=8, z_dim=8, layers=2, labels=0, seed=3)
    state = state_of({**v, "lod": torch.tensor(1.5)})
    model, warned = built(tf_stylegan1.LAYOUT, state), tf_stylegan1.stylegan1_from_tensorflow(state).notes
    assert model.config.lod == 1.5 and "1.50" in warned[0]
    ws = model.mapping(torch.randn(1, 8))
    expected = plain.synthesis(v, ws.double(), 128, 1.5)
    assert (model.synthesis(ws).double() - expected).abs().max() <= 2e-5 * expected.abs().max()


def test_an_ablated_network_is_refused():
    v = plain.random_variables([4, 4], w_dim=8, z_dim=8, layers=2, labels=0, seed=3)
    with pytest.raises(UnsupportedCheckpoint, match="use_pixel_norm"):
        tf_stylegan1.stylegan1_from_tensorflow(state_of(v, attributes={"synthesis/static_kwargs/use_pixel_norm": True}))
    with pytest.raises(LoadError, match="8x8/Conv1/bias"):
        tf_stylegan1.stylegan1_from_tensorflow(state_of({k: t for k, t in v.items() if k != "synthesis/8x8/Conv1/bias"}))


@given(h=st.integers(1, 7), w=st.integers(1, 7), channels=st.integers(1, 4), bias=st.booleans(), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_upsampling_convolution_equals_doubling_then_convolving(h, w, channels, bias, seed):
    g = torch.Generator().manual_seed(seed)
    x, weight = (torch.randn(*s, dtype=torch.float64, generator=g) for s in ((2, channels, h, w), (3, channels, 3, 3)))
    b = torch.randn(3, dtype=torch.float64, generator=g) if bias else None
    expected = F.conv2d(F.interpolate(x, scale_factor=2.0, mode="nearest"), weight, b, padding=1)
    torch.testing.assert_close(upsample_conv(x, weight, b), expected)


def small(widths=(4, 5, 3)):
    torch.manual_seed(0)
    mapping = MappingConfig(z_dim=8, w_dim=8, num_ws=2 * len(widths), num_layers=2, hidden_dim=8)
    model = StyleGAN1(StyleGAN1Config(mapping, tuple(widths)))
    for block in (model.synthesis.b4, model.synthesis.b8, model.synthesis.b16):
        for layer in (block.conv0, block.conv1):
            torch.nn.init.normal_(layer.noise_strength)
    return model.eval()


def test_a_batch_draws_what_its_rows_draw_and_gradients_flow():
    model = small()
    ws = model.mapping(torch.randn(3, 8)).detach().requires_grad_()
    image = model.synthesis(ws)
    torch.testing.assert_close(image, torch.cat([model.synthesis(w[None]) for w in ws]), rtol=1e-4, atol=1e-5)
    image.square().mean().backward()
    assert (ws.grad.abs().amax(dim=2) > 0).all()


def test_noise_is_one_map_a_layer_or_one_a_resolution():
    model = small()
    ws = model.mapping(torch.randn(1, 8))
    assert model.synthesis.noise_shapes() == ((4, 4), (4, 4), (8, 8), (8, 8), (16, 16), (16, 16))
    maps = [torch.randn(1, 1, r, r) for r in (4, 8, 16)]
    shared = model.synthesis(ws, noise=maps)
    assert torch.equal(shared, model.synthesis(ws, noise=[m for m in maps for _ in range(2)]))
    assert not torch.equal(shared, model.synthesis(ws, "none"))
    drawn = [model.synthesis(ws, "random", generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    with pytest.raises(InvalidInput, match="noise"):
        model.synthesis(ws, noise=maps[:2])


def test_layers_name_tensors_resolutions_and_rows():
    model = small()
    keys = [k.removeprefix("synthesis.") for k in model.state_dict() if k.startswith("synthesis.")]
    assert all(sum(k == layer.name or k.startswith(f"{layer.name}.") for layer in model.layers) == 1 for k in keys)
    assert [layer.row for layer in model.layers if layer.row is not None] == list(range(6))
    seen = []
    model.synthesis(model.mapping(torch.randn(1, 8)), hook=lambda layer, x: seen.append((layer.resolution, x.shape[-1])) or x)
    assert seen == [(r, r) for r in (4, 4, 8, 8, 16, 16)]


def test_a_network_cut_at_a_resolution_is_the_grown_one_at_that_time():
    model = small()
    ws = model.mapping(torch.randn(1, 8))
    cut = model.at_resolution(8)
    assert cut.num_ws == 4 and cut.synthesis.b8.conv1.weight.data_ptr() == model.synthesis.b8.conv1.weight.data_ptr()
    grown = model.synthesis(ws, lod=1.0)
    assert torch.equal(grown[..., ::2, ::2], cut.synthesis(ws[:, :4])) and torch.equal(grown[..., ::2, :], grown[..., 1::2, :])
    for wrong in (2, 12, 64):
        with pytest.raises(InvalidInput, match="power of two"):
            model.at_resolution(wrong)
    with pytest.raises(InvalidInput, match="level of detail"):
        model.synthesis(ws, lod=2.5)


def test_config_comes_back_from_shapes_and_contradictions_are_refused():
    model = small()
    shapes = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    assert StyleGAN1Config.from_shapes(shapes, {}) == model.config
    with pytest.raises(LoadError, match="b8.conv0.affine.weight"):
        StyleGAN1Config.from_shapes({**shapes, "synthesis.b8.conv0.affine.weight": (9, 8)}, {})
    with pytest.raises(LoadError, match="no tensor synthesis.b4"):
        StyleGAN1Config.from_shapes({k: v for k, v in shapes.items() if "b4" not in k}, {})


def rosinality_state(golden):
    found = checkpoints.read_file(golden("ros1_running_tiny").file(FILES["ros1_running_tiny"]))
    return {k: t.read() for k, t in found.tree.items()}


def test_untrained_levels_are_left_out(golden):
    state = rosinality_state(golden)
    for key, tensor in state.items():
        if key.startswith(("generator.progression.6", "generator.progression.7", "generator.progression.8")) and (
                key.endswith("bias") or "noise" in key):
            state[key] = torch.zeros_like(tensor)
    converted = rosinality1.stylegan1_from_rosinality(state_of(state))
    assert configure("stylegan1", converted).img_resolution == 128 and "128 px are used" in converted.notes[0]


def test_the_training_step_in_a_files_name_tells_the_size(golden):
    state = rosinality_state(golden)
    model = built(rosinality1.LAYOUT, state_of(state, file="train_step-6.model"))
    assert model.img_resolution == 256 and model.config.norm_eps == 1e-5 and model.config.bias_before_blur


@pytest.mark.slow
def test_full_size_images(golden):
    folder = golden("full_tf_sg1_1024")
    model = built(tf_stylegan1.LAYOUT, state_of(rule_tensors(folder)))
    torch.testing.assert_close(model.mapping(folder.tensor("z"))[:, 0], folder.tensor("w"), rtol=1e-5, atol=1e-5)
    for case, psi, cutoff in (("psi1", 1.0, None), ("psi07", 0.7, None), ("psi07cut8", 0.7, 8)):
        with torch.no_grad():
            image = model.synthesis(model.mapping(folder.tensor("z"), None, psi, cutoff))
        assert_image(folder, case, image, 2e-5)
