"""The recipe: resuming, cutting a batch up, numbers that go wrong, what a run leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import stylegan_core as sg
from stylegan_core.engine import RunFolder, read_log
from stylegan_core.pictures.sheets import contact_sheet
from stylegan_core.training import pulls
from stylegan_core.training.data import PictureSet, prepare_pictures, some_of
from stylegan_core.training.draws import draw_latents, generator_for
from stylegan_core.training.judges import frozen_layers
from stylegan_core.training.processes import Processes
from stylegan_core.training.recipe import fine_tune
from stylegan_core.training.rounds import Rounds
from stylegan_core.training.transfer import GRID, GRID_PSI, Transfer
from stylegan_core.training.transfer_options import TransferOptions, open_run, preset_options
from tests.core.training.golden import folder
from tests.launcher import in_processes

CASE = folder("train_sg2_steps_nvidia")
FILE = CASE.file(CASE.json()["file"])
OPTIONS = TransferOptions(kimg=0.08, batch_size=8, tick_kimg=0.04, score_pictures=0, G_reg_interval=2, D_reg_interval=2,
                          augment_p=0.4, train_mapping=True, checkpoint_minutes=1000)


def base(dtype: torch.dtype = torch.float64):
    return sg.load(FILE, dtype=dtype)


def pictures(count: int = 11, side: int = 16) -> PictureSet:
    images = np.random.default_rng(5).integers(0, 256, (count, 3, side, side), dtype=np.uint8)
    return PictureSet(images, tuple(f"{i}.png" for i in range(count)), sha256="x")


def weights(transfer: Transfer) -> dict[str, torch.Tensor]:
    return {f"{tag}.{k}": t.clone() for tag, net in (("G", transfer.G), ("D", transfer.D), ("E", transfer.E))
            for k, t in net.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def run(options: TransferOptions = OPTIONS, path: Path | None = None, resume: bool = False, stop_at: int | None = None,
        dtype: torch.dtype = torch.float32) -> Transfer:
    """stop_at: images after which the user cancels."""
    model, data = base(dtype), pictures()
    opened = None if path is None else open_run(path, model, data, options, resume)
    transfer = Transfer(model, data, options, opened)

    def on_step(done: int, total: int, preview: torch.Tensor | None) -> None:
        if stop_at is not None and done >= stop_at:
            raise KeyboardInterrupt

    try:
        transfer.run(on_step)
    except KeyboardInterrupt:
        pass
    finally:
        if opened is not None:
            opened.close()
    return transfer


def test_a_resumed_run_is_the_one_that_never_stopped(tmp_path) -> None:
    options = replace(OPTIONS, augment_p=None, ada_kimg=0.05)
    whole = run(options, tmp_path / "whole")
    run(options, tmp_path / "cut", stop_at=24)
    assert [p.name for p in (tmp_path / "cut/states").iterdir()] == ["state-00000003.safetensors"], "cancelling keeps the state"
    cut = run(options, tmp_path / "cut", resume=True)
    assert same(weights(whole), weights(cut))
    assert torch.equal(whole.trainer.ada_p, cut.trainer.ada_p) and torch.equal(whole.trainer.pl_mean, cut.trainer.pl_mean)
    logs = [[{k: v for k, v in e.items() if k not in ("s_per_kimg", "loss")} for e in read_log(tmp_path / name)]
            for name in ("whole", "cut")]
    assert logs[0] == logs[1] and len(logs[0]) == 2


def test_more_training_moves_more_and_leaves_the_base_alone() -> None:
    model, data = base(torch.float32), pictures()
    before = {k: t.clone() for k, t in model.state_dict().items()}
    transfer = Transfer(model, data, OPTIONS)
    transfer.run()
    assert same(before, dict(model.state_dict()))
    assert not any(torch.equal(transfer.G.state_dict()[k], t) for k, t in before.items() if k.endswith("conv1.weight"))


@pytest.mark.parametrize("micro", [4, 2])
def test_parts_of_a_batch_equal_the_whole(micro) -> None:
    """A group of the minibatch deviation holds 4 images, so parts of 2 are cut no smaller than 4."""
    whole, parts = (run(replace(OPTIONS, kimg=0.016, micro_batch=m), dtype=torch.float64) for m in (None, micro))
    close(weights(whole), weights(parts))


def close(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    """To rounding; Adam's first steps are sign-like and enlarge it with every iteration."""
    for key, tensor in a.items():
        assert torch.allclose(tensor, b[key], rtol=1e-9, atol=1e-9), key


def test_memory_that_runs_out_halves_the_parts(monkeypatch) -> None:
    whole = run(replace(OPTIONS, kimg=0.016), dtype=torch.float64)
    from stylegan_core.training.trainer import Trainer

    original = Trainer.score

    def small(self, images, c, augmentation):
        if len(images) > 4:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return original(self, images, c, augmentation)

    monkeypatch.setattr(Trainer, "score", small)
    cut = run(replace(OPTIONS, kimg=0.016), dtype=torch.float64)
    assert cut.rounds.count == 2
    close(weights(whole), weights(cut))


