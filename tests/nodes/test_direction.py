"""The direction nodes on both engines, with tiny models."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from prompts import generate, load, node, sample, save
from support import expected, pixels

import stylegan_core as sg


def find(method="sefa", layers="all", count=3, **more):
    return node("AtelierFindDirections", model=["base", 0], method=method, layers=layers, count=count, seed=5,
                **({"from_px": "4", "to_px": "8"} | more))


def apply(which="0", steps=3, layers="as found", first=-1.0, last=1.0):
    return node("AtelierApplyDirection", model=["base", 0], latents=["latents", 0], directions=["found", 0], which=which,
                strength_from=first, strength_to=last, steps=steps, layers=layers, from_px="8", to_px="16")


def edited(prefix, found=None, **how):
    return {"base": load(), "latents": sample(), "found": found or find(), "moved": apply(**how),
            "image": generate(["base", 0], ["moved", 0]), "save": save(["image", 0], prefix)}


def core(engine):
    model = sg.load(engine.base / "models/stylegan/tiny_base.safetensors")
    return model, sg.Latents(sg.sample_z([1, 2], model.z_dim), "z", model).truncate(model, 0.7)


@pytest.mark.parametrize(("method", "layers", "where"), [("sefa", "custom", "4-8"), ("pca", "coarse", "coarse")])
def test_a_sweep_is_the_cores(engine, method, layers, where):
    name = f"sweep_{method}/a"
    engine.succeed(edited(name, find(method, layers), which=f"{method} 1"))
    model, latents = core(engine)
    found = sg.find_directions(model, method, where, 3, 5)
    moved = sg.apply_direction(latents, found, 1, [-1.0, 0.0, 1.0], model)
    assert np.abs(pixels(engine, f"sweep_{method}/*.png") - expected(moved, model)).max() <= 1.01


def test_one_step_in_a_range_of_ones_own(engine):
    engine.succeed(edited("one_step/a", which="2", steps=1, layers="custom", last=2.0))
    model, latents = core(engine)
    moved = sg.apply_direction(latents, sg.find_directions(model, "sefa", "all", 3, 5), 2, 2.0, model, "8-16")
    assert np.abs(pixels(engine, "one_step/*.png") - expected(moved, model)).max() <= 1.01


def test_the_grid_shows_them(engine):
    engine.succeed({"base": load(), "latents": sample(), "found": find(), "grid": node(
        "AtelierDirectionPreviewGrid", model=["base", 0], directions=["found", 0], latents=["latents", 0], strength=2.0,
        columns=3, max_directions=2, cell_size=48), "save": save(["grid", 0], "direction_grid/a")})
    model, latents = core(engine)
    wanted = sg.direction_grid(model, sg.find_directions(model, "sefa", "all", 3, 5), latents, 2.0, 3, 2, 48)
    shown = pixels(engine, "direction_grid/*.png")
    assert np.abs(shown - ((wanted + 1) * 127.5).permute(0, 2, 3, 1).numpy()).max() <= 2 and shown.std() > 10


def test_saved_with_names_and_loaded_again(engine):
    name = f"mine_{engine.kind}"
    engine.succeed({"base": load(), "found": find(), "keep": node(
        "AtelierSaveDirections", directions=["found", 0], name=name, keep="2 = smile, 0")})
    file = engine.files(f"stylegan_directions/{name}_*")[-1]
    assert sg.Directions.load(file).names == ("smile", "sefa 0")
    found = node("AtelierLoadDirections", file=file.name, model=["base", 0])
    engine.succeed(edited("loaded/a", found, which="Smile"))
    model, latents = core(engine)
    moved = sg.apply_direction(latents, sg.find_directions(model, "sefa", "all", 3, 5), 2, [-1.0, 0.0, 1.0], model)
    assert np.abs(pixels(engine, "loaded/*.png") - expected(moved, model)).max() <= 1.01
    for stranger in ("tiny_stranger", "tiny_large"):  # refused where it is loaded, before anything is moved
        found = node("AtelierLoadDirections", file=file.name, model=["other", 0])
        result = engine.run({"other": load(f"{stranger}.safetensors"), "found": found, "keep": node(
            "AtelierSaveDirections", directions=["found", 0], name="never", keep="")})
        assert result["success"] == (stranger == "tiny_large"), "of another depth they fit by the row rule"
        assert result["success"] or "were found in mobilestylegan 32 px" in result["error"]


def test_a_boundary_from_elsewhere(engine):
    folder = engine.base / "models/stylegan_directions"
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "age.npy", np.ones((1, 16), np.float32))
    torch.save(torch.ones(1, 512), folder / "wide.pt")
    engine.succeed(edited("boundary/a", node("AtelierLoadDirections", file="age.npy"), which="age"))
    text = engine.fail(edited("boundary/b", node("AtelierLoadDirections", file="wide.pt", model=["base", 0])))
    assert "[512] numbers each" in text and "takes [16]" in text
    text = engine.fail(edited("boundary/c", node("AtelierLoadDirections", file="wide.pt")))
    assert "[512] numbers each" in text


def test_the_named_ones_fit_the_built_in_base_only(engine):
    found = node("AtelierLoadDirections", file="faces (built-in)")
    text = engine.fail(edited("named/a", found, which="smile"))
    assert "found in mobilestylegan 256 px" in text and "the model is mobilestylegan 32 px" in text
    model = sg.load(sg.builtin("base-256"))
    named = sg.Directions.load(sg.builtin("directions"))
    named.check(model)
    assert {"smile", "age", "turn head"} <= set(named.names) and all(sg.rows_between(model, where) for where in named.layers)


def test_a_wrong_name_lists_the_right_ones(engine):
    text = engine.fail(edited("wrong/a", which="smile"))
    assert "sefa 0, sefa 1, sefa 2" in text
    assert "No layer" in engine.fail(edited("wrong/b", find(layers="custom", from_px="512", to_px="1024")))
