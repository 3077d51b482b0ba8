"""inspect tells what load would build, without building it."""

from __future__ import annotations

import pytest
import torch

import stylegan_core as sg
from stylegan_core import checkpoints
from stylegan_core.assets import asset_path
from stylegan_core.errors import InvalidInput, LoadError, UnsupportedCheckpoint

from .conftest import TINY

SENTENCES = {
    "ros2_train_tiny": "StyleGAN2, 64 px, 10 styles, 0.0 M parameters, licence: unknown",
    "ros2_converted_tiny": "StyleGAN2, 64 px, 10 styles, 0.0 M parameters, licence: unknown",
    "swap_ros2_tiny": "StyleGAN2, 32 px, 8 styles, 0.0 M parameters, licence: unknown",
    "ada_sg2_tiny": "StyleGAN2, 64 px, 10 styles, 0.0 M parameters, 0.4 M images seen, licence: unknown",
    "ada_sg2_cond": "StyleGAN2, 32 px, 8 styles, 5 classes, 0.0 M parameters, 0.4 M images seen, licence: unknown",
    "ada_sg2_gray": "StyleGAN2, 32 px, 8 styles, gray, 0.0 M parameters, 0.4 M images seen, licence: unknown",
    "sg3repo_sg2_tiny": "StyleGAN2, 64 px, 10 styles, 0.0 M parameters, 0.4 M images seen, licence: unknown",
    "tf_sg2_tiny": "StyleGAN2, 64 px, 10 styles, 0.0 M parameters, licence: unknown",
    "tf_sg2_gray": "StyleGAN2, 32 px, 8 styles, gray, 0.0 M parameters, licence: unknown",
}
LAYOUTS = {
    "ros2_train_tiny": ("rosinality-stylegan2", "torch zip", "g_ema"),
    "ros2_converted_tiny": ("rosinality-stylegan2", "torch legacy", "g_ema"),
    "ada_sg2_cond": ("nvidia-stylegan2", "pickle", "G_ema"),
    "tf_sg2_tiny": ("tensorflow-stylegan2", "pickle", "Gs"),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_sentence(name, tiny) -> None:
    assert checkpoints.inspect(tiny(name)).sentence() == SENTENCES[name]


@pytest.mark.parametrize("name", LAYOUTS)
def test_layout_container_part(name, tiny) -> None:
    facts = checkpoints.inspect(tiny(name))
    assert (facts.layout, facts.container, facts.part) == LAYOUTS[name]


@pytest.mark.parametrize("name", TINY)
def test_agrees_with_the_loaded_model(name, tiny, tmp_path) -> None:
    model = checkpoints.load(tiny(name))
    for path in (tiny(name), checkpoints.save(model, tmp_path / "m")):
        facts = checkpoints.inspect(path)
        told = (facts.kind, facts.resolution, facts.num_ws, facts.z_dim, facts.w_dim, facts.c_dim, facts.img_channels)
        assert told[:3] == (model.kind, model.img_resolution, model.num_ws)
        assert told[3:] == (model.z_dim, model.w_dim, model.c_dim, model.img_channels)
        assert facts.parameters == sum(p.numel() for p in model.parameters())
        assert facts.channels == model.config.channels and facts.classes == model.c_dim


def test_builds_no_network(tiny, tmp_path, monkeypatch) -> None:
    path = checkpoints.save(checkpoints.load(tiny("tf_sg2_gray")), tmp_path / "m")

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a network was built")

    monkeypatch.setattr(torch.nn.Module, "__init__", never)
    assert checkpoints.inspect(path).resolution == checkpoints.inspect(tiny("tf_sg2_gray")).resolution == 32


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s}, lambda s: {"g_ema": s},
                                  lambda s: {f"module.{k}": v for k, v in s.items()},
                                  lambda s: {"params_ema": {f"module.{k}": v for k, v in s.items()}}])
@pytest.mark.parametrize("legacy", [False, True])
def test_wrappers(wrap, legacy, tiny, tmp_path) -> None:
    state = torch.load(tiny("swap_ros2_tiny"))["g_ema"]
    torch.save(wrap(state), tmp_path / "w.pt", _use_new_zipfile_serialization=not legacy)
    model = checkpoints.load(tmp_path / "w.pt")
    direct = checkpoints.load(tiny("swap_ros2_tiny"))
    ours, whole = model.state_dict(), direct.state_dict()
    assert ours.keys() == whole.keys()
    w_avg = [k for k in ours if k.endswith("w_avg")]  # stands beside the weights in this layout: lost by wrapping them alone
    assert w_avg and all(torch.equal(t, whole[k]) for k, t in ours.items() if k not in w_avg)


FOREIGN = {
    "diffusion": {"model.diffusion_model.input_blocks.0.0.weight": (4, 4)},
    "LoRA": {"lora_unet_down.lora_up.weight": (4, 4)},
    "SWAGAN": {"input.input": (1, 4, 4, 4), "to_rgbs.0.iwt.ll": (2, 2)},
    "StyleGAN-XL": {"mapping.embed_proj.weight": (4, 4), "synthesis.input.freqs": (4, 2)},
    "genforce": {"generator_smooth.mapping.dense0.weight": (4, 4), "generator_smooth.synthesis.layer0.weight": (4, 4)},
    "lucidrains": {"GAN.G.blocks.0.to_style1.weight": (4, 4), "GAN.S.net.0.weight": (4, 4)},
    "LPIPS": {"lin4.model.1.weight": (1, 4, 1, 1)},
    "face detector": {"pnet.conv1.weight": (4, 3, 3, 3), "onet.conv1.weight": (4, 3, 3, 3)},
    "Progressive GAN": {"4x4/Dense/weight": (2, 2), "ToRGB_lod0/weight": (1, 1, 2, 3)},
    "CLIP": {"text_model.encoder.layers.0.weight": (2,)},
}


