"""The style nodes, on both engines, with a tiny DualStyleGAN and its bank, sampler and encoder."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from prompts import aligned, generate, load, node, sample, save
from support import pixels, tiny
from test_bad_input import assert_sentence, photograph

import stylegan_core as sg
from stylegan_core.networks.dualstylegan import DualStyleGAN
from stylegan_core.networks.encoders.psp import Encoder, EncoderConfig, HeadGroup
from stylegan_core.networks.judges.irse import IRSEConfig
from stylegan_core.networks.sampler import StyleSampler, StyleSamplerConfig
from stylegan_core.networks.style_bank import StyleBank

NAMES = ("imp night.jpg", "clown.jpg", "owl ink.jpg")
GOLDENS = Path(__file__).resolve().parents[1] / "goldens"
WEIGHTS = "[7*0.75, 11*1]"


def small(seed: int, mapping_seed: int = 0):
    """64 px, 11 rows: the smallest with all seven structure places."""
    return tiny(seed, (16,) * 4, mapping_seed)


def write_family(folder: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        dual = DualStyleGAN.over(small(11))
        for block in dual.structure:
            block.conv1.weight.data.mul_(100)  # type: ignore[union-attr]
        base = dual.base
        codes = torch.randn(3, base.num_ws, base.z_dim)
        sampler = StyleSampler(StyleSamplerConfig(structure_rows=dual.rows[0], color_rows=len(dual.rows), dim=16))
        signature = sg.ModelSignature.of(base)
        heads = (HeadGroup(0, 3, 16, 4), HeadGroup(1, 4, 16, 5), HeadGroup(2, 4, 16, 6))
        encoder = Encoder(EncoderConfig(heads, 16, IRSEConfig((16,) * 4), space="z+", average_rows=1,
                                        mapping_hash=signature.mapping_hash, model_resolution=64))
        stranger = DualStyleGAN.over(small(13, mapping_seed=9))
    bank = StyleBank.of(sg.Latents(codes, "z+", base), NAMES)
    for name, model in {"dual": dual, "dual_base": base, "dual_styled": small(12), "dual_bank": bank, "dual_sampler": sampler,
                        "dual_encoder": encoder, "dual_stranger": stranger}.items():
        sg.save(model.eval(), folder / f"tiny_{name}.safetensors", overwrite=True)
    shutil.copy(GOLDENS / "codes_npy" / "exstyle_code.npy", folder / "foreign_code.npy")


@pytest.fixture(scope="module")
def family(engine) -> Path:
    folder = engine.base / "models/stylegan"
    write_family(folder)
    return folder


def dual_node(name: str = "tiny_dual") -> dict:
    return node("AtelierLoadDualStyleGAN", file=f"{name}.safetensors")


def bank_node(name: str = "tiny_dual_bank.safetensors") -> dict:
    return node("AtelierLoadStyleCodes", file=name)


def transfer(style: list, **more) -> dict:
    inputs = {"preset": "sliders", "structure_weight": 0.75, "color_weight": 1.0, "weights": "", "color": "auto",
              "combine": "pair", "truncation_psi": 1.0, "truncate_toward": "zero", "noise": "const", "noise_variant": 0,
              "at_once": 4, "latents": ["faces", 0], "model": ["dual", 0]} | more
    return node("AtelierTransferExemplarStyle", style=style, **inputs)


def transferred(prefix: str, count: int = 1, which: str = "1", **more) -> dict:
    """Load, sample faces, pick a style, transfer, save."""
    return {"dual": dual_node(), "bank": bank_node(), "faces": sample("dual", count=count),
            "style": node("AtelierPickStyle", styles=["bank", 0], which=which, sheet_of="all", cell_size=48),
            "image": transfer(["style", 0], **more), "save": save(["image", 0], prefix)}


def core_faces(dual, count: int = 1) -> sg.Latents:
    return sg.Latents(sg.sample_z(range(1, count + 1), dual.z_dim), "z", dual).truncate(dual, 0.7)


def as_pixels(images: torch.Tensor) -> np.ndarray:
    return ((images.clamp(-1, 1) + 1) * 127.5).permute(0, 2, 3, 1).numpy()


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


def test_sampled_styles_hold_what_is_asked(engine, family):
    name = f"sampled_{engine.kind}"
    engine.succeed({"sampler": node("AtelierLoadStyleSampler", file="tiny_dual_sampler.safetensors"),
                    "styles": node("AtelierSampleStyle", sampler=["sampler", 0], seed=7, batch_size=3, hold="structure"),
                    "keep": node("AtelierSaveStyleCodes", styles=["styles", 0], name=name)})
    found = sg.load(engine.files(f"stylegan/{name}_*")[-1])
    sampler = sg.load(family / "tiny_dual_sampler.safetensors")
    assert found.names == ("seed 7", "seed 8", "seed 9")
    assert torch.allclose(found.codes, sampler.sample(3, 7, hold_structure=True).tensor, atol=1e-5)


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
