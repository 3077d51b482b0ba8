"""Every small file -> safetensors -> load: the same network, and the same output bit for bit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from stylegan_core import checkpoints
from stylegan_core.latents import Latents
from stylegan_core.runtime import private_copy

from .loadable import CASES, GOLDENS, IDS


def seeded(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(5))


def labels(model: nn.Module, batch: int) -> Tensor | None:
    return torch.eye(model.c_dim)[:batch] if model.c_dim else None


def generated(model: nn.Module) -> Tensor:
    return model(seeded(2, model.z_dim), labels(model, 2), truncation_psi=0.7)


def transferred(model: nn.Module) -> Tensor:
    content, style = (Latents(seeded(1, model.num_ws, model.w_dim) + i, "w+", model.base) for i in (0, 1))
    return model.synthesis(content, style)


def judged(model: nn.Module) -> Tensor:
    return model(seeded(2, model.img_channels, model.img_resolution, model.img_resolution), labels(model, 2))


OUTPUTS = {
    "dualstylegan": transferred,
    "encoder": lambda model: model.encode(seeded(1, 3, 256, 256)).tensor,
    "style_bank": lambda model: model.codes,
    "style_sampler": lambda model: model(seeded(2, 128), seeded(2, 128)).tensor,
    "identity": lambda model: model(seeded(1, 3, 112, 112)),
    "discriminator": judged,
}


@pytest.mark.parametrize(("file", "which"), CASES, ids=IDS)
def test_round_trip(file: str, which: str, tmp_path) -> None:
    model = checkpoints.load(GOLDENS / file, which=which)
    back = checkpoints.load(checkpoints.save(model, tmp_path / "saved"))
    assert type(back) is type(model) and back.config == model.config and back.kind == model.kind
    ours, theirs = back.state_dict(), model.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in theirs)
    draw, copies = OUTPUTS.get(model.kind, generated), (private_copy(back), private_copy(model))
    with torch.no_grad():  # of copies: kernels round by where in memory a tensor begins, which differs between two files
        assert torch.equal(*map(draw, copies))
