"""Every node, on both engines, with tiny models."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from prompts import aligned, generate, inverted, load, node, sample, sampled, save, swap
from support import expected, pixels
from test_bad_input import assert_sentence

import stylegan_core as sg
from stylegan_core.networks.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from stylegan_core.networks.mapping import MappingConfig

GOLDENS = Path(__file__).parents[1] / "goldens"

def test_sampled_image_is_the_cores(engine):
    engine.succeed(sampled("sampled/a"))
    model = sg.load(engine.base / "models/stylegan/tiny_base.safetensors")
    latents = sg.Latents(sg.sample_z([1, 2], model.z_dim), "z", model).truncate(model, 0.7)
    assert np.abs(pixels(engine, "sampled/*.png") - expected(latents, model)).max() <= 1.01


@pytest.mark.parametrize("at_once", [1, 2, 8])
def test_chunks_do_not_change_the_picture(engine, at_once):
    engine.succeed(sampled(f"chunk{at_once}/a", image=generate(["base", 0], ["latents", 0], "random", at_once)))
    engine.succeed(sampled(f"whole{at_once}/a", image=generate(["base", 0], ["latents", 0], "random", 64)))
    assert np.abs(pixels(engine, f"chunk{at_once}/*") - pixels(engine, f"whole{at_once}/*").astype(int)).max() <= 1


def test_facts_name_the_model(engine):
    engine.succeed({"base": load(), "keep": node("AtelierSaveStyleGAN", model=["base", 0], name="facts/copy", notes="mine"),
                    "show": save(["image", 0], "facts/a"), "latents": sample(), "image": generate(["base", 0], ["latents", 0])})
    told = sg.inspect(engine.files("stylegan/facts/copy_*.safetensors")[-1])
    assert (told.kind, told.resolution, told.notes["comment"]) == ("mobilestylegan", 32, "mine")


def test_the_size_of_a_file_that_does_not_tell(engine):
    shutil.copy(GOLDENS / "ros1_running_tiny/010000.model", engine.base / "models/stylegan/first.model")
    model = node("AtelierLoadStyleGAN", file="first.model", weights="ema", resolution=16)
    engine.succeed({"base": model, "keep": node("AtelierSaveStyleGAN", model=["base", 0], name="sized/copy", notes="")})
    assert sg.inspect(engine.files("stylegan/sized/copy_*.safetensors")[-1]).resolution == 16


@pytest.mark.parametrize("mode", ["swap", "smooth", "linear"])
@pytest.mark.parametrize("coarse", ["base", "other"])
def test_blend_by_resolution_is_the_cores(engine, mode, coarse):
    name = f"blend_{mode}_{coarse}"
    engine.succeed(sampled(f"{name}/a", toon=load("tiny_toon.safetensors"), blend=swap("8", coarse, mode),
                           image=generate(["blend", 0], ["latents", 0])))
    folder = engine.base / "models/stylegan"
    base, toon = (sg.load(folder / f"tiny_{which}.safetensors") for which in ("base", "toon"))
    latents = sg.Latents(sg.sample_z([1, 2], base.z_dim), "z", base).truncate(base, 0.7)
    blend = sg.blend(base, toon, 8, mode, 1.0, coarse)
    assert np.abs(pixels(engine, f"{name}/*.png") - expected(latents, blend)).max() <= 1.01


def test_blend_by_curve_of_three(engine):
    prompt = sampled("curve/a", toon=load("tiny_toon.safetensors"), blend=node(
        "AtelierBlendStyleGANsByCurve", base=["base", 0], other=["toon", 0], curve="4:1, 8:0", other_2=["toon", 0],
        curve_2="4:0, 16:0.5", curve_3=""), image=generate(["blend", 0], ["latents", 0]))
    prompt["keep"] = node("AtelierSaveStyleGAN", model=["blend", 0], name="curve_of_three", notes="")
    engine.succeed(prompt)
    told = sg.inspect(engine.files("stylegan/curve_of_three_*")[-1])
    assert len(told.parents) == 3
    assert sg.load(engine.files("stylegan/curve_of_three_*")[-1]).img_resolution == 32


def test_preview_grid_shows_every_swap_point(engine):
    told = engine.succeed({"base": load(), "toon": load("tiny_toon.safetensors"), "latents": sample(count=3),
                           "grid": node("AtelierBlendPreviewGrid", base=["base", 0], other=["toon", 0],
                                        latents=["latents", 0], cell_size=48, max_faces=2),
                           "save": save(["grid", 0], "grid/a")})
    picture = pixels(engine, "grid/*.png")[0]
    assert picture.shape[0] >= 4 * 48 and picture.shape[1] >= 5 * 48  # two faces, two rows each; base, 4, 8, 16, other
    assert picture.std() > 10
    assert told["last_preview"] == [picture.shape[1], picture.shape[0]], "the editor goes on showing the last live picture"


def test_preview_grid_shows_strengths(engine):
    engine.succeed({"base": load(), "toon": load("tiny_toon.safetensors"), "latents": sample(count=1),
                    "grid": node("AtelierBlendPreviewGrid", base=["base", 0], other=["toon", 0], latents=["latents", 0],
                                 cell_size=48, max_faces=2, shows="strengths"), "save": save(["grid", 0], "strip/a")})
    strip = pixels(engine, "strip/*.png")[0]
    assert strip.shape[1] >= 5 * 48 and strip.shape[0] < 2 * 48 and strip.std() > 10


def test_latents_mix_truncate_walk_combine_pick_and_return_from_disk(engine):
    name = f"walk_{engine.kind}"
    engine.succeed({
        "base": load(), "a": sample(seed=1, count=2), "b": sample(seed=9, count=1, truncate_up_to="8"),
        "mix": node("AtelierMixStyles", model=["base", 0], latents=["a", 0], style=["b", 0], layers="custom",
                    from_px="8", to_px="16"),
        "both": node("AtelierCombineLatents", latents_1=["mix", 0], latents_2=["b", 0]),
        "calm": node("AtelierTruncateLatents", model=["base", 0], latents=["both", 0], truncation_psi=0.5, truncate_up_to="16"),
        "walk": node("AtelierInterpolateLatents", latents=["calm", 0], frames=5, path="auto", loop=False),
        "ends": node("AtelierPickLatents", latents=["walk", 0], indices="0, -1"),
        "keep": node("AtelierSaveLatents", latents=["ends", 0], name=name),
    })
    model = sg.load(engine.base / "models/stylegan/tiny_base.safetensors")
    a, b = (sg.Latents(sg.sample_z(seeds, model.z_dim), "z", model) for seeds in ([1, 2], [9]))
    a, b = a.truncate(model, 0.7), b.truncate(model, 0.7, len(sg.rows_between(model, "1-8")))
    both = sg.Latents.combine([sg.mix_latents(a, b, model, "8-16"), b])
    ends = both.truncate(model, 0.5, len(sg.rows_between(model, "1-16"))).pick([0, 2])
    found = sg.Latents.load(engine.files(f"stylegan_latents/{name}_*")[-1])
    assert found.space == "w+" and len(found) == 2
    np.testing.assert_allclose(found.tensor.numpy(), ends.tensor.numpy(), atol=1e-5)
    file = engine.files(f"stylegan_latents/{name}_*")[-1].name
    engine.succeed({"base": load(), "latents": node("AtelierLoadLatents", file=file),
                    "image": generate(["base", 0], ["latents", 0]), "save": save(["image", 0], "returned/a")})
    assert np.abs(pixels(engine, "returned/*.png") - expected(found, model)).max() <= 1.01


def test_codes_of_another_program_are_of_the_space_that_is_said(engine):
    folder = engine.base / "models/stylegan_latents"
    folder.mkdir(exist_ok=True)
    model = sg.load(engine.base / "models/stylegan/tiny_base.safetensors")
    z = sg.sample_z([5, 6], model.z_dim)
    np.save(folder / "projected_codes_w.npy", z.numpy())
    for space in ("z", "from the file"):
        name = f"space/{space[:1]}"
        engine.succeed({"base": load(), "read": node("AtelierLoadLatents", file="projected_codes_w.npy", space=space),
                        "image": generate(["base", 0], ["read", 0]), "save": save(["image", 0], name)})
        codes = sg.Latents(z, "z" if space == "z" else "w", model)
        assert np.abs(pixels(engine, f"{name}_*") - expected(codes, model)).max() <= 1.01
    (folder / "projected_codes_w.npy").unlink()


def test_latents_of_another_depth_are_drawn_with_a_note(engine):
    """By the row rule: tiny_large is tiny_base's mapping with one block more."""
    engine.succeed({"base": load(), "large": load("tiny_large.safetensors"), "latents": sample(),
                    "image": generate(["large", 0], ["latents", 0]), "save": save(["image", 0], "carried/a")})
    base, large = (sg.load(engine.base / f"models/stylegan/tiny_{name}.safetensors") for name in ("base", "large"))
    latents = sg.Latents(sg.sample_z([1, 2], base.z_dim), "z", base).truncate(base, 0.7)
    assert np.abs(pixels(engine, "carried/*.png") - expected(latents, large)).max() <= 1.01
    assert latents.note(large) and latents.note(large) in Path(engine.log.name).read_text()


