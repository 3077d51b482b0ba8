"""Stages II and III on tiny networks: only the extrinsic path learns, a run goes on bit by bit, nonsense is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from stylegan_core.engine import RunFolder, read_log
from stylegan_core.errors import InvalidInput, LatentMismatch, TrainingStopped
from stylegan_core.latents import Latents
from stylegan_core.losses.features import Features
from stylegan_core.networks.dualstylegan import DualStyleGAN
from stylegan_core.training.dual import DUAL_TRAINING, ITERATIONS, STAGE_2, STAGE_3, DualWeights
from stylegan_core.training.dual_plan import Stage, StagePlan, published_plan
from stylegan_core.training.dual_stages import JITTER, DualStages, StyleExamples
from stylegan_core.training.dual_start import DualStart, check_start, fresh_start, published_start, same_face
from stylegan_core.training.files import get_adam
from stylegan_core.training.judges import fresh_discriminator
from stylegan_core.training.processes import Processes
from tests.core.networks.test_dualstylegan import mobile, stylegan2
from tests.launcher import in_processes

PLAN = StagePlan((Stage("structure", 3, STAGE_2, 5), Stage("drawings", 3, STAGE_3["cartoon"])), batch_size=2, preview_every=3,
                 save_every=2)


def near(a: Tensor, b: Tensor) -> Tensor:
    """A stand-in for identity: mean difference."""
    return (a - b).abs().mean((1, 2, 3))


def examples(dual: DualStyleGAN, count: int = 3) -> StyleExamples:
    draw = torch.Generator().manual_seed(5)
    codes = [Latents(torch.randn(count, dual.num_ws, dual.z_dim, generator=draw), "z+") for _ in range(2)]
    with torch.no_grad():
        drawings = dual.synthesis(*codes).clamp(-1, 1)
    return StyleExamples(lambda chosen: drawings[list(chosen)], *codes)


@pytest.fixture(params=[mobile, stylegan2])
def dual(request) -> DualStyleGAN:
    torch.manual_seed(0)
    return DualStyleGAN.over(request.param()).eval().requires_grad_(False)


def begun(dual: DualStyleGAN) -> DualStart:
    return DualStart(dual, dual, fresh_discriminator(dual.base, dual.img_resolution, "small").to(next(dual.parameters())))


def stages(dual: DualStyleGAN, plan: StagePlan = PLAN, **more) -> DualStages:
    return DualStages(begun(dual), examples(dual), plan, identity=near, **more)


def test_only_the_extrinsic_path_learns_whatever_the_mode(dual) -> None:
    before = {k: t.clone() for k, t in dual.state_dict().items()}
    seen = []
    with torch.inference_mode():
        work = stages(dual)
        child = work.run(lambda i, n, shown: seen.append((i, n, None if shown is None else shown.shape[:2])))
    assert seen == [(i, 6, (1, 3) if i in (3, 6) else None) for i in range(1, 7)]
    assert all(torch.equal(t, before[k]) for k, t in dual.state_dict().items())
    after = child.state_dict()
    assert all(torch.equal(after[k], before[k]) for k in before if k.startswith("base."))
    for part in ("structure", "color", "transform"):
        assert any(not torch.equal(after[k], before[k]) for k in before if k.startswith(part)), part
    assert child.info.notes["training"]["stages"] == {"structure": 3, "drawings": 3}


def test_a_fresh_path_leaves_the_face(dual) -> None:
    draw = torch.Generator().manual_seed(2)
    ws, style = (dual.mapping(torch.randn(2, dual.z_dim, generator=draw)) for _ in range(2))
    plain, styled = same_face(dual, ws, style)
    assert (plain - styled).abs().mean() < 0.05 * plain.abs().mean()


def test_a_resumed_run_is_the_one_that_never_stopped(dual, tmp_path: Path) -> None:
    whole = stages(dual).run().state_dict()
    settings = PLAN.plain()
    with RunFolder(tmp_path / "run", settings) as folder:
        work = stages(dual, folder=folder)

        def stop(i: int, total: int, shown: Tensor | None) -> None:
            if i == 4:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            work.run(stop)
    with RunFolder(tmp_path / "run", settings, resume=True) as folder:
        work = stages(dual, folder=folder)
        assert work.steps_done == 4
        resumed = work.run().state_dict()
    assert all(torch.equal(resumed[k], t) for k, t in whole.items())
    assert [entry["stage"] for entry in read_log(tmp_path / "run")] == ["structure", "drawings"]


def test_parts_of_a_batch_give_what_it_gives_whole() -> None:
    dual = DualStyleGAN.over(mobile().double()).double().eval().requires_grad_(False)
    plan = StagePlan((Stage("structure", 1, STAGE_2, 5),), batch_size=4)
    parts = StagePlan((Stage("structure", 1, STAGE_2, 5),), batch_size=4, micro_batch=1)
    found = []
    for each in (plan, parts):
        work = stages(dual, each, features=Features.embedded().double())
        work.advance()
        found.append(work.trainer.G.state_dict())
    assert all((found[0][k] - t).abs().max() < 1e-6 for k, t in found[1].items())


def test_the_child_is_the_average_and_every_stage_has_its_weights() -> None:
    over = DualStyleGAN.over(mobile()).eval().requires_grad_(False)
    over.base.info = replace(over.base.info, licence="do not sell + CC0-1.0")
    work, seen = stages(over, data_licence="CC0-1.0 + mine"), []
    child = work.run(lambda *_: seen.append(work.trainer.weights))
    assert seen == [STAGE_2] * 3 + [STAGE_3["cartoon"]] * 3
    raw, mean, own = (net.state_dict() for net in (work.trainer.G, work.trainer.E, child))
    assert all(torch.equal(own[k], t) for k, t in mean.items()) and not all(torch.equal(raw[k], t) for k, t in mean.items())
    assert child.info.licence == "do not sell + CC0-1.0 + mine"


def test_drawings_are_shown_by_turns_under_their_own_style() -> None:
    work = stages(DualStyleGAN.over(mobile()).eval().requires_grad_(False))
    stage, rows = PLAN.stages[1], torch.arange(2)
    for i in (0, 1):
        chosen = torch.randint(3, (2,), generator=torch.Generator().manual_seed(7)).tolist()
        given = [work._of_drawings(stage, i, name, 2, torch.Generator().manual_seed(7), rows) for name in ("Gmain", "Dmain")]
        assert torch.equal(given[0].style, work.examples.images(chosen)) and torch.equal(given[1].reals, given[0].style)
        assert (given[0].extrinsic - work.codes[chosen]).std().item() == pytest.approx(JITTER, rel=0.3)
        own = torch.equal(given[0].intrinsic[:, : work.kept], work.faces[chosen][:, : work.kept])
        assert own == (given[0].target is not None) == bool(i), "every other time its own face, which it is to become"
        assert (given[0].intrinsic[:, work.kept :] != work.faces[chosen][:, work.kept :]).all(), "its colors are drawn anew"


def test_an_encoder_is_asked_every_fourth_time(dual) -> None:
    asked = []

    def encode(faces: Tensor) -> Tensor:
        asked.append(tuple(faces.shape[2:]))
        return dual.mapping(torch.zeros(len(faces), dual.z_dim))

    stages(dual, StagePlan((Stage("structure", 5, STAGE_2, 5),), batch_size=2), encode=encode).run()
    assert len(asked) == 4 + 1, "D, R1 and G of iteration 0, D and G of iteration 4"


def test_published_plan() -> None:
    plan = published_plan("anime")
    assert [stage.iterations for stage in plan.stages] == [300, 300, 3000, ITERATIONS["anime"]]
    assert [stage.crossover for stage in plan.stages] == [7, 6, 5, None] and plan.total == 5700
    short = published_plan("cartoon", 0.01, 0.01)
    assert short.total == 3 + 3 + 30 + 14
    forgets = DUAL_TRAINING.ema_decay
    assert plan.training.ema_decay == forgets and short.training.ema_decay == pytest.approx(forgets**100)  # type: ignore[operator]
    assert [stage.name for stage in published_plan("cartoon", 0.0, 1.0).stages] == ["cartoon"]
    assert plan.at(600)[0].name == "structure 5" and plan.at(600)[1] == 0


def test_refusals(dual) -> None:
    with pytest.raises(InvalidInput, match="no preset"):
        published_plan("oil")
    with pytest.raises(InvalidInput, match="weights"):
        DualWeights(identity=float("nan"))
    with pytest.raises(InvalidInput, match="batch of 0"):
        StagePlan(PLAN.stages, batch_size=0)
    with pytest.raises(InvalidInput, match="iterations"):
        Stage("x", -1, STAGE_2)
    codes = Latents(torch.zeros(2, dual.num_ws, dual.z_dim), "z+")
    with pytest.raises(InvalidInput, match="no pairs"):
        StyleExamples(lambda chosen: torch.zeros(len(chosen), 3, 8, 8), codes, codes.pick([0]))
    other = Latents(torch.zeros(2, dual.num_ws + 1, dual.z_dim), "z+")
    misfits = StyleExamples(lambda chosen: torch.zeros(len(chosen), 3, 8, 8), other, other)
    with pytest.raises(LatentMismatch):
        DualStages(begun(dual), misfits, PLAN, identity=near)
    with pytest.raises(InvalidInput, match="places 1 to 7"):
        Stage("x", 1, STAGE_2, 8)
    with pytest.raises(InvalidInput, match="shared by 2 processes"):
        stages(dual, processes=Processes(0, 2))


def test_a_crossover_is_a_place_and_a_row_of_the_generator(dual) -> None:
    rows = [Stage("x", 1, STAGE_2, place).first_row(dual) for place in (7, 6, 5)]
    assert rows == ([10, 9, 8] if dual.base.kind == "mobilestylegan" else [7, 6, 5])
    assert stages(dual).kept == (11 if dual.base.kind == "mobilestylegan" else 8)


def test_codes_in_w_plus_are_codes_in_z_plus_mapped(dual) -> None:
    """Stage III draws the same whether the drawings' codes came from a z+ or a w+ encoder."""
    plan, found = StagePlan((Stage("drawings", 2, STAGE_3["cartoon"]),), batch_size=2), []
    z = examples(dual)
    for space in ("z+", "w+"):
        codes = [c if space == "z+" else Latents(c.ws(dual.base), "w+") for c in (z.intrinsic, z.extrinsic)]
        work = DualStages(begun(dual), StyleExamples(z.images, *codes), plan, identity=near)
        work.run()
        found.append(work.trainer.G.state_dict())
    assert all(torch.equal(found[0][k], t) for k, t in found[1].items())


