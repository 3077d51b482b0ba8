"""Styles loaded, picked, blended, sampled, recommended, on both engines, with a tiny DualStyleGAN."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dual_family import (
    as_pixels,
    bank_node,
    core_faces,
    drawn_pair,
    dual_node,
    transfer,
    transferred,
)
from PIL import Image
from prompts import aligned, generate, load, node, sample, save
from support import pixels
from test_bad_input import assert_sentence

import stylegan_core as sg


def test_the_base_inside_draws_what_the_model_draws(engine, family):
    prompt = {"dual": dual_node(), "faces": sample("dual", count=1), "plain": generate(["dual", 1], ["faces", 0]),
              "same": generate(["dual", 0], ["faces", 0]), "save": save(["plain", 0], "inside/plain"),
              "save_same": save(["same", 0], "inside/same")}
    engine.succeed(prompt)
    assert (pixels(engine, "inside/plain_*") == pixels(engine, "inside/same_*")).all()


def test_styles_are_shown_blended_walked_saved_and_return(engine, family):
    name = f"walk_{engine.kind}"
    engine.succeed({
        "dual": dual_node(), "bank": bank_node(),
        "pick": node("AtelierPickStyle", styles=["bank", 0], which="clown, 0", model=["dual", 0], sheet_of="all", cell_size=48),
        "cross": node("AtelierBlendStyles", model=["dual", 0], styles_1=["pick", 0], shares="1, 0", color_shares="0, 1"),
        "walk": node("AtelierInterpolateStyles", model=["dual", 0], styles=["pick", 0], frames=3, loop=False),
        "keep": node("AtelierSaveStyleCodes", styles=["walk", 0], name=f"styles/{name}"),
        "keep_cross": node("AtelierSaveStyleCodes", styles=["cross", 0], name=f"styles/{name}_cross"),
        "save": save(["pick", 1], f"styles/{name}"),
    })
    dual, bank = sg.load(family / "tiny_dual.safetensors"), sg.load(family / "tiny_dual_bank.safetensors")
    pair = sg.Styles.of(bank).pick([1, 0])
    walk, cross = (sg.load(engine.files(f"stylegan/styles/{name}{part}_0*")[-1]) for part in ("", "_cross"))
    assert torch.allclose(walk.codes, pair.walk(dual, 3).codes.tensor, atol=1e-5)
    assert torch.allclose(cross.codes, pair.blend(dual, [1, 0], [0, 1]).codes.tensor, atol=1e-5)
    assert cross.names == ("clown.jpg + imp night.jpg",)
    sheet = pixels(engine, f"styles/{name}_*.png")[0]
    assert sheet.shape[1] > 3 * 48 and sheet.std() > 10


@pytest.mark.parametrize("hold", ["nothing", "structure", "color"])
def test_sampled_styles_hold_what_is_asked(engine, family, hold):
    name = f"sampled_{engine.kind}_{hold}"
    engine.succeed({"sampler": node("AtelierLoadStyleSampler", file="tiny_dual_sampler.safetensors"),
                    "styles": node("AtelierSampleStyle", sampler=["sampler", 0], seed=7, batch_size=3, hold=hold),
                    "keep": node("AtelierSaveStyleCodes", styles=["styles", 0], name=name)})
    found = sg.load(engine.files(f"stylegan/{name}_*")[-1])
    sampler = sg.load(family / "tiny_dual_sampler.safetensors")
    assert found.names == ("seed 7", "seed 8", "seed 9")
    assert torch.allclose(found.codes, sampler.sample(3, 7, hold == "structure", hold == "color").tensor, atol=1e-5)


def test_recommended_styles(engine, family):
    engine.succeed({
        "dual": dual_node(), "bank": bank_node(), "photo": node("AtelierLoadExamplePortrait"), "crop": aligned(64),
        "faces": sample("dual", count=1),
        "found": node("AtelierRecommendStyle", model=["dual", 0], image=["crop", 0], latents=["faces", 0], styles=["bank", 0],
                      count=2),
        "image": transfer(["found", 0], weights=["found", 1]), "save": save(["image", 0], "recommended/best"),
        "save_sheet": save(["found", 3], "recommended/sheet"),
    })
    assert pixels(engine, "recommended/sheet_*")[0].shape[1] > 3 * 200


def test_the_head_alone_is_pasted(engine):
    engine.succeed({
        "photo": node("AtelierLoadExamplePortrait"), "crop": aligned(256), "other": node("ImageInvert", image=["crop", 0])
        if engine.kind == "comfyui" else aligned(64),
        "mask": node("AtelierHeadMask", image=["crop", 0], reconstruction=["crop", 0], grow=0.0),
        "back": node("AtelierPasteFacesBack", image=["photo", 0], crops=["other", 0], faces=["crop", 1], feather=0.1,
                     color_match=0.0, crop_mask=["mask", 0]),
        "save": save(["back", 0], "head/pasted"), "save_photo": save(["photo", 0], "head/photo"),
    })
    photo, pasted = pixels(engine, "head/photo*")[0].astype(int), pixels(engine, "head/pasted*")[0].astype(int)
    assert (photo[300:] == pasted[300:]).all()
    if engine.kind == "comfyui":
        assert np.abs(photo - pasted)[60:180, 180:260].mean() > 30


def test_recommending_is_the_cores_at_every_number(engine, family):
    """The photograph is a style's own exemplar, so that the styles suggested differ in their weights."""
    name = f"ranked_{engine.kind}"
    engine.succeed(drawn_pair() | {
        "second": node("AtelierPickLatents", latents=["behind", 0], indices="1"), "content": sample("dual", count=1),
        "one": node("AtelierPickStyle", styles=["bank", 0], which="1"),
        "photo": transfer(["one", 0], latents=["second", 0], weights="[18*1]"),
        "found": node("AtelierRecommendStyle", model=["dual", 0], image=["photo", 0], latents=["content", 0],
                      styles=["bank", 0], count=2, faces=["behind", 0]),
        "image": transfer(["found", 0], weights=["found", 1], latents=["content", 0]),
        "save": save(["image", 0], f"{name}/best"),
        "keep": node("AtelierSaveStyleCodes", styles=["found", 2], name=name), "sheet": save(["found", 3], f"{name}/sheet"),
        "keep_best": node("AtelierSaveStyleCodes", styles=["found", 0], name=f"{name}_best")})
    dual, bank = (sg.load(family / f"tiny_dual{part}.safetensors") for part in ("", "_bank"))
    faces = sg.Latents(sg.sample_z([31, 32, 33], dual.z_dim), "z", dual).truncate(dual, 0.7)
    photo, content = sg.transfer_style(dual, faces.pick([1]), bank.pick(1), 1.0).clamp(-1, 1), core_faces(dual)
    wanted = sg.recommend_styles(photo, content, dual, sg.Styles.of(bank), 2, faces)
    ranked, best = (sg.load(engine.files(f"stylegan/{name}{part}_0*")[-1]).names for part in ("", "_best"))
    assert ranked == tuple(r.name for r in wanted) and best == ranked[:1] and wanted[0].weights != wanted[1].weights
    assert np.abs(pixels(engine, f"{name}/sheet_*") - as_pixels(sg.recommendation_sheet(photo, wanted))).max() <= 3
    drawn = sg.transfer_style(dual, content, bank.pick(wanted[0].index), wanted[0].weights)
    assert np.abs(pixels(engine, f"{name}/best_*") - as_pixels(drawn)).max() <= 1.01