def test_what_a_failed_try_observed_is_forgotten() -> None:
    ada, tries = SimpleNamespace(signs=torch.zeros(2)), []

    def run_phase(name, parts, step, total):
        tries.append(len(parts))
        ada.signs = ada.signs + sum(map(len, parts))
        if len(parts) == 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return torch.zeros(())

    Rounds(Processes(), 8).run(SimpleNamespace(ada=ada, run_phase=run_phase), "Dmain", 8, 4, lambda rows: rows)  # type: ignore
    assert tries == [1, 2] and ada.signs.tolist() == [8, 8]


def test_memory_too_small_for_one_group_is_told(monkeypatch) -> None:
    from stylegan_core.training.trainer import Trainer

    def never(self, *_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Trainer, "score", never)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        run(replace(OPTIONS, kimg=0.016))


SHARED = """
from tests.core.training.test_transfer import OPTIONS, base, pictures, weights, replace, Transfer
options = replace(OPTIONS, kimg=0.024, augment_p=None, ada_kimg=0.02)
transfer = Transfer(base(), pictures(), options, processes=processes)
transfer.run()
found = {**weights(transfer), "p": transfer.trainer.ada_p}
"""


def test_two_processes_equal_one(tmp_path) -> None:
    """torch's own launch environment, gloo, float64."""
    both = in_processes(SHARED, tmp_path)
    one = Transfer(base(), pictures(), replace(OPTIONS, kimg=0.024, augment_p=None, ada_kimg=0.02))
    one.run()
    for found in both:
        assert torch.equal(found.pop("p"), one.trainer.ada_p)
        close(weights(one), found)


KILLED = """
import sys, torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tests.core.training.test_transfer import OPTIONS, replace, run
run(replace(OPTIONS, kimg=0.4, checkpoint_minutes=0), Path(sys.argv[2]), resume=True)
"""


def kill_once(root: str, path: Path, seconds: float) -> bool:
    """Whether the run was still going when it was killed."""
    process = subprocess.Popen([sys.executable, "-c", KILLED, root, str(path)], cwd=root,
                               env={**os.environ, "OMP_NUM_THREADS": "1"})
    begun, states = time.monotonic(), path / "states"
    while process.poll() is None and time.monotonic() - begun < 120 and not list(states.glob("state-*")):
        time.sleep(0.05)
    time.sleep(seconds)
    was_going = process.poll() is None
    process.kill()
    process.wait()
    return was_going


def check_kills(tmp_path: Path, times: int, seed: int) -> None:
    """kill -9 at random moments: the run goes on from a whole state each time and ends where the unbroken one does."""
    root, draw = str(Path(__file__).parents[3]), np.random.default_rng(seed)
    for _ in range(times):
        kill_once(root, tmp_path / "run", float(draw.uniform(0, 0.7)))
        with RunFolder(tmp_path / "run", _settings(tmp_path / "run"), resume=True) as opened:  # the lock died with it
            state = opened.read_state()
        assert state is not None and state[0] > 0
    options = replace(OPTIONS, kimg=0.4, checkpoint_minutes=0)
    assert same(weights(run(options, tmp_path / "run", resume=True)), weights(run(options)))
    assert [e["iteration"] for e in read_log(tmp_path / "run")] == list(range(5, 51, 5))


def _settings(path: Path) -> dict:
    return json.loads((path / "settings.json").read_text(encoding="utf-8"))["settings"]


@pytest.mark.slow
def test_killed_at_any_moment(tmp_path) -> None:
    """Three times in CI, more often as `make soak` asks."""
    check_kills(tmp_path, times=int(os.environ.get("ATELIER_KILLS", "3")), seed=1)


def test_nan_is_named_and_the_run_goes_back_once(tmp_path, monkeypatch) -> None:
    original, calls = Transfer._inputs, {"broken": True}

    def poisoned(self, name, batch, rows):
        x = original(self, name, batch, rows)
        if self.iteration == 6 and name == "Dmain" and calls["broken"]:
            calls["broken"] = calls["broken"] == "always" and "always"
            return replace(x, reals=torch.full_like(x.reals, torch.nan))
        return x

    monkeypatch.setattr(Transfer, "_inputs", poisoned)
    monkeypatch.setattr(Transfer, "_replayed", lambda self, phase, at: [replace(
        original(self, phase, 8, torch.arange(8)), reals=torch.full((8, 3, 16, 16), torch.nan))])
    options = replace(OPTIONS, checkpoint_minutes=0)
    transfer = run(options, tmp_path / "run")
    assert transfer.images_shown == 80 and transfer.facts["rate"] == 0.5
    assert all(t.isfinite().all() for t in weights(transfer).values())
    note = next(e["note"] for e in read_log(tmp_path / "run") if "note" in e)
    assert "step 6 in phase Dmain" in note and "layer b16.fromrgb of the discriminator" in note and "step 6 at 0.5" in note
    calls["broken"] = "always"
    with pytest.raises(sg.TrainingStopped, match="step 6 in phase Dmain"):
        run(options, tmp_path / "other")
    assert sg.load(tmp_path / "other/last.safetensors").kind == "stylegan2"


