"""Manners: which layers change, how a style code mixes them, and that what has none draws as ever."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import stylegan_core as sg
from stylegan_core.latents import Latents
from stylegan_core.networks.dualstylegan import DualStyleGAN
from stylegan_core.networks.generators.mobilestylegan import MobileStyleGAN, MobileStyleGANConfig
from stylegan_core.networks.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from stylegan_core.networks.manners import TILE, change_shapes, simplex, spread
from stylegan_core.networks.mapping import MappingConfig

MANNERS = 3


def mobile() -> MobileStyleGAN:
    return MobileStyleGAN(MobileStyleGANConfig(MappingConfig(16, 0, 16, 17, 2, 16), (16, 16, 16, 16, 16, 8)))


def stylegan2() -> StyleGAN2:
    return StyleGAN2(StyleGAN2Config(MappingConfig(16, 0, 16, 12, 2, 16), 128, (8,) * 6))


@pytest.fixture(params=[mobile, stylegan2])
def dual(request) -> DualStyleGAN:
    """Every manner changes everything by random numbers; the gate sends code e_k (in all rows) to manner k."""
    torch.manual_seed(5)
    base = request.param()
    base.w_avg = torch.zeros(16)
    dual = DualStyleGAN.over(base, hidden=4, manners=MANNERS).eval().requires_grad_(False)
    for parameter in dual.manners.parameters():
        parameter.normal_(std=0.2)
    dual.manners.gate.weight.copy_(torch.eye(MANNERS + 1, 16) * 4)
    dual.manners.gate.bias.zero_()
    return dual


def code(dual: DualStyleGAN, *shares: float) -> torch.Tensor:
    return torch.tensor([*shares, *[0.0] * (16 - len(shares))]).expand(1, dual.num_ws, -1) / 4


def drawn(dual: DualStyleGAN, style: torch.Tensor, color: float = 1.0, **more) -> torch.Tensor:
    ws = torch.randn(max(1, len(style)), dual.num_ws, 16, generator=torch.Generator().manual_seed(1))
    return dual.render(ws, dual.exemplar_from_ws(style), [1.0] * 7 + [color] * len(dual.rows), **more)


@pytest.mark.parametrize(("given", "expected"), [
    ([0.2, 0.3, 0.5], [0.2, 0.3, 0.5]), ([3.0, 0.0, 0.1], [1.0, 0.0, 0.0]), ([0.6, 0.6, -5.0], [0.5, 0.5, 0.0]),
    ([0.0, 0.0, 0.0], [1 / 3] * 3), ([0.9, 0.5, 0.0], [0.7, 0.3, 0.0])])
def test_shares_are_the_nearest_point_of_the_simplex(given, expected) -> None:
    assert torch.allclose(simplex(torch.tensor([given])), torch.tensor([expected]), atol=1e-6)


def test_shares_sum_to_one_and_have_gradients() -> None:
    x = torch.randn(50, 7, requires_grad=True)
    shares = simplex(x)
    assert (shares >= 0).all() and torch.allclose(shares.sum(-1), torch.ones(50), atol=1e-5)
    closest = (x - shares).square().sum(-1)
    for other in torch.rand(20, 50, 7):
        assert (closest <= (x - other / other.sum(-1, keepdim=True)).square().sum(-1) + 1e-5).all()
    shares[:, 0].sum().backward()
    assert x.grad.abs().sum() > 0


def test_fine_layers_change_but_for_their_style_matrices() -> None:
    shapes = dict(change_shapes(sg.load(sg.builtin("base")).config.synthesis_shapes()))
    assert {name.split(".")[0] for name in shapes} == {"b128", "b256", "b512", "head"}
    assert not any(name.endswith("affine.weight") for name in shapes)
    assert shapes["b128.conv1.noise_const"] == (TILE, TILE) and shapes["head.weight"] == (12, 64, 1, 1)


def test_a_new_gate_lets_nothing_through() -> None:
    torch.manual_seed(2)
    base = mobile().eval().requires_grad_(False)
    base.w_avg = torch.zeros(16)
    plain = DualStyleGAN.over(base, hidden=4)
    with_manners = DualStyleGAN.over(base, hidden=4, manners=MANNERS)
    with_manners.load_state_dict(plain.state_dict(), strict=False)
    style = torch.randn(1, 17, 16)
    assert torch.equal(drawn(plain, style), drawn(with_manners, style))


def test_without_color_weights_the_base_is_left_alone(dual) -> None:
    face = Latents(torch.randn(1, 16), "z", dual.base)
    style = Latents(code(dual, 1.0), "w+", dual.base)
    assert torch.equal(dual.synthesis(face, style, 0), dual.base.synthesis(face.ws(dual.base)))
    assert torch.equal(dual.synthesis(face, style, 1, "photo"), dual.synthesis(face, style, "[7*1, 11*0]"))
    assert not torch.equal(dual.synthesis(face, style, 1, "photo-toned"), dual.synthesis(face, style, 1, "photo"))


def test_shares_mix_the_changes_themselves(dual) -> None:
    changes = [dual.manners(dual.exemplar_from_ws(code(dual, *shares)).shares) for shares in ((1.0,), (0.0, 1.0), (0.25, 0.75))]
    for name in changes[0]:
        mixed = 0.25 * changes[0][name] + 0.75 * changes[1][name]
        assert torch.allclose(changes[2][name], mixed, atol=1e-5), name
        own = dual.manners.get_parameter(name.replace(".", "_"))
        assert torch.allclose(changes[1][name][0], own[1], atol=1e-5), name


def test_manners_without_a_share_are_not_read(dual) -> None:
    """So that a picture costs as much of a hundred manners as of its own."""
    style = code(dual, 1.0)
    expected = drawn(dual, style)
    for own in dual.manners.names.values():
        dual.manners.get_parameter(own)[1:] = float("nan")
    assert torch.equal(drawn(dual, style), expected)


def test_what_a_bank_s_exemplars_keep_does_not_grow_with_the_fine_layers(dual) -> None:
    styles = torch.cat([code(dual, 1.0)] * 5)
    exemplar = dual.exemplar_from_ws(styles)
    assert exemplar.shares.shape == (5, MANNERS)
    plain = DualStyleGAN.over(dual.base, hidden=4).exemplar_from_ws(styles)
    for mine, theirs in zip(exemplar.structure, plain.structure, strict=True):
        assert [[x.shape for x in pair] for pair in mine] == [[x.shape for x in pair] for pair in theirs]
    assert [name for name, value in vars(exemplar).items() if value is not None] == ["structure", "color", "shares"]


def test_a_change_takes_the_place_of_the_exemplar_s(dual) -> None:
    own, other = (dual.exemplar_from_ws(code(dual, *shares)) for shares in ((1.0,), (0.0, 1.0)))
    ws = torch.randn(1, dual.num_ws, 16, generator=torch.Generator().manual_seed(1))
    weights = [1.0] * dual.num_weights
    swapped = dual.render(ws, own, weights, change=dual.manners(other.shares))
    assert not torch.allclose(swapped, dual.render(ws, own, weights), atol=1e-3)
    assert torch.equal(swapped, dual.render(ws, replace(own, shares=other.shares), weights))


def test_the_changed_layers_draw_as_a_generator_that_has_them(dual) -> None:
    """Half a color weight: half the change, half the way of the style vectors, paper in the noise maps."""
    style, ws = code(dual, 0.0, 0.0, 1.0), torch.randn(1, dual.num_ws, 16, generator=torch.Generator().manual_seed(1))
    mixed = ws.clone()
    mixed[:, list(dual.rows)] = 0.5 * ws[:, list(dual.rows)] + 0.5 * dual.tone(style)
    twin = type(dual.base)(dual.base.config).eval().requires_grad_(False)
    twin.load_state_dict(dual.base.state_dict())
    state = twin.synthesis.state_dict()
    for name, own in dual.manners.names.items():
        change = dual.manners.get_parameter(own)[2]
        tensor = state[name]
        tensor += 0.5 * (spread(change, tensor.shape[-1]) if name.endswith("noise_const") else change)
    got = dual.render(ws, dual.exemplar_from_ws(style), [0.0] * 7 + [0.5] * len(dual.rows))
    assert torch.allclose(got, twin.synthesis(mixed), atol=1e-4)


@pytest.mark.parametrize("mode", ["const", "none"])
def test_a_batch_is_its_pictures(dual, mode) -> None:
    styles = torch.cat([code(dual, 1.0), code(dual, 0.5, 0.5), code(dual, 0.0, 0.0, 0.0, 1.0)])
    together = drawn(dual, styles, 0.8, noise_mode=mode)
    ws = torch.randn(3, dual.num_ws, 16, generator=torch.Generator().manual_seed(1))
    for i in range(3):
        alone = dual.render(ws[i : i + 1], dual.exemplar_from_ws(styles[i : i + 1]), [1.0] * 7 + [0.8] * len(dual.rows), mode)
        assert torch.allclose(together[i], alone[0], atol=1e-5)
    photographic = dual.render(ws[2:], dual.exemplar_from_ws(styles[2:]), [1.0] * 7 + [0.0] * len(dual.rows), mode)
    assert not torch.allclose(together[2:], photographic)


def test_paper_lies_under_given_and_random_noise(dual) -> None:
    maps = [torch.randn(1, 1, *shape) for shape in dual.base.synthesis.noise_shapes()]
    style = code(dual, 1.0)
    with_paper = drawn(dual, style, noise=maps)
    for own in dual.manners.names.values():
        if own.endswith("noise_const"):
            dual.manners.get_parameter(own).zero_()
    assert not torch.allclose(with_paper, drawn(dual, style, noise=maps))
    twice = [drawn(dual, style, noise_mode="random", generator=torch.Generator().manual_seed(s)) for s in (3, 3)]
    assert torch.equal(*twice)


def test_gradients_reach_the_code_through_its_shares(dual) -> None:
    style = code(dual, 0.5, 0.5).clone().requires_grad_(True)
    shares = dual.manners.shares(style[:, list(dual.rows)])
    shares[0, 0].backward()
    assert style.grad.abs().sum() > 0


def test_manners_are_saved_and_loaded(dual, tmp_path) -> None:
    again = sg.load(sg.save(dual, tmp_path / "dual"))
    assert again.config == dual.config and again.config.manners == MANNERS
    style = code(dual, 0.3, 0.7)
    assert torch.equal(drawn(dual, style), drawn(again, style))
