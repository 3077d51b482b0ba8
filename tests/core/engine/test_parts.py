"""Schedule, averages, best, plateau, series, chunks, guard, states: each beside plain numbers."""

import math

import pytest
import torch
from torch import nn

from stylegan_core.engine import (
    Adam,
    Average,
    Best,
    Chunks,
    FiniteGuard,
    Optimization,
    Plateau,
    Series,
    collect,
    exact,
    first_bad_layer,
    frozen,
    gradients,
    halflife_decay,
    move_average,
    ramp,
    ramp_of_step,
    ramped_decay,
    restore,
    weighted_total,
)
from stylegan_core.errors import InvalidInput


def test_ramp():
    assert [ramp(t, 0.05, 0.25) for t in (0, 0.025, 0.05, 0.5, 0.75, 0.875, 1)] == pytest.approx([0, 0.5, 1, 1, 1, 0.5, 0])
    assert ramp(0.6, 0.1, 0.0, start=0.55) == pytest.approx(0.5)
    assert ramp(1.0, floor=0.1) == pytest.approx(0.1)


def test_ramp_of_step():
    for step in range(30):
        wanted = min(1, (step + 1) / 7) * (0.525 + 0.475 * math.cos(math.pi * step / 30))
        assert ramp_of_step(step, 30, 7, 0.05) == pytest.approx(wanted)
    assert ramp_of_step(0, 5) == 1


def test_decay():
    assert halflife_decay(32, 10_000) ** (10_000 / 32) == pytest.approx(0.5)
    assert halflife_decay(32, 10_000, 640, 0.05) == pytest.approx(0.5)
    assert halflife_decay(32, 10_000, 0, 0.05) == 0
    assert [ramped_decay(n, 0.98) for n in (0, 9, 10_000)] == [0.1, 10 / 19, 0.98]


def test_averages():
    net, mean = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    nn.init.constant_(net.weight, 5.0)
    net.running_mean.fill_(7.0)
    move_average(mean, net, 0.75)
    assert torch.equal(mean.weight, torch.full((3,), 2.0)) and torch.equal(mean.running_mean, torch.full((3,), 7.0))
    move_average(mean, net, 0.0, buffers=False)
    assert torch.equal(mean.weight, net.weight)
    own = torch.zeros(2, requires_grad=True)
    average = Average({"x": own})
    with torch.no_grad():
        own += 4
    average.move(0.75)
    assert torch.equal(average.tensors["x"], torch.ones(2)) and torch.equal(own, torch.full((2,), 4.0))
    average.apply()
    assert torch.equal(own, torch.ones(2))


def test_weighted_total():
    losses = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([3.0, 4.0])}
    assert torch.equal(weighted_total(losses, {"a": 2, "b": 0.5, "c": 9}), torch.tensor([3.5, 6.0]))


def test_best_and_plateau():
    best, plateau = Best("start", torch.tensor([math.nan])), Plateau(0.1)
    for step, total in enumerate((5.0, 4.9, 3.0, 2.9, math.nan)):
        best.offer(total, torch.tensor([total]), lambda step=step: f"step {step}")
        plateau.note(total)
    assert (best.state, best.total, float(best.losses)) == ("step 3", 2.9, pytest.approx(2.9))
    assert plateau.waiting == 2 and plateau.reference == 3.0


class Count(Optimization[int]):
    def __init__(self, steps: int, enough: int = 99) -> None:
        self.steps, self.enough, self.taken = steps, enough, 0

    @property
    def steps_done(self):
        return self.taken

    @property
    def converged(self):
        return self.taken >= self.enough

    def advance(self):
        self.taken += 1
        return torch.tensor(self.taken)

    def result(self):
        return self.taken


class Three(Series[Count, int]):
    count = 3

    def __init__(self) -> None:
        self.kept: list[int] = []

    @property
    def done(self):
        return len(self.kept)

    def begin(self, first):
        return Count(4, 2 if first == 1 else 99)

    def keep(self, work, found):
        assert found == work.result()
        self.kept.append(found)

    def steps_before(self, item):
        return 4 * item


def test_a_run_tells_its_steps_and_goes_on():
    work, told = Count(3), []

    def on_step(i, n, shown):
        told.append((i, n, int(shown)))
        if i == 2 and len(told) == 2:
            raise RuntimeError("cancelled")

    with pytest.raises(RuntimeError, match="cancelled"):
        work.run(on_step)
    assert work.result() == 2 and work.run(on_step) == 3
    assert told == [(1, 3, 1), (2, 3, 2), (3, 3, 3)]
    assert Count(5, 2).run() == 2


