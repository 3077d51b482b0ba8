"""DualStyleGAN against the published network's pictures, and its promises about weights, batches and caches."""

from __future__ import annotations

import hashlib

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

import stylegan_core as sg
from benchmarks.twins.dualstylegan import draw
from stylegan_core.errors import InvalidInput, LatentMismatch, LoadError
from stylegan_core.latents import Latents, mix
from stylegan_core.networks.dualstylegan import BASES, DualStyleGAN, ModRes, color_rows, structure_layers
from stylegan_core.networks.generators.mobilestylegan import MobileStyleGAN, MobileStyleGANConfig
from stylegan_core.networks.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from stylegan_core.networks.mapping import MappingConfig
from stylegan_core.networks.style_weights import format_weights, parse_weights
from tests.rule import fill_all, network, normal

DEFAULT = "[7*0.75, 11*1]"
TINY = ("dsg_tiny64", "dsg_tiny32_b2")


def cases(case, dual: DualStyleGAN) -> dict[str, tuple]:
    """Name -> (intrinsic, extrinsic, options)."""
    t, n = case.tensor, dual.num_weights
    z, zp, ez = Latents(t("in.z"), "z"), Latents(t("in.zplus"), "z+"), Latents(t("in.exstyle_zplus"), "z+")
    wp, ew = Latents(t("aux.in_wplus"), "w+"), Latents(dual.mapping.to_w(t("in.exstyle_z")), "w")
    mixed = Latents(mix(z.ws(dual.base), Latents(t("in.z2"), "z").ws(dual.base), range(5, n)), "w+")
    mixed_plus = Latents(mix(zp.ws(dual.base), ez.ws(dual.base), range(6, n)), "w+")
    return {
        "z_w1": (z, ez, {}),
        "z_w075": (z, ez, {"weights": DEFAULT}),
        "z_anime": (z, ez, {"weights": "[4*0, 3*0.75, 11*1]"}),
        "z_w0": (z, ez, {"weights": 0}),
        "z_wc0": (z, ez, {"color": "photo"}),
        "z_only16": (z, ez, {"weights": [0] * 3 + [1, 1] + [0] * (n - 5)}),
        "z_ramp": (z, ez, {"weights": [round((i + 1) / (n + 1), 4) for i in range(n)]}),
        "z_useres_false": (z, None, {}),
        "zplus_w1": (zp, ez, {}),
        "zplus_ws05": (zp, ez, {"weights": "7*.5 11*1"}),
        "wplus_w1": (wp, ez, {}),
        "z_exW2d": (z, ew, {}),
        "preserve_color_zplus": (zp, ez, {"weights": DEFAULT, "color": "photo-toned", "truncation_psi": 0.75}),
        "preserve_color_wplus": (wp, ez, {"weights": DEFAULT, "color": "photo-toned", "truncation_psi": 0.75}),
        "style_transfer_default": (zp, ez, {"weights": DEFAULT, "truncation_psi": 0.75}),
        "generate_default": (z, ez, {"weights": DEFAULT, "truncation_psi": 0.5}),
        "trunc_mean": (z, ez, {"truncation_psi": 0.7, "truncation_center": "mean"}),
        "explicit_noise": (z, ez, {"noise": [t(f"in.noise_{i}") for i in range(n - 1)]}),
        "fuse7": (z, ez, {"fuse_index": 7}),
        "fuse0": (z, ez, {"fuse_index": 0}),
        "mix_z_l5": (mixed, None, {}),
        "mix_zplus_l6_res": (mixed_plus, ez, {}),
    }


@pytest.fixture(scope="module")
def tiny(golden) -> DualStyleGAN:
    return sg.load(golden("dsg_tiny64").file("generator.pt"))


