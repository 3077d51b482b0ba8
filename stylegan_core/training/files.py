"""Training files of the published codes: going on from them, writing one for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..checkpoints import load
from ..checkpoints.rosinality_training import Adam, read_training, write_training
from ..errors import InvalidInput
from .ada import AdaController
from .options import TrainOptions

if TYPE_CHECKING:
    from .trainer import Trainer

ARGS = {"arch": "stylegan2", "n_sample": 64, "path_batch_shrink": 2, "mixing": 0.9, "ckpt": None, "channel_multiplier": 2,
        "wandb": False, "local_rank": 0, "augment": False, "augment_p": 0, "ada_target": 0.6, "ada_length": 500_000,
        "ada_every": 256, "iter": 800_000, "path": "", "distributed": False, "start_iter": 0}
"""What rosinality's parser fills in; a resumed file's own values take their place."""


def resume(path: str | Path, options: TrainOptions, dtype: torch.dtype | None = None) -> Trainer:
    """See Trainer.resume. Raises LoadError when the file has no discriminator or an optimizer of another network."""
    from .trainer import Trainer

    raw, discriminator, averaged = (load(path, dtype=dtype, which=which) for which in ("raw", "discriminator", "ema"))
    state = read_training(path)
    trainer = Trainer(raw, discriminator, averaged, options, ada=AdaController(convention="rosinality", p=state.ada_p))  # type: ignore[arg-type]
    trainer.iteration, trainer.file_args = state.iteration, state.args
    for tag, adam in state.adam.items():
        if adam is not None:
            set_adam(trainer, tag, adam)
    return trainer


def set_adam(trainer: Trainer, tag: str, adam: Adam) -> None:
    """Give the optimizer of "G" or "D" its state by parameter name."""
    optimizer = trainer.optimizers[tag]
    for name, parameter in trainer.network(tag).named_parameters():
        if parameter.requires_grad and name in adam:
            entry = adam[name]
            optimizer.state[parameter] = {"step": entry["step"].float().clone(),
                                          "exp_avg": entry["exp_avg"].to(parameter).clone(),
                                          "exp_avg_sq": entry["exp_avg_sq"].to(parameter).clone()}


def get_adam(trainer: Trainer, tag: str) -> Adam:
    """The optimizer's state by parameter name; only of tensors that had a step."""
    state = trainer.optimizers[tag].state
    return {name: dict(state[p]) for name, p in trainer.network(tag).named_parameters() if p in state and state[p]}


def save(trainer: Trainer, path: str | Path, layout: str = "rosinality") -> Path:
    """See Trainer.save. The number in the file's name tells the iteration to rosinality's code."""
    if layout != "rosinality":
        raise InvalidInput(f'Training files of layout "{layout}" are not written; use "rosinality".')
    options, config = trainer.options, trainer.G.config
    args: dict[str, Any] = {
        **ARGS, "size": trainer.G.img_resolution, "latent": trainer.G.w_dim, "n_mlp": config.mapping.num_layers,
        "batch": options.batch_size, "lr": options.lr, "r1": options.r1_gamma, "path_regularize": options.pl_weight,
        "g_reg_every": options.G_reg_interval, "d_reg_every": options.D_reg_interval, **trainer.file_args,
    }
    networks = {"G": trainer.G, "D": trainer.D, "E": trainer.E or trainer.G}
    adam = {tag: get_adam(trainer, tag) for tag in "GD"}
    return write_training(path, networks, adam, {tag: options.adam(tag) for tag in "GD"}, args, float(trainer.ada_p))