def test_finish_draws_any_picture_anew(engine):
    """At its own size or four times as large, as the library does; what surrounds a pasted face too, where that is wanted."""
    engine.succeed(sampled("finish/a") | {
        "same": node("AtelierFinish", image=["image", 0], size="same"),
        "large": node("AtelierFinish", image=["image", 0], size="x4"),
        "save_same": save(["same", 0], "finish/same"), "save_large": save(["large", 0], "finish/large"),
    })
    plain = torch.from_numpy(pixels(engine, "finish/a_*")).permute(0, 3, 1, 2).float() / 127.5 - 1
    for name, work in (("same", sg.redrawn), ("large", sg.finish)):
        drawn = pixels(engine, f"finish/{name}_*").astype(float)
        wanted = ((work(plain).permute(0, 2, 3, 1) + 1) * 127.5).numpy()
        assert drawn.shape == wanted.shape and np.abs(drawn - wanted).mean() < 1.0


def test_faces_out_and_back(engine):
    """Pasting the untouched crop back changes nothing to speak of; the mask covers the face."""
    engine.succeed({
        "photo": node("AtelierLoadExamplePortrait"), "faces": aligned(256),
        "back": node("AtelierPasteFacesBack", image=["photo", 0], crops=["faces", 0], faces=["faces", 1], feather=0.1,
                     color_match=0.0),
        "mask": node("MaskToImage", mask=["back", 1]) if engine.kind == "comfyui" else node("AtelierLoadExamplePortrait"),
        "whole": node("AtelierPasteFacesBack", image=["photo", 0], crops=["faces", 0], faces=["faces", 1], feather=0.1,
                      color_match=0.0, whole=True),
        "save_whole": save(["whole", 0], "back/whole"),
        "save": save(["back", 0], "back/pasted"), "save_crop": save(["faces", 0], "back/crop"),
        "save_found": save(["faces", 2], "back/found"), "save_photo": save(["photo", 0], "back/photo"),
        "save_mask": save(["mask", 0], "back/mask"),
    })
    photo, pasted = pixels(engine, "back/photo*")[0].astype(int), pixels(engine, "back/pasted*")[0].astype(int)
    assert pixels(engine, "back/crop*").shape[1:] == (256, 256, 3)
    assert np.abs(photo - pasted).mean() < 1.0
    whole, rest = pixels(engine, "back/whole*")[0].astype(int), np.s_[300:]
    assert 1.0 < np.abs(photo - whole)[rest].mean() < 25
    assert (pixels(engine, "back/found*")[0] != photo).any()
    if engine.kind == "comfyui":
        mask = pixels(engine, "back/mask*")[0]
        assert mask.max() == 255 and mask[0, 0].max() == 0 and 0.02 < (mask > 127).mean() < 0.5


