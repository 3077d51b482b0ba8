"""pSp, its z+ variant, e4e and ReStyle: published codes, the heads beside their plain twins, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import stylegan_core as sg
from benchmarks.twins import psp as plain_psp
from stylegan_core.errors import InvalidInput, LatentMismatch, LoadError
from stylegan_core.networks.encoders.psp import Encoder, EncoderConfig, HeadGroup, Heads, prepare_portraits
from stylegan_core.networks.encoders.resnet import ResNet34Config
from stylegan_core.networks.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from stylegan_core.networks.judges.irse import IRSEConfig
from stylegan_core.networks.mapping import MappingConfig
from stylegan_core.ops.memory_format import arrange
from tests.rule import fill_all, network, normal

TINY = {"psp_zplus_tiny": "encoder.pt", "psp_wplus_tiny": "encoder_wplus.pt", "e4e_tiny": "e4e_ffhq_encode.pt"}


def picture(path: Path) -> torch.Tensor:
    return (torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)[None].float() / 255 - 0.5) / 0.5


@pytest.mark.parametrize("name", TINY)
def test_published_codes(name: str, golden) -> None:
    case = golden(name)
    path, x = case.file(TINY[name]), picture(case.file("input.png"))
    encoder, decoder = sg.load(path), sg.load(path, which="decoder")
    codes = encoder.encode(x, decoder)
    assert codes.space == ("z+" if "zplus" in name else "w+")
    assert (codes.tensor - case.tensor("codes")).abs().max() < 1e-5
    assert (decoder.synthesis(codes.ws(decoder)) - case.tensor("rec")).abs().max() < 1e-4
    if "wcodes" in case.npz_names():
        assert (codes.ws(decoder) - case.tensor("wcodes")).abs().max() < 1e-5


@pytest.mark.parametrize("stage", [0, 1, 3, 7, None])
def test_published_stages_of_e4e(stage: int | None, golden) -> None:
    case = golden("e4e_tiny")
    encoder = sg.load(case.file(TINY["e4e_tiny"]))
    expected = case.tensor(f"raw_stage{'inf' if stage is None else stage}")
    assert (encoder.raw(picture(case.file("input.png")), stage) - expected).abs().max() < 1e-5


@pytest.mark.parametrize("name", TINY)
def test_safetensors_round_trip(name: str, golden, tmp_path) -> None:
    encoder = sg.load(golden(name).file(TINY[name]))
    again = sg.load(sg.save(encoder, tmp_path / "encoder.safetensors"))
    x = torch.randn(1, 3, 256, 256)
    assert again.config == encoder.config and torch.equal(again.raw(x), encoder.raw(x))
    assert sg.inspect(tmp_path / "encoder.safetensors").num_ws == encoder.num_ws


def test_names_tell_the_space(golden, tmp_path) -> None:
    data = golden("psp_zplus_tiny").file("encoder.pt").read_bytes()
    for name, space in {"psp_ffhq_encode.pt": "w+", "my_zplus_encoder.pt": "z+", "encoder.pt": "z+"}.items():
        (tmp_path / name).write_bytes(data)
        encoder = sg.load(tmp_path / name)
        assert encoder.space == space and space in encoder.info.notes["warnings"][0]


@pytest.mark.parametrize("change", ["no_opts", "one_row", "flat", "no_start"])
def test_options_are_defaulted(change: str, golden, tmp_path) -> None:
    case = golden("psp_wplus_tiny")
    tree = torch.load(case.file("encoder_wplus.pt"), weights_only=True)
    average = tree["latent_avg"]
    expected = case.tensor("raw") + (0 if change == "no_start" else average[:1] if change in ("one_row", "flat") else average)
    if change == "no_opts":
        del tree["opts"]
    elif change == "no_start":
        tree["opts"]["start_from_latent_avg"] = False
    else:
        tree["latent_avg"] = average[:1] if change == "one_row" else average[0]
    torch.save(tree, tmp_path / "psp.pt")
    codes = sg.load(tmp_path / "psp.pt").encode(picture(case.file("input.png"))).tensor
    assert (codes - expected).abs().max() < 1e-5


def test_missing_average_is_named(golden, tmp_path) -> None:
    tree = torch.load(golden("psp_wplus_tiny").file("encoder_wplus.pt"), weights_only=True)
    del tree["latent_avg"]
    torch.save(tree, tmp_path / "psp.pt")
    with pytest.raises(InvalidInput, match="latent_avg"):
        sg.load(tmp_path / "psp.pt").encode(torch.zeros(1, 3, 256, 256))


def test_a_file_without_average_takes_the_generators(golden, tmp_path) -> None:
    case = golden("psp_wplus_tiny")
    tree = torch.load(case.file("encoder_wplus.pt"), weights_only=True)
    del tree["latent_avg"]
    torch.save(tree, tmp_path / "psp.pt")
    encoder, model = sg.load(tmp_path / "psp.pt"), sg.load(tmp_path / "psp.pt", which="decoder")
    assert any("latent_avg" in note for note in encoder.info.notes["warnings"])
    codes = encoder.encode(picture(case.file("input.png")), model).tensor
    assert (codes - (case.tensor("raw") + model.w_avg)).abs().max() < 1e-5


def test_missing_head_is_named(golden, tmp_path) -> None:
    tree = torch.load(golden("psp_wplus_tiny").file("encoder_wplus.pt"), weights_only=True)
    del tree["state_dict"]["encoder.styles.4.convs.2.weight"]
    torch.save(tree, tmp_path / "psp.pt")
    with pytest.raises(LoadError, match=r"encoder\.styles\.4\.convs\.2\.weight"):
        sg.load(tmp_path / "psp.pt")


def test_wrong_pairing_is_refused_and_a_child_accepted(golden) -> None:
    case = golden("psp_zplus_tiny")
    encoder, decoder = sg.load(case.file("encoder.pt")), sg.load(case.file("encoder.pt"), which="decoder")
    x = picture(case.file("input.png"))
    stranger = sg.load(golden("dsg_tiny64").file("generator.pt"), which="decoder")
    with pytest.raises(LatentMismatch, match="belong to stylegan2 64 px"):
        encoder.encode(x, stranger)
    with torch.no_grad():
        decoder.synthesis.b16.conv1.weight.mul_(1.5)
    assert encoder.encode(x, decoder).model == sg.ModelSignature.of(decoder)


@settings(max_examples=8, deadline=None)
@given(styles=st.integers(1, 5), depth=st.integers(1, 4), width=st.integers(2, 9), channels=st.integers(2, 9),
       batch=st.integers(1, 3))
def test_heads_beside_one_by_one(styles: int, depth: int, width: int, channels: int, batch: int) -> None:
    heads = Heads(HeadGroup(0, styles, width, depth), channels)
    x = torch.randn(batch, channels, 2**depth, 2**depth)
    rows = []
    for k in range(styles):
        y = x
        for conv in heads.convs:
            part = slice(k * width, (k + 1) * width)
            y = F.leaky_relu(F.conv2d(y, conv.weight[part], conv.bias[part], stride=2, padding=1), 0.01)
        rows.append(F.linear(y.flatten(1), heads.weight[k] / width**0.5, heads.bias[k]))
    assert torch.allclose(heads(x), torch.stack(rows, 1), atol=1e-5)


@pytest.mark.parametrize("progressive", [False, True])
def test_published_arithmetic(progressive: bool) -> None:
    config = EncoderConfig((HeadGroup(0, 2, 6, 4), HeadGroup(1, 1, 6, 5), HeadGroup(2, 3, 6, 6)), 6,
                           IRSEConfig((16, 16, 32, 48)), progressive)
    encoder = Encoder(config).eval().requires_grad_(False)
    for key, tensor in encoder.state_dict().items():
        spread = 0.5 / tensor[0].numel() ** 0.5 if tensor.ndim > 1 else 0.2
        tensor.copy_(normal(key, tuple(tensor.shape), 5, std=spread) + (tensor.ndim == 1))
    for key, tensor in encoder.state_dict().items():
        if key.endswith("running_var"):
            tensor.abs_().add_(0.5)
    x = normal("portrait", (2, 3, 256, 256), 5).clamp(-1, 1)
    plain = plain_psp.raw(encoder, x)
    assert torch.allclose(encoder.raw(x), plain, rtol=1e-4, atol=1e-5 * float(plain.abs().max()))
    assert torch.allclose(arrange(encoder).raw(x), plain, rtol=1e-4, atol=1e-5 * float(plain.abs().max()))
    assert encoder.heads[0].convs[0].weight.is_contiguous(memory_format=torch.channels_last)


def tiny_generator() -> StyleGAN2:
    torch.manual_seed(0)
    return StyleGAN2(StyleGAN2Config(MappingConfig(8, 0, 8, 8, 2, 8), 32, (8, 8, 8, 8))).eval().requires_grad_(False)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("trunk", [IRSEConfig((16,) * 4, channels_in=6), ResNet34Config((8,) * 4)])
def test_restyle_passes(trunk: IRSEConfig | ResNet34Config, progressive: bool) -> None:
    generator = tiny_generator()
    torch.manual_seed(1)
    config = EncoderConfig((HeadGroup(0, 8, 8, 4),), 8, trunk, progressive, average_rows=8)
    encoder = Encoder(config).eval().requires_grad_(False)
    encoder.latent_avg = torch.randn(8, 8)
    x = torch.randn(1, 3, 256, 256).clamp(-1, 1)
    codes, expected = encoder.latent_avg[None], []
    for _ in range(2):
        seen = prepare_portraits(generator.synthesis(codes))
        codes = codes + encoder.raw(torch.cat([x, seen], 1))
        expected.append(codes)
    passes = encoder.passes(x.expand(2, -1, -1, -1), generator, 2)
    assert all(torch.allclose(a[:1], b, atol=1e-5) for a, b in zip(passes, expected, strict=True))
    assert len(passes[-1]) == 2
    assert torch.allclose(encoder.encode(x, generator, passes=2).tensor, expected[-1], atol=1e-5)
    with pytest.raises(InvalidInput, match="holds no generator"):
        encoder.encode(x)
    with pytest.raises(InvalidInput, match="at least 1"):
        encoder.encode(x, generator, passes=0)


def test_restyle_file_keeps_its_generator(tmp_path, golden) -> None:
    tree = torch.load(golden("psp_wplus_tiny").file("encoder_wplus.pt"), weights_only=True)
    state = {k: v for k, v in tree["state_dict"].items() if "styles" not in k and "latlayer" not in k}
    state["encoder.input_layer.0.weight"] = torch.randn(16, 6, 3, 3) * 0.1
    for k in range(8):
        for j in range(4):
            state[f"encoder.styles.{k}.convs.{2 * j}.weight"] = torch.randn(12, 12 if j else 16, 3, 3) * 0.1
            state[f"encoder.styles.{k}.convs.{2 * j}.bias"] = torch.zeros(12)
        state[f"encoder.styles.{k}.linear.weight"] = torch.randn(12, 12)
        state[f"encoder.styles.{k}.linear.bias"] = torch.zeros(12)
    opts = {"encoder_type": "BackboneEncoder", "input_nc": 6}
    torch.save({**tree, "state_dict": state, "opts": opts}, tmp_path / "restyle.pt")
    encoder = sg.load(tmp_path / "restyle.pt")
    x = picture(golden("psp_wplus_tiny").file("input.png"))
    codes = encoder.encode(x, passes=2)
    again = sg.load(sg.save(encoder, tmp_path / "restyle.safetensors"))
    assert again.decoder is not None and torch.equal(again.encode(x, passes=2).tensor, codes.tensor)


def test_portraits_of_any_size() -> None:
    x = torch.randn(2, 3, 256, 256)
    assert torch.equal(prepare_portraits(x), x)
    big = x.repeat_interleave(4, 2).repeat_interleave(4, 3)
    assert torch.allclose(prepare_portraits(big), x, atol=1e-6)
    oblong = torch.cat([torch.full((2, 3, 256, 100), 9.0), x, torch.full((2, 3, 256, 100), -9.0)], dim=3)
    assert torch.equal(prepare_portraits(oblong), x)
    assert prepare_portraits(x[..., :100, :]).shape == x.shape
    with pytest.raises(InvalidInput, match="RGB"):
        prepare_portraits(torch.zeros(1, 4, 256, 256))
    with pytest.raises(InvalidInput, match="RGB"):
        prepare_portraits(torch.zeros(3, 256, 256))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["psp_full_rule", "e4e_full_rule"])
def test_full_size_by_rule(name: str, golden) -> None:
    case = golden(name)
    manifest = case.json("manifest.json")
    state = fill_all(manifest) | {"latent_avg": normal("latent_avg", (18, 512), manifest["seed"], 0, 0.3)}
    encoder, x = network(state, manifest["opts"], f"{name}.pt"), picture(case.file("input.png"))
    codes = encoder.encode(x)
    assert (codes.tensor - case.tensor("codes")).abs().max() < 2e-3
    if "raw" in case.npz_names():
        assert (encoder.raw(x) - case.tensor("raw")).abs().max() < 2e-3
    else:
        for stage in (0, 3):
            assert (encoder.raw(x, stage) - case.tensor(f"raw_stage{stage}")).abs().max() < 2e-3
