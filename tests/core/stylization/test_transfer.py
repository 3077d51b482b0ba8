"""Transfer in chunks, grids, blended and joined styles."""

from __future__ import annotations

import pytest
import torch

from stylegan_core.errors import InvalidInput
from stylegan_core.latents import Latents
from stylegan_core.networks.dualstylegan import DualStyleGAN
from stylegan_core.networks.style_weights import parse_weights
from stylegan_core.stylization import PRESETS, blend_styles, join_styles, preset_color, style_grid, transfer_style
from tests.core.networks.test_dualstylegan import mobile, stylegan2


@pytest.fixture(scope="module", params=[mobile, stylegan2])
def dual(request) -> DualStyleGAN:
    model = DualStyleGAN.over(request.param()).eval().requires_grad_(False)
    torch.manual_seed(0)
    for block in model.structure:
        block.conv1.weight.mul_(100)
    return model


def codes(dual: DualStyleGAN, count: int, seed: int) -> Latents:
    return Latents(torch.randn(count, dual.num_ws, dual.z_dim, generator=torch.Generator().manual_seed(seed)), "z+")


def test_chunks_do_not_matter(dual: DualStyleGAN) -> None:
    faces, styles, seen = codes(dual, 5, 1), codes(dual, 5, 2), []
    whole = transfer_style(dual, faces, styles)
    parts = transfer_style(dual, faces, styles, chunk=2, on_step=lambda i, n, _: seen.append((i, n)))
    assert torch.allclose(whole, parts, atol=1e-4) and seen == [(2, 5), (4, 5), (5, 5)]
    assert torch.allclose(transfer_style(dual, faces, styles.pick(3), chunk=2)[3], whole[3], atol=1e-4)
    with pytest.raises(InvalidInput, match="ask for a grid"):
        transfer_style(dual, faces.pick([0, 1]), styles)


def test_pictures_are_shrunk_as_they_are_made(dual: DualStyleGAN) -> None:
    faces, styles = codes(dual, 3, 1), codes(dual, 3, 2)
    whole = transfer_style(dual, faces, styles)
    side = whole.shape[-1] // 4
    small = transfer_style(dual, faces, styles, chunk=2, size=side)
    means = torch.nn.functional.avg_pool2d(whole, 4)
    assert small.shape == (3, 3, side, side) and torch.allclose(small, means, atol=1e-4)
    assert torch.equal(transfer_style(dual, faces, styles, size=10_000), whole)


def test_grid_is_every_face_under_every_style(dual: DualStyleGAN) -> None:
    faces, styles = codes(dual, 2, 1), codes(dual, 3, 2)
    grid = style_grid(dual, faces, styles)
    assert len(grid) == 6
    assert torch.allclose(grid[4], transfer_style(dual, faces.pick(1), styles.pick(1))[0], atol=1e-4)


def test_structure_and_color_weights_act_apart(dual: DualStyleGAN) -> None:
    faces, styles = codes(dual, 1, 1), codes(dual, 1, 2)
    plain = transfer_style(dual, faces, styles, 0)
    n = dual.num_weights - 7
    structure, color = (transfer_style(dual, faces, styles, w) for w in (f"[7*1, {n}*0]", f"[7*0, {n}*1]"))
    assert all((image - plain).abs().mean() > 1e-3 for image in (structure, color))
    assert torch.equal(transfer_style(dual, faces, styles, 1, "photo"), structure)


def test_joined_and_blended_styles(dual: DualStyleGAN) -> None:
    a, b = codes(dual, 1, 1), codes(dual, 1, 2)
    joined = join_styles(dual, a, b)
    rows = list(dual.rows)
    assert torch.equal(joined.tensor[:, rows], b.ws(dual.base)[:, rows])
    assert torch.equal(joined.tensor[:, 0], a.ws(dual.base)[:, 0])
    both = Latents.combine([a, b])
    assert torch.allclose(blend_styles(dual, both, [3, 1]).tensor, 0.75 * a.ws(dual.base) + 0.25 * b.ws(dual.base), atol=1e-6)
    for shares in ([1], [0, 0], [-1, 2]):
        with pytest.raises(InvalidInput, match="one share"):
            blend_styles(dual, both, shares)


def test_random_noise_is_seeded(dual: DualStyleGAN) -> None:
    faces, styles = codes(dual, 2, 1), codes(dual, 1, 2)
    if dual.base.kind == "stylegan2":
        for layer in dual.base.synthesis.modules():
            if hasattr(layer, "noise_strength"):
                layer.noise_strength.fill_(0.3)
    first, again, other = (transfer_style(dual, faces, styles, noise_mode="random", seed=s) for s in (1, 1, 2))
    assert torch.allclose(transfer_style(dual, faces, styles, noise_mode="random", seed=1, chunk=1), first, atol=1e-4)
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_an_unknown_preset_is_refused_by_name() -> None:
    assert preset_color("arcane") == "photo-toned" and preset_color() == "exemplar"
    with pytest.raises(InvalidInput, match='no preset "nope"; use one of cartoon'):
        preset_color("nope")


def test_presets_fit_every_model() -> None:
    for preset in PRESETS.values():
        for count in (8, 14, 18, 20):
            assert len(parse_weights(preset.weights, count)) == count
