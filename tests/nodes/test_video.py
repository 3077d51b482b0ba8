"""The video nodes on both engines: a moving crop of the bundled portrait, followed, inverted, and put back."""

from __future__ import annotations

import shutil

import pytest
from prompts import generate, load, node, options, save
from support import pixels, tiny, write_picture

import stylegan_core as sg

FRAMES = 3


def clip(count=FRAMES):
    return {"photo": node("AtelierLoadExamplePortrait"),
            "clip": node("AtelierMovingCrop", image=["photo", 0], frames=count, size=240, zoom=1.5, sway=0.15, x=0.4, y=0.1)}


def aligned(frames=None, smoothing=1.0):
    return node("AtelierAlignVideoFaces", frames=frames or ["clip", 0], size=256, smoothing=smoothing, size_of=["base", 0],
                smallest=0)


def inverted(steps=2, **more):
    return node("AtelierInvertVideo", model=["base", 0], crops=["faces", 0], quality="draft", steps=steps, smoothing=1.0,
                seed=0, options=["numbers", 0], **more)


def toonified(prefix, count=FRAMES, first=4, **more):
    return clip(count) | {
        "base": load(), "toon": load("tiny_toon.safetensors"), "faces": aligned(), "numbers": options(first),
        "invert": inverted(faces=["faces", 1]), "image": generate(["toon", 0], ["invert", 0]),
        "back": node("AtelierPasteFacesBack", image=["clip", 0], crops=["image", 0], faces=["faces", 1], feather=0.1,
                     color_match=0.0),
        "save": save(["back", 0], f"{prefix}/back"), "save_clip": save(["clip", 0], f"{prefix}/clip"),
        "save_crops": save(["faces", 0], f"{prefix}/crop"),
        "keep": node("AtelierSaveLatents", latents=["invert", 0], name=prefix)} | more


def test_from_clip_to_toon_clip(engine):
    engine.succeed(toonified("video"))
    frames, back, crops = (pixels(engine, f"video/{name}*.png") for name in ("clip", "back", "crop"))
    assert len(frames) == len(back) == len(crops) == FRAMES and crops.shape[1] == 32
    changed = (frames != back).any(-1).mean((1, 2))
    assert ((changed > 0.05) & (changed < 0.9)).all()
    found = sg.Latents.load(engine.files("stylegan_latents/video_*")[-1])
    assert found.space == "w+" and len(found) == FRAMES


def test_one_frame_is_a_video(engine):
    engine.succeed(toonified("single", 1))
    assert len(pixels(engine, "single/back*.png")) == 1


def test_frames_without_a_face_say_so(engine):
    write_picture(engine.base / "input" / "blank.png", 64, 64)
    prompt = {"base": load(), "clip": node("LoadImage", image="blank.png"), "faces": aligned(),
              "save": save(["faces", 0], "blank/a")}
    assert "None of 1 frames shows a face" in engine.fail(prompt)


def test_zero_steps_need_an_encoder(engine):
    assert "without an encoder" in engine.fail(toonified("zero", 2, invert=inverted(0)))


def test_an_encoder_for_another_model_is_refused(engine):
    """The smallest encoder there is, told that it belongs to a model of another mapping."""
    from stylegan_core.latents import ModelSignature
    from stylegan_core.networks.encoders.compact import CompactEncoder, CompactEncoderConfig

    stranger = ModelSignature.of(tiny(3, mapping_seed=9))
    config = CompactEncoderConfig(stranger.num_ws, stranger.w_dim, 8, 8, 4, stranger.mapping_hash, stranger.resolution)
    folder = engine.base / "models/stylegan"
    sg.save(CompactEncoder(config), folder / "tiny_strange_encoder.safetensors", overwrite=True)
    prompt = toonified("stranger", 2, encoder=node("AtelierLoadGANEncoder", file="tiny_strange_encoder.safetensors"),
                       invert=inverted(encoder=["encoder", 0]))
    assert "belong to mobilestylegan 32 px" in engine.fail(prompt)


@pytest.mark.comfy
def test_cancel_keeps_the_finished_frames(comfyui):
    folder = comfyui.base / "output/stylegan_latents"
    shutil.rmtree(folder, ignore_errors=True)
    prompt = toonified("cancelled", 4, first=3)
    comfyui.succeed(clip(4) | {"base": load(), "faces": aligned(), "save": save(["faces", 0], "warm/a")})
    result = comfyui.run(prompt, interrupt_at=3 + 3)
    assert not result["success"]
    kept = sorted(folder.glob("interrupted_video_*"))
    assert kept and 1 <= len(sg.Latents.load(kept[-1])) < 4
