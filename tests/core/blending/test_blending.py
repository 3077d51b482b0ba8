"""Blending: the published script's own outputs, the paper's rule, sharing, lineage, refusals."""

import copy
import hashlib

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from stylegan_core import checkpoints
from stylegan_core.blending import Blender, blend, blend_many, curve_weight, layer_weight, strengthened
from stylegan_core.errors import BlendMismatch, InvalidInput
from stylegan_core.networks.generators.base import StyledLayer
from stylegan_core.networks.generators.mobilestylegan import MobileStyleGAN, MobileStyleGANConfig
from stylegan_core.networks.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from stylegan_core.networks.info import ModelInfo
from stylegan_core.networks.mapping import MappingConfig
from tests.core.networks.models import shake, tiny_stylegan2


@pytest.fixture(scope="module")
def swap(golden):
    g = golden("swap_ros2_tiny")
    return g, {name: checkpoints.load(g.file(f"model_{name}.pt")) for name in "AB"}


def tiny_mobile(seed, channels=(16, 8, 8, 4)):
    rows = 3 * (len(channels) - 1) + 2
    model = MobileStyleGAN(MobileStyleGANConfig(MappingConfig(8, 0, 12, rows, 2, 9), channels))
    shake(model, seed)
    return model.requires_grad_(False)


def pair(**fields):
    return tiny_stylegan2(1, **fields), tiny_stylegan2(2, **fields)


def parts(model):
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def owner(child, base, other, key):
    places = {parts(model)[key].data_ptr(): name for model, name in ((base, "base"), (other, "other")) if key in parts(model)}
    return places.get(parts(child)[key].data_ptr(), "mixed")


def golden_cases(g, **wanted):
    return [c for c in g.json()["cases"] if all(c.get(k) == v for k, v in wanted.items())]


def as_blend(case):
    """The arguments that express a golden case."""
    if case["rule"] == "simple_ge":
        return {"resolution": case["resolution"] / 2, "coarse": "base"}
    width = case["blend_width"]
    return {"resolution": case["resolution"] * 2 ** (case["level"] / 2), "coarse": "base", "convention": "pinkney",
            "mode": "swap" if width is None else "smooth", "width": width}


@pytest.mark.parametrize("rule", ["justinpinkney", "simple_ge"])
def test_goldens(swap, rule):
    g, models = swap
    z, seen = g.tensor("z")[:1], 0
    for case in golden_cases(g, rule=rule):
        base, other = models[case["base"]], models[case["other"]]
        child = blend(base, other, **as_blend(case))
        image, expected = child.synthesis(child.mapping(z, truncation_psi=case["psi"])).numpy(), g.array(case["out"])
        assert np.abs(image - expected).max() < 1e-5 * np.abs(expected).max(), case["out"]
        seen += 1
    assert seen == {"justinpinkney": 22, "simple_ge": 8}[rule]


def fingerprint(model):
    """Canonical tensors; equal exactly when the published state dicts are."""
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode() + value.numpy().tobytes())
    return digest.hexdigest()


def test_hard_goldens_are_equal_where_their_published_hashes_are(swap):
    g, models = swap
    ours = {}
    for case in g.json()["cases"]:
        if case["rule"] in ("none", "none_B"):
            ours[case["out"]] = (case["sha256"], fingerprint(models["B" if case["rule"] == "none_B" else "A"]))
        elif not case.get("blend_width"):
            child = blend(models[case["base"]], models[case["other"]], **as_blend(case))
            ours[case["out"]] = (case["sha256"], fingerprint(child))
    assert len({a for a, _ in ours.values()}) == len({b for _, b in ours.values()}) == len(set(ours.values()))


@pytest.mark.parametrize("make", [pair, lambda: (tiny_mobile(1), tiny_mobile(2))], ids=["stylegan2", "mobilestylegan"])
@pytest.mark.parametrize("coarse", ["base", "other"])
@pytest.mark.parametrize("resolution", [2, 4, 8, 16, 32])
def test_hard_swap_is_the_papers_rule_and_shares_memory(make, coarse, resolution):
    base, other = make()
    before = [copy.deepcopy(m.state_dict()) for m in (base, other)]
    child = blend(base, other, resolution, coarse=coarse)
    for layer in base.layers:
        for key in (k for k in parts(base) if k == f"synthesis.{layer.name}" or k.startswith(f"synthesis.{layer.name}.")):
            up_to = layer.resolution <= resolution  # r_swap inclusive
            expected = "other" if up_to == (coarse == "other") and not key.endswith("noise_const") else "base"
            assert owner(child, base, other, key) == expected, key
    assert all(owner(child, base, other, k) == "base" for k in parts(base) if k.startswith("mapping"))
    for model, state in zip((base, other), before, strict=True):
        assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("mode", ["smooth", "linear"])
