"""Measures through the engines: the very numbers of the core, at every widget."""

from __future__ import annotations

import numpy as np
import pytest
from prompts import generate, load, node, sample, save
from support import pixels

import stylegan_core as sg
from stylegan_core.metrics import best_separability, compare_sets, path_length, sample_pictures
from stylegan_core.metrics.plot import plot_measures

SEED = 2**33 + 7
"""The core's seeds are 32 bits wide."""
OWN = SEED & 0xFFFFFFFF


def fid(model, other) -> list:
    latents = sg.Latents(sg.sample_z(range(40, 46), other.z_dim), "z", other).truncate(other, 0.7)
    return compare_sets([sg.render(other, latents).clamp(-1, 1)], 6, sample_pictures(model, 9, OWN), 9)


MEASURES = {
    "fid": (node("AtelierFID", model=["base", 0], images=["real", 0], count=9, seed=SEED), fid),
    "ppl": (node("AtelierPerceptualPathLength", model=["base", 0], count=5, space="z", seed=SEED, ends_only=True,
                 whole_picture=True),
            lambda model, _: [path_length(model, 5, "z", True, False, OWN)[0]]),
    "ppl_usual": (node("AtelierPerceptualPathLength", model=["base", 0], count=4, space="w", seed=SEED),
                  lambda model, _: [path_length(model, 4, "w", False, True, OWN)[0]]),
    "ls": (node("AtelierLinearSeparability", model=["base", 0], count=40, seed=SEED),
           lambda model, _: best_separability(model, "nowhere", 40, OWN)),
}
"""Node -> what the core measures."""


@pytest.mark.parametrize("which", MEASURES)
def test_a_measure_is_the_cores(engine, which):
    measured, core = MEASURES[which]
    result = engine.succeed({
        "base": load("tiny_large.safetensors"), "toon": load("tiny_toon.safetensors"),
        "codes": sample("toon", seed=40, count=6), "real": generate(["toon", 0], ["codes", 0]), "measure": measured,
        "save": save(["measure", 0], f"measure/{which}")})
    model, other = (sg.load(engine.base / f"models/stylegan/tiny_{name}.safetensors") for name in ("large", "toon"))
    wanted = plot_measures(core(model, other))
    shown = pixels(engine, f"measure/{which}_*")
    assert np.abs(shown - ((wanted + 1) * 127.5).permute(0, 2, 3, 1).numpy()).max() <= 1.01, "the numbers, drawn"
    assert result["ticks"] >= 1


def test_what_a_dualstylegan_draws_without_a_style_is_measured(engine, family) -> None:
    engine.succeed({"dual": node("AtelierLoadDualStyleGAN", file="tiny_dual.safetensors"), "measure": node(
        "AtelierPerceptualPathLength", model=["dual", 0], count=2, space="w", seed=0)})