def test_inversion_renders_what_it_returns(engine):
    result = engine.succeed(inverted("inverted/a", keep=node("AtelierSaveLatents", latents=["invert", 0], name="inverted")))
    assert result["ticks"] >= 2 and result["previews"] >= 1  # hosts drop ticks that come too fast, never the first and last
    model = sg.load(engine.base / "models/stylegan/tiny_base.safetensors")
    found = sg.Latents.load(engine.files("stylegan_latents/inverted_*")[-1])
    assert np.abs(pixels(engine, "inverted/*.png") - expected(found, model)).max() <= 1.01


def test_a_model_with_classes_is_inverted_under_one(engine):
    config = StyleGAN2Config(MappingConfig(16, 3, 16, 6, 2, 16), 16, (8, 8, 8))
    sg.save(StyleGAN2(config), engine.base / "models/stylegan/classes.safetensors", overwrite=True)

    def under(label: int, space: str = "z"):
        prompt = inverted(f"classes/{label}", space=space, base=load("classes.safetensors"),
                          latents=node("AtelierSaveLatents", latents=["invert", 0], name=f"class_{label}"))
        prompt["invert"]["inputs"]["class_label"] = label
        return prompt

    for label in (0, 2):
        engine.succeed(under(label))
    pictures = [pixels(engine, f"classes/{label}_*")[-1] for label in (0, 2)]
    assert not np.array_equal(*pictures), "the class shapes the picture"
    text = engine.fail(under(-1))
    assert_sentence(text)
    assert "3 classes" in text and "pick one" in text
    engine.succeed({"base": load("classes.safetensors"), "drawn": sample(class_label=1),
                    "keep": node("AtelierSaveLatents", latents=["drawn", 0], name="sampled_class")})
    model = sg.load(engine.base / "models/stylegan/classes.safetensors")
    wanted = model.mapping(sg.sample_z([1, 2], 16), torch.eye(3)[[1, 1]], truncation_psi=0.7)
    found = sg.Latents.load(engine.files("stylegan_latents/sampled_class_*")[-1])
    assert torch.allclose(found.ws(model), wanted, atol=1e-5)


