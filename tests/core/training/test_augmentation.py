"""ADA's optional transforms: filter bands, noise, a hole. The usual ones equal goldens (test_goldens.py)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stylegan_core.errors import InvalidInput
from stylegan_core.training.ada import SETS, draw_augmentations
from stylegan_core.training.augmentation import POWER, SYM2, apply_augmentations


def images(count: int = 2, side: int = 64) -> torch.Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def responses(angles: np.ndarray) -> list[np.ndarray]:
    """Of the four bands, from the wavelet's transfer function: what splits off at rate 1, 1/2, 1/4, and the rest."""
    def low(w):
        return np.abs(sum(h * np.exp(-1j * n * w) for n, h in enumerate(SYM2))) ** 2 / 2

    left, bands = np.ones_like(angles), []
    for rate in (1, 2, 4):
        bands.insert(0, left * (1 - low(rate * angles)))
        left = left * low(rate * angles)
    return [left, *bands]


@pytest.mark.parametrize("band", range(4))
def test_a_band_passes_the_frequencies_of_its_octave(band) -> None:
    """Waves along x whose period divides the picture's mirrored length: the middle column is far from the border."""
    gains = torch.eye(4)[band].expand(1, -1)
    steps = np.array([1, 4, 8, 13, 16, 24, 31])
    x = torch.arange(256, dtype=torch.float64)
    for angle, wanted in zip(np.pi * steps / 32, responses(np.pi * steps / 32)[band], strict=True):
        wave = torch.cos(x * angle).expand(1, 3, 256, -1)
        out = apply_augmentations(wave, {"filter": gains})
        across = out[0, 0, 128, 64:192] / 1.0
        constant = responses(np.zeros(1))[band][0]  # along y the wave does not change
        assert torch.allclose(across, wave[0, 0, 128, 64:192] * wanted * constant, atol=1e-7)


def test_all_bands_together_are_the_picture() -> None:
    for side in (4, 16, 64):
        x = images(side=side)
        assert torch.allclose(apply_augmentations(x, {"filter": torch.ones(2, 4)}), x, atol=1e-7)


def test_a_band_alone_keeps_the_expected_power() -> None:
    gains = draw_augmentations(4000, (8, 8), 0.1, ("filter",), torch.Generator().manual_seed(0))["filter"]
    changed = (gains != 1).any(dim=1)
    assert 0.3 < changed.float().mean() < 0.38, "1 - 0.9^4"
    ratio = gains[changed].sort(dim=1).values
    once = ratio[(ratio[:, 0] == ratio[:, 2]) | (ratio[:, 1] == ratio[:, 3])]  # one band was chosen: the others share a gain
    assert len(once) > 500
    power = (gains.square() * torch.tensor(POWER)).sum(dim=1)
    alone = ((gains[:, :, None] == gains[:, None]).sum(dim=(1, 2)) == 10) & changed
    assert torch.allclose(power[alone], torch.ones_like(power[alone]), atol=1e-5)


def test_a_hole_is_half_the_side_where_its_center_lies() -> None:
    x = torch.ones(2, 1, 16, 16)
    out = apply_augmentations(x, {"cutout": torch.tensor([[0.5, 0.5, 0.5], [0.0, 1.0, 0.5]])})
    assert out[0, 0, 4:12, 4:12].sum() == 0 and out[0].sum() == 256 - 64
    assert out[1, 0, 12:, :4].sum() == 0 and out[1].sum() == 256 - 16, "what lies beyond the border is not there"


def test_noise_has_a_strength_an_image() -> None:
    noise = draw_augmentations(500, (8, 8), 1.0, ("noise",), torch.Generator().manual_seed(0))["noise"]
    strengths = noise.flatten(1).std(dim=1)
    assert noise.shape == (500, 3, 8, 8) and 0.09 < strengths.square().mean().sqrt() < 0.11, "half-normal of deviation 0.1"
    gray = torch.zeros(500, 1, 8, 8)
    assert torch.equal(apply_augmentations(gray, {"noise": noise}), noise[:, :1])


def test_what_is_drawn_follows_the_papers_table() -> None:
    """Of a picture of 40 x 80 px; x comes first. Two turns are drawn, of which one at least shall have the probability."""
    draw = torch.Generator().manual_seed(0)
    v = draw_augmentations(20_000, (40, 80), 1.0, SETS["bgc"], draw)
    assert v["xint"].abs().amax(0).tolist() == [10, 5] and v["xflip"].unique().tolist() == [0, 1]
    assert v["rotate90"].unique().tolist() == [0, 1, 2, 3]
    assert v["xfrac"].std(0).tolist() == pytest.approx([10, 5], rel=0.03)
    for name, wanted in {"scale": 0.2, "aniso": 0.2, "contrast": 0.5, "saturation": 1.0}.items():
        assert float(v[name].log2().std()) == pytest.approx(wanted, rel=0.03), name
    for name, wanted in {"brightness": 0.2, **dict.fromkeys(("rotate", "rotate_post", "hue"), np.pi / 3**0.5)}.items():
        assert float(v[name].std()) == pytest.approx(wanted, rel=0.03), name
    some = draw_augmentations(20_000, (40, 80), 0.75, ("scale", "rotate", "rotate_post"), draw)
    shares = {name: float((value != (name == "scale")).float().mean()) for name, value in some.items()}
    assert shares == pytest.approx({"scale": 0.75, "rotate": 0.5, "rotate_post": 0.5}, abs=0.02)


def test_at_no_probability_nothing_changes_and_slopes_have_slopes() -> None:
    x = images(side=16)
    none = draw_augmentations(2, (16, 16), 0.0, ("filter", "noise", "cutout"), torch.Generator().manual_seed(0))
    assert torch.allclose(apply_augmentations(x, none), x, atol=1e-7)
    params = draw_augmentations(2, (16, 16), 1.0, SETS["bgcfnc"], torch.Generator().manual_seed(0))
    x.requires_grad_(True)
    slope, = torch.autograd.grad(apply_augmentations(x, params).pow(3).sum(), x, create_graph=True)
    second, = torch.autograd.grad(slope.square().sum(), x)
    assert second.isfinite().all() and second.abs().max() > 0


def test_the_sets_grow_and_the_usual_one_is_what_it_was() -> None:
    assert SETS["bgcfnc"] == (*SETS["bgc"], "filter", "noise", "cutout") and SETS["bgcfn"] == SETS["bgcfnc"][:-1]
    usual, more = (draw_augmentations(4, (8, 8), 0.7, SETS[n], torch.Generator().manual_seed(0)) for n in ("bgc", "bgcfnc"))
    assert all(torch.equal(usual[name], more[name]) for name in usual), "the same numbers are drawn"
    with pytest.raises(InvalidInput, match="unknown"):
        apply_augmentations(images(), {"solarize": torch.ones(2)})