def test_stage_one_promises(dual) -> None:
    draw = torch.Generator().manual_seed(2)
    ws, style = (dual.mapping(torch.randn(2, dual.z_dim, generator=draw)) for _ in range(2))
    fresh = fresh_start(dual.base, dual.img_resolution, seed=1)
    same = fresh_start(dual.base, dual.img_resolution, seed=1).average.state_dict()
    assert all(torch.equal(same[k], t) for k, t in fresh.average.state_dict().items())
    found = check_start(fresh.average, ws, style)
    assert found.off < 1e-4 and found.structure < 0.05 and found.color < 0.1
    spoilt = DualStyleGAN.over(dual.base)
    torch.nn.init.zeros_(spoilt.color[0].weight)
    with pytest.raises(InvalidInput, match="before any training"):
        check_start(spoilt, ws, style)


def test_numbers_that_are_none_go_back_once(tmp_path: Path) -> None:
    torch.manual_seed(0)
    dual = DualStyleGAN.over(mobile()).eval().requires_grad_(False)
    plan = StagePlan((Stage("structure", 6, STAGE_2, 5),), batch_size=2, save_every=2)

    def poisoned(name: str, heals: bool) -> DualStages:
        work: list[DualStages] = []

        def encode(faces: Tensor) -> Tensor:
            broken = work[0].done == 4 and not (heals and work[0].rate < 1)
            return dual.mapping(torch.zeros(len(faces), dual.z_dim)) + (float("nan") if broken else 0.0)

        work.append(stages(dual, plan, encode=encode, folder=RunFolder(tmp_path / name, {})))
        return work[0]

    once = poisoned("once", heals=True)
    child = once.run()
    assert once.rate == 0.5 and all(t.isfinite().all() for t in child.state_dict().values())
    note = next(entry["note"] for entry in read_log(tmp_path / "once") if "note" in entry)
    assert "went back to iteration 4 at 0.5" in note and "first in the output of layer" in note
    with pytest.raises(TrainingStopped, match="was none at iteration 4"):
        poisoned("always", heals=False).run()