def test_stylegan3_turns(engine):
    golden = Path(__file__).resolve().parents[1] / "goldens" / "sg3_t_tiny"
    file = next(golden.glob("*.pkl"))
    shutil.copy(file, engine.base / "models/stylegan" / file.name)
    for name, turn in (("straight", 0.0), ("turned", 90.0)):
        engine.succeed(sampled(f"sg3/{name}", base=load(file.name), latents=sample(count=1),
                               image=generate(["base", 0], ["latents", 0], rotate=turn)))
    model = sg.load(file)
    found = model.mapping(sg.sample_z([1], model.z_dim), truncation_psi=0.7)
    for name, turn in (("straight", 0.0), ("turned", 0.25)):
        image = model.synthesis(found, transform=sg.input_transform(rotate=turn)).clamp(-1, 1)
        wanted = ((image + 1) * 127.5).permute(0, 2, 3, 1).numpy()
        assert np.abs(pixels(engine, f"sg3/{name}_*.png") - wanted).max() <= 1.01
    assert np.abs(pixels(engine, "sg3/turned_*.png").astype(float) - pixels(engine, "sg3/straight_*.png")).mean() > 1


def toons_with_masks(prefix, count, **more):
    """Faces of the pictures drawn and pasted, with the masks of head and face over the photographs."""
    both = node("ImageBatch", image1=["photo", 0], image2=["photo", 0])
    outs = {"pasted": ["paste", 0], "head": ["head", 0], "face": ["face", 0]}
    return {
        "photo": node("AtelierLoadExamplePortrait"), "pictures": both, "base": load(),
        "faces": aligned(64, image=["pictures", 0]), "latents": sample(count=count),
        "image": generate(["base", 0], ["latents", 0]),
        "paste": node("AtelierPasteFacesBack", image=["pictures", 0], crops=["image", 0], faces=["faces", 1], feather=0.1,
                      color_match=0.0),
        "masks": node("AtelierHeadMask", image=["faces", 0], grow=0.0, faces=["faces", 1], photograph=["paste", 0]),
        "head": node("MaskToImage", mask=["masks", 0]), "face": node("MaskToImage", mask=["masks", 1]),
        **{f"save_{name}": save(source, f"{prefix}/{name}") for name, source in outs.items()},
    } | more


def check_masks(engine, prefix):
    head, face, pasted = (pixels(engine, f"{prefix}/{name}*") / 255 for name in ("head", "face", "pasted"))
    assert head.shape == face.shape == pasted.shape == (2, 512, 512, 3)
    assert head.sum() > 1.5 * face.sum() > 0 and (face > head + 0.35).mean() < 0.01
    assert (head[0] == head[1]).all() and (face[0] == face[1]).all()