@pytest.mark.parametrize("name", TINY)
def test_published_pictures(name: str, golden) -> None:
    case = golden(name)
    dual = sg.load(case.file("generator.pt"))
    dual.w_avg = case.tensor("in.truncation_latent")[0]
    checked = set()
    for key, (intrinsic, extrinsic, options) in cases(case, dual).items():
        image = dual.synthesis(intrinsic, extrinsic, **options)
        assert (image - case.tensor(f"out.{key}")).abs().max() < 1e-4, key
        checked.add(f"out.{key}")
    assert checked == {key for key in case.npz_names() if key.startswith("out.")}


@pytest.mark.parametrize("name", TINY)
def test_published_parts(name: str, golden) -> None:
    case = golden(name)
    dual = sg.load(case.file("generator.pt"))
    ws = Latents(case.tensor("in.exstyle_zplus"), "z+").ws(dual.base)
    assert torch.allclose(ws, case.tensor("aux.ex_wplus"), atol=1e-5)
    assert torch.allclose(dual.transform.to_w(ws), case.tensor("aux.T_s"), atol=1e-5)
    assert torch.allclose(dual.tone(ws), case.tensor("aux.T_c_rows7"), atol=1e-5)
    seen = {}
    content = Latents(case.tensor("in.zplus"), "z+").ws(dual.base)
    dual.render(content, dual.exemplar_from_ws(ws), parse_weights(DEFAULT, dual.num_weights),
                hook=lambda layer, x: seen.setdefault(layer.name, x) if layer.name == "b32.conv1" else x)
    assert (seen["b32.conv1"] - case.tensor("aux.feat32")).abs().max() < 1e-4


@pytest.mark.parametrize("file", ["generator-001400.pt", "generator-pretrain.pt"])
def test_every_container(file: str, golden) -> None:
    case = golden("ckpt_formats")
    dual = sg.load(case.file(file))
    assert dual.kind == "dualstylegan" and sg.inspect(case.file(file)).kind == "dualstylegan"
    image = dual.synthesis(Latents(case.tensor("z"), "z"), Latents(case.tensor("w"), "w"))
    reference = case.tensor("out_g_ema")
    assert (image - reference).abs().max() < 1e-3


def assert_same(a: torch.Tensor, b: torch.Tensor) -> None:
    """To the last bits, which depend on where in memory a file's weights come to lie."""
    torch.testing.assert_close(a, b, atol=5e-5, rtol=1e-4)


def test_safetensors_round_trip(tiny: DualStyleGAN, golden, tmp_path) -> None:
    path = sg.save(tiny, tmp_path / "dual.safetensors")
    again = sg.load(path)
    assert again.config == tiny.config
    z, style = Latents(golden("dsg_tiny64").tensor("in.z"), "z"), Latents(golden("dsg_tiny64").tensor("in.exstyle_zplus"), "z+")
    assert_same(again.synthesis(z, style), tiny.synthesis(z, style))


def test_bare_official_names_in_safetensors(golden, tmp_path) -> None:
    state = torch.load(golden("dsg_tiny64").file("generator.pt"), weights_only=True)["g_ema"]
    save_file({key: t.contiguous() for key, t in state.items()}, str(tmp_path / "official.safetensors"))
    dual, known = sg.load(tmp_path / "official.safetensors"), sg.load(golden("dsg_tiny64").file("generator.pt"))
    assert dual.config == known.config
    assert all(torch.equal(a, b) for a, b in zip(dual.state_dict().values(), known.state_dict().values(), strict=True))


def test_any_base_is_saved_and_loaded(tmp_path) -> None:
    dual = DualStyleGAN.over(mobile()).eval()
    again = sg.load(sg.save(dual, tmp_path / "dual.safetensors", {"notes": {"made_by": "a test"}}))
    face, style = Latents(torch.randn(1, 16), "z", dual.base), Latents(torch.randn(1, 14, 16), "z+", dual.base)
    assert again.config == dual.config and again.base.kind == "mobilestylegan"
    assert_same(again.synthesis(face, style), dual.synthesis(face, style))
    facts = sg.inspect(tmp_path / "dual.safetensors")
    assert (facts.kind, facts.resolution, facts.num_ws) == ("dualstylegan", 128, 14)


