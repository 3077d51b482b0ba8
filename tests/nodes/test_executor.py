"""What only ComfyUI's executor has: cache, cancel, validation."""

from __future__ import annotations

import os

import pytest
from prompts import generate, inverted, load, node, sample, sampled, save, swap
from support import pixels, tiny

import stylegan_core as sg

pytestmark = pytest.mark.comfy


def blended(at, prefix):
    return sampled(prefix, toon=load("tiny_toon.safetensors"), blend=swap(at), image=generate(["blend", 0], ["latents", 0]))


def test_second_run_is_served_from_the_cache(comfyui):
    prompt = blended("8", "cached/a")
    comfyui.succeed(prompt)
    assert set(comfyui.succeed(prompt)["cached"]) == set(prompt)


def test_moving_a_slider_runs_only_what_follows(comfyui):
    prompt = inverted("moved/a", toon=load("tiny_toon.safetensors"), blend=swap("8"),
                      image=generate(["blend", 0], ["invert", 0]),
                      paste=node("AtelierPasteFacesBack", image=["photo", 0], crops=["image", 0], faces=["faces", 1],
                                 feather=0.1, color_match=0.0), save=save(["paste", 0], "moved/a"))
    comfyui.succeed(prompt)
    moved = swap("16")
    for inputs in (moved["inputs"], moved["inputs"] | {"strength": 1.5}):
        again = comfyui.succeed(prompt | {"blend": moved | {"inputs": inputs}})["executed"]
        assert sorted(again) == ["blend", "image", "paste", "save"]


def test_an_edited_checkpoint_is_loaded_again(comfyui):
    path = comfyui.base / "models/stylegan/edited.safetensors"
    sg.save(tiny(5), path)
    prompt = sampled("edited/a", base=load("edited.safetensors"))
    comfyui.succeed(prompt)
    sg.save(tiny(6), path, overwrite=True)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000_000))
    assert comfyui.succeed(prompt)["cached"] == []
    before, after = pixels(comfyui, "edited/*.png")[:2], pixels(comfyui, "edited/*.png")[2:]
    assert (before != after).any()


def test_cancel_stops_an_inversion_and_leaves_nothing_broken(comfyui):
    result = comfyui.run(inverted("cancelled/a", steps=500), interrupt_at=3)
    assert not result["success"] and result["error_type"] == "InterruptProcessingException"
    assert result["ticks"] < 20
    comfyui.succeed(inverted("after_cancel/a", steps=2))


def test_two_prompts_use_one_model_in_different_blends(comfyui):
    """Neither run may change what the other sees, in whatever order."""
    for at, prefix in (("4", "two/first"), ("16", "two/other"), ("4", "two/again")):
        comfyui.succeed(blended(at, prefix))
    first, other, again = (pixels(comfyui, f"two/{part}*") for part in ("first", "other", "again"))
    assert (first == again).all() and (first != other).any()
    comfyui.succeed(sampled("two/parent"))
    comfyui.succeed(sampled("alone/parent", base=load(), latents=sample(seed=1)))
    assert (pixels(comfyui, "two/parent*") == pixels(comfyui, "alone/parent*")).all()


@pytest.mark.parametrize(("change", "says"), [
    ({"latents": sample(seed=-1)}, "value_smaller_than_min"),
    ({"latents": sample(seed=2**64)}, "value_bigger_than_max"),
    ({"latents": sample(count=0)}, "value_smaller_than_min"),
    ({"latents": sample(truncation_psi=9.0)}, "value_bigger_than_max"),
    ({"image": generate(["latents", 0], ["latents", 0])}, "return_type_mismatch"),
])
def test_the_editor_refuses_what_a_widget_cannot_hold(comfyui, change, says):
    assert comfyui.run(sampled("refused/a") | change)["error_type"] == says


def test_previews_reach_the_browser(comfyui):
    result = comfyui.succeed(inverted("shown/a", steps=4, grid=save(["faces", 2], "shown/found")))
    assert result["outputs"]["faces"]["images"] and result["outputs"]["invert"]["images"]


MIGRATED = """
import asyncio, server
migration = __import__(pack.__name__ + ".nodes.migration", fromlist=["REPLACED"])
replaced = {old: [r.new, [*r.inputs, *r.values]] for old, r in migration.REPLACED.items()}
manager = getattr(server.PromptServer.instance, "node_replace_manager", None)
prompt = {"1": {"class_type": "LoadStyleGAN", "inputs": {"stylegan_file": "tiny_base.safetensors"}, "_meta": {"title": ""}},
          "2": {"class_type": "GenerateStyleGANLatent", "inputs": {"model": ["1", 0], "seed": 1, "class_label": -1,
                "batch_size": 2}, "_meta": {"title": ""}},
          "3": {"class_type": "StyleGANSampler", "inputs": {"model": ["1", 0], "latent": ["2", 0], "noise_mode": "const",
                "seed": 0}, "_meta": {"title": ""}}}
if manager is not None:
    manager.apply_replacements(prompt)
answer = {"replaced": replaced, "prompt": prompt, "can": manager is not None}
"""


def test_graphs_of_other_packs_become_ours(comfyui):
    told, schemas = comfyui.ask("probe", code=MIGRATED), comfyui.ask("schemas")
    for old, (new, inputs) in told["replaced"].items():
        known = set(schemas[new]["input"].get("required", {})) | set(schemas[new]["input"].get("optional", {}))
        assert set(inputs) <= known, f"{old} is mapped to inputs that {new} has not"
    if not told["can"]:
        pytest.skip(f"{comfyui.name} replaces no nodes")
    prompt = told["prompt"] | {"save": save(["3", 0], "migrated/a")}
    comfyui.succeed(prompt)
    assert pixels(comfyui, "migrated/*.png").shape[0] == 2