def test_a_gradient_that_is_no_number_is_told_and_moves_nothing_to_none() -> None:
    trainer = Transfer(base(torch.float32), pictures(), OPTIONS).trainer
    for p in trainer.parameters("D"):
        p.grad = torch.zeros_like(p)
    trainer.parameters("D")[0].grad.fill_(torch.nan)  # type: ignore[union-attr]
    trainer.step("Dmain")
    assert trainer.bad["Dmain"] and not trainer.bad["Gmain"]
    assert all(p.isfinite().all() for p in trainer.parameters("D"))


def test_a_full_disk_stops_with_the_state_intact(tmp_path, monkeypatch) -> None:
    import errno

    run(OPTIONS, tmp_path / "run", stop_at=16)
    whole = sorted((tmp_path / "run/states").iterdir())
    content = [p.read_bytes() for p in whole]

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("stylegan_core.engine.run_folder.write_safetensors", full)
    with pytest.raises(sg.TrainingStopped, match="disk .* is full"):
        run(OPTIONS, tmp_path / "run", resume=True)
    assert [p.read_bytes() for p in whole] == content


def test_a_damaged_last_state_gives_way_to_the_one_before(tmp_path) -> None:
    run(replace(OPTIONS, checkpoint_minutes=0), tmp_path / "run", stop_at=32)
    newest, before = sorted((tmp_path / "run/states").iterdir(), reverse=True)
    newest.write_bytes(newest.read_bytes()[:-100])
    with RunFolder(tmp_path / "run", _settings(tmp_path / "run"), resume=True) as opened:
        state = opened.read_state()
    assert state is not None and f"state-{state[0]:08d}" == before.stem


def test_what_a_run_leaves_behind(tmp_path) -> None:
    options = replace(OPTIONS, score_pictures=8)
    transfer = run(options, tmp_path / "run")
    result = transfer.result()
    best = sg.load(tmp_path / "run/best.safetensors")
    assert best.info.notes["training"]["images_seen"] in (40, 80) and best.info.notes["training"]["pictures"] == 11
    assert best.info.parents[0]["sha256"] and best.info.licence.endswith("unknown")
    assert same(dict(best.state_dict()), dict(result.model.state_dict()))
    assert "kernel distance over AlexNet" in result.report and "FID" in result.report
    assert {p.name for p in (tmp_path / "run/pictures").iterdir()} == {
        "reals.png", "fakes_init.png", "fakes00000040.png", "fakes00000080.png"}
    assert all(np.isfinite(e["score"]) for e in read_log(tmp_path / "run"))
    with pytest.raises(sg.LoadError, match="training run"):
        sg.load(next((tmp_path / "run/states").iterdir()))


def test_the_best_by_score_is_given_and_patience_ends_a_run(tmp_path, monkeypatch) -> None:
    scores = iter((3.0, 2.0, 2.5, 2.0, 1.0))
    monkeypatch.setattr(Transfer, "score", lambda self: next(scores))
    transfer = run(replace(OPTIONS, tick_kimg=0.008, patience=2), tmp_path / "run")
    assert transfer.images_shown == 32 and (transfer.facts["best"], transfer.facts["best_at"]) == (2.0, 16)
    best, last = (sg.load(tmp_path / f"run/{name}.safetensors") for name in ("best", "last"))
    assert best.info.notes["training"]["images_seen"] == 16 and last.info.notes["training"]["images_seen"] == 32
    given = dict(transfer.result().model.state_dict())
    assert same(given, dict(best.state_dict())) and not same(given, dict(last.state_dict()))


def test_the_child_is_the_averaged_generator_with_both_licences() -> None:
    model = base(torch.float32)
    model.info = replace(model.info, licence="do not sell")
    transfer = Transfer(model, pictures(), replace(OPTIONS, kimg=0.024), data_licence="CC0-1.0")
    transfer.run()
    raw, mean, child = (dict(net.state_dict()) for net in (transfer.G, transfer.E, transfer.child()))
    assert same(child, mean) and not same(mean, raw) and not same(mean, dict(model.state_dict()))
    z = torch.randn(2, model.z_dim, generator=generator_for(OPTIONS.seed, 0, "score"))
    shown = next(transfer.samples(2))
    off = [float((net.synthesis(net.mapping(z)).clamp(-1, 1) - shown).abs().max()) for net in (transfer.E, transfer.G)]
    assert off[0] < 1e-5 < off[1], "what is scored and shown is the child"
    assert transfer.child().info.licence == "do not sell + CC0-1.0"


