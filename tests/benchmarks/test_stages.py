"""The parts of figure 10's benchmark that its runs rest on: what a variant leaves out, what is measured, what is kept."""

from __future__ import annotations

import math

import pytest
import torch

from benchmarks.drawn import RARE, DrawingSet
from benchmarks.stages import VARIANTS, Bench, Trial, Variant, kept, layout_distance, table, uninitialized
from stylegan_core.networks.generators.mobilestylegan import MobileStyleGAN, MobileStyleGANConfig
from stylegan_core.networks.mapping import MappingConfig
from stylegan_core.training.dual_start import fresh_start
from tools.demo.palettes import STYLES
from tools.demo.train_base import solve_head


def mobile() -> MobileStyleGAN:
    torch.manual_seed(3)
    base = MobileStyleGAN(MobileStyleGANConfig(MappingConfig(16, 0, 16, 14, 2, 16), (16, 16, 16, 16, 16)))
    base.w_avg = torch.zeros(16)
    return base.eval().requires_grad_(False)


def drawings(styles: tuple[str, ...] = ("a", "a", "b")) -> DrawingSet:
    draw = torch.Generator().manual_seed(1)
    return DrawingSet(torch.rand(len(styles), 3, 16, 16, generator=draw) * 2 - 1, styles,
                      torch.randn(len(styles), 17, 16, generator=draw), torch.randn(len(styles), 17, 16, generator=draw))


def bench(**more) -> Bench:
    return Bench(mobile(), mobile(), None, drawings(), None, (36, 14), **more)


def test_layout_is_blind_to_colors_and_sees_places() -> None:
    x = torch.randn(2, 6, 4, 4, generator=torch.Generator().manual_seed(0))
    turned = torch.einsum("ij,bjhw->bihw", torch.linalg.qr(torch.randn(6, 6))[0], 3 * x)
    assert torch.allclose(layout_distance(x, turned), torch.zeros(2), atol=1e-5)
    moved = x.roll(1, 3)
    assert (layout_distance(x, moved) > 0.05).all()


def test_rare_styles_are_those_that_come_less_often() -> None:
    assert drawings().rare == {"b"} and drawings(("a", "b")).rare == frozenset()
    assert {name.split()[0] for name in RARE} == {style.shape for style in STYLES} and len(RARE) == 6


def test_drawings_wait_in_a_file(tmp_path) -> None:
    made = []

    def make() -> DrawingSet:
        made.append(1)
        return drawings()

    first, again = (kept(tmp_path / "work" / "drawings.safetensors", make) for _ in range(2))
    assert len(made) == 1 and again.styles == ("a", "a", "b")
    assert torch.allclose(again.images, drawings().images, atol=1 / 127) and torch.equal(first.images, again.images)
    assert torch.equal(again.extrinsic, drawings().extrinsic)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_leaves_out_its_part_alone(name) -> None:
    variant, full = VARIANTS[name], Variant()
    differs = [field for field in vars(full) if getattr(full, field) != getattr(variant, field)]
    assert len(differs) == (name != "full")


def test_stages_have_the_iterations_asked_for() -> None:
    assert bench().plan(structure=True).total == pytest.approx(36, abs=1) and bench().plan(structure=False).total == 14
    assert {stage.crossover for stage in bench().plan(structure=True).stages} == {5, 6, 7}


def test_without_pairs_the_faces_are_others() -> None:
    work = bench()
    paired, other = (work.examples(Variant(paired=p)) for p in (True, False))
    assert torch.equal(paired.intrinsic.tensor, drawings().intrinsic[:, :14])
    assert not torch.isclose(other.intrinsic.tensor, paired.intrinsic.tensor).any(dim=2).all()
    assert torch.equal(paired.extrinsic.tensor, other.extrinsic.tensor)


def test_without_stage_i_layers_begin_as_any_other() -> None:
    start = uninitialized(fresh_start(mobile(), 64, 8))
    assert start.raw.structure[0].conv0.weight.std() == pytest.approx(1, abs=0.1)
    weight = start.raw.color[0].weight
    assert abs(weight.diagonal().mean()) < 1 and weight.std() == pytest.approx(1, abs=0.2)
    ws = torch.randn(1, 14, 16)
    moved = start.raw.render(ws, start.raw.exemplar_from_ws(ws), (1.0,) * start.raw.num_weights)
    assert (moved - start.raw.base.synthesis(ws)).abs().mean() > 0.1


def test_numbers_are_nought_where_nothing_differs() -> None:
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(5)) * 2 - 1
    y = x.flip(2)
    same = Trial(torch.zeros(2, 14, 16), x, x, torch.zeros(2, 14, 16), torch.tensor([False, True]), x, y)
    found = same.numbers(x, y)
    assert all(abs(found[name]) < 1e-4 for name in ("style", "identity", "layout", "truth", "rare", "shape"))
    assert same.numbers(x, x)["shape"] == pytest.approx(1)
    assert table({"full": found, "other": {"style": 0.5}}).splitlines()[-1] == "| other | 0.500 |  |  |  |  |  |"


def test_a_head_is_solved_from_what_it_shall_draw() -> None:
    whole, cut = mobile(), mobile()
    torch.manual_seed(9)
    whole.synthesis.head.weight.normal_()
    whole.synthesis.head.affine.weight.zero_()
    ws = [torch.randn(1, 14, 16) for _ in range(6)]
    solve_head(cut, ((w, whole.synthesis(w)) for w in ws[:5]))
    got, wanted = cut.synthesis(ws[5]), whole.synthesis(ws[5])
    assert math.sqrt(float((got - wanted).square().mean())) < 0.05 * float(wanted.std())
