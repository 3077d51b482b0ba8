"""Layouts without a small golden of their own, made here by an inverse written apart from the reader."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from benchmarks.twins.discriminator import score as plain_score
from stylegan_core import checkpoints
from stylegan_core.blending import blend
from stylegan_core.checkpoints.openvino import read_constants
from stylegan_core.errors import AtelierError, LoadError, UnsupportedCheckpoint
from stylegan_core.networks.generators.mobilestylegan import MobileStyleGAN, MobileStyleGANConfig
from stylegan_core.networks.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from stylegan_core.networks.judges.discriminator import Discriminator, DiscriminatorConfig
from stylegan_core.networks.mapping import MappingConfig

from .makers import (
    discriminator_to_tensorflow,
    fill_rule,
    foreign_modules,
    openvino_mobilestylegan,
    openvino_pair,
    persistent_class,
    revive,
    tensorflow_pickle,
    to_rosinality,
    to_tensorflow,
)


def tiny_model(architecture: str = "skip", c_dim: int = 0, **facts) -> StyleGAN2:
    torch.manual_seed(1)
    mapping = MappingConfig(z_dim=12, c_dim=c_dim, w_dim=16, num_ws=6, num_layers=3, hidden_dim=20)
    model = StyleGAN2(StyleGAN2Config(mapping, 16, (12, 10, 8), architecture=architecture, **facts)).eval()
    model.w_avg = torch.randn(16)
    for key, tensor in model.state_dict().items():
        if key.endswith(("noise_strength", "noise_const", "bias")):
            tensor.normal_()
    return model


def images(model) -> torch.Tensor:
    z = torch.randn(2, model.z_dim, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        return model(z, torch.eye(model.c_dim)[:2] if model.c_dim else None, truncation_psi=0.8)


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize(("architecture", "c_dim", "clamp"), [("skip", 0, None), ("resnet", 0, None), ("orig", 0, None),
                                                              ("skip", 3, 0.5), ("resnet", 3, 256.0)])
def test_tensorflow_variants(architecture, c_dim, clamp, protocol, tmp_path) -> None:
    model = tiny_model(architecture, c_dim, scaled_demodulation=True, conv_clamp=clamp)
    static = {"resolution": 16, "architecture": architecture, "conv_clamp": clamp, "resample_kernel": [1, 3, 3, 1]}
    path = tensorflow_pickle(tmp_path / "tf.pkl", to_tensorflow(model.state_dict()), static, protocol)
    back = checkpoints.load(path)
    assert back.config == model.config
    assert torch.allclose(images(back), images(model), atol=1e-5)


def test_tensorflow_joint_label_embedding(tmp_path) -> None:
    variables = to_tensorflow(tiny_model(scaled_demodulation=True).state_dict())
    variables["mapping/LabelConcat/weight"] = np.ones((4, 12), np.float32)
    variables["mapping/Dense0/weight"] = np.ones((24, 20), np.float32)
    config = checkpoints.load(tensorflow_pickle(tmp_path / "tf.pkl", variables, {})).config
    assert config.mapping.label == "concat" and config.mapping.c_dim == 4 and config.mapping.z_dim == 12


def test_tensorflow_configs_b_to_d_are_refused(tmp_path) -> None:
    variables = to_tensorflow(tiny_model().state_dict())
    renamed = {k.replace("16x16/ToRGB", "16x16/ToRGB_lod0"): v for k, v in variables.items()}
    with pytest.raises(UnsupportedCheckpoint, match="config B to D"):
        checkpoints.load(tensorflow_pickle(tmp_path / "tf.pkl", renamed, {}))


def test_network_tuned_and_saved_whole(golden, tmp_path) -> None:
    """PTI saves NVIDIA's generator object with torch.save, tensors in the zip."""
    source = golden("ada_sg2_cond").file("network-snapshot-000400.pkl")
    record = checkpoints.read_file(source).tree["G_ema"]
    cls, function = persistent_class()
    with foreign_modules(torch_utils__persistence___reconstruct_persistent_obj=function):
        torch.save(revive(record, cls), tmp_path / "model_pti.pt")
    back, model = checkpoints.load(tmp_path / "model_pti.pt"), checkpoints.load(source)
    assert back.config == model.config and torch.equal(images(back), images(model))


