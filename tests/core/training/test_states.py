"""A trainer that goes back is where it was, and one that is refused stays where it is."""

from __future__ import annotations

import pytest
import torch

import stylegan_core as sg
from stylegan_core.training.states import restore_trainer, trainer_tensors
from stylegan_core.training.trainer import Trainer
from stylegan_core.training.transfer import Transfer
from tests.core.training.test_transfer import OPTIONS, base, pictures, same


@pytest.fixture
def trainer() -> Trainer:
    return Transfer(base(torch.float32), pictures(), OPTIONS).trainer


def copied(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {key: tensor.detach().clone() for key, tensor in trainer_tensors(trainer).items()}


def test_going_back_before_the_first_step_forgets_all_steps(trainer) -> None:
    before = copied(trainer)
    for phase in ("Gmain", "Dmain"):
        for parameter in trainer.parameters(phase[0]):
            parameter.grad = torch.ones_like(parameter)
        trainer.step(phase)
    trainer.pl_mean = trainer.pl_mean + 1
    assert any(key.startswith("adam.") for key in trainer_tensors(trainer))
    restore_trainer(trainer, before)
    assert same(before, trainer_tensors(trainer)), "Adam's averages too, of which there were none"


@pytest.mark.parametrize("change", [
    lambda t: {k: v for k, v in t.items() if k != "D.b4.out.bias"}, lambda t: t | {"D.more": torch.zeros(1)},
    lambda t: t | {"D.b4.out.bias": torch.zeros(7)},
])
def test_tensors_of_another_discriminator_change_nothing(change, trainer) -> None:
    before = copied(trainer)
    other = change({key: tensor + 1 for key, tensor in before.items()})
    with pytest.raises(sg.InvalidInput, match="begun from another model: (b4.out.bias|more) differ"):
        restore_trainer(trainer, other)
    assert same(before, trainer_tensors(trainer))
