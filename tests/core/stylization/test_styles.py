"""Named styles: picking by number and name, blending, walking, sheets, and banks made of them."""

from __future__ import annotations

import pytest
import torch

import stylegan_core as sg
from stylegan_core.errors import InvalidInput, LatentMismatch
from stylegan_core.latents import Latents
from stylegan_core.networks.dualstylegan import DualStyleGAN
from stylegan_core.networks.style_bank import StyleBank
from stylegan_core.stylization import Styles, style_sheet, transfer_style
from tests.core.networks.test_dualstylegan import mobile, stylegan2

NAMES = ("053.jpg", "imp night", "12-3.png", "clown")


@pytest.fixture(scope="module")
def dual() -> DualStyleGAN:
    return DualStyleGAN.over(mobile()).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def styles(dual: DualStyleGAN) -> Styles:
    codes = torch.randn(4, dual.num_ws, dual.z_dim, generator=torch.Generator().manual_seed(1))
    return Styles(Latents(codes, "z+", dual.base), NAMES)


@pytest.mark.parametrize(("which", "numbers"), [
    ("2", [2]), ("0, 3", [0, 3]), ("1-3", [1, 2, 3]), ("imp night", [1]), ("053.jpg, clown ,0", [0, 3, 0]), ("12-3.png", [2]),
    ([3, "053.jpg"], [3, 0]), ("Imp Night, CLOWN, 053.JPG", [1, 3, 0]),
])
def test_picking(styles: Styles, which, numbers) -> None:
    picked = styles.pick(which)
    assert picked.names == tuple(NAMES[i] for i in numbers)
    assert torch.equal(picked.codes.tensor, styles.codes.tensor[numbers])


@pytest.mark.parametrize("which", ["4", "-1", "2-9", "nobody", "", " , "])
def test_what_is_not_there_names_the_range(styles: Styles, which: str) -> None:
    with pytest.raises(InvalidInput, match="0 to 3"):
        styles.pick(which)


def test_a_bank_and_back(styles: Styles, tmp_path) -> None:
    again = Styles.of(sg.load(sg.save(styles.pick("1, 1, 0").bank(), tmp_path / "bank.safetensors")))
    assert again.names == ("imp night", "imp night (2)", "053.jpg")
    assert torch.equal(again.codes.tensor, styles.codes.tensor[[1, 1, 0]]) and again.codes.model == styles.codes.model
    with pytest.raises(InvalidInput, match="one name a style"):
        Styles(styles.codes, NAMES[:2])


def test_blending_takes_shares_apart(dual: DualStyleGAN, styles: Styles) -> None:
    pair, ws, rows = styles.pick("0, 1"), styles.codes.ws(dual.base), list(dual.rows)
    crossed = pair.blend(dual, [1, 0], [0, 1])
    assert torch.equal(crossed.codes.tensor[0, rows], ws[1, rows]) and torch.equal(crossed.codes.tensor[0, 0], ws[0, 0])
    assert crossed.names == ("053.jpg + imp night",)
    assert torch.allclose(pair.blend(dual, [3, 1]).codes.tensor[0], 0.75 * ws[0] + 0.25 * ws[1], atol=1e-6)
    with pytest.raises(InvalidInput, match="one share"):
        pair.blend(dual, [1, 2, 3])


def test_walks_pair_with_walks_of_faces(dual: DualStyleGAN, styles: Styles) -> None:
    walk = styles.pick("0, 2").walk(dual, 3)
    ws = styles.codes.ws(dual.base)
    assert torch.allclose(walk.codes.tensor, torch.stack([ws[0], (ws[0] + ws[2]) / 2, ws[2]]), atol=1e-6)
    faces = sg.interpolate(Latents(torch.randn(2, dual.z_dim), "z"), 3)
    frames = transfer_style(dual, faces, walk.codes)
    assert torch.allclose(frames[1], transfer_style(dual, faces.pick(1), walk.codes.pick(1))[0], atol=1e-4)
    assert len(styles.walk(dual, 8, loop=True)) == 8


def test_styles_of_two_spaces_meet_in_w_plus(dual: DualStyleGAN, styles: Styles) -> None:
    mixed = styles.pick("0, 1").blend(dual, [1, 1])
    with pytest.raises(InvalidInput, match="share a batch"):
        Styles.combine([styles, mixed])
    assert Styles.combine([styles.on(dual), mixed]).names[-1] == "053.jpg + imp night"


def test_the_sheet_shows_every_style(dual: DualStyleGAN, styles: Styles) -> None:
    sheet = style_sheet(dual, styles, cell=48)
    assert sheet.shape[:2] == (1, 3) and sheet.shape[3] > 4 * 48 and 48 < sheet.shape[2] < 100
    faces = Latents(torch.randn(4, dual.z_dim), "z")
    assert not torch.equal(style_sheet(dual, styles, faces, cell=48), sheet)
    with pytest.raises(InvalidInput, match="can't be paired"):
        style_sheet(dual, styles, faces.pick([0, 1]))


def test_styles_of_another_model_are_refused(dual: DualStyleGAN, styles: Styles) -> None:
    torch.manual_seed(9)
    stranger = DualStyleGAN.over(type(dual.base)(dual.base.config)).eval().requires_grad_(False)
    face = Latents(torch.randn(1, dual.z_dim), "z")
    with pytest.raises(LatentMismatch, match="mapping"):
        transfer_style(stranger, face, styles.codes)
    other = DualStyleGAN.over(stylegan2()).eval().requires_grad_(False)
    with pytest.raises(LatentMismatch, match="numbers each"):
        transfer_style(other, face, Styles.of(StyleBank.of(Latents(styles.codes.tensor, "z+"), NAMES)).codes)
