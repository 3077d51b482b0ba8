"""Training files of the published codes: going on from them, writing one for them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..checkpoints import load
from ..checkpoints.rosinality_training import Adam, TrainingState, read_training, write_training
from ..errors import InvalidInput
from ..networks.generators.base import Generator
from .options import TrainOptions

ARGS = {"arch": "stylegan2", "n_sample": 64, "path_batch_shrink": 2, "mixing": 0.9, "ckpt": None, "channel_multiplier": 2,
        "wandb": False, "local_rank": 0, "augment": False, "augment_p": 0, "ada_target": 0.6, "ada_length": 500_000,
        "ada_every": 256, "iter": 800_000, "path": "", "distributed": False, "start_iter": 0}
"""What rosinality's parser fills in; a resumed file's own values take their place."""


class TrainingFile(NamedTuple):
    """What such a file holds."""

    G: Generator
    D: nn.Module
    E: Generator
    """The averaged generator."""
    state: TrainingState


def read_training_file(path: str | Path, dtype: torch.dtype | None = None) -> TrainingFile:
    """A file of rosinality's or NVIDIA's. Raises LoadError when it has no discriminator or an optimizer of another network."""
    G, D, E = (load(path, dtype=dtype, which=which) for which in ("raw", "discriminator", "ema"))
    return TrainingFile(G, D, E, read_training(path))  # type: ignore[arg-type]


def write_training_file(path: str | Path, networks: Mapping[str, nn.Module], adam: Mapping[str, Adam], options: TrainOptions,
                        file_args: Mapping[str, Any], ada_p: float, layout: str = "rosinality") -> Path:
    """A file that rosinality's code continues; the number in its name tells the iteration. networks by "G", "D" and "E", Adam's
    states of "G" and "D". Raises InvalidInput.
    """
    if layout != "rosinality":
        raise InvalidInput(f'Training files of layout "{layout}" are not written; use "rosinality".')
    generator: Any = networks["G"]
    args: dict[str, Any] = {
        **ARGS, "size": generator.img_resolution, "latent": generator.w_dim, "n_mlp": generator.config.mapping.num_layers,
        "batch": options.batch_size, "lr": options.lr, "r1": options.r1_gamma, "path_regularize": options.pl_weight,
        "g_reg_every": options.G_reg_interval, "d_reg_every": options.D_reg_interval, **file_args,
    }
    return write_training(path, networks, adam, {tag: options.adam(tag) for tag in "GD"}, args, ada_p)


def set_adam(optimizer: torch.optim.Optimizer, network: nn.Module, adam: Adam) -> None:
    """Give an optimizer the state of a network's tensors by name, copied."""
    for name, parameter in network.named_parameters():
        if parameter.requires_grad and name in adam:
            entry = adam[name]
            optimizer.state[parameter] = {"step": entry["step"].float().clone(),
                                          "exp_avg": entry["exp_avg"].to(parameter).clone(),
                                          "exp_avg_sq": entry["exp_avg_sq"].to(parameter).clone()}


def get_adam(optimizer: torch.optim.Optimizer, network: nn.Module) -> dict[str, dict[str, Tensor]]:
    """An optimizer's state by the name of a network's tensors; only of those that had a step."""
    state = optimizer.state
    return {name: dict(state[p]) for name, p in network.named_parameters() if p in state and state[p]}
