"""Blends share their parents' weights on whatever device, and no node changes a model on a wire."""

from __future__ import annotations

import textwrap

import pytest

PRELUDE = """
import sys, torch
root = pack.__name__
residency = sys.modules[root + ".nodes.residency"]
sg = sys.modules[root + ".stylegan_core"]
folder = {folder!r}
base, toon = (residency.Resident(sg.load(folder + f"/tiny_{{n}}.safetensors")) for n in ("base", "toon"))
pointers = lambda module: {{p.data_ptr() for p in module.parameters()}}
"""


@pytest.fixture
def probe(engine):
    def ask(code):
        prelude = PRELUDE.format(folder=str(engine.base / "models/stylegan"))
        return engine.ask("probe", code=prelude + textwrap.dedent(code))

    return ask


def test_a_hard_swap_owns_no_weights(probe):
    answer = probe("""
        blend = residency.Resident(sg.blend(base.core, toon.core, 8), (base, toon))
        parents = pointers(base.core) | pointers(toon.core)
        ids = lambda *residents: {id(p) for r in residents for p in r.core.parameters()}
        answer = {"shared": pointers(blend.core) <= parents, "objects": ids(blend) <= ids(base, toon),
                  "owned": sum(p.numel() for p in blend.patcher.model.parameters())}
    """)
    assert answer == {"shared": True, "owned": 0, "objects": True}


def test_moving_the_parents_moves_the_blend(probe):
    """A double-precision cast stands in for a device: it replaces every weight's memory, as a move does."""
    answer = probe("""
        blend = residency.Resident(sg.blend(base.core, toon.core, 8, "smooth", 1.0), (base, toon))
        for patcher in blend.patchers():
            patcher.model.to(torch.float64)
        answer = {"types": sorted({str(t.dtype) for t in blend.core.state_dict().values()}), "patchers": len(blend.patchers())}
        for patcher in blend.patchers():
            patcher.model.to(torch.float32)
        ws = torch.zeros(1, blend.core.num_ws, blend.core.w_dim)
        answer["finite"] = bool(blend.core.synthesis(ws).isfinite().all())
    """)
    assert answer == {"types": ["torch.float64"], "patchers": 3, "finite": True}


def test_a_blend_of_blends_is_resident_with_all_its_ancestors(probe):
    answer = probe("""
        first = residency.Resident(sg.blend(base.core, toon.core, 8), (base, toon))
        second = residency.Resident(sg.blend(first.core, base.core, 4), (first, base))
        residency.on_device(second, batch=2)
        answer = [len(second.patchers()), pointers(second.core) <= pointers(base.core) | pointers(toon.core)]
    """)
    assert answer == [4, True]


def test_a_blend_draws_the_same_as_without_comfyui(probe):
    answer = probe("""
        plain = sg.blend(base.core, toon.core, 8)
        ws = torch.randn(2, plain.num_ws, plain.w_dim, generator=torch.Generator().manual_seed(0))
        before = base.core.synthesis(ws)
        blend = residency.Resident(sg.blend(base.core, toon.core, 8), (base, toon))
        residency.on_device(blend)
        answer = [float((plain.synthesis(ws) - blend.core.synthesis(ws)).abs().max()),
                  float((before - base.core.synthesis(ws)).abs().max())]
    """)
    assert answer == [0.0, 0.0]


def test_encoders_move_whole_and_make_room_for_what_they_see_and_draw(probe):
    answer = probe("""
        encoders = sys.modules[root + ".stylegan_core.networks.encoders.psp"]
        irse = sys.modules[root + ".stylegan_core.networks.judges.irse"]
        heads = (encoders.HeadGroup(0, 8, 16, 4),)
        config = encoders.EncoderConfig(heads, 16, irse.IRSEConfig((16,) * 4))
        plain = residency.Resident(encoders.Encoder(config))
        drawing = encoders.Encoder(config)
        drawing.decoder = type("Large", (torch.nn.Module,), {"img_resolution": 512})()
        answer = [plain.activation_bytes(2), residency.Resident(drawing).activation_bytes(2) // plain.activation_bytes(2),
                  str(residency.on_device(plain, base, batch=2)), len(plain.patchers()),
                  pointers(plain.patcher.model) == pointers(plain.core)]
    """)
    assert answer[0] == 2 * 256**2 * 1024 and answer[1] == 4 and answer[3:] == [1, True]


def test_room_is_made_for_the_largest(probe):
    answer = probe("""
        large = residency.Resident(sg.load(folder + "/tiny_large.safetensors"))
        load, asked = residency.mm.load_models_gpu, []
        residency.mm.load_models_gpu = lambda patchers, memory_required, **_: asked.append([len(patchers), memory_required])
        try:
            residency.on_device(base, large, base, batch=3)
        finally:
            residency.mm.load_models_gpu = load
        answer = asked
    """)
    assert answer == [[2, 3 * 64**2 * 1024]]


def test_precision_is_what_comfyui_was_started_with(probe):
    answer = probe("""
        answer, takes_half = {}, base.core.synthesis.takes_half
        for flag in ("", "force_fp32", "fp32_unet", "bf16_unet", "fp16_unet"):
            setattr(residency.args, flag, True)
            answer[flag] = residency.precision_on(base)
            setattr(residency.args, flag, False)
        answer["can"] = takes_half
    """)
    assert answer == {"": "float32", "force_fp32": "float32", "fp32_unet": "float32", "bf16_unet": "bf16", "fp16_unet": "fp16",
                      "can": True}
