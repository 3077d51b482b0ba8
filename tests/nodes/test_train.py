"""Training and measuring through the engines, at tiny size."""

from __future__ import annotations

import json

import numpy as np
import pytest
from prompts import Prompt, generate, load, node, sample, save
from support import pixels, write_picture

import stylegan_core as sg
from stylegan_core.engine import read_log


def pairs(**more) -> Prompt:
    """What another model draws for a tiny base's latents is what it is to learn."""
    return {
        "base": load(), "pairs": node("AtelierSampleTrainingPairs", model=["base", 0], count=8, psi=0.7, seed=3),
        "toon": load("tiny_toon.safetensors"), "look": generate(["toon", 0], ["pairs", 1]),
        "learn": node("AtelierFineTuneOnPairs", model=["base", 0], latents=["pairs", 1], targets=["look", 0], steps=150,
                      layers="all", seed=0, rate=0.02, lpips=0.0),
        "again": generate(["learn", 0], ["pairs", 1]),
    } | more


def test_a_look_is_learnt_from_pairs(engine) -> None:
    result = engine.succeed(pairs(save_base=save(["pairs", 0], "train/base"), save_look=save(["look", 0], "train/look"),
                                  save_child=save(["again", 0], "train/child"), save_sheet=save(["learn", 1], "train/sheet")))
    assert result["ticks"] >= 10
    base, look, child = (pixels(engine, f"train/{name}_*").astype(float) for name in ("base", "look", "child"))
    assert np.abs(child - look).mean() < 0.7 * np.abs(base - look).mean()


def test_interrupted_training_on_pairs_goes_on_where_it_was(comfyui) -> None:
    prompt = pairs()
    prompt["learn"]["inputs"] |= {"steps": 40, "seed": 5}
    prompt |= {"save": save(["again", 0], "train/resumed")}
    stopped = comfyui.run(prompt, interrupt_at=30)
    states = list(comfyui.base.rglob("stylegan_training/pairs-*.safetensors"))
    assert not stopped["success"] and len(states) == 1
    resumed = comfyui.succeed(prompt)
    assert not list(comfyui.base.rglob("stylegan_training/pairs-*.safetensors")), "what is finished leaves nothing behind"
    assert resumed["ticks"] < 40


def learn(run: str, data: Prompt | None = None, **fields) -> Prompt:
    values = {"preset": "quick", "run": run, "resume": True, **fields}
    found = {"base": load(), "data": node("AtelierTrainingData", folder="drawings", resolution="32", align=False,
                                          licence="CC0-1.0"),
             "options": node("AtelierTrainingOptions", kimg=0.008, layers="all", augment="bgc", freeze_d=-1, pull_features=-1.0,
                             seed=0, batch_size=4, tick_kimg=0.004),
             "learn": node("AtelierFineTuneStyleGAN", model=["base", 0], data=["data", 0], options=["options", 0], **values),
             "save": save(["learn", 1], "train/samples"), "sheet": save(["data", 1], "train/data")}
    return found | (data or {})


@pytest.fixture
def drawings(engine):
    folder = engine.base / "input" / "drawings"
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(12):
        write_picture(folder / f"{i}.png", 48, 48, seed=i)
    return folder


def test_a_style_is_trained_gone_on_with_and_measured(engine, drawings) -> None:
    run = f"run {engine.kind}"
    for kimg in (0.008, 0.012):
        prompt = learn(run) | {
            "curves": node("AtelierTrainingCurves", run=run, after=["learn", 0]),
            "real": node("AtelierSampleTrainingPairs", model=["base", 0], count=8, psi=1.0, seed=9),
            "fid": node("AtelierFID", model=["learn", 0], images=["real", 0], count=8, seed=0),
            "ppl": node("AtelierPerceptualPathLength", model=["learn", 0], count=4, space="w", seed=0),
            "ls": node("AtelierLinearSeparability", model=["learn", 0], count=16, seed=0),
            "save_curves": save(["curves", 0], f"train/curves_{kimg}"),
            **{f"save_{name}": save([name, 0], f"train/plot_{name}") for name in ("fid", "ppl", "ls")}}
        prompt["options"]["inputs"]["kimg"] = kimg
        engine.succeed(prompt)
    folder = next(engine.base.rglob(f"stylegan_training/{run}"))
    told = sg.load(folder / "last.safetensors").info
    assert told.notes["training"]["images_seen"] == 12 and told.licence.endswith("CC0-1.0")
    assert [e["images"] for e in read_log(folder)] == [4, 8, 12]
    assert {json.loads((folder / "settings.json").read_text())["settings"][k] for k in ("batch_size",)} == {4}
    assert pixels(engine, "train/data_*").shape[-1] == 3 and pixels(engine, "train/curves_*").shape[1:3] == (480, 720)
    for name in ("fid", "ppl", "ls"):
        assert pixels(engine, f"train/plot_{name}_*").shape[2] == 720


