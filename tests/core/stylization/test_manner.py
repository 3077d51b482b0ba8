"""Manners for drawings from outside the bank: found again where they are known, left alone where there is none."""

from __future__ import annotations

import pytest
import torch

from stylegan_core.latents import Latents
from stylegan_core.networks.dualstylegan import DualStyleGAN
from stylegan_core.networks.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from stylegan_core.networks.mapping import MappingConfig
from stylegan_core.stylization import Refinement, RefineOptions
from stylegan_core.stylization.manner import MannerJudge, nearest_manner

MANNERS = 3


@pytest.fixture(scope="module")
def judge() -> MannerJudge:
    return MannerJudge.embedded()


@pytest.fixture
def dual() -> DualStyleGAN:
    """Three manners of random changes, a random gate, no structure."""
    torch.manual_seed(7)
    base = StyleGAN2(StyleGAN2Config(MappingConfig(16, 0, 16, 12, 2, 16), 128, (8,) * 6))
    base.w_avg = torch.zeros(16)
    dual = DualStyleGAN.over(base, hidden=4, manners=MANNERS).eval().requires_grad_(False)
    for own in dual.manners.names.values():
        dual.manners.get_parameter(own).normal_(std=0.3)
    dual.manners.gate.weight.normal_(std=0.1)
    dual.manners.gate.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 3.0]))
    return dual


def drawing(dual: DualStyleGAN, face: Latents, style: torch.Tensor) -> torch.Tensor:
    return dual.render(face.tensor, dual.exemplar_from_ws(style), (1.0,) * dual.num_weights).clamp(-1, 1)


def codes(dual: DualStyleGAN, seed: int) -> Latents:
    return Latents(torch.randn(1, dual.num_ws, 16, generator=torch.Generator().manual_seed(seed)), "w+", dual.base)


@pytest.mark.parametrize("manner", range(MANNERS))
def test_the_nearest_row_draws_in_one_manner_alone(dual, manner) -> None:
    row = torch.randn(2, 16, generator=torch.Generator().manual_seed(1))
    moved = dual.manners.towards(row, manner)
    shares = dual.manners.shares(moved[:, None])
    assert torch.allclose(shares, torch.eye(MANNERS)[[manner, manner]], atol=1e-5)
    differences = dual.manners.gate.weight[:-1] - dual.manners.gate.weight[-1:]
    aside = torch.linalg.svd(differences)[2][MANNERS:]  # what the gate does not see
    assert torch.allclose((moved - row) @ aside.T, torch.zeros(2, len(aside)), atol=1e-4)


@pytest.mark.parametrize("manner", range(MANNERS))
def test_a_drawing_in_a_known_manner_gets_it(dual, judge, manner) -> None:
    face, style = codes(dual, 2), codes(dual, 3)
    known = style.tensor.clone()
    known[:, dual.rows[-1]] = dual.manners.towards(known[:, dual.rows[-1]], manner)
    found, number = nearest_manner(dual, face, style, drawing(dual, face, known), judge)
    assert number == manner and torch.allclose(found.tensor, known, atol=1e-5)
    again, none = nearest_manner(dual, face, found, drawing(dual, face, style.tensor), judge)
    assert none is None and torch.equal(again.tensor, found.tensor)  # it has one


def test_a_photograph_gets_none(dual, judge) -> None:
    face, style = codes(dual, 2), codes(dual, 3)
    found, number = nearest_manner(dual, face, style, drawing(dual, face, style.tensor), judge)
    assert number is None and torch.equal(found.tensor, style.tensor)


def test_without_manners_nothing_is_sought(dual, judge) -> None:
    plain = DualStyleGAN.over(dual.base, hidden=4).eval()
    face, style = codes(plain, 2), codes(plain, 3)
    found, number = nearest_manner(plain, face, style, torch.zeros(1, 3, 128, 128), judge)
    assert number is None and torch.equal(found.tensor, style.tensor)


@pytest.mark.parametrize(("wanted", "shares"), [(True, [0.0, 1.0, 0.0]), (False, [0.0, 0.0, 0.0])])
def test_refinement_begins_in_the_manner(dual, wanted, shares) -> None:
    face, style = codes(dual, 2), codes(dual, 3)
    known = style.tensor.clone()
    known[:, dual.rows[-1]] = dual.manners.towards(known[:, dual.rows[-1]], 1)
    work = Refinement(dual, face, style, drawing(dual, face, known), RefineOptions(steps=0, manner=wanted))
    refined = work.run().extrinsic.ws(dual.base)
    assert torch.allclose(dual.manners.shares(refined[:, list(dual.rows)]), torch.tensor([shares]), atol=1e-5)