def test_a_bank_of_another_model_is_refused(tiny: DualStyleGAN) -> None:
    stranger = sg.ModelSignature("stylegan2", 64, 10, 32, "0123456789abcdef")
    bank = sg.StyleBank.of(Latents(torch.randn(1, 10, 32), "z+", stranger), ["a"])
    with pytest.raises(LatentMismatch, match="belong to stylegan2 64 px"):
        tiny.synthesis(Latents(torch.randn(1, 32), "z"), bank.pick(0))


def mobile() -> MobileStyleGAN:
    torch.manual_seed(3)
    channels = (16, 16, 16, 16, 8)
    return MobileStyleGAN(MobileStyleGANConfig(MappingConfig(16, 0, 16, 14, 2, 16), channels)).eval().requires_grad_(False)


def stylegan2(resolution: int = 128) -> StyleGAN2:
    torch.manual_seed(4)
    channels = (8,) * (resolution.bit_length() - 2)
    mapping = MappingConfig(16, 0, 16, 2 * len(channels), 2, 16)
    return StyleGAN2(StyleGAN2Config(mapping, resolution, channels)).eval().requires_grad_(False)


@pytest.mark.parametrize("make", [mobile, stylegan2])
def test_any_generator_with_seven_coarse_places(make) -> None:
    base = make()
    dual = DualStyleGAN.over(base).eval().requires_grad_(False)
    assert len(structure_layers(base.layers)) == 7
    assert [place.resolution for place in dual.places] == [4, 8, 8, 16, 16, 32, 32]
    assert color_rows(base.layers)[0] == BASES[base.kind][2] and color_rows(base.layers)[-1] == base.num_ws - 1
    assert dual.num_weights == 7 + len(dual.rows) == {"mobilestylegan": 11, "stylegan2": 12}[base.kind]
    content, style = Latents(torch.randn(2, base.z_dim), "z"), Latents(torch.randn(1, base.num_ws, base.z_dim), "z+")
    plain = base.synthesis(content.ws(base))
    assert torch.equal(dual.synthesis(content, style, weights=0), plain)
    assert torch.equal(dual.synthesis(content, None), plain)
    # stage I: colors are mixed as StyleGAN mixes styles, structure hardly moves
    mixed = base.synthesis(mix(content.ws(base), style.ws(base), dual.rows))
    stage_one = dual.synthesis(content, style)
    assert (stage_one - mixed).abs().mean() < 0.25 * (plain - mixed).abs().mean()


def test_it_draws_what_the_published_formulas_do() -> None:
    dual = DualStyleGAN.over(stylegan2()).eval().requires_grad_(False)
    for name, tensor in dual.named_parameters():
        if name.startswith("structure") and name.endswith("weight") and tensor.ndim == 4:
            tensor.mul_(50)
    ws, style = torch.randn(2, 2, dual.num_ws, dual.w_dim)
    weights = [0.75, 0.0, 1.0, 0.5, 1.0, 1.0, 0.25, *[0.6] * (dual.num_weights - 7)]
    plain = draw(dual, ws, style, weights)
    assert torch.allclose(dual.render(ws, dual.exemplar_from_ws(style), weights), plain, atol=1e-4 * float(plain.abs().max()))
    assert not torch.allclose(dual.base.synthesis(ws), plain, atol=0.1 * float(plain.abs().max()))


def test_weight_zero_skips_its_block(tiny: DualStyleGAN, golden, monkeypatch) -> None:
    called: list[int] = []
    numbers = {id(block): i for i, block in enumerate(tiny.structure)}
    run = ModRes.forward
    monkeypatch.setattr(ModRes, "forward", lambda self, *args: called.append(numbers[id(self)]) or run(self, *args))
    case = golden("dsg_tiny64")
    z, style = Latents(case.tensor("in.z"), "z"), Latents(case.tensor("in.exstyle_zplus"), "z+")
    tiny.synthesis(z, style, weights="[4*0, 3*0.75, 3*1]")
    assert called == [4, 5, 6]
    tiny.synthesis(z, style, weights=0)
    assert called == [4, 5, 6]