def test_cancel_keeps_what_was_learnt(comfyui) -> None:
    folder = comfyui.base / "input" / "drawings"
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(12):
        write_picture(folder / f"{i}.png", 48, 48, seed=i)
    prompt = learn("cancelled")
    prompt["options"]["inputs"]["kimg"] = 0.08
    assert not comfyui.run(prompt, interrupt_at=18)["success"]
    run = next(comfyui.base.rglob("stylegan_training/cancelled"))
    kept = list((run / "states").glob("*.safetensors"))
    assert len(kept) == 1 and sg.load(run / "last.safetensors").info.notes["training"]["images_seen"] >= 4
    prompt["options"]["inputs"]["kimg"] = 0.032
    comfyui.succeed(prompt)
    assert sg.load(run / "last.safetensors").info.notes["training"]["images_seen"] == 32


def test_a_style_from_one_drawing(engine, drawings) -> None:
    prompt = learn(f"one {engine.kind}", preset="one drawing", structure="taken", steps=4)
    prompt |= {"faces": sample("learn"), "drawn": generate(["learn", 0], ["faces", 0]),
               "save2": save(["drawn", 0], "train/one")}
    engine.succeed(prompt)
    told = sg.load(next(engine.base.rglob(f"stylegan_training/one {engine.kind}")) / "last.safetensors").info
    assert told.notes["one_drawing"]["steps"] == 4 and told.parents[0]["name"] == "tiny_base.safetensors"
    assert pixels(engine, "train/one_*").shape[1:] == (32, 32, 3)


@pytest.mark.parametrize(("change", "words"), [
    (("data", "folder", "../"), "is not in ComfyUI/input"), (("data", "folder", ""), "is not in ComfyUI/input"),
    (("data", "resolution", "64"), "the model draws 32 px"), (("learn", "run", "../elsewhere"), "no name for a run"),
    (("options", "layers", "nowhere"), "layer range"), (("options", "batch_size", 6), "multiple of 4"),
])
def test_what_is_refused(engine, drawings, change, words) -> None:
    prompt, (place, name, value) = learn("refused"), change
    prompt[place]["inputs"][name] = value
    assert words in engine.fail(prompt)


def test_pairs_that_are_none(engine) -> None:
    prompt = pairs(fewer=node("AtelierSampleTrainingPairs", model=["base", 0], count=5, psi=0.7, seed=3),
                   save=save(["learn", 1], "train/none"))
    prompt["learn"]["inputs"]["latents"] = ["fewer", 1]
    assert "5 latents came with 8 target pictures" in engine.fail(prompt)


def test_an_encoder_is_trained_and_used(engine) -> None:
    run = f"encoder {engine.kind}"
    engine.succeed({
        "base": load(), "pairs": node("AtelierSampleTrainingPairs", model=["base", 0], count=4, psi=0.7, seed=3),
        "train": node("AtelierTrainGANEncoder", model=["base", 0], steps=2, image_steps=1, run=run, resume=True, batch=2),
        "found": node("AtelierInvertWithEncoder", encoder=["train", 0], image=["pairs", 0], model=["base", 0]),
        "save": save(["found", 1], "train/encoded"), "sheet": save(["train", 1], "train/encoder")})
    folder = next(engine.base.rglob(f"stylegan_training/{run}"))
    assert sg.load(folder / "encoder.safetensors").info.notes["encoder_training"]["steps"] == 3
    assert len(pixels(engine, "train/encoded_*")) == 4
