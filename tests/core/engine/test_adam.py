"""The light Adam beside torch's own."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stylegan_core.engine import Adam
from stylegan_core.errors import InvalidInput


def leaves(seed: int, dtype: torch.dtype) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    shapes = ((3, 4), (5,), (), (2, 3, 1, 2))
    return [torch.randn(shape, generator=draw).to(dtype).requires_grad_(True) for shape in shapes]


def give_gradients(ours, theirs, seed: int, skipped: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        gradient = torch.randn(a.shape, generator=draw).to(a.dtype) * 10.0 ** (seed % 5 - 2)
        a.grad, b.grad = (None, None) if i == skipped else (gradient.clone(), gradient.clone())


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 99), st.sampled_from([torch.float32, torch.float64]),
       st.sampled_from([(0.9, 0.999), (0.0, 0.99), (0.5, 0.9)]), st.sampled_from([0.0, 1e-2]), st.integers(0, 4))
def test_equals_torch_to_the_bit(seed, dtype, betas, decay, skipped):
    ours, theirs = leaves(seed, dtype), leaves(seed, dtype)
    mine = Adam(ours, 0.01, betas, 1e-8, decay)
    real = torch.optim.Adam(theirs, 0.01, betas, 1e-8, decay, foreach=False)
    for step in range(7):
        give_gradients(ours, theirs, seed + step, skipped if step % 2 else 9)
        for group in (*mine.param_groups, *real.param_groups):
            group["lr"] = 0.01 / (step + 1)
        mine.step()
        real.step()
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    for a, b in zip(ours, theirs, strict=True):
        assert mine.state[a].keys() == real.state[b].keys()
        assert all(torch.equal(mine.state[a][key], real.state[b][key]) for key in mine.state[a])


def test_state_goes_to_torch_and_back():
    ours, theirs = leaves(1, torch.float32), leaves(1, torch.float32)
    mine, real = Adam([{"params": ours[:2], "share": 2.0}, {"params": ours[2:]}], 0.1), \
        torch.optim.Adam([{"params": theirs[:2]}, {"params": theirs[2:]}], 0.1)
    give_gradients(ours, theirs, 5, 1)
    mine.step()
    real.load_state_dict(torch.optim.Adam([{"params": theirs[:2]}, {"params": theirs[2:]}], 0.1).state_dict() |
                         {"state": mine.state_dict()["state"]})
    with torch.no_grad():
        for a, b in zip(ours, theirs, strict=True):
            b.copy_(a)
    again = Adam([{"params": ours[:2], "share": 2.0}, {"params": ours[2:]}], 0.3)
    again.load_state_dict(real.state_dict())
    assert again.param_groups[0]["lr"] == 0.1 and again.param_groups[0]["share"] == 2.0
    give_gradients(ours, theirs, 6, 0)
    again.step()
    real.step()
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_state_by_name():
    ours, twin = leaves(2, torch.float32), leaves(2, torch.float32)
    named = {f"p{i}": p for i, p in enumerate(ours)}
    adam = Adam(ours, 0.1)
    give_gradients(ours, twin, 1, 3)
    adam.step()
    state = adam.by_name(named)
    assert list(state) == ["p0", "p1", "p2"]
    other = Adam(twin, 0.1)
    other.load_by_name({f"p{i}": p for i, p in enumerate(twin)}, state)
    state["p0"]["exp_avg"].zero_()
    assert other.state[twin[0]]["exp_avg"].any(), "copied"


def test_rates_by_share():
    a, b = torch.zeros(2, requires_grad=True), torch.zeros(2, requires_grad=True)
    adam = Adam([{"params": [a], "share": 0.5}, {"params": [b]}])
    adam.set_rate(0.2)
    assert [group["lr"] for group in adam.param_groups] == [0.1, 0.2]


@pytest.mark.parametrize("given", [{"lr": -1.0}, {"lr": float("nan")}, {"betas": (1.0, 0.9)}, {"eps": -1.0}])
def test_refuses_numbers_that_cannot_be(given):
    with pytest.raises(InvalidInput, match="Adam can't run"):
        Adam([torch.zeros(1)], **given)


def test_refuses_nothing_and_other_tensors():
    with pytest.raises(InvalidInput, match="no tensors"):
        Adam([])
    small, large = torch.zeros(1, requires_grad=True), torch.zeros(2, requires_grad=True)
    adam = Adam([small])
    small.grad = torch.ones(1)
    adam.step()
    with pytest.raises(InvalidInput, match="shape"):
        Adam([large]).load_state_dict(adam.state_dict())
    with pytest.raises(InvalidInput, match="other tensors"):
        Adam([large, small]).load_state_dict(adam.state_dict())


def test_imports_no_compiler():
    code = ("import sys, torch; from stylegan_core.engine import Adam; p = torch.zeros(2, requires_grad=True);"
            "p.grad = torch.ones(2); a = Adam([p]); a.step(); a.zero_grad(); a.state_dict();"
            "sys.exit('torch._dynamo' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_equals_torch_on_a_gpu():
    ours = [p.detach().cuda().requires_grad_(True) for p in leaves(3, torch.float32)]
    theirs = [p.detach().clone().requires_grad_(True) for p in ours]
    mine, real = Adam(ours, 0.01), torch.optim.Adam(theirs, 0.01)
    for step in range(5):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn_like(a) * (step + 1)
            b.grad = a.grad.clone()
        mine.step()
        real.step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)
