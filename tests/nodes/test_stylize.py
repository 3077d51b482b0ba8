"""Faces into styles, drawings into faces, styles refined, on both engines, with a tiny DualStyleGAN."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dual_family import (
    WEIGHTS,
    as_pixels,
    core_drawings,
    core_faces,
    drawn_pair,
    dual_node,
    transfer,
    transferred,
    write_family,
)
from prompts import aligned, load, node, sample, save
from support import pixels
from test_bad_input import assert_sentence, photograph

import stylegan_core as sg


@pytest.mark.parametrize(("name", "inputs", "weights", "color"), [
    ("sliders", {"structure_weight": 0.5}, "[7*0.5, 11*1]", "exemplar"),
    ("preset", {"preset": "anime"}, "[4*0, 3*0.75, 11*1]", "exemplar"),
    ("toned", {"preset": "arcane"}, "[11*0.6, 7*1]", "photo-toned"),
    ("text", {"preset": "anime", "weights": "7*0.25 1"}, "[7*0.25, 1*1]", "exemplar"),
    ("photo", {"color": "photo"}, WEIGHTS, "photo"),
])
def test_transfer_is_the_cores(engine, family, name, inputs, weights, color):
    engine.succeed(transferred(f"transfer/{name}", **inputs))
    dual, bank = sg.load(family / "tiny_dual.safetensors"), sg.load(family / "tiny_dual_bank.safetensors")
    wanted = sg.transfer_style(dual, core_faces(dual), bank.pick(1), weights, color)
    assert np.abs(pixels(engine, f"transfer/{name}_*.png") - as_pixels(wanted)).max() <= 1.01


def test_pairs_and_grids(engine, family):
    for how, count in (("pair", 2), ("grid", 4)):
        engine.succeed(transferred(f"combine/{how}", count=2, which="0, owl ink", combine=how))
        assert len(pixels(engine, f"combine/{how}_*.png")) == count
    pair, grid = pixels(engine, "combine/pair_*"), pixels(engine, "combine/grid_*").astype(int)
    assert np.abs(grid[[0, 3]] - pair).max() <= 3  # batches of another size round otherwise


def destylized(prefix: str, steps: int, **more) -> dict:
    return {
        "photo": node("AtelierLoadExamplePortrait"), "drawing": aligned(64), "base": load("tiny_dual_base.safetensors"),
        "styled": load("tiny_dual_styled.safetensors"),
        "encoder": node("AtelierLoadGANEncoder", file="tiny_dual_encoder.safetensors"),
        "found": node("AtelierDestylizePortrait", base=["base", 0], styled=["styled", 0], encoder=["encoder", 0],
                      image=["drawing", 0], steps=steps, truncation=0.7, seed=0, lr=0.1, identity=0.1, deviation=1.0, chunk=1),
        "save": save(["found", 0], prefix)} | more


def refined(image: list, style: list, steps: int = 1) -> dict:
    return node("AtelierRefineStyle", model=["dual", 0], intrinsic=["found", 1], style=style, image=image, steps=steps,
                lr_color=0.1, lr_structure=0.005, contextual=1.0, lr_noise=0.1, seed=0)


def test_an_unseen_style(engine, family):
    """A new drawing: destylize, refine, transfer to other faces."""
    engine.succeed(destylized(
        "unseen/face", 1, dual=dual_node(), fine=refined(["drawing", 0], ["found", 2]), faces=sample("dual", count=2),
        image=transfer(["fine", 0]), save_redrawn=save(["fine", 1], "unseen/redrawn"),
        save_other=save(["image", 0], "unseen/all"), save_stages=save(["found", 3], "unseen/encoded"),
        save_second=save(["found", 4], "unseen/optimized")))
    for name in ("face", "redrawn", "encoded", "optimized"):
        assert pixels(engine, f"unseen/{name}_*").shape == (1, 64, 64, 3)
    assert len(pixels(engine, "unseen/all_*")) == 2


def test_destylizing_is_the_cores_at_every_number(engine, family):
    name = f"exact_{engine.kind}"
    values = {"steps": 3, "truncation": 0.5, "seed": 7, "lr": 0.2, "identity": 0.4, "deviation": 0.3, "chunk": 2}
    stages = ("destylized", "encoded", "optimized")
    engine.succeed(drawn_pair() | {
        "encoder": node("AtelierLoadGANEncoder", file="tiny_dual_encoder.safetensors"),
        "found": node("AtelierDestylizePortrait", base=["base", 0], styled=["styled", 0], encoder=["encoder", 0],
                      image=["art", 0], **values),
        "keep": node("AtelierSaveLatents", latents=["found", 1], name=name),
        "keep_style": node("AtelierSaveStyleCodes", styles=["found", 2], name=name),
        **{f"save_{stage}": save(["found", place], f"{name}/{stage}") for stage, place in zip(stages, (0, 3, 4), strict=True)}})
    plain, styled, encoder = (sg.load(family / f"tiny_dual_{which}.safetensors") for which in ("base", "styled", "encoder"))
    wanted = sg.destylize(plain, styled, encoder, core_drawings(styled), sg.DestylizeOptions(
        steps=3, truncation_psi=0.5, seed=7, lr=0.2, identity=0.4, deviation=0.3, chunk=2))
    for stage in stages:
        assert np.abs(pixels(engine, f"{name}/{stage}_*") - as_pixels(wanted.faces[stage])).max() <= 3
    found, styles = (sg.Latents.load(engine.files(f"stylegan_latents/{name}_*")[-1]),
                     sg.load(engine.files(f"stylegan/{name}_*")[-1]))
    assert torch.allclose(found.tensor, wanted.intrinsic.tensor, atol=1e-3) and styles.names == ("drawing 0", "drawing 1")
    assert torch.allclose(styles.codes, wanted.extrinsic.tensor, atol=1e-4)


def test_refining_is_the_cores_at_every_number(engine, family):
    name = f"refined_{engine.kind}"
    engine.succeed(drawn_pair() | {
        "style": node("AtelierPickStyle", styles=["bank", 0], which="0, 2"),
        "fine": node("AtelierRefineStyle", model=["dual", 0], intrinsic=["faces", 0], style=["style", 0], image=["art", 0],
                     steps=3, lr_color=0.2, lr_structure=0.03, contextual=3.0, lr_noise=0.3, seed=9),
        "keep": node("AtelierSaveStyleCodes", styles=["fine", 0], name=name), "save": save(["fine", 1], f"{name}/redrawn")})
    dual, bank, styled = (sg.load(family / f"tiny_dual{part}.safetensors") for part in ("", "_bank", "_styled"))
    given = sg.Styles.of(bank).pick([0, 2])
    wanted = sg.refine_style(dual, core_faces(dual, 2), given.codes, core_drawings(styled), sg.RefineOptions(
        steps=3, lr_color=0.2, lr_structure=0.03, contextual=3.0, lr_noise=0.3, seed=9))
    found = sg.load(engine.files(f"stylegan/{name}_*")[-1])
    assert found.names == given.names and torch.allclose(found.codes, wanted.extrinsic.tensor, atol=1e-3)
    assert np.abs(pixels(engine, f"{name}/redrawn_*") - as_pixels(wanted.images)).max() <= 3


def test_a_transfer_takes_truncation_and_noise(engine, family):
    values = {"truncation_psi": 0.4, "truncate_toward": "mean", "noise": "random", "noise_variant": 5, "at_once": 1}
    engine.succeed(transferred("transfer/numbers", count=2, which="1, 0", **values))
    dual, bank = sg.load(family / "tiny_dual.safetensors"), sg.load(family / "tiny_dual_bank.safetensors")
    styles = sg.Styles.of(bank).pick([1, 0]).codes
    wanted = sg.transfer_style(dual, core_faces(dual, 2), styles, WEIGHTS, "exemplar", 0.4, "mean", "random", 5, chunk=1)
    assert np.abs(pixels(engine, "transfer/numbers_*") - as_pixels(wanted)).max() <= 1.01


def test_interrupted_destylization_keeps_what_is_finished(comfyui):
    write_family(comfyui.base / "models/stylegan")
    drawings = node("ImageBatch", image1=["drawing", 0], image2=["drawing", 0])
    prompt = destylized("kept/face", 40, drawings=drawings)
    prompt["found"]["inputs"]["image"] = ["drawings", 0]
    result = comfyui.run(prompt, interrupt_at=70)
    assert not result["success"] and result["ticks"] == 70, result
    kept = comfyui.files("stylegan_latents/*/intrinsic.safetensors")
    assert len(kept) == 1 and len(sg.Latents.load(kept[0])) == 1
    comfyui.succeed(prompt)
    assert len(pixels(comfyui, "kept/face_*")) == 2 and not comfyui.files("stylegan_latents/*/intrinsic.safetensors")


def test_interrupted_refinement_keeps_the_styles(comfyui):
    write_family(comfyui.base / "models/stylegan")
    prompt = destylized("kept/drawing", 1, dual=dual_node(), fine=refined(["drawing", 0], ["found", 2], 60),
                        save_redrawn=save(["fine", 1], "kept/redrawn"))
    comfyui.succeed(destylized("kept/drawing", 1))
    result = comfyui.run(prompt, interrupt_at=20)
    assert not result["success"], result
    path, = comfyui.files("stylegan/interrupted_styles_*.safetensors")
    assert sg.load(path).kind == "style_bank" and len(sg.load(path)) == 1


@pytest.mark.parametrize("size", [(64, 48), (96, 96)])
def test_a_drawing_that_is_not_aligned(engine, family, size):
    prompt = destylized("bad/unaligned", 1)
    prompt["drawing"] = photograph(engine, f"unaligned{size[1]}.png", *size) if size[0] != size[1] else node(
        "AtelierLoadExamplePortrait")
    text = engine.fail(prompt)
    assert_sentence(text)
    assert "Align Faces" in text


def test_a_photo_where_latents_belong(comfyui):
    write_family(comfyui.base / "models/stylegan")
    text = comfyui.fail(transferred("bad/s", latents=["photo", 0]) | {"photo": node("AtelierLoadExamplePortrait")})
    assert "IMAGE" in text and "ATELIER_LATENT" in text
