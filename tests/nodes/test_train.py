"""Training and measuring through the engines, at tiny size."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from prompts import Prompt, aligned, generate, load, node, sample, save
from support import expected, pixels, write_picture

import stylegan_core as sg
from stylegan_core.engine import read_log
from stylegan_core.training import PairsOptions
from stylegan_core.training.data import data_sheet, prepare_pictures
from stylegan_core.training.pairs_run import learn_pairs
from stylegan_core.training.shown import plot_run


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


def test_training_on_pairs_is_the_cores_at_every_number(engine) -> None:
    name, seed = f"pairs_{engine.kind}", 2**64 - 3  # seeds wrap
    prompt = pairs(pairs=node("AtelierSampleTrainingPairs", model=["base", 0], count=5, psi=0.4, seed=seed),
                   keep=node("AtelierSaveStyleGAN", model=["learn", 0], name=name, notes=""),
                   keep_codes=node("AtelierSaveLatents", latents=["pairs", 1], name=name),
                   faces=save(["pairs", 0], f"{name}/faces"), save=save(["learn", 1], f"{name}/sheet"))
    prompt["learn"]["inputs"] |= {"steps": 4, "layers": "8-16", "seed": 6, "rate": 0.003, "lpips": 0.3}
    engine.succeed(prompt)
    folder = engine.base / "models/stylegan"
    base, toon = (sg.load(folder / f"tiny_{which}.safetensors") for which in ("base", "toon"))
    z = sg.sample_z([seed, seed + 1, seed + 2, 0, 1], base.z_dim)
    codes = sg.Latents(base.mapping(z, truncation_psi=0.4), "w+", base)
    found = sg.Latents.load(engine.files(f"stylegan_latents/{name}_*")[-1])
    assert torch.allclose(found.tensor, codes.tensor, atol=1e-5)
    assert np.abs(pixels(engine, f"{name}/faces_*") - expected(codes, base)).max() <= 1.01
    options = PairsOptions(steps=4, resolutions="8-16", seed=6, lr=0.003, lpips=0.3)
    wanted = learn_pairs(base, codes, sg.render(toon, codes).clamp(-1, 1), options)
    child = sg.load(engine.files(f"stylegan/{name}_*")[-1])
    assert child.info.notes["pairs"]["options"] == asdict(options)
    for key, value in wanted.model.state_dict().items():
        assert torch.allclose(child.state_dict()[key], value, atol=1e-4), key
    sheet = ((wanted.comparison + 1) * 127.5).permute(0, 2, 3, 1).numpy()
    assert np.abs(pixels(engine, f"{name}/sheet_*") - sheet).max() <= 3


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


def test_every_option_reaches_the_run(engine, drawings) -> None:
    """What settings.json holds is what the run was made with; 0 and -1 leave a field to the preset."""
    run = f"options {engine.kind}"
    plain, chosen = learn(f"{run} plain"), learn(run)
    values = {"kimg": 0.004, "layers": "8-16", "augment": "color", "freeze_d": 2, "pull_features": 0.25, "seed": 11,
              "batch_size": 4, "lr": 0.0005, "r1_gamma": 0.7, "path_length_every": 4, "pull_weights": 0.125,
              "train_mapping": True, "mirror": False, "tick_kimg": 0.004, "patience": 3}
    chosen["options"]["inputs"] = values
    plain["options"]["inputs"] |= {"kimg": 0.004, "batch_size": 0, "r1_gamma": 0.0, "lr": 0.0, "patience": -1}
    for prompt in (plain, chosen):
        engine.succeed(prompt)
    names = ("", " plain")
    own, usual = (json.loads((next(engine.base.rglob(f"stylegan_training/{run}{name}")) / "settings.json").read_text())
                  for name in names)
    wanted = {"G_reg_interval" if key == "path_length_every" else key: value for key, value in values.items()}
    assert {key: own["settings"][key] for key in wanted} == wanted
    left = {"freeze_d": 10, "pull_features": 1.0, "lr": 0.001, "r1_gamma": None, "G_reg_interval": None, "batch_size": 4,
            "patience": 0}
    assert {key: usual["settings"][key] for key in left} == left, "twelve pictures: what the preset says of so few"


def test_a_preset_is_the_runs_and_a_run_is_not_begun_twice(engine, drawings) -> None:
    run = f"once {engine.kind}"
    prompt = learn(run, preset="long")
    prompt["options"]["inputs"] = {"kimg": 0.004, "layers": "all", "augment": "none", "freeze_d": -1, "pull_features": -1.0,
                                   "seed": 0}
    engine.succeed(prompt)
    settings = json.loads((next(engine.base.rglob(f"stylegan_training/{run}")) / "settings.json").read_text())["settings"]
    assert settings["patience"] == 8, "of long alone"
    prompt["learn"]["inputs"] |= {"resume": False}
    assert "holds a run already; resume it" in engine.fail(prompt)


def test_curves_are_the_logs(engine, drawings) -> None:
    run = f"curves {engine.kind}"
    engine.succeed(learn(run) | {"curves": node("AtelierTrainingCurves", run=run, after=["learn", 0]),
                                 "save_curves": save(["curves", 0], f"{run}/curves")})
    wanted = plot_run(read_log(next(engine.base.rglob(f"stylegan_training/{run}"))))
    shown = pixels(engine, f"{run}/curves_*")
    assert np.abs(shown - ((wanted + 1) * 127.5).permute(0, 2, 3, 1).numpy()).max() <= 1.01


def test_data_of_pictures_on_a_wire_and_of_faces(engine, drawings, tmp_path) -> None:
    name = f"data_{engine.kind}"
    given = {"resolution": "64", "licence": "CC0-1.0"}
    engine.succeed({
        "base": load(), "codes": sample(count=3), "drawn": generate(["base", 0], ["codes", 0]),
        "photo": node("AtelierLoadExamplePortrait"), "crop": aligned(64),
        "wire": node("AtelierTrainingData", folder="drawings", align=False, images=["drawn", 0], **given),
        "face": node("AtelierTrainingData", folder="", align=True, images=["photo", 0], **given),
        "save": save(["wire", 1], f"{name}/wire"), "save_face": save(["face", 1], f"{name}/face"),
        "save_crop": save(["crop", 0], f"{name}/crop")})
    model = sg.load(engine.base / "models/stylegan/tiny_base.safetensors")
    latents = sg.Latents(sg.sample_z([1, 2, 3], model.z_dim), "z", model).truncate(model, 0.7)
    wanted = data_sheet(prepare_pictures(sg.render(model, latents), 64, tmp_path))
    assert np.abs(pixels(engine, f"{name}/wire_*") - ((wanted + 1) * 127.5).permute(0, 2, 3, 1).numpy()).max() <= 3
    crop = torch.from_numpy(pixels(engine, f"{name}/crop_*")).permute(0, 3, 1, 2) / 127.5 - 1
    wanted = ((sg.contact_sheet(crop, 1, cell=96) + 1) * 127.5).permute(0, 2, 3, 1).numpy()
    assert np.abs(pixels(engine, f"{name}/face_*") - wanted).mean() < 3, "the aligned face, not the photograph's middle"


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
    folder = next(engine.base.rglob(f"stylegan_training/one {engine.kind}"))
    told = sg.load(folder / "last.safetensors").info
    assert told.notes["one_drawing"]["steps"] == 4 and told.parents[0]["name"] == "tiny_base.safetensors"
    assert json.loads((folder / "settings.json").read_text())["settings"]["structure"] == "taken"
    assert told.licence.endswith("CC0-1.0")
    assert pixels(engine, "train/one_*").shape[1:] == (32, 32, 3)


@pytest.mark.parametrize(("change", "words"), [
    (("data", "folder", "../"), "is not in ComfyUI/input"), (("data", "folder", ""), "is not in ComfyUI/input"),
    (("data", "folder", "a\0b"), "is not in ComfyUI/input"), (("data", "folder", "x" * 5000), "is not in ComfyUI/input"),
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
        "train": node("AtelierTrainGANEncoder", model=["base", 0], steps=2, image_steps=1, run=run, resume=True, batch=2,
                      seed=5),
        "found": node("AtelierInvertWithEncoder", encoder=["train", 0], image=["pairs", 0], model=["base", 0]),
        "save": save(["found", 1], "train/encoded"), "sheet": save(["train", 1], "train/encoder")})
    folder = next(engine.base.rglob(f"stylegan_training/{run}"))
    told = sg.load(folder / "encoder.safetensors").info.notes["encoder_training"]
    wanted = {"steps": 2, "image_steps": 1, "batch": 2, "seed": 5}
    assert told["steps"] == 3 and {key: told["options"][key] for key in wanted} == wanted
    assert len(pixels(engine, "train/encoded_*")) == 4
    again = node("AtelierTrainGANEncoder", model=["base", 0], steps=2, image_steps=1, run=run, resume=False, batch=2, seed=5)
    text = engine.fail({"base": load(), "train": again, "sheet": save(["train", 1], "train/encoder")})
    assert "holds a run already; resume it" in text
