"""Codes of many drawings, one after another: destylized with scores, refined. A killed run loses one drawing at most, and
processes share them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..checkpoints.containers import read_file
from ..checkpoints.safetensors_file import read_json, write_safetensors
from ..errors import InvalidInput, LoadError
from ..faces.frame import crop_points
from ..inversion.encode import PortraitEncoder
from ..latents import Latents, ModelSignature
from ..losses.identity import IdentityLoss
from ..losses.perceptual import LPIPS
from ..networks.dualstylegan import DualStyleGAN
from ..networks.encoders.psp import INPUT
from ..networks.generators.base import Generator
from ..ops.resize import resize_area
from ..runtime import OnStep
from ..stylization import DestylizeOptions, Destylizer, Refinement, RefineOptions
from .data import PictureSet
from .processes import Processes

Result = tuple[dict[str, Tensor], dict[str, Any]]
Make = Callable[[int, OnStep], Result]
STRAYED = 3.0
"""A drawing is redrawn badly when its distance lies so many deviations above the median, and half above it."""
DEVIATION = 1.4826
"""Of a normal distribution, over its median absolute deviation."""


def work_through(folder: Path, count: int, make: Make, processes: Processes, steps: int = 1,
                 on_step: OnStep | None = None) -> list[Result]:
    """make(i, on_step) for every i below count -> all results (tensors, facts), in order.

    Each is kept as a file of `folder` and not made again. steps: of one item, as make's on_step counts them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(processes.rank, count, processes.count):
        if _read(folder, i) is None:
            def tell(step: int, _: int, shown: Tensor | None, before: int = i * steps) -> None:
                if on_step is not None and processes.leads:
                    on_step(min(before + step, count * steps), count * steps, shown)

            tensors, facts = make(i, tell)
            write_safetensors(_file(folder, i), tensors, {"family": "training_state", "facts": facts}, overwrite=True)
    processes.wait()
    found = [_read(folder, i) for i in range(count)]
    if any(each is None for each in found):
        raise InvalidInput(f"{folder} lost some of its {count} files while they were made; run the same again.")
    return found  # type: ignore[return-value]


def _file(folder: Path, i: int) -> Path:
    return folder / f"{i:05d}.safetensors"


def _read(folder: Path, i: int) -> Result | None:
    if not _file(folder, i).is_file():
        return None
    try:
        contents = read_file(_file(folder, i))
        facts = (read_json(contents.metadata) or {})["facts"]
        return {key: lazy.read().clone() for key, lazy in contents.tree.items()}, facts
    except (LoadError, KeyError):  # half a file: made again
        return None


@dataclass(frozen=True, eq=False)
class DrawnCodes:
    """Destylized drawings; entry k belongs to rows[k] of the pictures."""

    rows: tuple[int, ...]
    names: tuple[str, ...]
    intrinsic: Latents
    extrinsic: Latents
    faces: Tensor
    """[N, 3, s, s], s at most 256: the faces behind the drawings, in [-1, 1]."""
    scores: tuple[float, ...]
    """LPIPS of each drawing from what its code redraws; lower is surer."""
    distance: float
    """Mean identity distance between the drawings and their faces."""
    failed: dict[str, str]
    """Names of the drawings that are left out, and why."""

    def report(self) -> list[str]:
        """A sentence a kind."""
        reasons: dict[str, list[str]] = {}
        for name, why in self.failed.items():
            reasons.setdefault(why, []).append(name)
        said = [f"Left out, {why}: {', '.join(names)}." for why, names in reasons.items()]
        best, worst = min(self.scores), max(self.scores)
        return [*said, f"{len(self.names)} drawings destylized, redrawn at LPIPS {best:.3f} to {worst:.3f}; their persons lie "
                       f"{self.distance:.2f} from the faces behind them."]