def test_nvidia_state_dict_without_attributes(golden, tmp_path) -> None:
    model = checkpoints.load(golden("ada_sg2_tiny").file("network-snapshot-000400.pkl"))
    torch.save(model.state_dict(), tmp_path / "bare.pt")
    back = checkpoints.load(tmp_path / "bare.pt")
    assert back.config.conv_clamp is None and "clamped" in back.info.notes["warnings"][0]
    assert torch.allclose(images(back), images(model), atol=1e-5)


@pytest.mark.parametrize("name", ["psp_wplus_tiny/encoder_wplus.pt", "dsg_tiny64/generator.pt"])
def test_generator_inside_an_encoder_or_dualstylegan(name, golden) -> None:
    folder, file = name.split("/")
    model = checkpoints.load(golden(folder).file(file), which="decoder")
    assert model.kind == "stylegan2" and model.mapping.w_avg.isnan().all(), "no average in the file, none looked for yet"
    facts = checkpoints.inspect(golden(folder).file(file), which="decoder")
    assert facts.kind == "stylegan2" and facts.part.endswith(("decoder", "generator"))


def wide_as(layout: str, model: StyleGAN2, folder) -> str:
    """A file of `layout` that holds a model twice as wide as high."""
    if layout == "tensorflow":
        variables = {re.sub(r"(\d+)x\1/", lambda m: f"{m[1]}x{2 * int(m[1])}/", k): v
                     for k, v in to_tensorflow(model.state_dict()).items()}
        return str(tensorflow_pickle(folder / "wide.pkl", variables, {}))
    state = model.state_dict() if layout == "nvidia" else to_rosinality(model.state_dict())
    torch.save(state if layout == "nvidia" else {"g_ema": state, "latent_avg": model.w_avg}, folder / "wide.pt")
    return str(folder / "wide.pt")


@pytest.mark.parametrize("layout", ["nvidia", "rosinality", "tensorflow"])
def test_images_that_are_not_square(layout, tmp_path) -> None:
    """A learned input of 4 x 8 makes images twice as wide as high; sizes are named by their height."""
    model = tiny_model(const_size=(4, 8), scaled_demodulation=layout != "nvidia")
    path = wide_as(layout, model, tmp_path)
    facts = checkpoints.inspect(path)
    assert (facts.resolution, facts.size, facts.num_ws) == (16, (16, 32), 6) and "32 x 16 px" in facts.sentence()
    back = checkpoints.load(path)
    assert back.config == model.config and back.img_resolution == 16
    assert back.synthesis.noise_shapes() == ((4, 8), (8, 16), (8, 16), (16, 32), (16, 32))
    assert images(back).shape == (2, 3, 16, 32) and torch.allclose(images(back), images(model), atol=1e-5)
    noise = [torch.randn(1, 1, *size) for size in back.synthesis.noise_shapes()]
    ws = back.mapping(torch.randn(1, back.z_dim))
    assert torch.equal(back.synthesis(ws, noise=noise), back.synthesis(ws, noise=noise))
    again = checkpoints.load(checkpoints.save(back, tmp_path / "saved"))
    assert torch.equal(images(again), images(back))


def test_blending_models_that_are_not_square(tmp_path) -> None:
    a = tiny_model(const_size=(4, 8))
    b = checkpoints.load(wide_as("nvidia", a, tmp_path))
    for key, tensor in b.state_dict().items():
        if key.startswith("synthesis.b16"):
            tensor.mul_(1.5)
    mixed = blend(a, b, 8)
    assert images(mixed).shape == (2, 3, 16, 32) and torch.equal(images(blend(a, b, 16)), images(blend(a, b, 16)))
    assert not torch.allclose(images(mixed), images(b)) or not torch.allclose(images(mixed), images(a))
    square = tiny_model()
    with pytest.raises(AtelierError):
        blend(a, square, 8)


def test_missing_noise_maps_of_images_that_are_not_square(tmp_path) -> None:
    state = {k: t for k, t in to_rosinality(tiny_model(const_size=(4, 8)).state_dict()).items() if "noises" not in k}
    torch.save(state, tmp_path / "old.pt")
    model = checkpoints.load(tmp_path / "old.pt")
    assert model.synthesis.b16.conv0.noise_const.shape == (16, 32) and images(model).shape == (2, 3, 16, 32)