def test_memory_that_runs_out_halves_the_parts(monkeypatch) -> None:
    torch.manual_seed(0)
    dual = DualStyleGAN.over(mobile()).eval().requires_grad_(False)
    work = stages(dual, StagePlan((Stage("structure", 1, STAGE_2, 5),), batch_size=8))
    inner = work.trainer.run_phase

    def small(name, parts, *rest, **more):
        if max(map(len, parts)) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return inner(name, parts, *rest, **more)

    monkeypatch.setattr(work.trainer, "run_phase", small)
    work.run()
    assert work.rounds.count == 2 and work.done == 1


def test_a_published_training_file_goes_on_with_its_optimizers(golden) -> None:
    path = golden("ckpt_formats").file("generator-pretrain.pt")
    start = published_start(path)
    assert not start.fresh and start.adam["G"] and start.adam["D"]
    dual = start.raw
    work = DualStages(start, examples(dual), StagePlan((Stage("drawings", 1, STAGE_3["cartoon"]),), batch_size=2),
                      identity=near)
    optimizer, network = work.trainer.optimizers["G"], work.trainer.network("G")
    held = get_adam(optimizer, network)
    assert set(held) == {n for n, _ in dual.named_parameters() if not n.startswith("base.")}
    name = "structure.0.conv0.weight"
    assert torch.equal(held[name]["exp_avg_sq"], start.adam["G"][name]["exp_avg_sq"])
    before = float(held[name]["step"])
    work.run()
    assert float(get_adam(optimizer, network)[name]["step"]) == before + 2, "a main and a path step"
    plain = published_start(golden("ckpt_formats").file("generator-001400.pt"))
    assert not plain.fresh and not plain.adam and "fresh" in plain.note
    judges = [published_start(golden("ckpt_formats").file("generator-001400.pt"), seed).discriminator for seed in (0, 1, 1)]
    own, other, same = (torch.cat([p.flatten() for p in judge.parameters()]) for judge in judges)
    assert torch.equal(other, same) and not torch.equal(own, other)


WORK = """
from tests.core.training.test_dual_stages import shared
work = shared(processes=processes)
work.run()
found = work.trainer.E.state_dict()
"""
SHARED = (Stage("structure", 1, STAGE_2, 5), Stage("drawings", 2, STAGE_3["cartoon"]))


def shared(**more) -> DualStages:
    torch.manual_seed(0)
    dual = DualStyleGAN.over(mobile().double()).double().eval().requires_grad_(False)
    micro = None if "processes" in more else 4
    return stages(dual, StagePlan(SHARED, batch_size=8, micro_batch=micro), features=Features.embedded().double(), **more)


def test_two_processes_equal_one(tmp_path: Path) -> None:
    """torch's own launch environment, gloo, float64; the one process takes the batch in the parts that the two do."""
    both = in_processes(WORK, tmp_path)
    one = shared()
    one.run()
    for found in both:
        assert all((found[k] - t).abs().max() < 1e-6 for k, t in one.trainer.E.state_dict().items())
