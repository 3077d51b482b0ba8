"""What people do wrong ends in one sentence that says what was found and what to do; nothing is lost."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from prompts import aligned, generate, inverted, load, node, options, sample, sampled, save, swap
from support import pixels, write_picture

import stylegan_core as sg

HOSTILE = Path(__file__).resolve().parents[1] / "goldens" / "hostile"


def photograph(engine, name, width, height, mode="RGB"):
    write_picture(engine.base / "input" / name, width, height, mode)
    return node("LoadImage", image=name)


def faces_of(photo, **how):
    return {"photo": photo, "faces": aligned(**how), "save": save(["faces", 0], "bad/faces")}


def assert_sentence(text):
    assert "\n" not in text.strip() and 20 < len(text) < 600 and text.strip().endswith("."), text
    assert "Traceback" not in text


@pytest.mark.parametrize(("width", "height", "mode"), [(64, 64, "RGB"), (1, 1, "RGB"), (200, 90, "RGBA"), (90, 200, "L")])
def test_no_face(engine, width, height, mode):
    text = engine.fail(faces_of(photograph(engine, f"none{width}{mode}.png", width, height, mode)))
    assert_sentence(text)
    assert "No face" in text and "whole image" in text


def test_no_face_may_take_the_whole_image(engine):
    photo = photograph(engine, "whole.png", 60, 40)
    prompt = faces_of(photo, when_none="whole image")
    prompt["back"] = node("AtelierPasteFacesBack", image=["photo", 0], crops=["faces", 0], faces=["faces", 1], feather=0.1,
                          color_match=1.0)
    prompt["save_back"] = save(["back", 0], f"bad/whole_{engine.kind}")
    engine.succeed(prompt)
    assert pixels(engine, f"bad/whole_{engine.kind}*").shape[1:] == (40, 60, 3)


def test_skipping_every_photograph_says_so(engine):
    assert_sentence(engine.fail(faces_of(photograph(engine, "skipped.png", 64, 64), when_none="skip")))


def test_alpha_comes_back(comfyui):
    photo = photograph(comfyui, "alpha.png", 60, 40, "RGBA")
    prompt = faces_of(photo, when_none="whole image") | {
        "clear": node("JoinImageWithAlpha", image=["photo", 0], alpha=["photo", 1]),
        "back": node("AtelierPasteFacesBack", image=["clear", 0], crops=["faces", 0], faces=["faces", 1], feather=0.1,
                     color_match=0.0)}
    prompt["save_back"] = save(["back", 0], "bad/alpha_back")
    comfyui.succeed(prompt)
    found, given = pixels(comfyui, "bad/alpha_back_*")[-1], np.asarray(Image.open(comfyui.base / "input/alpha.png"))
    assert found.shape == given.shape == (40, 60, 4) and given[..., 3].std() > 1
    assert np.abs(found[..., 3].astype(int) - given[..., 3]).max() <= 1


@pytest.mark.slow
def test_a_huge_photograph(engine):
    text = engine.fail(faces_of(photograph(engine, "huge.png", 12000, 400)))
    assert_sentence(text)
    assert "12000" in text


@pytest.mark.parametrize("file", ["not_there.safetensors", "../../secrets.safetensors", "/etc/passwd"])
def test_a_checkpoint_outside_the_folders(engine, file):
    text = engine.fail(sampled("bad/out", base=load(file)))
    assert_sentence(text)
    assert "models/stylegan" in text or "Value not in list" in text  # newer hosts refuse before the node is asked


@pytest.mark.skipif(not HOSTILE.is_dir(), reason="the hostile files are not here")
@pytest.mark.parametrize("pattern", ["*.pkl", "*.pt", "*.safetensors"])
def test_hostile_checkpoints_are_refused(engine, pattern):
    for path in sorted(HOSTILE.glob(pattern))[:3]:
        shutil.copy(path, engine.base / "models/stylegan" / path.name)
        result = engine.run(sampled("bad/hostile", base=load(path.name)))
        if not result["success"]:
            assert_sentence(result["error"])


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x80\x04garbage", b"PK\x03\x04 truncated"])
def test_a_broken_checkpoint(engine, content):
    name = f"broken{len(content)}.pt"
    (engine.base / "models/stylegan" / name).write_bytes(content)
    text = engine.fail(sampled("bad/broken", base=load(name)))
    assert_sentence(text)
    assert name in text


def test_a_truncated_checkpoint(engine):
    whole = (engine.base / "models/stylegan/tiny_base.safetensors").read_bytes()
    (engine.base / "models/stylegan/truncated.safetensors").write_bytes(whole[: len(whole) // 2])
    assert_sentence(engine.fail(sampled("bad/truncated", base=load("truncated.safetensors"))))


def test_latents_of_another_model(engine):
    prompt = sampled("bad/foreign", other=load("tiny_stranger.safetensors"), image=generate(["other", 0], ["latents", 0]))
    text = engine.fail(prompt)
    assert_sentence(text)
    assert "mapping" in text


def test_turning_what_can_not_turn(engine):
    text = engine.fail(sampled("bad/turned", image=generate(["base", 0], ["latents", 0], rotate=90.0)))
    assert_sentence(text)
    assert "StyleGAN3" in text


def test_blending_strangers(engine):
    prompt = sampled("bad/strangers", toon=load("tiny_large.safetensors"), blend=swap("8", mode="smooth"),
                     image=generate(["blend", 0], ["latents", 0]))
    result = engine.run(prompt)  # blends up to the common resolution, or says why not
    if not result["success"]:
        assert_sentence(result["error"])


@pytest.mark.parametrize("curve", ["", "wide: 1", "8", "8:x"])
def test_a_curve_that_is_none(engine, curve):
    prompt = sampled("bad/curve", toon=load("tiny_toon.safetensors"), image=generate(["blend", 0], ["latents", 0]))
    prompt["blend"] = node("AtelierBlendStyleGANsByCurve", base=["base", 0], other=["toon", 0], curve=curve)
    assert_sentence(engine.fail(prompt))


@pytest.mark.parametrize("indices", ["", "two", "5", "3-1", "-9"])
def test_indices_that_are_none(engine, indices):
    prompt = sampled("bad/indices", picked=node("AtelierPickLatents", latents=["latents", 0], indices=indices),
                     image=generate(["base", 0], ["picked", 0]))
    assert_sentence(engine.fail(prompt))


def test_a_class_where_there_is_none(engine):
    text = engine.fail(sampled("bad/class", latents=sample(class_label=7)))
    assert_sentence(text)
    assert "class" in text


@pytest.mark.parametrize("name", ["../escape", "/tmp/escape", "", "..", "a/../../../escape"])
def test_a_name_that_climbs_out(engine, name):
    prompt = {"base": load(), "latents": sample(), "keep": node("AtelierSaveLatents", latents=["latents", 0], name=name)}
    assert_sentence(engine.fail(prompt))
    assert not list(engine.base.parent.glob("escape*"))


def test_saving_twice_overwrites_nothing(engine):
    def prompt(seed):
        return {"base": load(), "latents": sample(seed=seed),
                "keep": node("AtelierSaveLatents", latents=["latents", 0], name="twice")}

    engine.succeed(prompt(1))
    engine.succeed(prompt(2))
    first, second = (sg.Latents.load(path) for path in engine.files("stylegan_latents/twice_*"))
    assert (first.tensor != second.tensor).any()


def test_pasting_the_wrong_number_of_faces(engine):
    prompt = {"photo": node("AtelierLoadExamplePortrait"), "faces": aligned(), "base": load(), "latents": sample(count=2),
              "toons": generate(["base", 0], ["latents", 0]), "save": save(["back", 0], "bad/count")}
    prompt["back"] = node("AtelierPasteFacesBack", image=["photo", 0], crops=["toons", 0], faces=["faces", 1], feather=0.1,
                          color_match=0.0)
    text = engine.fail(prompt)
    assert_sentence(text)
    assert "2 crops" in text and "1 face" in text


def test_more_pictures_than_the_memory_holds(engine):
    """They are refused before work begins; a system would end the whole program."""
    clip = {"photo": node("AtelierLoadExamplePortrait"), "save": save(["clip", 0], "bad/room"),
            "clip": node("AtelierMovingCrop", image=["photo", 0], frames=10_000, size=4096, zoom=1.5, sway=0.15, x=0.4, y=0.1)}
    text = engine.fail(clip)
    assert_sentence(text)
    assert "10000 pictures of 4096 x 4096 px" in text and "GB" in text


def test_inverting_a_picture_that_is_not_square(engine):
    prompt = inverted("bad/oblong")
    prompt["photo"] = photograph(engine, "oblong.png", 60, 40)
    prompt["invert"]["inputs"]["image"] = ["photo", 0]
    del prompt["faces"]
    text = engine.fail(prompt)
    assert_sentence(text)
    assert "align" in text


def test_options_out_of_range(engine):
    if engine.kind == "comfyui":
        pytest.skip("ComfyUI refuses it before the node runs")
    assert_sentence(engine.fail(inverted("bad/options", numbers=options(0))))


def test_no_latents_saved_yet(engine):
    if engine.kind == "comfyui":
        pytest.skip("its combo lists what earlier tests saved")
    text = engine.fail(sampled("bad/empty", latents=node("AtelierLoadLatents", file="no file yet")))
    assert "stylegan_latents" in text


SEES = {
    "align": lambda: aligned(when_none="whole image"),
    "invert": lambda: node("AtelierInvertByOptimization", model=["base", 0], image=["photo", 0], space="w+", quality="draft",
                           seed=0),
    "encode": lambda: node("AtelierInvertWithEncoder", encoder=["encoder", 0], image=["photo", 0]),
    "tune": lambda: node("AtelierTuneModelToImage", model=["base", 0], image=["photo", 0], latents=["latents", 0],
                         quality="draft", protect_others=0.0, seed=0),
    "data": lambda: node("AtelierTrainingData", folder="", resolution="32", align=False, images=["photo", 0]),
    "fid": lambda: node("AtelierFID", model=["base", 0], images=["photo", 0], count=4, seed=0),
}


@pytest.mark.parametrize("kind", SEES)
@pytest.mark.parametrize("side", [1, 2])
def test_a_picture_in_which_nothing_can_be_seen(engine, kind, side):
    prompt = {"photo": photograph(engine, f"speck{side}.png", side, side), "base": load(), "latents": sample(count=1),
              "encoder": node("AtelierLoadGANEncoder", file="encoder (built-in)"), "seen": SEES[kind](),
              "save": save(["seen", 1 if kind in ("invert", "data") else 2 if kind == "tune" else 0], f"bad/speck{kind}")}
    text = engine.fail(prompt)
    assert_sentence(text)
    assert "smaller than 32 px" in text if kind == "data" else f"of {side} x {side} px shows nothing" in text


ODD_IMAGES = """
import sys
import torch
images = sys.modules[pack.__name__ + ".nodes.images"]
def said(make):
    try:
        make()
    except images.InvalidInput as error:
        return str(error)