@pytest.mark.parametrize("convention", ["paper", "pinkney"])
@pytest.mark.parametrize("coarse", ["base", "other"])
def test_soft_blend_is_linear_in_every_tensor(mode, convention, coarse):
    base, other = pair()
    arguments = {"resolution": 8, "mode": mode, "width": 1.5, "coarse": coarse, "convention": convention}
    child, weight = blend(base, other, **arguments), layer_weight(**arguments)
    amounts = []
    for layer in base.layers:
        a = weight(layer)
        amounts.append(a)
        for key in (k for k in base.state_dict() if k.startswith(f"synthesis.{layer.name}")):
            expected = base.state_dict()[key] * (1 - a) + other.state_dict()[key] * a
            expected = base.state_dict()[key] if key.endswith("noise_const") else expected
            torch.testing.assert_close(child.state_dict()[key], expected, atol=1e-6, rtol=1e-6)
    assert any(0 < a < 1 for a in amounts)


def test_a_narrow_ramp_is_the_hard_swap():
    base, _ = pair()
    for mode in ("smooth", "linear"):
        for resolution in (4, 8, 16, 32):
            narrow, hard = layer_weight(resolution, mode, 1e-6), layer_weight(resolution)
            assert [narrow(x) for x in base.layers] == [hard(x) for x in base.layers]


def test_paper_ramps_meet_half_an_octave_above():
    low, high = (next(x for x in tiny_stylegan2().layers if x.resolution == r) for r in (8, 16))
    smooth, linear = layer_weight(8, "smooth", 1.0), layer_weight(8, "linear", 2.0)
    assert smooth(low) == pytest.approx(1 / (1 + np.exp(-0.5))) and smooth(low) + smooth(high) == pytest.approx(1)
    assert (linear(low), linear(high)) == (pytest.approx(0.75), pytest.approx(0.25))


def test_curve_runs_in_octaves_and_may_extrapolate():
    layers = {x.resolution: x for x in tiny_stylegan2(channels=(4,) * 6).layers}
    weight = curve_weight({8: 1.0, 32: 0.0, 64: -0.5})
    assert [weight(layers[r]) for r in (4, 8, 16, 32, 64, 128)] == [1.0, 1.0, 0.5, 0.0, -0.5, -0.5]
    base, other = pair()
    child = blend(base, other, curve={4: 0.3})
    torch.testing.assert_close(child.synthesis.b8.conv1.weight,
                               0.7 * base.synthesis.b8.conv1.weight + 0.3 * other.synthesis.b8.conv1.weight)


def test_many_models():
    base, b, c = (tiny_stylegan2(seed) for seed in (1, 2, 3))
    child = blend_many(base, [(b, {4: 1.0, 8: 0.25}), (c, {4: 0.0, 8: 0.5})], mapping=2)
    key = "synthesis.b16.conv0.weight"
    torch.testing.assert_close(parts(child)[key], 0.25 * parts(base)[key] + 0.25 * parts(b)[key] + 0.5 * parts(c)[key])
    assert owner(child, base, b, "synthesis.b4.conv1.weight") == "other"
    assert owner(child, base, c, "mapping.fc0.weight") == "other"
    assert [p["curve"]["b16.conv0"] for p in child.info.parents] == [0.25, 0.25, 0.5]


def test_mapping_of_the_other_comes_with_its_centre():
    base, other = pair()
    child = blend(base, other, mapping="other")
    z = torch.randn(2, base.z_dim)
    torch.testing.assert_close(child.mapping(z, truncation_psi=0.5), other.mapping(z, truncation_psi=0.5))
    kept = blend(base, other)
    torch.testing.assert_close(kept.mapping(z, truncation_psi=0.5), base.mapping(z, truncation_psi=0.5))


