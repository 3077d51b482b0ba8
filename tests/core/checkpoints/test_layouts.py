"""Layouts without a small golden of their own, made here by an inverse written apart from the reader."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stylegan_core import checkpoints
from stylegan_core.checkpoints.openvino import read_constants
from stylegan_core.errors import LoadError, UnsupportedCheckpoint
from stylegan_core.networks.mapping import MappingConfig
from stylegan_core.networks.mobilestylegan import MobileStyleGAN, MobileStyleGANConfig
from stylegan_core.networks.stylegan2 import StyleGAN2, StyleGAN2Config

from .makers import (
    fill_rule,
    foreign_modules,
    openvino_mobilestylegan,
    openvino_pair,
    persistent_class,
    revive,
    tensorflow_pickle,
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
    assert model.kind == "stylegan2" and model.mapping.w_avg is None
    facts = checkpoints.inspect(golden(folder).file(file), which="decoder")
    assert facts.kind == "stylegan2" and facts.part.endswith(("decoder", "generator"))


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


def test_openvino(tmp_path) -> None:
    torch.manual_seed(0)
    model = MobileStyleGAN(MobileStyleGANConfig(MappingConfig(32, 0, 32, 8, 3, 32), (16, 16, 8))).eval()
    xml = openvino_mobilestylegan(tmp_path, model.state_dict())
    for path in (xml, tmp_path / "MappingNetwork.bin"):
        assert torch.allclose(images(checkpoints.load(path)), images(model), atol=1e-5)
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
