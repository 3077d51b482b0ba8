"""Half precision: a view that shares everything, taken by "auto" only where it proved harmless and faster."""

from __future__ import annotations

import copy

import pytest
import torch

from stylegan_core.errors import InvalidInput
from stylegan_core.latents import Latents
from stylegan_core.networks.dualstylegan import DualStyleGAN
from stylegan_core.networks.generators.stylegan3 import StyleGAN3, StyleGAN3Config
from stylegan_core.networks.mapping import MappingConfig
from stylegan_core.pictures.rendering import render
from stylegan_core.runtime import at_precision, precision, verdict_of
from stylegan_core.runtime.precision import PROOF_AFTER, Verdict
from tests.core.networks.models import tiny_stylegan2

CPU = torch.device("cpu")


@pytest.fixture
def model():
    return tiny_stylegan2(channels=(16, 16, 16, 8))


@pytest.fixture
def ws(model):
    return torch.randn(PROOF_AFTER + 1, model.num_ws, model.w_dim)


def test_a_view_shares_every_tensor_and_leaves_the_model_alone(model, ws) -> None:
    exact, view = model.synthesis(ws), at_precision(model, "bf16")
    assert view is not model and all(a is b for a, b in zip(view.parameters(), model.parameters(), strict=True))
    half = view.synthesis(ws)
    assert half.dtype == torch.float32 and not torch.equal(half, exact)
    assert float((half - exact).abs().mean()) < 0.02 * float(exact.abs().mean())
    assert torch.equal(model.synthesis(ws), exact) and view.mapping is model.mapping
    with torch.no_grad():
        model.synthesis.b8.conv1.bias.add_(1.0)
    assert not torch.equal(view.synthesis(ws), half), "a view sees what becomes of the model"


def test_float32_is_the_model_itself_bit_for_bit(model, ws) -> None:
    assert at_precision(model) is model
    latents = Latents(ws, "w+", model)
    assert torch.equal(render(model, latents), torch.cat([model.synthesis(w[None]) for w in ws]))
    assert not torch.equal(render(model, latents, precision="bf16"), render(model, latents))


def test_styles_and_mapping_are_computed_exactly(model, ws, monkeypatch) -> None:
    seen = set()
    affine = type(model.synthesis.b8.conv0.affine)
    forward = affine.forward
    monkeypatch.setattr(affine, "forward", lambda self, x: seen.add(forward(self, x).dtype) or forward(self, x))
    at_precision(model, "bf16").synthesis(ws)
    assert seen == {torch.float32}


def test_gradients_flow_through_half_precision(model, ws) -> None:
    grads = []
    for view in (model, at_precision(model, "bf16")):
        code = ws.clone().requires_grad_(True)
        view.synthesis(code).square().mean().backward()
        grads.append(code.grad)
    assert float((grads[0] - grads[1]).norm()) < 0.1 * float(grads[0].norm())


def test_dualstylegan_and_its_blocks_follow(model, ws) -> None:
    base = tiny_stylegan2(channels=(16, 16, 16, 16, 16, 8))
    dual = DualStyleGAN.over(base).eval().requires_grad_(False)
    codes = torch.randn(1, base.num_ws, base.w_dim)
    view, exemplar = at_precision(dual, "bf16"), dual.exemplar_from_ws(codes)
    a, b = (m.render(codes, exemplar, [1.0] * dual.num_weights) for m in (dual, view))
    assert 0 < float((a - b).abs().mean()) < 0.05 * float(a.abs().mean())


@pytest.mark.parametrize(("found", "taken"), [(Verdict(0.5, 2.0, 1.0), True), (Verdict(1.5, 2.0, 1.0), False),
                                              (Verdict(0.5, 1.0, 2.0), False), (Verdict(float("nan"), 2.0, 1.0), False)])
def test_auto_takes_what_is_harmless_and_faster_and_remembers(model, ws, monkeypatch, found, taken) -> None:
    asked = []
    monkeypatch.setattr(precision, "fast_type", lambda device: torch.bfloat16)
    monkeypatch.setattr(precision, "compare", lambda *case: asked.append(case) or found)
    for _ in range(PROOF_AFTER):
        assert at_precision(model, "auto", ws[:1]) is model and not asked
    for _ in range(2):
        assert (at_precision(model, "auto", ws[:1]) is not model) == taken
    assert len(asked) == 1 and verdict_of(model, CPU) == found
    assert verdict_of(copy.deepcopy(model), CPU) is None, "another network, another proof"


def test_auto_stays_exact_where_the_device_has_no_half_precision(model, ws, monkeypatch) -> None:
    monkeypatch.setattr(precision, "fast_type", lambda device: None)
    assert at_precision(model, "auto", ws) is model


def test_the_comparison_measures_both(model, ws) -> None:
    found = precision.compare(model.synthesis, ws[:1], torch.bfloat16)
    exact, half = model.synthesis(ws[:1]), at_precision(model, "bf16").synthesis(ws[:1])
    levels = (exact.clamp(-1, 1) - half.clamp(-1, 1)).abs().mean() * 127.5
    assert found.difference == pytest.approx(float(levels), rel=1e-4) and found.exact_seconds > 0 < found.half_seconds


def test_what_can_not_be_is_refused(model) -> None:
    with pytest.raises(InvalidInput, match="int8"):
        at_precision(model, "int8")  # type: ignore[arg-type]
    mapping = MappingConfig(z_dim=8, w_dim=8, hidden_dim=8, num_layers=1, num_ws=6)
    other = StyleGAN3(StyleGAN3Config(mapping, 16, (4, 4, 4, 4, 3), num_critical=1))
    with pytest.raises(InvalidInput, match="stylegan3-t is drawn in float32 only"):
        at_precision(other, "bf16")
    assert at_precision(other, "auto") is other