def test_modres_beside_its_formula(tiny: DualStyleGAN) -> None:
    block, x, style = tiny.structure[2], torch.randn(2, 16, 8, 8), torch.randn(2, 32)

    def plain(conv, x: torch.Tensor) -> torch.Tensor:
        gamma, beta = conv.affine(style)[:, :, None, None].chunk(2, 1)
        mean, var = x.mean((2, 3), keepdim=True), x.var((2, 3), correction=0, keepdim=True)
        normed = gamma * (x - mean) / (var + 1e-5).sqrt() + beta
        return 2**0.5 * F.leaky_relu(F.conv2d(normed, conv.weight / (9 * 16) ** 0.5, padding=1) + conv.bias[:, None, None], 0.2)

    expected = x + 0.6 * plain(block.conv1, plain(block.conv0, x))
    assert torch.allclose(block(x, block.statistics(style), 0.6), expected, atol=1e-5)


def test_batches_pair_up(tiny: DualStyleGAN) -> None:
    faces, styles = Latents(torch.randn(3, 32), "z"), Latents(torch.randn(3, 10, 32), "z+")
    pairs = tiny.synthesis(faces, styles)
    one_style = tiny.synthesis(faces, styles.pick(1))
    one_face = tiny.synthesis(faces.pick(1), styles)
    for batch in (pairs, one_style, one_face):
        assert (batch[1] - tiny.synthesis(faces.pick(1), styles.pick(1))[0]).abs().max() < 2e-4
    assert (one_face[2] - tiny.synthesis(faces.pick(1), styles.pick(2))[0]).abs().max() < 2e-4
    with pytest.raises(InvalidInput, match="2 content codes and 3 styles"):
        tiny.synthesis(faces.pick([0, 1]), styles)


def test_an_exemplar_is_prepared_once(tiny: DualStyleGAN, monkeypatch) -> None:
    faces, style = Latents(torch.randn(2, 32), "z"), Latents(torch.randn(1, 10, 32), "z+")
    expected = tiny.synthesis(faces, style, color="photo-toned")
    exemplar = tiny.exemplar(style)
    monkeypatch.setattr(tiny, "exemplar", None)
    monkeypatch.setattr(tiny, "exemplar_from_ws", None)
    assert torch.equal(tiny.synthesis(faces, exemplar, color="photo-toned"), expected)


def test_refusals(tiny: DualStyleGAN) -> None:
    face, style = Latents(torch.randn(1, 32), "z"), Latents(torch.randn(1, 10, 32), "z+")
    with pytest.raises(InvalidInput, match="encode the picture first"):
        tiny.synthesis(torch.zeros(1, 3, 64, 64), style)
    with pytest.raises(LatentMismatch, match=r"\[18, 32\] numbers"):
        tiny.synthesis(face, Latents(torch.randn(1, 18, 32), "z+"))
    with pytest.raises(InvalidInput, match='"exemplar", "photo"'):
        tiny.synthesis(face, style, color="sepia")
    with pytest.raises(InvalidInput, match='"zero" or "mean"'):
        tiny.synthesis(face, style, truncation_psi=0.5, truncation_center="median")
    with pytest.raises(InvalidInput, match="at least 32 px"):
        DualStyleGAN.over(stylegan2(16))


def test_incomplete_file(golden, tmp_path) -> None:
    state = torch.load(golden("dsg_tiny64").file("generator.pt"), weights_only=True)["g_ema"]
    del state["res.3.conv2.0.weight"]
    torch.save({"g_ema": state}, tmp_path / "cut.pt")
    with pytest.raises(LoadError, match="res.3.conv2.0.weight"):
        sg.load(tmp_path / "cut.pt")


