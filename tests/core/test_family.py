"""The built-in family: base is the package's own generator, looks differ from it in shapes and strokes apart, names stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import stylegan_core as sg
from stylegan_core.assets import FOLDER
from stylegan_core.checkpoints.borrowing import FORMER
from stylegan_core.checkpoints.safetensors_file import write_safetensors
from stylegan_core.checkpoints.saving import plain_config
from stylegan_core.inversion.small import small_variant
from stylegan_core.losses.perceptual import LPIPS
from stylegan_core.networks.generators.mobilestylegan import MobileStyleGAN

GOLDEN = np.load(Path(__file__).parents[1] / "goldens" / "family" / "base.npz")
LOOKS = ("figurine", "ink", "painting")


def builtin(name: str) -> MobileStyleGAN:
    model = sg.load(sg.builtin(name))
    assert isinstance(model, MobileStyleGAN)
    return model


def test_base_draws_what_the_package_draws() -> None:
    base, step, first = builtin("base"), int(GOLDEN["step"]), int(GOLDEN["first"])
    for seed, expected in zip(GOLDEN["seeds"].tolist(), GOLDEN["levels"], strict=True):
        drawn = base.synthesis(base.mapping(sg.sample_z([seed], base.z_dim), truncation_psi=float(GOLDEN["psi"])))
        levels = (drawn.clamp(-1, 1) + 1) * 127.5
        off = (levels[0, :, first::step, first::step] - torch.from_numpy(expected).float()).abs()
        assert base.img_resolution == 1024 and off.mean() < 1.0


def test_the_small_variant_draws_the_same_faces() -> None:
    base, small = builtin("base"), builtin("base-256")
    latents = sg.Latents(base.mapping(sg.sample_z([3, 42], 512), truncation_psi=0.7), "w+", base)
    large = torch.nn.functional.avg_pool2d(sg.render(base, latents), 4)
    assert LPIPS.embedded()(sg.render(small, latents), large).mean() < 0.06


@pytest.mark.parametrize("name", LOOKS)
def test_a_look_keeps_the_mapping_and_the_coarsest_layers(name) -> None:
    base, look = builtin("base").state_dict(), builtin(name).state_dict()
    assert base.keys() == look.keys()
    changed = {key.removeprefix("synthesis.").split(".")[0] for key in base if not torch.equal(base[key], look[key])}
    assert changed == {"b8", "b16", "b32", "b64", "b128", "b256", "b512", "head"}
    shapes = [torch.equal(look[k], other[k]) for other in [builtin("figurine").state_dict()] for k in look if ".b16." in k]
    assert all(shapes), "one structure, three renderings"


def test_swaps_share_what_they_do_not_change() -> None:
    base, look = builtin("base"), builtin("ink")
    for coarse in ("base", "other"):
        child = sg.blend(base, look, 32, coarse=coarse)
        for layer in base.layers:
            part = child.synthesis.get_submodule(layer.name) if layer.name != "const" else None
            owner = look if (layer.resolution <= 32) == (coarse == "other") else base
            if part is not None:
                theirs = dict(owner.synthesis.get_submodule(layer.name).named_parameters())
                assert all(p.data_ptr() == theirs[n].data_ptr() for n, p in part.named_parameters())


def test_toon_is_figurine_for_ever() -> None:
    assert sg.builtin("toon") == sg.builtin("figurine") == FOLDER / "figurine.safetensors"


@pytest.mark.parametrize("name", ["base", "base-256", *LOOKS])
def test_files_carry_their_licence_chain(name) -> None:
    facts = sg.inspect(sg.builtin(name))
    assert "non-commercial" in facts.licence and "random_face" in str(facts.parents)
    assert facts.resolution == (256 if name == "base-256" else 1024)
    if name in LOOKS:
        assert "line_x4.safetensors" in str(facts.parents) and facts.notes["pairs"]["count"] >= 50


def test_old_files_find_the_base_they_borrowed(tmp_path) -> None:
    """A file of a version whose `base` was today's base-256, as the first DualStyleGAN was."""
    former, small = next(iter(FORMER)), builtin("base-256")
    facts = {"family": small.kind, "config": plain_config(small.config), "source": "", "sha256": "", "parents": [], "notes": {},
             "licence": "", "borrows": {"asset": "base", "sha256": former, "prefix": ""}}
    path = write_safetensors(tmp_path / "old", {"synthesis.const": small.synthesis.const}, facts)
    assert all(torch.equal(t, small.state_dict()[k]) for k, t in sg.load(path).state_dict().items())


def test_optimization_runs_in_the_small_variant() -> None:
    base, small, look = builtin("base"), builtin("base-256"), builtin("figurine")
    assert small_variant(base).img_resolution == 256
    assert small_variant(small) is small and small_variant(look) is look, "another shape is no stand-in"
    images = sg.render(small, sg.Latents(sg.sample_z([3], 512), "z", small), 0.6).clamp(-1, 1)
    found = sg.invert(base, images, steps=4)
    assert found.latents.model == sg.ModelSignature.of(small) and any("but for the last 1" in note for note in found.notes)
    torch.testing.assert_close(found.images, sg.render(base, found.latents), atol=1e-4, rtol=1e-4)
    assert found.images.shape[-1] == 1024 and "lpips_1024" not in found.losses, "the photograph has 256 px"


def test_what_was_made_at_the_other_depth() -> None:
    """Codes share a batch by the row rule; a delta says which base it belongs to."""
    base, small = builtin("base"), builtin("base-256")
    large, old = (sg.Latents(m.mapping(sg.sample_z([3], 512), truncation_psi=0.7), "w+", m) for m in (base, small))
    both = sg.Latents.combine([large, old])
    assert both.model == large.model and torch.equal(both.tensor[1:], old.fit(base).tensor)
    assert torch.equal(sg.Latents.combine([old, large]).tensor[1:], large.fit(small).tensor)
    delta = sg.tune(small, old, sg.render(small, old).clamp(-1, 1).flip(-1), options=sg.TuneOptions(steps=2)).delta
    with pytest.raises(sg.DeltaMismatch, match="base-256"):
        delta.check(base)


@pytest.mark.slow
def test_codes_go_to_the_other_depth_and_back() -> None:
    base, small = builtin("base"), builtin("base-256")
    latents = sg.Latents(small.mapping(sg.sample_z([3], 512), truncation_psi=0.7), "w+", small)
    there = latents.fit(base)
    there_and_back = there.fit(small)
    assert torch.equal(there_and_back.tensor[:, :16], latents.tensor[:, :16])
    torch.testing.assert_close(sg.render(small, there_and_back), sg.render(small, latents), atol=1e-4, rtol=1e-4)