def test_a_sheet_shows_styles_on_the_faces_given(engine, family):
    name = f"sheets_{engine.kind}"
    pick = {"styles": ["bank", 0], "which": "clown, 0", "model": ["dual", 0], "faces": ["one", 0]}
    engine.succeed(drawn_pair() | {
        "one": sample("dual", count=1), "picked": node("AtelierPickStyle", **pick, sheet_of="picked", cell_size=40),
        "all": node("AtelierPickStyle", **pick, sheet_of="all", cell_size=56),
        "some": save(["picked", 1], f"{name}/picked"), "every": save(["all", 1], f"{name}/all")})
    dual, styles = sg.load(family / "tiny_dual.safetensors"), sg.Styles.of(sg.load(family / "tiny_dual_bank.safetensors"))
    for which, chosen, numbers, cell in (("picked", styles.pick([1, 0]), [1, 0], 40), ("all", styles, [0, 1, 2], 56)):
        drawn = sg.style_pictures(dual, chosen, core_faces(dual), cell)
        wanted = sg.lay_out_styles(drawn, styles.captions(numbers), cell)
        assert np.abs(pixels(engine, f"{name}/{which}_*") - as_pixels(wanted)).max() <= 3


def test_styles_of_all_inputs_are_blended_and_walks_come_back(engine, family):
    name = f"all_{engine.kind}"
    picks = {f"s{i}": node("AtelierPickStyle", styles=["bank", 0], which=str(i % 3)) for i in range(4)}
    engine.succeed(drawn_pair() | picks | {
        "mix": node("AtelierBlendStyles", model=["dual", 0], shares="4, 3, 2, 1", color_shares="",
                    **{f"styles_{i + 1}": [f"s{i}", 0] for i in range(4)}),
        "loop": node("AtelierInterpolateStyles", model=["dual", 0], styles=["bank", 0], frames=5, loop=True),
        "keep": node("AtelierSaveStyleCodes", styles=["mix", 0], name=name),
        "keep_loop": node("AtelierSaveStyleCodes", styles=["loop", 0], name=f"{name}_loop"),
        "keep_codes": node("AtelierSaveLatents", latents=["bank", 1], name=name)})
    dual, styles = sg.load(family / "tiny_dual.safetensors"), sg.Styles.of(sg.load(family / "tiny_dual_bank.safetensors"))
    mix, loop = (sg.load(engine.files(f"stylegan/{name}{part}_0*")[-1]).codes for part in ("", "_loop"))
    assert torch.allclose(mix, styles.pick([0, 1, 2, 0]).blend(dual, [4, 3, 2, 1]).codes.tensor, atol=1e-5)
    assert torch.allclose(loop, styles.walk(dual, 5, loop=True).codes.tensor, atol=1e-5)
    assert torch.equal(sg.Latents.load(engine.files(f"stylegan_latents/{name}_*")[-1]).tensor, styles.codes.tensor)