def test_slider_recomputes_only_what_changed():
    base, other = pair()
    blender = Blender(base, other)
    first = blender.blend(curve={4: 0.5, 8: 0.5, 16: 0.2})
    second = blender.blend(curve={4: 0.5, 8: 0.5, 16: 0.9})
    same = {k for k in parts(first) if parts(first)[k].data_ptr() == parts(second)[k].data_ptr()}
    assert "synthesis.b8.conv0.weight" in same and "synthesis.b16.conv0.weight" not in same
    assert parts(first)["synthesis.b8.conv0.weight"] is not parts(second)["synthesis.b8.conv0.weight"]
    assert torch.equal(parts(blender.blend(8))["synthesis.b4.const"], parts(other)["synthesis.b4.const"])


def test_moving_or_assigning_a_child_leaves_its_parents():
    base, other = pair()
    child = blend(base, other, 8).double()
    child.w_avg = torch.zeros(base.w_dim)
    assert base.synthesis.b16.conv0.weight.dtype == other.synthesis.b8.conv0.weight.dtype == torch.float32
    assert base.w_avg.abs().max() > 0


def test_under_inference_mode_and_back():
    with torch.inference_mode():
        base, other = pair()
        child = blend(base, other, 8, mode="smooth")
        inside = child.synthesis(child.mapping(torch.ones(1, base.z_dim)))
    ws = child.mapping(torch.ones(1, base.z_dim))
    torch.testing.assert_close(child.synthesis(ws), inside)