good = torch.rand(2, 32, 32, 3)
broken = good.clone()
broken[1, 0, 0, 0] = float("nan")
bytes_ = torch.full((2, 32, 32, 3), 200, dtype=torch.uint8)
answer = [said(lambda: images.to_core(good)), said(lambda: images.to_core(broken)), said(lambda: images.to_core(bytes_)),
          said(lambda: images.CoreFrames(broken)[0]), said(lambda: images.CoreFrames(broken)[1]),
          said(lambda: images.CoreFrames(bytes_)[1])]
"""


def test_pixels_that_no_image_has_are_told_at_the_door(engine):
    good, broken, as_bytes, first, second, frame = engine.ask("probe", code=ODD_IMAGES)
    assert good is None and first is None
    assert "Image 2 holds NaN" in broken and "Picture 2 holds NaN" in second
    assert "from 200 to 200, [0, 1] expected" in as_bytes and "Picture 2 holds pixels" in frame


PLACES = """
import sys
from pathlib import Path
files = sys.modules[pack.__name__ + ".nodes.files"]
import folder_paths
found = []
for make in (lambda: files.run_folder("\U00020000" * 90), lambda: files.new_output(files.LATENTS, " "),
             lambda: files.new_output(files.LATENTS, ".npz"), lambda: files.new_output(files.LATENTS, "..")):
    try:
        found.append(str(make()))
    except files.InvalidInput as error:
        found.append(str(error))