BAD = {
    "index": (transferred("bad/s", which="3"), "0 to 2"),
    "name": (transferred("bad/s", which="nobody"), "0 to 2"),
    "unreadable weights": (transferred("bad/s", weights="[4*0, x]"), "[4*0, 3*0.75, 11*1]"),
    "weights of a wrong length": (transferred("bad/s", weights="[9*1]"), "takes 8"),
    "styles of another size": (transferred("bad/s", which="0") | {"bank": bank_node("foreign_code.npy")}, "numbers each"),
    "a bank of another model": (transferred("bad/s") | {"dual": dual_node("tiny_dual_stranger"), "faces": sample("own"),
                                                        "own": dual_node("tiny_dual_stranger")}, "mapping"),
    "faces and styles in other numbers": (transferred("bad/s", count=2, which="0, 1, 2"), "grid"),
    "another model": (transferred("bad/s", model=["plain", 0]) | {"plain": load("tiny_dual_base.safetensors")},
                      "Load DualStyleGAN"),
    "another kind of file": (transferred("bad/s") | {"bank": bank_node("tiny_dual_sampler.safetensors")}, "Load Style Sampler"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(engine, family, case):
    prompt, hint = BAD[case]
    text = engine.fail(prompt)
    assert_sentence(text)
    assert hint in text


def test_shares_that_are_none(engine, family):
    for shares in ("1", "a, b", "0, 0"):
        prompt = transferred("bad/s", which="0, 1")
        prompt["mixed"] = node("AtelierBlendStyles", model=["dual", 0], styles_1=["style", 0], shares=shares, color_shares="")
        prompt["image"] = transfer(["mixed", 0])
        assert_sentence(engine.fail(prompt))


def test_a_missing_sampler_says_so(engine, family):
    if engine.kind == "comfyui":
        pytest.skip("its combo lists other files here")
    prompt = {"sampler": node("AtelierLoadStyleSampler", file="no file yet"),
              "styles": node("AtelierSampleStyle", sampler=["sampler", 0], seed=0, batch_size=1, hold="nothing"),
              "keep": node("AtelierSaveStyleCodes", styles=["styles", 0], name="never")}
    text = engine.fail(prompt)
    assert_sentence(text)
    assert "without a sampler" in text


def test_styles_are_chosen_by_their_pictures(comfyui, family):
    """The host gets the sheet, and web/choices.js a picture a style with what `which` becomes."""
    prompt = {"dual": dual_node(), "bank": bank_node(), "pick": node(
        "AtelierPickStyle", styles=["bank", 0], which="clown, 0", model=["dual", 0], sheet_of="picked", cell_size=48)}
    prompt["save"] = save(["pick", 1], "chosen/sheet")
    shown = comfyui.succeed(prompt)["outputs"]["pick"]
    (told,), names = shown["atelier_choices"], sg.Styles.of(sg.load(family / "tiny_dual_bank.safetensors")).names
    assert told["widget"] == "which" and told["many"] and told["values"] == ["1", "0"]
    assert told["labels"] == [f"{i}  {names[i]}" for i in (1, 0)] and told["columns"] * told["rows"] >= 2
    tiles = np.asarray(Image.open(comfyui.base / "temp" / told["file"]["filename"]))
    assert tiles.shape[:2] == (tiles.shape[1] // told["columns"] * told["rows"], tiles.shape[1])
    assert len(shown["images"]) == 1 and (tiles[:, :16] != tiles[:, -16:]).any()