class Arithmetic(TorchDispatchMode):
    """Names of the operations that make tensors of their own; views and aliases are none."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if not (isinstance(out, torch.Tensor) and func.is_view):
            self.names.append(str(func))
        return out


def test_hard_swap_of_full_size_models_computes_nothing_and_takes_no_memory():
    channels = (512,) * 5 + (256, 128, 64, 32)
    with torch.device("meta"):
        base, other = (StyleGAN2(StyleGAN2Config(MappingConfig(num_ws=18), 1024, channels)) for _ in range(2))
    with Arithmetic() as done:
        blend(base, other, 32)
    assert not done.names
    with Arithmetic() as done:
        blend(base, other, 32, strength=0.5)
    assert done.names, "what is mixed is computed"


def test_lineage_names_both_parents_and_the_curve():
    base, other = pair()
    base.info = ModelInfo("stylegan2", "rosinality", "folder/faces.pt", "aa", licence="CC0")
    other.info = ModelInfo("stylegan2", "nvidia", "toon.pkl", "bb", licence="CC-BY")
    child = blend(base, other, 8)
    told = [(p["name"], p["sha256"], p["licence"]) for p in child.info.parents]
    assert told == [("faces.pt", "aa", "CC0"), ("toon.pkl", "bb", "CC-BY")]
    assert child.info.parents[1]["curve"]["b8.conv0"] == 1.0 and child.info.parents[1]["curve"]["b16.conv0"] == 0.0
    assert blend(child, base, 8).info.licence == "CC0 + CC-BY"
    assert child.info.licence == "CC0 + CC-BY" and child.info.notes["blend"]["resolution"] == 8
    again = blend(child, other, 4)
    assert again.info.parents[0]["parents"][0]["name"] == "faces.pt"


@pytest.mark.parametrize("make", [lambda n, s: tiny_stylegan2(s, channels=(8, 6, 4, 3, 3)[:n]),
                                  lambda n, s: tiny_mobile(s, (16, 8, 8, 4, 4)[:n])], ids=["stylegan2", "mobilestylegan"])
@pytest.mark.parametrize(("mine", "theirs"), [(5, 4), (4, 5)])
def test_different_resolutions_blend_where_both_have_layers(make, mine, theirs):
    base, other = make(mine, 1), make(theirs, 2)
    child = blend(base, other, 4, coarse="base")
    assert child.img_resolution == base.img_resolution
    assert owner(child, base, other, "synthesis.b8.conv1.weight") == "other"
    if mine == 5:
        assert owner(child, base, other, "synthesis.b64.conv1.weight" if "b64.conv1" in {x.name for x in base.layers}
                     else "synthesis.head.weight") == "base"
    ws = torch.randn(1, child.num_ws, child.w_dim)
    assert child.synthesis(ws).shape[-1] == base.img_resolution


@pytest.mark.parametrize(("other", "text"), [
    (lambda: tiny_mobile(2), "kind is stylegan2 and mobilestylegan"),
    (lambda: tiny_stylegan2(2, channels=(8, 6, 5, 3)), "layer b16"),
    (lambda: tiny_stylegan2(2, w_dim=11), "affine"),
    (lambda: tiny_stylegan2(2, activation="relu"), "lrelu and relu"),
    (lambda: tiny_stylegan2(2, architecture="resnet"), "b8.skip|torgb"),
    (lambda: tiny_stylegan2(2, use_noise=False), "noise_strength"),
    (lambda: tiny_stylegan2(2, channels=(8, 6, 4, 4, 4)), "layer b32"),
])
def test_mismatches_are_named(other, text):
    with pytest.raises(BlendMismatch, match=text):
        blend(tiny_stylegan2(1), other())


def test_mapping_of_another_width_is_refused_only_when_asked_for():
    base, other = tiny_stylegan2(1), tiny_stylegan2(2, mapping={"hidden_dim": 7})
    blend(base, other, 8)
    with pytest.raises(BlendMismatch, match="mapping.fc"):
        blend(base, other, 8, mapping="other")


@pytest.mark.parametrize(("arguments", "text"), [
    ({"mode": "melt"}, "melt"), ({"resolution": 0}, "0"), ({"width": -1.0}, "-1"), ({"coarse": "both"}, "both"),
    ({"convention": "none"}, "none"), ({"curve": {}}, "curve"), ({"curve": {8: float("nan")}}, "nan"),
    ({"curve": {-8: 1.0}}, "-8"), ({"mapping": "mine"}, "mine"),
])
def test_bad_arguments_are_named(arguments, text):
    with pytest.raises(InvalidInput, match=text):
        blend(*pair(), **arguments)


def test_strength_multiplies_the_weight_layer_by_layer() -> None:
    base, other = tiny_mobile(0), tiny_mobile(1)
    for how in ({"resolution": 8}, {"resolution": 8, "mode": "smooth"}, {"curve": {4: 1.0, 16: 0.25}}):
        plain, twice = blend(base, other, **how), blend(base, other, strength=2.0, **how)
        assert all(torch.equal(parts(plain)[k], v) for k, v in parts(blend(base, other, strength=1.0, **how)).items())
        assert all(torch.equal(parts(base)[k], v) for k, v in parts(blend(base, other, strength=0.0, **how)).items())
        for key, value in parts(twice).items():
            expected = parts(base)[key] + 2 * (parts(plain)[key] - parts(base)[key])
            torch.testing.assert_close(value, expected, atol=1e-5, rtol=1e-5)


def test_a_pair_of_strengths_holds_rendering_at_one() -> None:
    layers = [StyledLayer(str(px), px, 0, "conv") for px in (4, 32, 64, 1024)]
    weight = strengthened(lambda layer: 0.5, (2.0, 3.0))
    assert [weight(layer) for layer in layers] == [1.0, 1.0, 0.5, 0.5]
    assert [strengthened(lambda layer: 0.5, 3.0)(layer) for layer in layers] == [1.5] * 4
    assert [strengthened(lambda layer: 1.0, (0.0, 0.25))(layer) for layer in layers] == [0.0, 0.0, 0.25, 0.25]


@pytest.mark.parametrize("strength", [-0.1, float("nan"), float("inf"), (1.0, -1.0), (1.0, 1.0, 1.0), "much"])
def test_strengths_out_of_range_are_refused(strength) -> None:
    with pytest.raises(InvalidInput, match="strength"):
        blend(tiny_mobile(0), tiny_mobile(1), 8, strength=strength)


def test_more_than_three_is_noted() -> None:
    base, other = tiny_mobile(0), tiny_mobile(1)
    assert "broken" in blend(base, other, 8, strength=3.5).info.notes["blend"]["note"]
    assert blend(base, other, 8, strength=3.0).info.notes["blend"] | {"note": ""} == blend(
        base, other, 8, strength=3.0).info.notes["blend"]
    assert "strength" not in blend(base, other, 8).info.notes["blend"]