answer = found
"""


def test_names_of_no_characters_and_of_too_many_bytes(engine):
    long, spaces, ending, above = engine.ask("probe", code=PLACES)
    assert "no name for a run" in long
    assert "No name was given" in spaces and "No name was given" in ending and "leads outside" in above


LIMITED = """
import resource
import sys
from pathlib import Path
files = sys.modules[pack.__name__ + ".nodes.files"]
import folder_paths
place = Path(folder_paths.get_input_directory()) / "atelier_portrait.jpg"
place.unlink(missing_ok=True)
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
try:
    files.place_examples()
finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
half = place.exists()
files.place_examples()
answer = [half, place.stat().st_size == files.example_portrait().stat().st_size]
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_an_example_that_was_cut_off_is_laid_out_anew(engine):
    assert engine.ask("probe", code=LIMITED) == [False, True]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_drawing_whose_name_is_no_text(engine):
    folder = engine.base / "input" / "named"
    folder.mkdir(exist_ok=True)
    write_picture(folder / os.fsdecode(b"caf\xe9.png"), 48, 48)
    code = "import sys; answer = sys.modules[pack.__name__ + '.nodes.files'].listing_fingerprint('named')"
    assert len(engine.ask("probe", code=code)) == 64
    data = node("AtelierTrainingData", folder="named", resolution="32", align=False)
    engine.succeed({"data": data, "save": save(["data", 1], "bad/named")})