@pytest.mark.parametrize("architecture", ["resnet", "skip", "orig"])
def test_tensorflow_discriminator(architecture, tmp_path) -> None:
    torch.manual_seed(0)
    model = Discriminator(DiscriminatorConfig(16, (6, 5, 4), architecture=architecture, group_size=2)).requires_grad_(False)
    static = {"resolution": 16, "architecture": architecture, "mbstd_group_size": 2, "resample_kernel": [1, 3, 3, 1]}
    variables = discriminator_to_tensorflow(model.state_dict())
    own = to_tensorflow(tiny_model().state_dict())
    path = tensorflow_pickle(tmp_path / "tf.pkl", own, static, judge=variables)
    back, pictures = checkpoints.load(path, which="discriminator"), torch.randn(4, 3, 16, 16)
    assert back.config == model.config and torch.allclose(back(pictures), model(pictures), atol=1e-5)
    assert checkpoints.load(path).kind == "stylegan2"
    variables["Output/weight"], variables["Output/bias"] = np.ones((6, 3), np.float32), np.ones(3, np.float32)
    conditional = tensorflow_pickle(tmp_path / "c.pkl", own, static, judge=variables)
    with pytest.raises(UnsupportedCheckpoint, match="3.* numbers"):
        checkpoints.load(conditional, which="discriminator")


@pytest.mark.parametrize("name", ["ada_sg2_tiny", "ada_sg2_cond", "sg3_r_tiny"])
def test_discriminator_of_an_nvidia_pickle(name, golden) -> None:
    """Weights are the pickled ones, the clamp is the layers', and the score is the plain twin's."""
    model = checkpoints.load(golden(name).file("network-snapshot-000400.pkl"), which="discriminator")
    assert model.config.conv_clamp == 256 and model.config.architecture == "resnet" and model.config.group_size == 4
    pictures = torch.randn(4, 3, model.img_resolution, model.img_resolution)
    c = torch.eye(model.c_dim)[:4] if model.c_dim else None
    torch.testing.assert_close(model(pictures, c), plain_score(model, pictures, c), rtol=1e-4, atol=1e-4)
    assert model.c_dim == (5 if name == "ada_sg2_cond" else 0)


def test_a_discriminator_on_its_own_loads(golden, tmp_path) -> None:
    state = checkpoints.load(golden("ada_sg2_tiny").file("network-snapshot-000400.pkl"), which="discriminator").state_dict()
    for wrapped in (state, {"D": state}, {f"module.{k}": v for k, v in state.items()}):
        torch.save(wrapped, tmp_path / "d.pt")
        facts = checkpoints.inspect(tmp_path / "d.pt")
        assert facts.kind == "discriminator" and "clamped" in facts.notes["warnings"][0]


@pytest.mark.parametrize(("folder", "file", "text"), [
    ("swap_ros2_tiny", "model_A.pt", "no discriminator"), ("tf_sg1_tiny", "karras2019stylegan-tiny.pkl", "StyleGAN1"),
    ("ros1_train_tiny", "train_step-4.model", "StyleGAN1"), ("sampler_tiny", "sampler.pt", "no discriminator"),
])
def test_files_without_a_discriminator_say_so(folder, file, text, golden) -> None:
    with pytest.raises(LoadError, match=text):
        checkpoints.load(golden(folder).file(file), which="discriminator")


@pytest.mark.parametrize("resolution", [4, 32, 1024])
def test_the_size_of_a_rosinality_stylegan1_can_be_told(resolution, golden, tmp_path) -> None:
    path = golden("ros1_running_tiny").file("010000.model")
    model = checkpoints.load(path, resolution=resolution)
    assert model.img_resolution == checkpoints.inspect(path, resolution=resolution).resolution == resolution
    whole = checkpoints.load(path)
    assert torch.equal(model.synthesis.b4.conv1.weight, whole.synthesis.b4.conv1.weight)
    assert checkpoints.load(checkpoints.save(model, tmp_path / "m"), resolution=resolution).img_resolution == resolution