EMBEDDED = {"lpips_alex": "LPIPS", "mtcnn": "face detector", "identity": "face identity"}


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_loss_and_face_networks_are_told_for_what_they_are(name) -> None:
    with pytest.raises(UnsupportedCheckpoint, match=EMBEDDED[name]):
        checkpoints.inspect(asset_path(name))


@pytest.mark.parametrize("word", FOREIGN)
def test_known_strangers_get_their_own_sentence(word, tmp_path) -> None:
    torch.save({k: torch.zeros(s) for k, s in FOREIGN[word].items()}, tmp_path / "f.pt")
    with pytest.raises(UnsupportedCheckpoint, match=word):
        checkpoints.inspect(tmp_path / "f.pt")


def test_unknown_network_names_keys_and_the_nearest_kind(tiny, tmp_path) -> None:
    state = torch.load(tiny("swap_ros2_tiny"))["g_ema"]
    torch.save({k: v for k, v in state.items() if not k.startswith("style.")}, tmp_path / "f.pt")
    with pytest.raises(UnsupportedCheckpoint, match="nearest known kind is a rosinality StyleGAN2.*no style.1.weight") as told:
        checkpoints.inspect(tmp_path / "f.pt")
    assert "conv1.conv.weight [1, 16, 16, 3, 3]" in str(told.value)


def test_surplus_tensors_are_named(tiny, tmp_path) -> None:
    state = torch.load(tiny("swap_ros2_tiny"))["g_ema"]
    torch.save({**state, "attention.query.weight": torch.zeros(2)}, tmp_path / "f.pt")
    with pytest.raises(LoadError, match=r"attention\.query\.weight"):
        checkpoints.load(tmp_path / "f.pt")


def test_whole_numbers_are_no_weights(tiny, tmp_path) -> None:
    state = torch.load(tiny("swap_ros2_tiny"))["g_ema"]
    torch.save({**state, "conv1.conv.weight": state["conv1.conv.weight"].to(torch.int8)}, tmp_path / "f.pt")
    with pytest.raises(LoadError, match=r"conv1\.conv\.weight.*int8"):
        checkpoints.load(tmp_path / "f.pt")


def test_weights_of_another_float_type_load_and_are_told(tiny, tmp_path) -> None:
    state = torch.load(tiny("swap_ros2_tiny"))["g_ema"]
    torch.save({k: v.half() for k, v in state.items()}, tmp_path / "f.pt")
    model = checkpoints.load(tmp_path / "f.pt")
    assert "float16" in model.info.notes["warnings"][0] and {p.dtype for p in model.parameters()} == {torch.float32}


def test_missing_noise_maps_are_drawn_alike_each_time(tiny, tmp_path) -> None:
    state = torch.load(tiny("swap_ros2_tiny"))["g_ema"]
    torch.save({k: v for k, v in state.items() if not k.startswith("noises.")}, tmp_path / "f.pt")
    a, b = checkpoints.load(tmp_path / "f.pt"), checkpoints.load(tmp_path / "f.pt")
    assert torch.equal(a.synthesis.b8.conv0.noise_const, b.synthesis.b8.conv0.noise_const)
    assert "noise maps" in a.info.notes["warnings"][0]


def test_other_resampling_taps_are_read_from_the_kernels(tiny, tmp_path) -> None:
    state = torch.load(tiny("swap_ros2_tiny"))["g_ema"]
    line = torch.tensor([1.0, 2.0, 2.0, 3.0])
    kernel = torch.outer(line, line) / line.sum() ** 2 * 4
    torch.save({k: kernel if k.endswith("kernel") else v for k, v in state.items()}, tmp_path / "f.pt")
    assert checkpoints.load(tmp_path / "f.pt").config.resample_kernel == (1.0, 2.0, 2.0, 3.0)


def test_which(tiny) -> None:
    with pytest.raises(InvalidInput, match="ema"):
        checkpoints.load(tiny("swap_ros2_tiny"), which="best")
    with pytest.raises(LoadError, match="averaged weights only"):
        checkpoints.load(tiny("swap_ros2_tiny"), which="raw")
    with pytest.raises(LoadError, match="no generator inside"):
        checkpoints.load(tiny("swap_ros2_tiny"), which="decoder")


def test_rows_of_codes_are_no_styles(tmp_path) -> None:
    """A bank of 3 styles of 9 rows is none of 9 styles."""
    bank = sg.StyleBank.of(sg.Latents(torch.randn(3, 9, 16), "z+"), ("a", "b", "c"))
    said = checkpoints.inspect(checkpoints.save(bank, tmp_path / "bank")).sentence()
    assert ", 9 rows, " in said and "9 styles" not in said
