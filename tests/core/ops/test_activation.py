"""Bias, noise, activation, gain, clamp against their formulas; in place, and the same gradients."""

import pytest
import torch

from benchmarks.twins import ops as plain
from stylegan_core.errors import InvalidInput
from stylegan_core.ops.activation import ACTIVATIONS, activate


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("clamp", [None, 0.7])
def test_every_activation(name, clamp):
    x, noise = torch.randn(2, 3, 4, 5), torch.randn(2, 1, 4, 5)
    function, gain = plain.ACTIVATIONS[name]
    expected = function(x + noise) * gain
    expected = expected if clamp is None else expected.clamp(-clamp, clamp)
    torch.testing.assert_close(activate(x.clone(), name, clamp=clamp, noise=noise), expected)
    leaves = [(x.clone().requires_grad_(), noise.clone().requires_grad_()) for _ in range(2)]
    (x1, noise1), (x2, noise2) = leaves
    y = activate(x1 * 1, name, clamp=clamp, noise=noise1)
    torch.testing.assert_close(y, expected)
    twin = function(x2 + noise2) * gain
    twin = twin if clamp is None else twin.clamp(-clamp, clamp)
    weight = torch.randn_like(y)
    ours, theirs = (torch.autograd.grad((out * weight).sum(), pair) for out, pair in zip((y, twin), leaves, strict=True))
    torch.testing.assert_close(ours, theirs)


def test_a_view_under_autograd_keeps_its_base():
    base = torch.randn(1, 2, 3, 5, requires_grad=True)
    whole = base * 1
    before = whole.detach().clone()
    y = activate(whole.narrow(3, 1, 3), "lrelu", noise=torch.ones(1, 1, 3, 3))
    y.sum().backward()
    assert torch.equal(whole, before) and base.grad is not None and (base.grad[..., 1:4] != 0).all()


def test_gain_overrides_the_default():
    x = torch.randn(1, 2, 3, 3)
    torch.testing.assert_close(activate(x.clone(), "lrelu", gain=3.0), 3 * torch.maximum(x, 0.2 * x))


def test_noise_alone_may_carry_the_gradient():
    noise = torch.randn(1, 1, 3, 3, requires_grad=True)
    activate(torch.randn(1, 2, 3, 3), "lrelu", noise=noise).sum().backward()
    assert noise.grad is not None and noise.grad.abs().min() > 0


def test_unknown_name():
    with pytest.raises(InvalidInput, match="gelu"):
        activate(torch.zeros(1, 1, 1, 1), "gelu")
