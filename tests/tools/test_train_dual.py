"""The built-in DualStyleGAN's rendering: a part is drawn as in the whole, a step teaches one manner; what the bank holds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import stylegan_core as sg
from stylegan_core.networks.dualstylegan import DualStyleGAN
from stylegan_core.networks.generators.mobilestylegan import MobileStyleGAN, MobileStyleGANConfig
from stylegan_core.networks.mapping import MappingConfig
from tools.demo.dual_faces import Faces
from tools.demo.family import save_picture
from tools.demo.styles import STYLES, Tint
from tools.demo.train_dual import MANNERS, Lesson, Rendering, code_name

SIZE = 256


@pytest.fixture
def rendering(tmp_path) -> Rendering:
    torch.manual_seed(4)
    base = MobileStyleGAN(MobileStyleGANConfig(MappingConfig(16, 0, 16, 17, 2, 16), (16, 16, 16, 16, 16, 8)))
    base.w_avg = torch.zeros(16)
    dual = DualStyleGAN.over(base.eval(), hidden=4).requires_grad_(False)
    faces = Faces(dual, torch.randn(3, 17, 16), tmp_path, 8)
    for manner in ("ink", "night"):
        for i in range(faces.count):
            save_picture(torch.rand(3, SIZE, SIZE) * 2 - 1, faces.path(manner, i))
    return Rendering(faces, ("ink", "night"), 64)


def test_a_window_is_drawn_as_the_whole_is(rendering) -> None:
    tensors = {name: torch.randn_like(x) * 0.3 for name, x in rendering.trained().items()}
    style = next(i for i in rendering.codes if STYLES[i].manner == "night")
    for number, lesson in enumerate((Lesson("night", style, 1), Lesson("ink", None, 0))):
        window = rendering.windows.draw(np.random.RandomState(number))
        part = window.sound(rendering.draw(lesson, tensors, window))
        whole = window.sound(window.cut(rendering.draw(lesson, tensors)))
        assert torch.allclose(part, whole, atol=1e-4 * float(whole.abs().max()))
        assert rendering.target(lesson, window).shape == part.shape


def test_a_step_teaches_its_manner_and_its_style_alone(rendering) -> None:
    tensors = rendering.trained()
    for x in tensors.values():
        x.requires_grad_(True)
    style = next(i for i in rendering.codes if STYLES[i].manner == "ink")
    window = rendering.windows.draw(np.random.RandomState(0))
    rendering.draw(Lesson("ink", style, 1), tensors, window).square().mean().backward()
    moved = {name for name, x in tensors.items() if x.grad is not None}
    assert moved == {name for name in tensors if name.startswith("ink/")} | {code_name(STYLES[style])}


def test_lessons_go_round_the_manners_and_keep_some_colors(rendering) -> None:
    lessons = [rendering.lesson(np.random.RandomState(n), n) for n in range(200)]
    assert [x.manner for x in lessons[:4]] == ["ink", "night"] * 2
    own = [x for x in lessons if x.style is None]
    assert 25 < len(own) < 75 and all(rendering.faces.own(x.face) == (x.style is None) for x in lessons)


def test_a_tint_moves_black_and_white() -> None:
    tint = Tint(ink=(0.2, 0.0, 0.1), paper=(1.0, 0.9, 0.6), turn=40.0)
    ends = tint(torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, 1, 1))
    assert torch.allclose(ends.flatten(1), torch.tensor([tint.ink, tint.paper]) * 2 - 1, atol=1e-6)
    assert torch.allclose(Tint()(ends), ends, atol=1e-6)
    red = Tint(turn=120.0)(torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1)).flatten()
    assert torch.allclose(red, torch.tensor([-1.0, 1.0, -1.0]), atol=1e-5), "red turns to green"


def test_the_bank_holds_the_styles_and_their_manners() -> None:
    dual, bank = sg.load(sg.builtin("dualstylegan")), sg.load(sg.builtin("styles"))
    assert list(bank.names) == [style.name for style in STYLES] and dual.config.manners == len(MANNERS)
    shares = dual.manners.shares(bank.latents().ws(dual.base)[:, list(dual.rows)].float())
    named = [MANNERS.index(style.name if style.like else style.manner) for style in STYLES]
    assert shares.argmax(1).tolist() == named and float(shares.max(1).values.min()) > 0.99
    faces = dual.mapping.to_w(sg.sample_z(list(range(50)), dual.z_dim))
    assert float(dual.manners.shares(faces[:, None]).sum(1).mean()) < 0.01, "a face is no drawing"


def test_a_tinted_style_is_the_other_one_tinted() -> None:
    dual, bank = sg.load(sg.builtin("dualstylegan")), sg.load(sg.builtin("styles"))
    style = next(style for style in STYLES if style.like and style.shape == "clown" and style.manner == "forest")
    face = sg.Latents(dual.mapping(sg.sample_z([3], dual.z_dim), truncation_psi=0.7), "w+", dual.base)
    own, other = (sg.transfer_style(dual, face, bank.pick(name), "[7*0, 13*1]") for name in (style.name, style.like))
    matrix, offset = style.tint.affine()
    tinted = torch.einsum("ij,bjhw->bihw", matrix, other) + offset.view(1, 3, 1, 1)
    assert (own - tinted).abs().mean() < 0.01