@pytest.mark.parametrize(("given", "values"), [
    ("[4*0, 3*0.75, 11*1]", [0] * 4 + [0.75] * 3 + [1] * 11),
    ("18*1", [1] * 18),
    (" 7 * .5 , 11*1e0 ", [0.5] * 7 + [1] * 11),
    ("0.5", [0.5] * 18),
    (0.25, [0.25] * 18),
    (torch.linspace(0, 1, 18), torch.linspace(0, 1, 18).tolist()),
])
def test_weights_are_parsed(given, values) -> None:
    parsed = parse_weights(given, 18)
    assert parsed == pytest.approx(values)
    assert parse_weights(format_weights(parsed), 18) == pytest.approx(values, abs=1e-5)


def test_weights_for_smaller_models() -> None:
    assert parse_weights(DEFAULT, 14) == (0.75,) * 7 + (1.0,) * 7
    assert parse_weights("[7*0.75, 11*1]", 20) == (0.75,) * 7 + (1.0,) * 13
    assert parse_weights("[7*0.75, 7*1]", 14) == (0.75,) * 7 + (1.0,) * 7
    assert format_weights(parse_weights("[4*0, 3*0.75, 11*1]", 18)) == "[4*0, 3*0.75, 11*1]"


@pytest.mark.parametrize("given", ["", "[]", "seven", "[7*0.75; 11*1]", "3*", "[4*0, 3*0.75", "7*nan", "[999999*1]", [1.0] * 5,
                                   [float("inf")] * 18, "[20*1]"])
def test_weights_are_refused(given) -> None:
    with pytest.raises(InvalidInput):
        parse_weights(given, 18)


@pytest.mark.slow
def test_full_size_by_rule(golden) -> None:
    case = golden("dsg_1024_rule")
    manifest = case.json("manifest.json")
    state, seed = fill_all(manifest), manifest["seed"]
    digest = hashlib.sha256()
    for tensor in state.values():
        digest.update(tensor.numpy().tobytes())
    assert digest.digest() == case.array("sha_all").tobytes()
    dual = network(state)
    z, zp = Latents(normal("in.z", (1, 512), seed), "z"), Latents(normal("in.zplus", (1, 18, 512), seed), "z+")
    style = Latents(normal("in.exstyle_zplus", (1, 18, 512), seed), "z+")
    yx = case.tensor("yx")
    for key, call in {
        "z_w1": (z, style, {}), "z_anime": (z, style, {"weights": "[4*0, 3*0.75, 11*1]"}), "z_w0": (z, style, {"weights": 0}),
        "z_useres_false": (z, None, {}), "g_z": (z, None, {}),
        "preserve_color_zplus": (zp, style, {"weights": DEFAULT, "color": "photo-toned", "truncation_psi": 0.75}),
        "style_transfer_default": (zp, style, {"weights": DEFAULT, "truncation_psi": 0.75}),
    }.items():
        image = dual.synthesis(call[0], call[1], **call[2])[0]
        assert (F.adaptive_avg_pool2d(image, 64) - case.tensor(f"out.{key}.down64")).abs().max() < 2e-3, key
        assert (image[:, yx[:, 0], yx[:, 1]].T - case.tensor(f"out.{key}.px")).abs().max() < 2e-3, key


def test_narrow_blocks_travel(tmp_path) -> None:
    torch.manual_seed(0)
    base = MobileStyleGAN(MobileStyleGANConfig(MappingConfig(8, 0, 16, 11, 2, 16), (16, 16, 16, 16)))
    base.w_avg = torch.zeros(16)
    dual = DualStyleGAN.over(base, hidden=4).eval()
    assert dual.structure[0].conv0.weight.shape == (4, 16, 3, 3) and dual.structure[0].conv1.weight.shape == (16, 4, 3, 3)
    back = sg.load(sg.save(dual, tmp_path / "narrow"))
    ws = torch.randn(2, 11, 16)
    weights = [1.0] * dual.num_weights
    with torch.no_grad():
        want = dual.render(ws, dual.exemplar_from_ws(ws[:1]), weights)
        assert_same(back.render(ws, back.exemplar_from_ws(ws[:1]), weights), want)
        assert not torch.equal(want, base.synthesis(ws))