@pytest.mark.parametrize(("folder", "file", "resolution", "text"), [
    ("ros1_running_tiny", "010000.model", 100, "power of two"), ("ros1_running_tiny", "010000.model", 2048, "4 to 1024 px"),
    ("swap_ros2_tiny", "model_A.pt", 64, "has 32 px and 64 px were asked for"),
])
def test_a_size_the_file_does_not_have(folder, file, resolution, text, golden) -> None:
    with pytest.raises(LoadError, match=text):
        checkpoints.load(golden(folder).file(file), resolution=resolution)


def test_training_facts_travel(golden, tmp_path) -> None:
    facts = checkpoints.inspect(golden("ada_sg2_tiny").file("network-snapshot-000400.pkl"))
    assert facts.images_seen == 400_000 and "0.4 M images seen" in facts.sentence()
    trained = checkpoints.load(golden("ros2_train_tiny").file("010000.pt"))
    again = checkpoints.inspect(checkpoints.save(trained, tmp_path / "m"))
    assert again.notes["training_steps"] == 10_000 and again.notes["training"]["batch"] == 16 and again.images_seen is None


def test_openvino_constants_may_share_their_place(tmp_path) -> None:
    """Equal constants are stored once; a graph that unfolds to far more than its .bin is refused."""
    xml = openvino_pair(tmp_path, "MappingNetwork", [("a", torch.arange(3.0)), ("b", torch.arange(3.0))])
    shared = xml.read_text().replace('offset="12"', 'offset="0"')
    xml.write_text(shared)
    assert torch.equal(read_constants(xml)[1][1], torch.arange(3.0))
    layers = shared[shared.index("<layer ") : shared.index("</layers>")]
    xml.write_text(shared.replace(layers, layers * 10))
    with pytest.raises(LoadError, match="unfold"):
        read_constants(xml)


def test_openvino_constants_without_numbers_are_refused(tmp_path) -> None:
    xml = openvino_pair(tmp_path, "MappingNetwork", [("a", torch.arange(3.0))])
    xml.write_text(re.sub('shape="[^"]*" offset="0" size="12"', f'shape="0{",999999999999" * 6}" offset="0" size="0"',
                          xml.read_text()))
    with pytest.raises(LoadError, match="without shape"):
        read_constants(xml)


def test_openvino(tmp_path) -> None:
    torch.manual_seed(0)
    model = MobileStyleGAN(MobileStyleGANConfig(MappingConfig(32, 0, 32, 8, 3, 32), (16, 16, 8))).eval()
    xml = openvino_mobilestylegan(tmp_path, model.state_dict())
    for path in (xml, tmp_path / "MappingNetwork.bin"):
        torch.testing.assert_close(images(checkpoints.load(path)), images(model), rtol=1e-5, atol=1e-4)
    (tmp_path / "SynthesisNetwork.bin").write_bytes((tmp_path / "SynthesisNetwork.bin").read_bytes()[:-4])
    with pytest.raises(LoadError, match="truncated"):
        checkpoints.load(xml)
    xml.write_text('<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><net/>')
    with pytest.raises(LoadError, match="entities"):
        checkpoints.load(xml)
    (tmp_path / "MappingNetwork.bin").unlink()
    with pytest.raises(LoadError, match=r"MappingNetwork\.bin"):
        checkpoints.load(xml)


FULL = {"full_ros2_ffhq1024": 1, "full_ada_sg2_1024": 1, "full_tf_sg2_configf_1024": 1}


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL)
def test_full_size_files_load_completely(name, golden, tmp_path) -> None:
    tensors = fill_rule(golden(name).json("manifest.json"))
    path = tmp_path / "full.pt"
    if name.startswith("full_tf"):
        tensorflow_pickle(path, {k: t.numpy() for k, t in tensors.items()}, {"resolution": 1024})
    else:
        torch.save({"g_ema": tensors}, path)
    facts = checkpoints.inspect(path)
    assert facts.parameters == 30_370_060 and facts.num_ws == 18
    assert facts.sentence() == "StyleGAN2, 1024 px, 18 styles, 30.4 M parameters, licence: unknown"
    model = checkpoints.load(path)
    z = golden(name).tensor("z")
    w = model.mapping.to_w(z)
    assert (w - golden(name).tensor("w").reshape(w.shape)).abs().max() < 1e-4 * w.abs().max()
