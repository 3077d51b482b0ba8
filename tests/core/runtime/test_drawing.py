"""Graphs of launches and compilation: views that draw the very same, and go back to the model where they don't apply."""

from __future__ import annotations

import copy

import pytest
import torch

from stylegan_core.errors import InvalidInput
from stylegan_core.networks.generators.base import random_noise
from stylegan_core.runtime import Recorder, at_drawing, at_precision, release
from tests.core.networks.models import tiny_stylegan2


class Tape:
    """Stands for a card: a call is worked out once, and a replay works it out again from the same tensors in place."""

    def __init__(self) -> None:
        self.recorded, self.replayed = 0, 0

    def __call__(self, draw, device, pool):
        self.recorded += 1
        place = draw().clone()

        def replay():
            self.replayed += 1
            return place.copy_(draw())

        return replay


@pytest.fixture
def model():
    return tiny_stylegan2(channels=(8, 8, 8, 4))


@pytest.fixture
def ws(model):
    return torch.randn(2, model.num_ws, model.w_dim)


@torch.no_grad()
def test_a_graph_is_recorded_once_a_batch_and_noise_and_draws_the_same(model, ws) -> None:
    tape = Tape()
    view = at_drawing(model, "graphs", tape)
    assert all(a is b for a, b in zip(view.parameters(), model.parameters(), strict=True))
    first = view.synthesis(ws)
    assert torch.equal(first, model.synthesis(ws))
    other = view.synthesis(ws.flip(0))
    assert torch.equal(other, model.synthesis(ws.flip(0))) and torch.equal(first, model.synthesis(ws)), "results are one's own"
    assert (tape.recorded, tape.replayed) == (1, 2)
    assert torch.equal(view.synthesis(ws[:1]), model.synthesis(ws[:1]))
    assert torch.equal(view.synthesis(ws, noise_mode="none"), model.synthesis(ws, noise_mode="none"))
    maps = random_noise(model.synthesis.noise_shapes(), 1, ws)
    assert torch.equal(view.synthesis(ws, noise=maps), model.synthesis(ws, noise=maps))
    assert tape.recorded == 4


@torch.no_grad()
def test_random_noise_stays_random(model, ws) -> None:
    tape = Tape()
    view = at_drawing(model, "graphs", tape)
    one, two = (view.synthesis(ws, noise_mode="random") for _ in range(2))
    assert not torch.equal(one, two)
    draws = [torch.Generator().manual_seed(3) for _ in range(2)]
    seeded = view.synthesis(ws, noise_mode="random", generator=draws[0])
    assert torch.equal(seeded, model.synthesis(ws, noise_mode="random", generator=draws[1]))
    assert tape.recorded == 1


@torch.no_grad()
def test_weights_that_change_are_seen_and_weights_that_move_are_recorded_anew(model, ws) -> None:
    tape = Tape()
    view = at_drawing(model, "graphs", tape)
    before = view.synthesis(ws)
    model.synthesis.b8.conv1.bias.add_(1.0)
    changed = view.synthesis(ws)
    assert not torch.equal(before, changed) and tape.recorded == 1
    model.synthesis.b8.conv1.bias.data = model.synthesis.b8.conv1.bias.data.clone()
    assert torch.equal(view.synthesis(ws), changed) and tape.recorded == 2
    release(view)
    assert torch.equal(view.synthesis(ws), changed) and tape.recorded == 3


def test_gradients_hooks_and_wrong_inputs_go_to_the_model(model, ws) -> None:
    tape = Tape()
    view = at_drawing(model, "graphs", tape)
    code = ws.clone().requires_grad_(True)
    view.synthesis(code).square().sum().backward()
    assert code.grad is not None and code.grad.abs().sum() > 0
    seen = []
    with torch.no_grad():
        view.synthesis(ws, hook=lambda layer, x: seen.append(layer.name) or x)
        for wrong in ({"noise_mode": "loud"}, {"transform": torch.eye(3)}):
            with pytest.raises(InvalidInput):
                view.synthesis(ws, **wrong)
        with pytest.raises(InvalidInput):
            view.synthesis(ws[:, :-1])
    assert seen and not tape.recorded


def test_a_model_loaded_and_drawn_under_inference_mode(model, ws) -> None:
    view = at_drawing(model, "graphs", Tape())
    with torch.inference_mode():
        wanted = model.synthesis(ws)
        first = view.synthesis(ws.clone())
    with torch.no_grad():
        second = view.synthesis(ws)
    assert torch.equal(first, wanted) and torch.equal(second, wanted)


@torch.no_grad()
def test_what_cannot_be_recorded_is_drawn_as_ever(model, ws, caplog) -> None:
    def refuse(draw, device, pool):
        raise RuntimeError("operation not permitted when stream is capturing")

    view = at_drawing(model, "graphs", refuse)
    for _ in range(2):
        assert torch.equal(view.synthesis(ws), model.synthesis(ws))
    assert len(caplog.records) == 1, "told once a signature"


@torch.no_grad()
def test_recordings_are_bounded_and_copies_record_for_themselves() -> None:
    tape, weight = Tape(), torch.ones(3)
    recorder = Recorder(lambda name, x: x * weight, lambda: [weight], tape, most=2)
    for size in (1, 2, 3, 3, 2):
        x = torch.randn(size, 3)
        assert torch.equal(recorder("any", x), x)
    assert len(recorder) == 2 and tape.recorded == 3
    assert len(copy.deepcopy(recorder)) == 0


@torch.no_grad()
def test_without_a_card_graphs_are_the_model_and_half_precision_goes_together(model, ws) -> None:
    assert torch.equal(at_drawing(model, "graphs").synthesis(ws), model.synthesis(ws))
    half = at_precision(model, "bf16")
    assert torch.equal(at_drawing(half, "graphs", Tape()).synthesis(ws), half.synthesis(ws))
    tape = Tape()
    view = at_drawing(model, "graphs", tape)
    for _ in range(2):
        assert torch.equal(at_precision(view, "bf16").synthesis(ws), half.synthesis(ws))
    assert torch.equal(view.synthesis(ws), model.synthesis(ws)) and tape.recorded == 2
    assert at_drawing(model) is model
    with pytest.raises(InvalidInput, match="sideways"):
        at_drawing(model, "sideways")


@torch.no_grad()
def test_compiled_draws_the_same_and_where_there_is_no_compiler_the_model_draws(model, ws, monkeypatch) -> None:
    calls = []
    monkeypatch.setattr(torch, "compile", lambda function, dynamic: lambda *a: calls.append(1) or function(*a))
    assert torch.equal(at_drawing(model, "compiled").synthesis(ws), model.synthesis(ws)) and calls

    def broken(function, dynamic):
        def fail(*arguments):
            raise OSError("no compiler")
        return fail

    monkeypatch.setattr(torch, "compile", broken)
    assert torch.equal(at_drawing(model, "compiled").synthesis(ws), model.synthesis(ws))