def test_masks_of_a_batch_lie_over_its_photographs(comfyui):
    comfyui.succeed(toons_with_masks("masks_batch", 2))
    check_masks(comfyui, "masks_batch")
    lacking = toons_with_masks("masks_bad", 2)
    del lacking["masks"]["inputs"]["photograph"]
    assert "faces and photograph" in comfyui.fail(lacking)


def test_a_list_of_photographs_runs_one_by_one(comfyui):
    """The host calls each node a picture where it is fed a list: what comes out is the batch's."""
    both = node("ImageBatch", image1=["photo", 0], image2=["photo", 0])
    comfyui.succeed(toons_with_masks("masks_list", 1, both=both,
                                     pictures=node("RebatchImages", images=["both", 0], batch_size=1)))
    check_masks(comfyui, "masks_list")


def test_swap_points_are_chosen_by_their_pictures(comfyui):
    """Each as the core draws the blend; drawn once, however the sliders move after it."""
    blend = swap("8")
    blend["inputs"]["latents"] = ["latents", 0]
    prompt = sampled("chosen/a", toon=load("tiny_toon.safetensors"), blend=blend, image=generate(["blend", 0], ["latents", 0]))
    first = comfyui.succeed(prompt)
    (told,) = first["outputs"]["blend"]["atelier_choices"]
    assert (told["widget"], told["many"], told["values"]) == ("swap_at", False, ["4", "8", "16", "32"])
    tiles = np.asarray(Image.open(comfyui.base / "temp" / told["file"]["filename"]))
    folder = comfyui.base / "models/stylegan"
    base, toon = (sg.load(folder / f"tiny_{which}.safetensors") for which in ("base", "toon"))
    latents = sg.Latents(sg.sample_z([1], base.z_dim), "z", base).truncate(base, 0.7)
    for i, point in enumerate((4, 8, 16, 32)):
        y, x = 32 * (i // told["columns"]), 32 * (i % told["columns"])
        assert np.abs(tiles[y : y + 32, x : x + 32] - expected(latents, sg.blend(base, toon, point))[0]).max() <= 1.01
    blend["inputs"] |= {"swap_at": "16", "strength": 1.4}
    again = comfyui.succeed(prompt)
    assert again["ticks"] == first["ticks"] - 4 and again["outputs"]["blend"]["atelier_choices"][0]["values"] == told["values"]


def test_files_and_alpha_are_kept_apart_and_what_can_not_be_saved_is_told(engine):
    told = engine.ask("probe", code="""
import sys, pathlib, torch
part = lambda name: sys.modules[pack.__name__ + ".nodes." + name]
files, images, image, progress = map(part, ("files", "images", "image", "progress"))
folder = pathlib.Path(files.folder_paths.get_input_directory(), "told apart")
folder.mkdir(exist_ok=True)
(folder / "a.png").write_bytes(b"a")
before = files.listing_fingerprint(folder.name)
(folder / "a.png").write_bytes(b"ab")
clear, notes, tell = torch.rand(1, 16, 16, 4), [], progress.tell
answer = {
    "changed": files.listing_fingerprint(folder.name) != before,
    "names": [files.new_output(key, "told.npz").name for key in (files.MODELS, files.LATENTS)],
    "metrics": files.metrics_folder() == pathlib.Path(files.folder_paths.get_folder_paths(files.METRICS)[0]),
    "alpha": [bool((some[..., 3] == clear[..., 3]).all()) for some in (
        images.with_alpha_of(clear[..., :3], clear), image.Finish.execute(clear, "same").result[0])],
    "none": images.with_alpha_of(clear[..., :3], clear[..., :3]).shape[-1]}
progress.tell = notes.extend
try:
    with progress.saving_on_interrupt(lambda: 1 / 0):
        raise KeyboardInterrupt
except KeyboardInterrupt:
    answer["notes"] = notes
finally:
    progress.tell = tell
""")
    assert told == {"changed": True, "names": ["told.npz_00001.safetensors", "told_00001.npz"], "metrics": True,
                    "alpha": [True, True], "none": 3, "notes": ["What was done could not be saved (division by zero)."]}
