"""Training on pairs in one call, as the node makes it: previews, going on after an interruption, a report."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..engine import gradients
from ..errors import InvalidInput
from ..latents import Latents, ModelSignature, fingerprint
from ..networks.generators.base import Generator
from ..pictures.files import to_uint8
from ..pictures.rendering import render
from ..pictures.sheets import contact_sheet
from ..runtime import OnStep
from .pairs import PairsScore, PairsTrainer
from .pairs_options import PairsOptions
from .shown import with_curves

SHOWN, PREVIEWS, CELL = 4, 20, 256
THUMB = 64
"""Side at which two sets of targets are told apart."""


class SizedTargets(Sequence[Tensor]):
    """Pictures [C, H, W] in [-1, 1] of any size, brought to side x side one at a time."""

    def __init__(self, pictures: Sequence[Tensor], side: int, channels: int = 3) -> None:
        self.pictures, self.side, self.channels = pictures, side, channels

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, i: int) -> Tensor:  # type: ignore[override]
        picture = self.pictures[i].clone()[None].float()
        if picture.shape[-2:] != (self.side, self.side):
            picture = interpolate(picture, size=(self.side, self.side), mode="bilinear", antialias=True)
        return (picture.mean(dim=1, keepdim=True) if self.channels == 1 else picture)[0]


@dataclass(frozen=True)
class PairsResult:
    """What a training on pairs gives."""

    model: Generator
    comparison: Tensor
    """Targets above what the child draws, the last pairs (those held out), [1, 3, h, w] in [-1, 1]."""
    score: PairsScore
    report: str


def learn_pairs(base: Generator, latents: Latents, targets: Sequence[Tensor], options: PairsOptions,
                states: str | Path | None = None, on_step: OnStep | None = None) -> PairsResult:
    """A child of base that draws `targets` for `latents`; see PairsTrainer for what is refused.

    targets: pictures [3, H, W] in [-1, 1] of any size. states: folder that keeps what was learnt when on_step raises; the
    same call goes on there, any other begins anew.
    """
    if len(latents) != len(targets):
        raise InvalidInput(f"{len(latents)} latents came with {len(targets)} target pictures; connect one picture for each "
                           f"latent, in the same order.")
    trainer = PairsTrainer(base, options)
    base = trainer.base
    wanted = SizedTargets(targets, base.img_resolution, base.img_channels)
    state = None if states is None else Path(states) / f"pairs-{_key(base, latents, wanted, options)}.safetensors"
    if state is not None and state.is_file():
        trainer.resume(state)
    history: list[dict[str, float]] = []

    def tell(step: int, steps: int, losses: dict[str, float]) -> None:
        history.append(dict(losses))
        due = step % max(steps // PREVIEWS, 1) == 0
        picture = compare(trainer, base, latents, wanted) if due else None
        assert on_step is not None
        on_step(step, steps, None if picture is None else with_curves(picture, [{"loss": entry} for entry in history]))

    try:
        trainer.run(latents, wanted, None if on_step is None else tell)
    except BaseException:
        if state is not None and trainer.step:
            state.parent.mkdir(parents=True, exist_ok=True)
            trainer.save(state)
        raise
    score = trainer.score(latents, wanted)
    model = trainer.result()
    if state is not None:
        state.unlink(missing_ok=True)
    where = "held-out" if score.unseen else "training"
    report = (f"{len(wanted)} pairs, {trainer.step} steps; on {score.count} {where} pictures: difference {score.l1:.4f}, LPIPS "
              f"{score.lpips:.4f} (lower is nearer).\nLicence inherited from the parent: {model.info.licence}.")
    return PairsResult(model, compare(trainer, base, latents, wanted), score, report)


@torch.no_grad()
def compare(trainer: PairsTrainer, base: Generator, latents: Latents, wanted: Sequence[Tensor]) -> Tensor:
    """Targets above what the child draws now, of the last pairs -> one picture [1, 3, h, w]."""
    last = list(range(len(wanted)))[-SHOWN:]
    with gradients(), torch.no_grad():
        drawn = render(trainer.result(), Latents(latents.tensor[last].clone(), latents.space, base))
    both = torch.cat([torch.stack([wanted[i] for i in last]), drawn.cpu()])
    return contact_sheet(both, len(last), cell=min(CELL, base.img_resolution), row_titles=("target", "child"))


def _key(base: Generator, latents: Latents, wanted: Sequence[Tensor], options: PairsOptions) -> str:
    """Names a training by all that it depends on."""
    digest = hashlib.sha256(f"{ModelSignature.of(base)} {fingerprint(base.synthesis.state_dict())} {asdict(options)}".encode())
    digest.update(latents.tensor.float().cpu().numpy().tobytes())
    for i in range(len(wanted)):
        small = interpolate(wanted[i][None], size=(THUMB, THUMB), mode="area")[0]
        digest.update(to_uint8(small.expand(3, -1, -1)).tobytes())
    return digest.hexdigest()[:16]
