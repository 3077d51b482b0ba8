"""What the training goldens share: inputs drawn by rule, networks of a file, errors relative to the largest entry."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import stylegan_core as sg
from stylegan_core.training import PhaseInputs, Trainer, TrainOptions
from tests.conftest import GOLDENS, Golden
from tests.rule import normal


def folder(name: str) -> Golden:
    return Golden(GOLDENS / name)


def off(got: Any, wanted: Any) -> float:
    """Largest error over the largest magnitude."""
    got, wanted = (np.asarray(x.detach() if isinstance(x, Tensor) else x, np.float64) for x in (got, wanted))
    assert got.size == wanted.size
    error = np.abs(got.reshape(-1) - wanted.reshape(-1))
    assert not np.isnan(error).any()
    return float(error.max() / max(np.abs(wanted).max(), 1e-12))


def off_rows(got: Any, wanted: Any) -> float:
    """Largest relative error of any entry, those below a millionth of the largest counted against that."""
    got, wanted = np.asarray(got, np.float64), np.asarray(wanted, np.float64)
    floor = 1e-6 * max(np.abs(wanted).max(), 1e-12)
    return float((np.abs(got - wanted) / np.maximum(np.abs(wanted), floor)).max())


def networks(case: Golden) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Raw generator, discriminator, averaged generator in float64."""
    file = case.file(case.json()["file"])
    return tuple(sg.load(file, dtype=torch.float64, which=which) for which in ("raw", "discriminator", "ema"))  # type: ignore


def options(info: dict[str, Any], **more: Any) -> TrainOptions:
    same = ("r1_gamma", "pl_weight", "pl_decay", "G_reg_interval", "D_reg_interval")
    averaging = ("ema_decay", "ema_kimg", "ema_rampup")
    return TrainOptions(lr=info.get("lr", 0.002), batch_size=info["batch"], **{k: info[k] for k in same},
                        **{k: info[k] for k in averaging if k in info}, **more)


def inputs(case: Golden, tag: str, phase: str, cutoff: int | None, rows: int, reals_from: str | None = None) -> PhaseInputs:
    info, names = case.json(), case.npz_names()

    def given(key: str, owner: str = tag) -> Tensor | None:
        name = f"in.{owner}.{key}"
        return case.tensor(name).double() if name in names else None

    side, seed = info["resolution"], info["seed"]
    sizes = [2 ** ((i + 5) // 2) for i in range(2 * int(np.log2(side)) - 3)]
    noise = [normal(f"{tag}.noise_{i}", (rows, 1, r, r), seed).double() for i, r in enumerate(sizes)]
    path_noise = normal(f"{tag}.pl_noise", (rows, 3, side, side), seed).double() if phase == "Greg" else None
    owner = reals_from or tag
    return PhaseInputs(z=given("z"), z_mix=None if cutoff is None else given("z_mix"), cutoff=cutoff, c=given("c"),
                       noise=None if phase == "Dreg" else noise, reals=given("reals", owner), real_c=given("real_c", owner),
                       path_noise=path_noise)


def run_sequence(case: Golden, trainer: Trainer) -> dict[str, list[float]]:
    """The operations of cases.json in their order."""
    reals, found = None, {"losses": [], "pl_mean": [], "ema_beta": []}
    for op in case.json()["sequence"]:
        if op["op"] == "ema":
            found["ema_beta"].append(trainer.update_ema(op["images_before"]))
            continue
        reals = op["tag"] if op["phase"] == "Dmain" else reals
        x = inputs(case, op["tag"], op["phase"], op["cutoff"], op["rows"], reals if op["phase"] == "Dreg" else None)
        found["losses"].append(float(trainer.run_phase(op["phase"], x)))
        found["pl_mean"].append(float(trainer.pl_mean))
    return found


def heads(module: nn.Module, names: list[str], before: dict[str, Tensor] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(2-norm, first 8 entries) of each named parameter, or of what it gained since `before`."""
    own = {name: p.detach() - (before[name] if before else 0) for name, p in module.named_parameters()}
    firsts = [np.pad(np.asarray(own[n]).reshape(-1)[:8], (0, max(0, 8 - own[n].numel()))) for n in names]
    return np.array([float(own[n].norm()) for n in names]), np.stack(firsts)


def parameters(module: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in module.named_parameters()}
