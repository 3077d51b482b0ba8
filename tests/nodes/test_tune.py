"""Tuning, and deltas on and off, through the engines."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from prompts import Prompt, generate, inverted, load, node, sample, sampled, save, swap
from support import pixels

import stylegan_core as sg


def tuned(prefix: str, steps: int = 40, latents: list | None = None, **more) -> Prompt:
    """The portrait inverted into the tiny base, which is then tuned to it."""
    return inverted(prefix) | {
        "tune": node("AtelierTuneModelToImage", model=["base", 0], image=["faces", 0], latents=latents or ["invert", 0],
                     quality="draft", protect_others=0.0, seed=0, steps=steps, identity=0.0, rank=2),
        "save": save(["tune", 2], prefix),
    } | more


def kept(name: str) -> dict:
    return {"keep": node("AtelierSaveModelDelta", delta=["tune", 1], name=name),
            "keep_codes": node("AtelierSaveLatents", latents=["invert", 0], name=name)}


def test_tuning_draws_the_photograph_better_and_shows_itself(engine):
    result = engine.succeed(tuned("tune/after", save_before=save(["invert", 1], "tune/before"),
                                  save_photo=save(["faces", 0], "tune/photo")))
    assert result["ticks"] >= 2 and result["previews"] >= 1
    photo, before, after = (pixels(engine, f"tune/{name}*").astype(float) for name in ("photo", "before", "after"))
    assert np.abs(after - photo).mean() < np.abs(before - photo).mean()


def test_a_saved_delta_makes_the_tuned_model_again(engine):
    name = f"delta_{engine.kind}"
    engine.succeed(tuned("tune/first", **kept(name), again=generate(["tune", 0], ["invert", 0]),
                         save_again=save(["again", 0], "tune/again")))
    file = engine.files(f"stylegan_deltas/{name}_*")[-1]
    codes = engine.files(f"stylegan_latents/{name}_*")[-1]
    engine.succeed({
        "base": load(), "delta": node("AtelierLoadModelDelta", file=file.name),
        "latents": node("AtelierLoadLatents", file=codes.name),
        "on": node("AtelierApplyModelDelta", model=["base", 0], delta=["delta", 0], strength=1.0),
        "off": node("AtelierApplyModelDelta", model=["on", 0], delta=["delta", 0], strength=-1.0),
        **{f"draw_{which}": generate([which, 0], ["latents", 0]) for which in ("base", "on", "off")},
        **{f"save_{which}": save([f"draw_{which}", 0], f"tune/is_{which}") for which in ("base", "on", "off")}})
    first, again, on, off, base = (pixels(engine, f"tune/{which}_*")[-1].astype(int)
                                   for which in ("first", "again", "is_on", "is_off", "is_base"))
    assert np.abs(first - again).max() <= 1 and np.abs(first - on).max() <= 1
    assert np.abs(off - base).max() <= 1 and (on != base).any()
    model = sg.load(engine.base / "models/stylegan/tiny_base.safetensors")
    sg.Delta.load(file).check(model)


def test_tuning_is_the_cores_at_every_number(engine):
    name = f"exact_{engine.kind}"
    values = {"quality": "high", "protect_others": 0.3, "seed": 5, "steps": 3, "identity": 0.4, "rank": 3}
    prompt = {"base": load(), "toon": load("tiny_toon.safetensors"), "latents": sample(), "art": generate(
        ["toon", 0], ["latents", 0]), "tune": node("AtelierTuneModelToImage", model=["base", 0], image=["art", 0],
                                                   latents=["latents", 0], **values)}
    engine.succeed(prompt | {"keep": node("AtelierSaveModelDelta", delta=["tune", 1], name=name),
                             "save": save(["tune", 2], f"{name}/drawn")})
    base, toon = (sg.load(engine.base / f"models/stylegan/tiny_{which}.safetensors") for which in ("base", "toon"))
    codes = sg.Latents(sg.sample_z([1, 2], base.z_dim), "z", base).truncate(base, 0.7)
    options = dataclasses.replace(sg.TUNE_PRESETS["high"], steps=3, locality=0.3, seed=5, identity=0.4, rank=3)
    wanted = sg.tune(base, codes, sg.render(toon, codes).clamp(-1, 1), options)
    found = sg.Delta.load(engine.files(f"stylegan_deltas/{name}_*")[-1])
    assert found.parts.keys() == wanted.delta.parts.keys() and "locality" in found.notes and "identity" in found.notes
    before, after, same = (dict(model.named_parameters()) for model in (
        base, sg.apply_delta(base, found), sg.apply_delta(base, wanted.delta)))
    for key, value in same.items():
        assert (after[key] - value).abs().mean() <= 0.05 * (value - before[key]).abs().mean(), key
    drawn = ((wanted.images.clamp(-1, 1) + 1) * 127.5).permute(0, 2, 3, 1).numpy()
    assert np.abs(pixels(engine, f"{name}/drawn_*") - drawn).max() <= 3


def test_a_blend_takes_the_delta_and_the_tuned_model_blends(engine):
    name = f"blended_{engine.kind}"
    engine.succeed(tuned("tune/source", **kept(name), toon=load("tiny_toon.safetensors"), blend=swap("8", base="tune"),
                         image=generate(["blend", 0], ["invert", 0]), plain=swap("8"),
                         late=node("AtelierApplyModelDelta", model=["plain", 0], delta=["tune", 1], strength=1.0),
                         image_late=generate(["late", 0], ["invert", 0]), save_late=save(["image_late", 0], "tune/late"),
                         save_blend=save(["image", 0], "tune/blend")))
    folder = engine.base / "models/stylegan"
    base, toon = (sg.load(folder / f"tiny_{which}.safetensors") for which in ("base", "toon"))
    delta = sg.Delta.load(engine.files(f"stylegan_deltas/{name}_*")[-1])
    codes = sg.Latents.load(engine.files(f"stylegan_latents/{name}_*")[-1])
    for made, model in (("blend", sg.blend(sg.apply_delta(base, delta), toon, 8)),
                        ("late", sg.apply_delta(sg.blend(base, toon, 8), delta))):
        wanted = ((sg.render(model, codes).clamp(-1, 1) + 1) * 127.5).permute(0, 2, 3, 1).numpy()
        assert np.abs(pixels(engine, f"tune/{made}_*")[-1] - wanted).max() <= 1.01


def test_cancel_stops_it(comfyui):
    result = comfyui.run(tuned("tune/cancelled", steps=2000), interrupt_at=12)
    assert not result["success"] and result["ticks"] < 100
    comfyui.succeed(sampled("tune/alive"))


@pytest.mark.parametrize(("change", "words"), [
    ({"stranger": load("tiny_stranger.safetensors"), "wrong": sample("stranger", count=1)}, "belong to"),
    ({"wrong": sample(count=2)}, "2 latents for 1 images"),
])
def test_wrong_latents_are_named(engine, change, words):
    text = engine.fail(tuned("tune/wrong", latents=["wrong", 0], **change))
    assert words in text and text.strip().endswith(".")


def test_a_delta_of_another_model_is_refused(engine):
    text = engine.fail(tuned("tune/foreign", stranger=load("tiny_stranger.safetensors"), other=sample("stranger"), wrong=node(
        "AtelierApplyModelDelta", model=["stranger", 0], delta=["tune", 1], strength=1.0),
        image=generate(["wrong", 0], ["other", 0]), save_wrong=save(["image", 0], "tune/foreign")))
    assert "tuned on" in text and text.strip().endswith(".")


def test_a_file_that_is_no_delta(engine):
    folder = engine.base / "models/stylegan_deltas"
    folder.mkdir(parents=True, exist_ok=True)
    sg.save(sg.load(engine.base / "models/stylegan/tiny_base.safetensors"), folder / "model.safetensors", overwrite=True)
    text = engine.fail({"base": load(), "delta": node("AtelierLoadModelDelta", file="model.safetensors"), "latents": sample(),
                        "on": node("AtelierApplyModelDelta", model=["base", 0], delta=["delta", 0], strength=1.0),
                        "image": generate(["on", 0], ["latents", 0]), "save": save(["image", 0], "tune/none")})
    assert "no model delta" in text
