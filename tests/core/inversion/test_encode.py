"""Encoders beside their generators: pairing, pictures of any kind, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import stylegan_core as sg
from stylegan_core.errors import InvalidInput, LatentMismatch, LoadError
from stylegan_core.inversion.encode import check_pairing, encode
from stylegan_core.latents import mapping_hash
from stylegan_core.networks.encoders.psp import Encoder, EncoderConfig, HeadGroup
from stylegan_core.networks.encoders.resnet import ResNet34Config
from stylegan_core.networks.judges.irse import IRSEConfig
from tests.core.networks.models import tiny_stylegan2

TRUNKS = {"ir-se": IRSEConfig((16,) * 4, channels_in=6), "resnet": ResNet34Config((8,) * 4)}
FILES = {"psp_wplus_tiny": "encoder_wplus.pt", "psp_zplus_tiny": "encoder.pt", "e4e_tiny": "e4e_ffhq_encode.pt"}


def tiny_encoder(model: torch.nn.Module | None = None, **fields) -> Encoder:
    """For 8 rows of 12, as tiny_stylegan2 has them."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        config = EncoderConfig(**{"heads": (HeadGroup(0, 8, 12, 4),), "w_dim": 12, "trunk": IRSEConfig((16,) * 4),
                                  "average_rows": 1} | fields)
        encoder = Encoder(replace(config, mapping_hash=mapping_hash(model.mapping) if model else ""))
    return encoder.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def model():
    return tiny_stylegan2()


def test_the_files_decoder_is_its_generator_and_its_children_fit(golden) -> None:
    for name, file in FILES.items():
        path = golden(name).file(file)
        encoder, own = sg.load(path), sg.load(path, which="decoder")
        assert encoder.signature.mapping_hash == mapping_hash(own.mapping)
        child = sg.load(path, which="decoder")
        with torch.no_grad():
            child.synthesis.b8.conv1.weight.mul_(1.5)
        x = torch.zeros(1, 3, 256, 256)
        for model in (own, child, sg.blend(own, child, 8), sg.blend(own, child, 8, "smooth")):
            latents = encode(encoder, x, model)
            assert latents.model == sg.ModelSignature.of(model)
            sg.render(model, latents)


def test_a_stranger_of_the_same_shape_is_refused(model) -> None:
    encoder = tiny_encoder(model)
    stranger = tiny_stylegan2(seed=1)
    with pytest.raises(LatentMismatch, match=r"8 rows of 12 for mapping .* child of it"):
        encode(encoder, torch.zeros(1, 3, 64, 64), stranger)
    check_pairing(encoder, model)


@pytest.mark.parametrize("known", [True, False])
def test_a_model_of_another_size_is_refused(model, known) -> None:
    larger = tiny_stylegan2(channels=(8, 6, 4, 3, 3))
    with pytest.raises(LatentMismatch, match="8 rows of 12"):
        encode(tiny_encoder(model if known else None), torch.zeros(1, 3, 64, 64), larger)


def test_an_encoder_of_unknown_descent_is_judged_by_shapes_and_says_so(model) -> None:
    encoder = tiny_encoder()
    for generator in (model, tiny_stylegan2(seed=1)):
        assert encode(encoder, torch.zeros(1, 3, 64, 64), generator).model == sg.ModelSignature.of(generator)
    assert encode(encoder, torch.zeros(1, 3, 64, 64)).model is None
    assert "unknown generator" in sg.describe(encoder) and "trained for stylegan2 32 px" in sg.describe(
        tiny_encoder(model, model_resolution=32))


def test_a_file_without_its_decoder_loads(golden, tmp_path) -> None:
    path = golden("psp_wplus_tiny").file("encoder_wplus.pt")
    tree = torch.load(path, weights_only=True)
    tree["state_dict"] = {k: v for k, v in tree["state_dict"].items() if not k.startswith("decoder.")}
    torch.save(tree, tmp_path / "psp.pt")
    encoder, own = sg.load(tmp_path / "psp.pt"), sg.load(path, which="decoder")
    assert encoder.signature.mapping_hash == ""
    x = torch.zeros(1, 3, 256, 256)
    assert torch.equal(encode(encoder, x, own).tensor, encode(sg.load(path), x, own).tensor)


def test_nan_in_the_weights_is_named(golden, tmp_path) -> None:
    tree = torch.load(golden("psp_wplus_tiny").file("encoder_wplus.pt"), weights_only=True)
    tree["state_dict"]["encoder.styles.4.linear.weight"][0] = float("nan")
    torch.save(tree, tmp_path / "psp.pt")
    with pytest.raises(LoadError, match="NaN"):
        sg.load(tmp_path / "psp.pt")


@pytest.mark.parametrize("trunk", TRUNKS)
@pytest.mark.parametrize("progressive", [False, True])
def test_restyle_with_a_child_of_its_generator(model, trunk, progressive) -> None:
    encoder = tiny_encoder(model, trunk=TRUNKS[trunk], progressive=progressive)
    faces = torch.rand(3, 3, 48, 48) * 2 - 1
    one, two = (encode(encoder, faces, model, passes=passes, chunk=2).tensor for passes in (1, 2))
    assert one.shape == (3, 8, 12) and not torch.allclose(one, two)
    assert torch.allclose(encode(encoder, faces[2:], model, passes=2).tensor, two[2:], atol=1e-4)
    with pytest.raises(InvalidInput, match="holds no generator"):
        encode(encoder, faces)
    with pytest.raises(LatentMismatch):
        encode(encoder, faces, tiny_stylegan2(seed=1))


def test_a_broken_picture_is_named(model) -> None:
    faces = torch.zeros(3, 3, 32, 32)
    faces[1, 0, 0, 0] = float("inf")
    with pytest.raises(InvalidInput, match="Image 2"):
        encode(tiny_encoder(model), faces, model)


def test_memory_halves_the_chunk(model, monkeypatch) -> None:
    encoder, faces = tiny_encoder(model), torch.rand(3, 3, 32, 32)
    whole, real, tries = encode(encoder, faces), encoder.raw, []

    def hungry(x: torch.Tensor, stage: int | None = None) -> torch.Tensor:
        tries.append(len(x))
        if len(x) > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return real(x, stage)

    monkeypatch.setattr(encoder, "raw", hungry)
    assert torch.allclose(encode(encoder, faces).tensor, whole.tensor, atol=1e-5) and tries == [3, 1, 1, 1]


def test_an_encoders_latents_start_an_optimization(model) -> None:
    encoder = tiny_encoder(model)
    faces = torch.rand(2, 3, 32, 32) * 2 - 1
    start = encode(encoder, faces, model)
    found = sg.Inverter(model, faces, "w+", sg.InversionOptions(identity=0.0, lpips=0.0, l2=1.0), start).result()
    assert torch.allclose(found.images, sg.render(model, start), atol=1e-3)
