"""w_avg: always in the state, estimated once, shared by those that share the mapping, never stale."""

from __future__ import annotations

import pytest
import torch

import stylegan_core as sg
from stylegan_core.checkpoints.building import build
from stylegan_core.networks.generators.stylegan2 import StyleGAN2
from stylegan_core.networks.mapping import W_AVG_SAMPLES, MappingNetwork
from stylegan_core.runtime import private_copy
from tests.core.networks.models import tiny_stylegan2


def without_average(seed: int = 0) -> StyleGAN2:
    """A model as it comes from a file that carries no w_avg."""
    model = tiny_stylegan2(seed)
    state = {key: t for key, t in model.state_dict().items() if key != "mapping.w_avg"}
    return build("stylegan2", model.config, state)


def plain_average(model: StyleGAN2) -> torch.Tensor:
    return model.mapping.to_w(sg.sample_z([0], 10 * W_AVG_SAMPLES).reshape(-1, 10)).mean(0)


@pytest.fixture
def estimates(monkeypatch) -> list[MappingNetwork]:
    """Every mapping network that estimates its average, as often as it does."""
    seen, real = [], MappingNetwork._estimate_center
    monkeypatch.setattr(MappingNetwork, "_estimate_center", lambda self: seen.append(self) or real(self))
    return seen


def test_a_used_models_state_loads_into_a_fresh_one_and_an_unused_ones_too() -> None:
    used, fresh = without_average(), StyleGAN2(tiny_stylegan2().config)
    image = used.synthesis(used.mapping(torch.ones(1, 10), truncation_psi=0.5))
    fresh.load_state_dict(used.state_dict())
    assert torch.equal(fresh.synthesis(fresh.mapping(torch.ones(1, 10), truncation_psi=0.5)), image)
    fresh.load_state_dict(without_average(1).state_dict())
    torch.testing.assert_close(fresh.w_avg, plain_average(without_average(1)))


def test_an_old_state_without_it_loads_and_has_its_own() -> None:
    model = without_average()
    state = {key: t for key, t in without_average(1).state_dict().items() if key != "mapping.w_avg"}
    assert (model.w_avg - plain_average(without_average(1))).abs().max() > 0.01
    model.load_state_dict(state)
    torch.testing.assert_close(model.w_avg, plain_average(model))


def test_children_share_what_is_estimated_once(estimates) -> None:
    base, other = without_average(), without_average(1)
    children = [sg.blend(base, other, resolution) for resolution in (4, 8, 16)]
    grandchild = sg.blend(children[0], other, 8)
    assert not estimates, "a blend takes no time"
    before = grandchild.w_avg.clone()
    assert len({m.w_avg.data_ptr() for m in (base, *children, grandchild)}) == 1 and len(estimates) == 1
    assert torch.equal(base.w_avg, before)
    theirs = sg.blend(base, other, 8, mapping="other")
    assert theirs.w_avg.data_ptr() == other.w_avg.data_ptr() and len(estimates) == 2
    theirs.w_avg = torch.zeros(12)
    children[0].w_avg = torch.zeros(12)
    assert torch.equal(base.w_avg, before) and torch.equal(children[1].w_avg, before)


def test_a_private_copy_has_its_own_memory_and_estimates_nothing_anew(estimates) -> None:
    model = without_average()
    before = model.w_avg.clone()
    copied = private_copy(model)
    assert torch.equal(copied.w_avg, before) and len(estimates) == 1
    copied.w_avg.zero_()
    assert torch.equal(model.w_avg, before)


def test_an_estimate_follows_its_mapping_and_a_given_centre_stays() -> None:
    estimated, given = without_average(), tiny_stylegan2()
    before = estimated.w_avg.clone(), given.w_avg.clone()
    for model in (estimated, given):
        with torch.no_grad():
            model.mapping.fc0.weight.mul_(-1)
    assert not torch.equal(estimated.w_avg, before[0]) and torch.equal(given.w_avg, before[1])
    torch.testing.assert_close(estimated.w_avg, plain_average(estimated))


def test_loaded_under_inference_mode_and_asked_outside() -> None:
    with torch.inference_mode():
        model = without_average()
    torch.testing.assert_close(model.w_avg, plain_average(model))


def test_only_generators_have_one() -> None:
    assert not [key for key in MappingNetwork(tiny_stylegan2().config.mapping, centred=False).state_dict() if "w_avg" in key]
