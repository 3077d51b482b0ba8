"""A training that stops, goes on, and meets numbers that are none."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from stylegan_core.engine import FitOptions, Fitting, RunFolder, read_log
from stylegan_core.errors import InvalidInput, TrainingStopped

ROOT = Path(__file__).parents[3]


class Problem:
    """A small network that learns to double its input; what it sees depends on the step alone."""

    def __init__(self) -> None:
        draw = torch.Generator().manual_seed(0)
        self.net = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
        with torch.no_grad():
            for p in self.net.parameters():
                p.copy_(torch.randn(p.shape, generator=draw) * 0.3)
        self.broken_at: int | None = None

    def step(self, number: int) -> dict[str, torch.Tensor]:
        x = torch.randn(16, 3, generator=torch.Generator().manual_seed(number))
        if number == self.broken_at:
            x = x / 0
        loss = (self.net(x) - 2 * x).square().mean()
        loss.backward()
        return {"l2": loss.detach()}

    def fitting(self, folder: RunFolder | None = None, **options) -> Fitting:
        given = {"steps": 40, "lr": 0.02, "save_every": 10, "warm_up": 5} | options
        return Fitting(dict(self.net.named_parameters()), self.step, FitOptions(**given), folder=folder,
                       networks={"student": self.net})


def settings() -> dict:
    return {"steps": 40}


def equal(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_it_learns_and_averages():
    problem = Problem()
    before = float(problem.step(1000)["l2"])
    found = problem.fitting(steps=300).run()
    problem.net.load_state_dict(found)
    assert float(problem.step(1000)["l2"]) < before / 10


def test_the_last_weights_where_nothing_is_averaged():
    problem = Problem()
    found = problem.fitting(average=0.0).run()
    assert equal(found, {k: v.detach() for k, v in problem.net.named_parameters()})


@pytest.mark.parametrize("stop", [1, 10, 17, 39])
def test_going_on_equals_never_stopping(tmp_path, stop):
    whole = Problem().fitting().run()

    def cancel(step, steps, shown):
        assert steps == 40
        if step == stop:
            raise KeyboardInterrupt

    with RunFolder(tmp_path, settings()) as folder, pytest.raises(KeyboardInterrupt):
        Problem().fitting(folder).run(cancel)
    with RunFolder(tmp_path, settings(), resume=True) as folder:
        again = Problem().fitting(folder)
        assert again.steps_done == stop
        assert equal(again.run(), whole)
    assert [entry["iteration"] for entry in read_log(tmp_path)][-1] == 40


def test_the_rate_rises_and_falls():
    fitting, rates = Problem().fitting(), []
    fitting.run(lambda *_: rates.append(fitting.adam.param_groups[0]["lr"]))
    assert rates[0] == pytest.approx(0.02 / 5) and max(rates) <= 0.02 and rates[-1] < 0.001
    assert rates[4:] == sorted(rates[4:], reverse=True)


def test_a_number_that_is_none_is_named_and_gone_back_from_once(tmp_path):
    problem = Problem()
    problem.broken_at = 23
    with RunFolder(tmp_path, settings()) as folder:
        fitting = problem.fitting(folder)
        with pytest.raises(TrainingStopped, match=r"step 24, first in the output of layer 0 of the student"):
            fitting.run()
        assert fitting.rate == 0.5 and fitting.steps_done == 23
        notes = [entry["note"] for entry in read_log(tmp_path) if "note" in entry]
        assert len(notes) == 1 and "went back to step 20 at 0.5" in notes[0]
        assert folder.read_state()[0] == 20
        assert all(bool(t.isfinite().all()) for t in folder.read_state()[1].values())


def test_a_passing_trouble_is_survived(tmp_path):
    problem = Problem()
    problem.broken_at = 23
    with RunFolder(tmp_path, settings()) as folder:
        fitting = problem.fitting(folder)

        def mend(step, *_):
            if fitting.rate < 1:
                problem.broken_at = None

        assert all(bool(t.isfinite().all()) for t in fitting.run(mend).values())
        assert fitting.steps_done == 40


def test_without_a_folder_it_stops_at_once():
    problem = Problem()
    problem.broken_at = 3
    with pytest.raises(TrainingStopped, match="step 4"):
        problem.fitting().run()


def test_another_model_is_refused(tmp_path):
    with RunFolder(tmp_path, settings()) as folder:
        Problem().fitting(folder).run()
    other = Problem()
    other.net[2] = torch.nn.Linear(8, 4)
    with RunFolder(tmp_path, settings(), resume=True) as folder, pytest.raises(InvalidInput, match=r"another model: own\.2"):
        other.fitting(folder)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"lr": float("nan")}, {"average": 1.0}, {"clip": -1.0}, {"floor": 2.0},
                                   {"save_every": 0}])
def test_options_that_cannot_be(wrong):
    with pytest.raises(InvalidInput, match="A training got"):
        FitOptions(**{"steps": 1, "lr": 0.1} | wrong)


CHILD = """
import sys, time
sys.path.insert(0, {root!r})
from stylegan_core.engine import RunFolder
from tests.core.engine.test_fitting import Problem
with RunFolder({folder!r}, {{"steps": 40}}, resume=True) as folder:
    fitting = Problem().fitting(folder, save_every=1)
    print("begun", flush=True)
    fitting.run(lambda *_: time.sleep(0.01))
"""


def test_killed_at_any_moment_it_goes_on(tmp_path):
    whole = Problem().fitting(save_every=1).run()
    code = CHILD.format(root=str(ROOT), folder=str(tmp_path / "run"))
    for i in range(3):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT)
        assert child.stdout is not None and child.stdout.readline().strip() == b"begun"
        time.sleep(0.05 + 0.04 * i)
        child.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
        child.wait()
        child.stdout.close()
    with RunFolder(tmp_path / "run", settings(), resume=True) as folder:
        assert equal(Problem().fitting(folder, save_every=1).run(), whole)
    steps = [json.loads(line)["iteration"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 41))