def test_the_pictures_own_licence_is_the_childs_unless_another_is_given(tmp_path) -> None:
    model, data = base(torch.float32), replace(pictures(), licence="CC BY 4.0")
    settings = {"kimg": 0.008, "batch_size": 4, "tick_kimg": 0.004, "score_pictures": 0}
    for given, told in (("unknown", "CC BY 4.0"), ("CC0-1.0", "CC0-1.0")):
        child = fine_tune(model, data, tmp_path / told, "quick", data_licence=given, **settings).model
        assert told in child.info.licence


def test_a_picture_keeps_its_own_label_and_the_grid_its_truncation(golden) -> None:
    """Pictures as bright as their class says."""
    case = golden("ada_sg2_cond")
    model: Any = sg.load(case.file(case.json()["file"]), dtype=torch.float32)
    side, classes = model.img_resolution, model.c_dim
    of = np.arange(2 * classes) % classes
    images = np.stack([np.full((3, side, side), 20 * i, np.uint8) for i in of])
    data = PictureSet(images, tuple(map(str, range(len(of)))), np.eye(classes, dtype=np.float32)[of], sha256="y")
    transfer = Transfer(model, data, replace(OPTIONS, augment="none"))
    rows = torch.tensor([1, 3, 6])
    given = transfer._inputs("Dmain", 8, rows)
    assert given.reals is not None and given.real_c is not None
    brightness = ((given.reals.mean((1, 2, 3)) + 1) * 127.5 / 20).round().long()
    assert given.real_c.argmax(1).tolist() == brightness.tolist()
    assert len(set(transfer._inputs("Dmain", 8, torch.arange(8)).real_c.argmax(1).tolist())) > 1  # type: ignore[union-attr]
    shown = contact_sheet(torch.cat([x.float() for x in transfer.samples(GRID, GRID_PSI, "data")]), 4)
    other = contact_sheet(torch.cat([x.float() for x in transfer.samples(GRID, 1.0, "data")]), 4)
    assert torch.equal(transfer.grid(), shown) and not torch.equal(shown, other)


CHANGES = ({"seed": 1}, {"mirror": False}, {"mixing": 0.0}, {"r1_gamma": 3.0}, {"lr": 0.01}, {"D_lr": 0.01}, {"ema_kimg": 1.0},
           {"pl_weight": 9.0}, {"augment": "color"}, {"augment_p": 0.0})


def test_every_setting_reaches_the_steps() -> None:
    def after(**change) -> dict[str, torch.Tensor]:
        transfer = Transfer(model, pictures(), replace(OPTIONS, **change))
        transfer.step()
        return weights(transfer)

    model = base(torch.float32)
    usual = after()
    assert same(usual, after())
    assert [change for change in CHANGES if same(usual, after(**change))] == []


def test_augmentation_fades_while_the_discriminator_is_unsure() -> None:
    """With a target of 1 it nearly always is: by the pictures of four steps over ada_kimg."""
    transfer = Transfer(base(torch.float32), pictures(), replace(OPTIONS, augment_p=None, ada_target=1.0, ada_kimg=0.064))
    transfer.ada.p = torch.tensor(0.75)
    for _ in range(transfer.ada.interval):
        transfer.step()
    assert float(transfer.trainer.ada_p) == 0.25


def test_reals_and_fakes_are_each_augmented_by_draws_of_their_own() -> None:
    transfer = Transfer(base(), pictures(), replace(OPTIONS, augment_p=1.0))
    wanted = {"Gmain": (True, False), "Greg": (False, False), "Dmain": (True, True), "Dreg": (False, True)}
    for name, (fake, real) in wanted.items():
        found = transfer._inputs(name, 8, torch.arange(8))
        assert (found.fake_augmentation is not None, found.real_augmentation is not None) == (fake, real), name
    found = transfer._inputs("Dmain", 8, torch.arange(8))
    one, two = found.fake_augmentation, found.real_augmentation
    assert one.keys() == two.keys() and not any(torch.equal(one[k], two[k]) for k in one if one[k].float().std() > 0)
    some = transfer._inputs("Dmain", 8, torch.tensor([2, 5]))
    assert all(torch.equal(some.real_augmentation[k], t[[2, 5]]) for k, t in two.items()), "rows of the whole batch's draws"


def test_a_child_keeps_its_parents_mapping_unless_told() -> None:
    options = replace(OPTIONS, train_mapping=False, kimg=0.016)
    transfer = Transfer(base(torch.float32), pictures(), options)
    transfer.run()
    own, parent = transfer.child().mapping.state_dict(), base(torch.float32).mapping.state_dict()
    assert same(dict(own), dict(parent)), "latents of either fit the other, w_avg included"


def test_chosen_layers_alone_learn() -> None:
    options = replace(OPTIONS, layers="4-8", train_mapping=False, kimg=0.016, freeze_d=4)
    transfer = Transfer(base(torch.float32), pictures(), options)
    before = weights(transfer)
    transfer.run()
    after = weights(transfer)
    moved = {k for k in after if not torch.equal(after[k], before[k]) and k[0] != "E"}
    assert {k for k in moved if k[0] == "G"} and all(".b4." in k or ".b8." in k for k in moved if k[0] == "G")
    frozen = {"fromrgb", "conv0", "conv1", "skip"}
    assert not any(k.startswith("D.b16.") and k.split(".")[2] in frozen for k in moved)
    assert any(k.startswith("D.b8.") for k in moved)