def destylize_all(base: Generator, styled: Generator, encoder: PortraitEncoder, data: PictureSet, options: DestylizeOptions,
                  folder: Path, faces: bool = True, processes: Processes | None = None, on_step: OnStep | None = None,
                  perceptual: LPIPS | None = None, identity: Any = None, least: int = 1) -> DrawnCodes:
    """Every drawing's codes, with a score; those that fail are named and left out. See Destylizer for the networks.

    faces: a face behind a drawing in which none is seen is a failure. Raises InvalidInput when fewer than `least` are left.
    """
    processes = processes or Processes(device=str(next(base.parameters()).device))
    device = processes.device
    perceptual = (perceptual or LPIPS.embedded()).to(device)
    identity = IdentityLoss.embedded().to(device) if identity is None else identity

    def make(i: int, tell: OnStep) -> Result:
        drawing = data.take(torch.tensor([i]).numpy()).to(device)
        found = Destylizer(base, styled, encoder, drawing, replace(options, chunk=1, seed=options.seed + i), perceptual,
                           identity)
        try:
            result = found.run(tell)
        except InvalidInput as error:  # codes that are no numbers
            return {}, {"failed": str(error)}
        face = _small(result.faces["destylized"]).clamp(-1, 1)
        with torch.no_grad():
            own, seen = _small(drawing), face.to(drawing)
            last = found.history[0][-1]["perceptual"] if found.history[0] else float(perceptual(seen, own).mean())
            away = float(identity(seen, own).mean())
        tensors = {"intrinsic": result.intrinsic.tensor, "extrinsic": result.extrinsic.tensor, "face": face}
        return tensors, {"score": last, "identity": away, "seen": not faces or crop_points(face)[0] is not None}

    kept = work_through(folder, len(data), make, processes, max(options.steps, 1), on_step)
    return _chosen(kept, data.names, encoder.space, ModelSignature.of(base), least)


def _chosen(results: Sequence[Result], names: Sequence[str], space: Any, made_for: ModelSignature, least: int) -> DrawnCodes:
    scores = torch.tensor([facts.get("score", float("nan")) for _, facts in results], dtype=torch.float64)
    middle = scores.nanmedian()
    spread = DEVIATION * (scores - middle).abs().nanmedian()
    bad = scores > torch.maximum(middle + STRAYED * spread, 1.5 * middle)
    failed: dict[str, str] = {}
    for i, (name, (_, facts)) in enumerate(zip(names, results, strict=True)):
        if "failed" in facts:
            failed[name] = "their codes became no numbers"
        elif not facts["seen"]:
            failed[name] = "no face was found behind them"
        elif bool(bad[i]):
            failed[name] = "redrawn far worse than the others"
    rows = tuple(i for i, name in enumerate(names) if name not in failed)
    if len(rows) < least:
        raise InvalidInput(f"{len(rows)} of {len(names)} drawings could be destylized and at least {least} are needed "
                           f"({', '.join(f'{n}: {w}' for n, w in list(failed.items())[:3])}); use aligned portraits, a longer "
                           f"fine-tuning, or more steps.")
    codes = [Latents(torch.cat([results[i][0][key] for i in rows]), space, made_for) for key in ("intrinsic", "extrinsic")]
    away = sum(results[i][1]["identity"] for i in rows) / len(rows)
    return DrawnCodes(rows, tuple(names[i] for i in rows), codes[0], codes[1], torch.cat([results[i][0]["face"] for i in rows]),
                      tuple(float(scores[i]) for i in rows), away, failed)


def refine_all(dual: DualStyleGAN, codes: DrawnCodes, data: PictureSet, options: RefineOptions, folder: Path,
               processes: Processes | None = None, on_step: OnStep | None = None, **networks: Any
               ) -> tuple[Latents, list[str]]:
    """Every style moved until dual redraws its drawing from the face behind it; see Refinement. -> (the styles, names of those
    that stay as they were since refining gave no numbers)."""
    processes = processes or Processes(device=str(next(dual.parameters()).device))

    def make(i: int, tell: OnStep) -> Result:
        drawing = data.take(torch.tensor([codes.rows[i]]).numpy()).to(processes.device)
        work = Refinement(dual, codes.intrinsic.pick(i), codes.extrinsic.pick(i), drawing, replace(options, chunk=1),
                          **networks)
        try:
            refined = work.run(tell)
        except InvalidInput:
            return {"extrinsic": codes.extrinsic.pick(i).tensor}, {"failed": True}
        return {"extrinsic": refined.extrinsic.tensor, "image": _small(refined.images).clamp(-1, 1)}, {}

    found = work_through(folder, len(codes.rows), make, processes, max(options.steps, 1), on_step)
    same = [name for name, (_, facts) in zip(codes.names, found, strict=True) if facts]
    joint = torch.cat([tensors["extrinsic"] for tensors, _ in found])
    return Latents(joint, codes.extrinsic.space, codes.extrinsic.model), same


def _small(images: Tensor) -> Tensor:
    return resize_area(images, INPUT) if images.shape[-1] > INPUT else images
