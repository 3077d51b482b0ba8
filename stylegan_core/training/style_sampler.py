"""A style sampler for a bank: both parts trained as published, resumable, and its draws held against the bank."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..checkpoints.containers import read_file
from ..checkpoints.layouts.sampler import RENAMED
from ..checkpoints.safetensors_file import read_json, write_safetensors
from ..errors import InvalidInput, LoadError
from ..latents import Latents
from ..networks.sampler import StyleSampler, StyleSamplerConfig
from ..runtime import OnStep
from .draws import generator_for
from .dual_start import uniform
from .sampler import train_sampler

ROWS, ROW_EPOCHS, JITTER, BATCH = 1000, 500_000, 0.05, 128
"""Codes are repeated to about ROWS rows, jittered once, and seen ROW_EPOCHS times in all (2203.13248, section 3.4)."""
SAVED_EVERY = 25
PARTS = {"structure": 0, "color": 1}


def fit_sampler(codes: Latents, structure_rows: int, epochs: int | None = None, seed: int = 0, state: Path | None = None,
                on_step: OnStep | None = None) -> StyleSampler:
    """Style codes (z+ or w+) -> a sampler of such codes, in eval mode; see train_sampler for the criterion.

    structure_rows: leading rows that carry structure. epochs: None as published, 500 000 over the rows. state: a file that
    keeps what is learnt, and is gone on from. on_step(epoch, all epochs of both parts, None) may raise to stop. Raises
    InvalidInput.
    """
    if not codes.space.endswith("+") or not 0 < structure_rows < codes.tensor.shape[1]:
        raise InvalidInput(f"A sampler learns from z+ or w+ codes with more than {structure_rows} rows, and got "
                           f"{list(codes.tensor.shape)} in {codes.space}; give a bank of styles.")
    with torch.inference_mode(False), torch.enable_grad():
        return _fitted(jittered(codes.tensor.clone().float(), seed, codes.space), codes.space, structure_rows, epochs, seed,
                       state, on_step)


def _fitted(data: Tensor, space: Any, structure_rows: int, epochs: int | None, seed: int, state: Path | None,
            on_step: OnStep | None) -> StyleSampler:
    epochs = max(1, ROW_EPOCHS // len(data)) if epochs is None else epochs
    config = StyleSamplerConfig(structure_rows, data.shape[1] - structure_rows, data.shape[2], space=space)
    with torch.random.fork_rng(devices=[]):
        sampler = StyleSampler(config)
    told = {"seed": seed, "epochs": epochs, "shape": list(data.shape)}
    done = _begin(sampler, seed, state, told)
    for part, number in PARTS.items():
        rows = data[:, :structure_rows] if part == "structure" else data[:, structure_rows:]
        for epoch in range(done - number * epochs, epochs):
            _epoch(sampler, part, rows.flatten(1), epoch, 2 * seed + number)
            done += 1
            if state is not None and (done % SAVED_EVERY == 0 or done == 2 * epochs):
                _save(sampler, state, done, told)
            if on_step is not None:
                on_step(done, 2 * epochs, None)
    return sampler.eval().requires_grad_(False)


def jittered(codes: Tensor, seed: int = 0, space: str = "z+") -> Tensor:
    """codes [N, rows, dim] repeated to about ROWS, each with noise of its own; w+ noise in units of the codes' spread."""
    repeated = codes.repeat(max(ROWS // len(codes), -(-BATCH // len(codes))), 1, 1)
    noise = torch.randn(repeated.shape, generator=generator_for(seed, 0, "data")).to(codes)
    return repeated + JITTER * noise * (codes.std() if space == "w+" else 1.0)


def _epoch(sampler: StyleSampler, part: str, data: Tensor, epoch: int, seed: int) -> None:
    """One epoch of a part; what it draws is a function of seed and epoch."""
    net = getattr(sampler, part)
    draw = generator_for(seed, epoch, "score")
    published = {f"{theirs}.{leaf}": f"{ours}.{leaf}" for theirs, ours in RENAMED.items()
                 for leaf in ("weight", "bias", "running_mean", "running_var")}
    own = net.state_dict()
    trained = train_sampler(data, {theirs: own[ours] for theirs, ours in published.items() if ours in own}, epoch, 1, BATCH,
                            lambda shape: torch.randn(shape, generator=draw).to(data),
                            [torch.randperm(len(data), generator=draw)])
    net.load_state_dict({published[theirs]: t for theirs, t in trained.state.items()})


def _begin(sampler: StyleSampler, seed: int, state: Path | None, told: dict) -> int:
    """Seeded weights, or those of the state; -> epochs done. Raises InvalidInput for a state of other settings."""
    draw = generator_for(seed, 0, "Gmain")
    with torch.no_grad():
        for p in (p for p in sampler.parameters() if p.ndim == 2):
            p.copy_(uniform(p.shape, p.shape[1], draw))
    if state is None or not state.is_file():
        return 0
    try:
        contents = read_file(state)
        facts = read_json(contents.metadata) or {}
        tensors = {key: lazy.read().clone() for key, lazy in contents.tree.items()}
        if facts["told"] != told:
            raise InvalidInput(f"{state.name} was begun with {facts['told']} and now {told} is asked for; go on with the same, "
                               f"or delete it.")
        sampler.load_state_dict(tensors)
        return int(facts["done"])
    except (LoadError, KeyError, RuntimeError):  # half a file: the work is done again
        return 0


def _save(sampler: StyleSampler, state: Path, done: int, told: dict) -> None:
    write_safetensors(state, sampler.state_dict(), {"family": "training_state", "done": done, "told": told}, overwrite=True)


@dataclass(frozen=True)
class SamplerCheck:
    """A sampler's draws against the bank."""

    draws: int
    coverage: float
    """Share of the bank's styles that have a draw within half the distance to their nearest neighbour in the bank."""
    novelty: float
    """Mean distance of a draw from the nearest style, against that of the bank's styles from each other: 0 copies, 1 is as new
    as the bank's styles are to one another."""

    def __str__(self) -> str:
        return (f"{self.draws} draws reach {self.coverage:.0%} of the styles, novelty {self.novelty:.2f} (0 copies, 1 as new "
                f"as the styles are to one another)")


@torch.no_grad()
def check_sampler(sampler: StyleSampler, codes: Latents, draws: int = 256, seed: int = 0) -> SamplerCheck:
    """Coverage and novelty of `draws` draws. Raises InvalidInput for fewer than two styles."""
    if len(codes) < 2:
        raise InvalidInput("One style has no neighbours to compare draws with; give a bank of two or more.")
    bank, drawn = codes.tensor.float().flatten(1), sampler.sample(draws, seed).tensor.float().flatten(1)
    between, away = torch.cdist(bank, bank), torch.cdist(drawn, bank)
    between.fill_diagonal_(float("inf"))
    nearest = between.amin(1)
    return SamplerCheck(draws, float((away.amin(0) < nearest / 2).float().mean()), float(away.amin(1).mean() / nearest.mean()))