@pytest.mark.parametrize("pull", ["pull_weights", "pull_features"])
def test_a_pull_keeps_the_child_near(pull) -> None:
    def distance(strength: float) -> float:
        options = replace(OPTIONS, train_mapping=False, kimg=0.048, augment="none", **{pull: strength})
        transfer = Transfer(base(torch.float32), pictures(), options)
        transfer.run()
        parent = dict(base(torch.float32).named_parameters())
        return sum(float((p.detach() - parent[n]).square().sum()) for n, p in transfer.G.named_parameters())

    assert distance(30.0) < 0.9 * distance(0.0)


def test_features_are_pulled_by_their_relative_distance(monkeypatch) -> None:
    monkeypatch.setattr(pulls, "_features", lambda generator, ws: [torch.full((2,), value) for value in generator])
    pull = pulls.feature_pull((1.0, 10.0), 3.0)  # type: ignore[arg-type]
    assert float(pull((2.0, 20.0), torch.zeros(1), None)) == pytest.approx(3.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(("change", "sentence"), [
    ({"kimg": 0}, "can't be"), ({"augment": "all"}, "no set of augmentations"), ({"mixing": 2}, "probability"),
    ({"freeze_d": -1}, "from 0 on"), ({"judge_resolution": 12}, "power of two"), ({"micro_batch": 0}, "1 or more"),
])
def test_bad_settings(change, sentence) -> None:
    with pytest.raises(sg.InvalidInput, match=sentence):
        replace(OPTIONS, **change)


def test_a_run_is_refused_that_is_another(tmp_path) -> None:
    model, data = base(torch.float32), pictures()
    with open_run(tmp_path / "run", model, data, OPTIONS), pytest.raises(sg.InvalidInput, match="in use by another process"):
        open_run(tmp_path / "run", model, data, OPTIONS, resume=True)
    with pytest.raises(sg.InvalidInput, match="resume it or choose another"):
        open_run(tmp_path / "run", model, data, OPTIONS)
    with pytest.raises(sg.InvalidInput, match=r"lr \(was 0.002, now 0.1\); on resuming only kimg"):
        open_run(tmp_path / "run", model, data, replace(OPTIONS, lr=0.1), resume=True)
    open_run(tmp_path / "run", model, data, replace(OPTIONS, kimg=3), resume=True).close()
    settings = tmp_path / "run/settings.json"
    settings.write_text(settings.read_text().replace('"version": 1', '"version": 7'))
    with pytest.raises(sg.InvalidInput, match="version 7 and this is version 1"):
        open_run(tmp_path / "run", model, data, OPTIONS, resume=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(sg.InvalidInput, match="is a file"):
        open_run(tmp_path / "file", model, data, OPTIONS)


def test_another_base_than_the_runs(tmp_path) -> None:
    run(OPTIONS, tmp_path / "run", stop_at=16)
    other = sg.load(folder("ada_sg2_tiny").file("network-snapshot-000400.pkl"))
    with pytest.raises(sg.InvalidInput, match="base .was"):
        open_run(tmp_path / "run", other, pictures(), OPTIONS, resume=True)


def test_bad_shapes_and_labels() -> None:
    with pytest.raises(sg.InvalidInput, match="prepared at 8 px"):
        Transfer(base(), pictures(side=8), OPTIONS, discriminator=sg.load(FILE, which="discriminator"))
    labelled = replace(pictures(), labels=np.eye(11, dtype=np.float32))
    with pytest.raises(sg.InvalidInput, match="0 classes and the pictures have 11"):
        Transfer(base(), labelled, OPTIONS)
    with pytest.raises(sg.InvalidInput, match="multiple of 4"):
        Transfer(base(), pictures(), replace(OPTIONS, batch_size=6))


def test_a_base_without_a_discriminator_gets_a_fresh_one(tmp_path) -> None:
    model = base(torch.float32)
    path = sg.save(model, tmp_path / "alone")
    transfers = [Transfer(sg.load(path), pictures(), OPTIONS) for _ in range(2)]
    assert "fresh one learns along" in transfers[0].note
    assert same(dict(transfers[0].D.state_dict()), dict(transfers[1].D.state_dict())), "from the run's seed"
    first = [{"b16.fromrgb", "b16.conv0", "b16.conv1", "b16.skip"}, {"b16.fromrgb", "b16.conv0"}]
    assert [frozen_layers(transfers[0].D, count) for count in (4, 2)] == first, "from the picture on"
    for model, learns in ((sg.load(path), True), (base(torch.float32), False)):
        D = Transfer(model, pictures(), replace(OPTIONS, freeze_d=2)).D
        assert D.get_parameter("b16.conv0.weight").requires_grad == learns, "what is random is never held fast"


@pytest.mark.parametrize("golden", ["tf_sg1_tiny", "sg3_t_tiny"])
def test_other_families_learn(golden) -> None:
    case = folder(golden)
    file = next(p for p in case.folder.iterdir() if p.suffix == ".pkl")
    model = sg.load(file)
    if model.img_channels != 3 or model.c_dim:
        pytest.skip("another kind of picture")
    side = min(model.img_resolution, 16)
    transfer = Transfer(model, pictures(side=side), replace(OPTIONS, kimg=0.008, G_reg_interval=None, batch_size=4))
    before = weights(transfer)
    transfer.run()
    assert not same(before, weights(transfer)) and all(t.isfinite().all() for t in weights(transfer).values())


def test_presets() -> None:
    few, many = (preset_options("quick", n, 256) for n in (20, 2000))
    assert few.kimg < many.kimg and few.freeze_d and not many.freeze_d and few.judge_resolution == 128
    assert preset_options("long", 500, 256, "cuda").kimg == 500 and preset_options("quick", 5, 64, lr=0.1).lr == 0.1
    with pytest.raises(sg.InvalidInput, match="quick, standard, long"):
        preset_options("fast", 5, 64)


def test_prepares_what_a_person_has(tmp_path) -> None:
    from PIL import Image

    draw, source = np.random.default_rng(0), tmp_path / "drawings"
    source.mkdir()

    def picture(*size: int) -> Image.Image:
        return Image.fromarray(draw.integers(0, 256, (*size, 3), dtype=np.uint8))

    first = picture(40, 60)
    first.save(source / "a.png")
    first.save(source / "b.png")
    picture(64, 64).convert("L").save(source / "gray.png")
    seethrough = picture(64, 64)
    seethrough.putalpha(100)
    seethrough.save(source / "alpha.webp", lossless=True)
    picture(20, 20).save(source / "tiny.png")
    picture(100, 80).save(source / "c.jpg")
    (source / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (source / "notes.txt").write_text("no picture")
    seen = []
    data = prepare_pictures(source, 48, tmp_path / "cache", on_step=lambda i, n, p: seen.append((i, n)))
    assert data.names == ("a.png", "alpha.webp", "c.jpg", "gray.png") and data.images.shape == (4, 3, 48, 48)
    notes = " ".join(data.notes)
    for part in ("doubles of others: b.png", "unreadable (UnidentifiedImageError): broken.png", "smaller than 32 px: tiny.png",
                 "gray: gray.png", "transparent places became white: alpha.webp", "smaller than 48 px and enlarged: a.png"):
        assert part in notes, notes
    wide = (Image.open(source / "c.jpg"), data.names.index("c.jpg"))
    middle = wide[0].resize((48, 48), Image.Resampling.LANCZOS, (0, 10, 80, 90), reducing_gap=3.0)
    assert np.array_equal(data.images[wide[1]], np.asarray(middle).transpose(2, 0, 1)), "its middle"
    assert seen[-1] == (7, 7)
    again = prepare_pictures(source, 48, tmp_path / "cache", on_step=lambda *_: pytest.fail("it was prepared before"))
    assert np.array_equal(again.images, data.images) and again.sha256 == data.sha256
    with pytest.raises(sg.InvalidInput, match="4 of 7 pictures can be used and at least 5"):
        prepare_pictures(source, 48, tmp_path / "cache", least=5)
    with pytest.raises(sg.InvalidInput, match="0 of 7 .* no face found"):
        prepare_pictures(source, 48, tmp_path / "cache", align=True)
    with pytest.raises(sg.InvalidInput, match="holds no pictures"):
        prepare_pictures(tmp_path / "cache", 48, tmp_path / "cache")
    with pytest.raises(sg.InvalidInput, match="neither a folder nor a zip"):
        prepare_pictures(tmp_path / "nowhere", 48, tmp_path / "cache")


def test_reads_nvidias_dataset_zip(tmp_path) -> None:
    import zipfile
    from io import BytesIO

    from PIL import Image

    images = np.random.default_rng(3).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for i, pixels in enumerate(images):
            stream = BytesIO()
            Image.fromarray(pixels).save(stream, "PNG")
            archive.writestr(f"00000/img{i:08d}.png", stream.getvalue())
        archive.writestr("dataset.json", json.dumps({"labels": [[f"00000/img{i:08d}.png", i % 2] for i in range(3)]}))
    data = prepare_pictures(tmp_path / "set.zip", 32, tmp_path / "cache", labelled=True)
    assert np.array_equal(data.images, images.transpose(0, 3, 1, 2)) and data.labels is not None
    assert data.labels.tolist() == [[1, 0], [0, 1], [1, 0]] and data.c_dim == 2
    flipped = data.take(np.array([0, 1]), np.array([True, False]))
    assert torch.equal(flipped[0].flip(2), data.take(np.array([0]))[0]) and torch.equal(flipped[1], data.take(np.array([1]))[0])
    with zipfile.ZipFile(tmp_path / "plain.zip", "w") as archive:
        archive.writestr("a.png", stream.getvalue())
    with pytest.raises(sg.InvalidInput, match="1 of 1 pictures have no label"):
        prepare_pictures(tmp_path / "plain.zip", 32, tmp_path / "cache", labelled=True)


def drawings(folder, count: int = 3):
    from PIL import Image

    folder.mkdir()
    for i in range(count):
        pixels = np.random.default_rng(i).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def test_prepared_pictures_are_rows_of_a_file_that_is_not_mapped(tmp_path) -> None:
    """A mapped file that is cut off would end the process; here it ends in a sentence."""
    data = prepare_pictures(drawings(tmp_path / "in"), 32, tmp_path / "cache")
    whole = np.array(data.images)
    for rows in (1, -1, [2, 0], np.array([0, 0, 1]), slice(1, 3), np.array([[0, 1]])):
        assert np.array_equal(data.images[rows], whole[rows])
    with pytest.raises(IndexError):
        data.images[3]
    file = next((tmp_path / "cache").glob("*.bin"))
    with file.open("r+b") as opened:
        opened.truncate(4000)
    assert np.array_equal(data.images[0], whole[0])
    with pytest.raises(sg.LoadError, match="became shorter"):
        data.take(np.array([2]))


@pytest.mark.parametrize("facts", ["[" * 100_000, "", "[]",
                                   '{"shape": [-3, 3, -32, 32], "names": [], "labels": [], "notes": []}',
                                   '{"shape": [3, 3, 32, 32], "names": 5, "labels": [], "notes": []}',
                                   '{"shape": [3, 3, 32, 32], "names": ["a"], "labels": [null], "notes": []}',
                                   '{"shape": [3, 3, 32, "x"], "names": [], "labels": [], "notes": []}', "cut", "gone"])
def test_damaged_prepared_pictures_are_prepared_again(facts, tmp_path) -> None:
    source, cache = drawings(tmp_path / "in"), tmp_path / "cache"
    first = prepare_pictures(source, 32, cache)
    before, told = np.array(first.images), next(cache.glob("*.json"))
    del first
    if facts == "cut":
        told.with_suffix(".bin").write_bytes(b"short")
    elif facts == "gone":
        told.with_suffix(".bin").unlink()
    else:
        told.write_text(facts)
    again = prepare_pictures(source, 32, cache)
    assert np.array_equal(again.images, before) and again.names == ("0.png", "1.png", "2.png")


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_a_pipe_among_the_drawings_is_passed_over(tmp_path) -> None:
    source = drawings(tmp_path / "in")
    os.mkfifo(source / "pipe.png")
    (source / "folder.png").mkdir()
    assert len(prepare_pictures(source, 32, tmp_path / "cache")) == 3


@pytest.mark.parametrize(("labels", "said"), [
    ("[" * 100_000, "can't be understood"), ('{"labels": [["0.png", 1000000000]]}', "from 1000000000"),
    ('{"labels": [["0.png", -1]]}', "from -1 to -1"), ('{"labels": [["0.png", 1], ["1.png", [1, 0]]]}', "mixes"),
    ('{"labels": 5}', "can't be understood"), ('{"labels": [["0.png", ' + "9" * 5000 + "]]}", "can't be understood"),
    ('{"labels": [["0.png", {"a": 1}]]}', "mixes"),
])
def test_labels_that_are_none(labels, said, tmp_path) -> None:
    source = drawings(tmp_path / "in", 2 if "1.png" in labels else 1)
    (source / "dataset.json").write_text(labels)
    with pytest.raises(sg.InvalidInput, match=said):
        prepare_pictures(source, 32, tmp_path / "cache")


def test_zips_that_are_damaged_or_unfold_without_end(tmp_path, monkeypatch) -> None:
    import zipfile

    from stylegan_core.training import data

    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(next(drawings(tmp_path / "in", 1).iterdir()), "0.png")
        archive.writestr("1.png", bytes(200_000))
    monkeypatch.setattr(data, "LARGEST", 100_000)
    found = prepare_pictures(path, 32, tmp_path / "cache")
    assert found.names == ("0.png",) and "unreadable (ValueError): 1.png" in " ".join(found.notes)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("dataset.json", bytes(200_000))
    with pytest.raises(sg.InvalidInput, match="dataset.json has 200000 bytes unpacked"):
        prepare_pictures(path, 32, tmp_path / "cache")
    whole = bytearray(path.read_bytes())
    at = whole.index(b"PK\x01\x02")
    whole[at + 10] = 77  # a way of packing that nobody knows
    whole[at:at + 4] = b"PK\x09\x09"
    path.write_bytes(whole)
    with pytest.raises(sg.InvalidInput, match="no zip that can be read"):
        prepare_pictures(path, 32, tmp_path / "cache")


def test_pictures_are_mirrored_and_thinned_out() -> None:
    data = PictureSet(np.arange(7 * 3 * 4, dtype=np.uint8).reshape(7, 3, 2, 2), tuple("abcdefg"))
    plain, flipped = data.take(np.array([0, 1])), data.take(np.array([0, 1]), np.array([False, True]))
    assert torch.equal(flipped[0], plain[0]) and torch.equal(flipped[1], plain[1].flip(-1))
    few = some_of(data, 4)
    assert few.names == tuple("aceg") and np.array_equal(few.images, data.images[::2]) and few.sha256 != data.sha256
    assert some_of(data, 0) is some_of(data, 7) is data


def test_rows_are_mixed_from_the_second_to_the_last() -> None:
    draw, model = torch.Generator().manual_seed(0), SimpleNamespace(z_dim=4)
    assert {draw_latents(model, 2, 1.0, 3, draw)[2] for _ in range(60)} == {1, 2}  # type: ignore[arg-type]
    assert draw_latents(model, 2, 0.0, 3, draw)[1:] == (None, None)  # type: ignore[arg-type]


def test_every_picture_comes_once_an_epoch() -> None:
    from stylegan_core.training.data import rows_of

    drawn = np.concatenate([rows_of(i * 4, 4, 10, seed=3) for i in range(5)])
    assert sorted(drawn[:10]) == list(range(10)) == sorted(drawn[10:]) and list(drawn[:10]) != list(drawn[10:])
    assert np.array_equal(rows_of(7, 9, 10, 3), drawn[7:16])


def test_weights_that_are_not_equalized_move_by_a_share_of_their_size() -> None:
    """Adam's first step is the rate, up or down, in every entry that has a gradient."""
    from tests.nodes.support import tiny

    model = tiny(1)
    options = replace(OPTIONS, lr=0.003, G_reg_interval=None, augment="none", D_first_kimg=0)
    transfer = Transfer(model, pictures(side=32), options)
    before = weights(transfer)
    transfer._phase("Gmain")
    for name, tensor in weights(transfer).items():
        old = before[name]
        if name.startswith("G.") and "w_avg" not in name and not torch.equal(tensor, old):
            size = max(float(old.square().mean().sqrt()), 0.01) if "synthesis" in name else 1.0
            assert float((tensor - old).abs().max()) == pytest.approx(0.003 * size, rel=5e-3), name
    moved = base(torch.float32)
    equalized = Transfer(moved, pictures(), replace(options, train_mapping=False))
    assert [g["lr"] for g in equalized.trainer.optimizers["G"].param_groups] == [0.003], "StyleGAN2's are"


@pytest.mark.parametrize("mobile", [True, False])
def test_drawing_in_16_bits_points_the_same_way(mobile) -> None:
    """The gradients of the generator's loss, and a discriminator's step that stays in 32 bits."""
    from tests.nodes.support import tiny

    model = tiny(1, (32, 32, 32)) if mobile else base(torch.float32)
    found = []
    for half in (False, True):
        transfer = Transfer(model, pictures(side=model.img_resolution), replace(OPTIONS, bfloat16=half, augment="none"))
        inputs = transfer._inputs("Gmain", 8, torch.arange(8))
        transfer.trainer.run_phase("Gmain", inputs, step=False)
        flat = torch.cat([p.grad.flatten() for p in transfer.trainer.parameters("G") if p.grad is not None])
        transfer._phase("Dreg")
        found.append((flat, weights(transfer)))
    (exact, a), (half, b) = found
    assert half.dtype == torch.float32 and not torch.equal(exact, half)
    assert torch.nn.functional.cosine_similarity(exact, half, dim=0) > 0.99
    assert same(a, b), "R1 does not draw"


def test_a_fresh_discriminator_learns_alone_first() -> None:
    from tests.nodes.support import tiny

    model = tiny(1)
    transfer = Transfer(model, pictures(side=32), replace(OPTIONS, kimg=0.08, D_first_kimg=0.016, batch_size=8))
    before = weights(transfer)
    assert set(transfer.step()) == {"Dmain", "Dreg"} and "fresh one" in transfer.note
    after = weights(transfer)
    assert all(torch.equal(before[k], after[k]) for k in before if k.startswith("G.") and not k.endswith("w_avg"))
    assert any(not torch.equal(before[k], after[k]) for k in before if k.startswith("D."))
    transfer.step()
    assert "Gmain" in transfer.step() and transfer.head_start == 16
    assert TransferOptions(kimg=5).head_start(fresh=False) == 0 and TransferOptions(kimg=5).head_start(fresh=True) == 500


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_pictures_whose_names_are_no_text(tmp_path) -> None:
    from PIL import Image

    name = os.fsdecode(b"caf\xe9.png")
    (tmp_path / "a").mkdir()
    Image.new("RGB", (40, 40)).save(tmp_path / "a" / name)
    assert prepare_pictures(tmp_path / "a", 32, tmp_path / "cache").names == (name,)


def test_specks_of_a_batch_are_left_out_as_files_are(tmp_path) -> None:
    with pytest.raises(sg.InvalidInput, match="0 of 2 pictures can be used .*smaller than 32 px: picture 0, picture 1"):
        prepare_pictures(torch.zeros(2, 3, 1, 500), 32, tmp_path)