def test_a_series_counts_as_one_run():
    series, told = Three(), []

    def on_step(i, n, _):
        told.append(i)
        assert n == 12
        if i == 6 and told.count(6) == 1:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        series.run_all(on_step)
    assert series.done == 1 and series.current is not None
    series.run_all(on_step)
    assert series.kept == [4, 2, 4] and told == [1, 2, 3, 4, 5, 6, 9, 10, 11, 12]


def test_chunks_shrink_and_stay_small():
    sizes, chunks = [], Chunks(8, torch.device("cuda"), 1024)

    def fn(ids):
        sizes.append(len(ids))
        if len(ids) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return torch.tensor(ids) * 2

    for _ in range(2):
        assert chunks.run(fn, [3, 1, 4, 1, 5]).tolist() == [6, 2, 8, 2, 10]
    assert sizes == [5, 2, 2, 1, 2, 2, 1]
    assert Chunks(8, torch.device("cpu"), 256).size == 1 and Chunks(8, torch.device("cpu"), 64).size == 8


def test_private_copies_take_gradients_under_inference_mode():
    with torch.inference_mode():
        net = nn.Linear(2, 2).half()
        with gradients():
            x = torch.ones(1, 2, requires_grad=True)
            exact(net)(x).sum().backward()
            assert frozen(net, x).weight.dtype == torch.float32
    assert x.grad is not None and exact(nn.Linear(2, 2).double()).weight.dtype == torch.float64
    assert not any(p.requires_grad for p in frozen(nn.Linear(2, 2)).parameters())


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_the_guard_remembers_the_first_bad_step(bad):
    guard = FiniteGuard("cpu", every=4)
    assert guard.every == 1
    guard.every = 4
    for step in range(4):
        gradient = torch.ones(3)
        gradient[1] = bad if step >= 1 else 1.0
        guard.see(step, [None, torch.ones(2, dtype=torch.float64), gradient, torch.empty(0)])
        assert guard.bad_step(step) == (1 if step == 3 else None)
    assert guard.bad_step(4, now=True) == 1
    guard.clear()
    assert guard.bad_step(3) is None
    gradient = torch.tensor([bad, 1.0])
    guard.clean([gradient, None])
    assert gradient.isfinite().all() and gradient[1] == 1


def test_the_first_bad_layer_is_named():
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    x = torch.ones(1, 2)
    assert "sound" in first_bad_layer({"net": net}, lambda: net(x))
    with torch.no_grad():
        net[2].weight[0, 0] = math.inf
    assert first_bad_layer({"net": net}, lambda: net(x)) == "first in the output of layer 2 of the net"
    with torch.no_grad():
        net[2].weight.fill_(1)

    def root():
        net.zero_grad()
        (net(x) * 0).abs().sqrt().sum().backward()

    assert first_bad_layer({"net": net}, root).startswith("first in the gradient of 2.bias")


def parts(seed: int):
    torch.nn.init.normal_((net := nn.Linear(2, 2)).weight, generator=torch.Generator().manual_seed(seed))
    adam, draw = Adam(net.parameters()), torch.Generator().manual_seed(seed)
    for p in net.parameters():
        p.grad = torch.full_like(p, seed)
    adam.step()
    named = dict(net.named_parameters())
    loose = {"x": torch.full((2,), float(seed))}
    return {"net": net, "adam": (adam, named), "draw": draw, "mean": Average(named), "loose": loose}


def test_states_go_out_and_in():
    one, two = parts(1), parts(2)
    torch.rand(3, generator=one["draw"])
    restore(two, {k: t.clone() for k, t in collect(one).items()})
    a, b = collect(one), collect(two)
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
    assert torch.equal(torch.rand(3, generator=one["draw"]), torch.rand(3, generator=two["draw"]))


def test_a_state_of_another_model_changes_nothing():
    one, two = parts(1), parts(2)
    before = {k: t.clone() for k, t in collect(two).items()}
    state = collect(one) | {"net.weight": torch.zeros(3, 2)}
    with pytest.raises(InvalidInput, match=r"net\.weight differ"):
        restore(two, state)
    assert all(torch.equal(before[k], t) for k, t in collect(two).items())
