"""Commands that make a DualStyleGAN and its sampler."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from ..checkpoints import SAFETENSORS, check_target, load, save
from ..errors import InvalidInput
from ..networks.dualstylegan import DualStyleGAN
from ..networks.generators.base import Generator
from ..training.dual import STAGE_3
from ..training.dual_options import AUTO, PRESETS, DualOptions
from ..training.dual_recipe import MODEL, OnStage, train_dual
from ..training.dual_start import DualStart, start_from
from ..training.processes import join_processes, leave_processes
from ..training.style_sampler import check_sampler, fit_sampler
from .shared import Bar, load_generator, load_kind, model_path, say

CHANGES = ("kind", "finetune_kimg", "destylize_steps", "truncation_psi", "structure", "style", "batch_size", "micro_batch",
           "hidden", "judge_resolution", "refine_steps", "lr_color", "lr_structure", "sampler_epochs", "seed")
"""Options of a run that may be given one by one, beside the preset's."""
SKIPPED = {"fine-tuning": "finetune_kimg", "structure": "structure", "style": "style", "refinement": "refine_steps",
           "sampler": "sampler_epochs"}
"""Stages that --skip names, and the option that is 0 then."""
OWN_ENCODER = {"base": "encoder", "base-256": "encoder"}


def add_train_dual(sub: argparse.ArgumentParser) -> None:
    """Its arguments."""
    sub.add_argument("--data", required=True, type=Path, help="folder or zip of 10 or more drawings of one style, better 100")
    sub.add_argument("--base", required=True, help="generator file or built-in, or a generator-pretrain.pt to go on from")
    sub.add_argument("--out", required=True, type=Path, help="folder of the run")
    sub.add_argument("--encoder", help="encoder of the base (default: the built-in one for the built-in bases)")
    sub.add_argument("--styled", help="one fine-tuned on the drawings already, such as finetune-000600.pt")
    sub.add_argument("--preset", choices=tuple(PRESETS), help="default: published on an accelerator, small on a CPU")
    sub.add_argument("--length", type=float, default=1.0, help="times the preset's steps in every stage (default 1)")
    sub.add_argument("--kind", choices=(AUTO, *STAGE_3), help="whose weights stage III takes (default auto)")
    sub.add_argument("--skip", default="", help=f"comma list of {', '.join(SKIPPED)}")
    sub.add_argument("--resume", action="store_true", help="go on with the run in --out")
    sub.add_argument("--no-align", action="store_true", help="the drawings are aligned squares already")
    sub.add_argument("--no-faces", action="store_true", help="the base draws other things than faces")
    sub.add_argument("--licence", default="unknown", help="of the drawings; told in the licence chain")
    sub.add_argument("--finetune-kimg", type=float, help="thousands of drawings shown in fine-tuning")
    sub.add_argument("--destylize-steps", type=int, help="optimization steps a drawing")
    sub.add_argument("--truncation", type=float, dest="truncation_psi", help="of the faces behind the drawings; 0.5 for styles "
                                                                             "far from faces")
    sub.add_argument("--structure", type=float, help="share of stage II's 3600 iterations")
    sub.add_argument("--style", type=float, help="share of stage III's iterations")
    sub.add_argument("--batch-size", type=int)
    sub.add_argument("--micro-batch", type=int, help="pictures in one pass; the rest accumulates")
    sub.add_argument("--hidden", type=int, help="channels inside the residual blocks")
    sub.add_argument("--judge-resolution", type=int, help="px at which the discriminator looks")
    sub.add_argument("--refine-steps", type=int, help="steps of latent optimization a style")
    sub.add_argument("--lr-color", type=float, help="rate of latent optimization for color rows")
    sub.add_argument("--lr-structure", type=float, help="and for structure rows")
    sub.add_argument("--sampler-epochs", type=int)
    sub.add_argument("--seed", type=int)
    sub.add_argument("--device", default="cpu", help="such as cpu, cuda (default cpu)")


def run_train_dual(a: argparse.Namespace) -> int:
    """The whole recipe; under torchrun the processes share batches and drawings."""
    processes = join_processes(a.device)
    try:
        options = _options(a, processes.device)
        base, start = _base(a.base, processes.device, options.seed)
        name = a.encoder or OWN_ENCODER.get(a.base)
        encoder = None if name is None else load_kind(name, "encoder", processes.device)
        styled = None if a.styled is None else load_generator(a.styled, processes.device)
        found = train_dual(base, a.data, encoder, a.out, options, a.resume, styled, start, a.licence, processes,
                           on_step=_bars())
        if processes.leads:
            say(f"{found.report}\nThe model and its styles: {a.out / MODEL}.safetensors and beside it")
    finally:
        leave_processes()
    return 0


def _options(a: argparse.Namespace, device: str) -> DualOptions:
    preset = PRESETS[a.preset or ("small" if device.startswith("cpu") else "published")].scaled(a.length)
    changes = {name: getattr(a, name) for name in CHANGES if getattr(a, name) is not None}
    skipped = [part.strip() for part in a.skip.split(",") if part.strip()]
    if unknown := [part for part in skipped if part not in SKIPPED]:
        raise InvalidInput(f'There is no stage "{unknown[0]}" to skip; use {", ".join(SKIPPED)}.')
    return replace(preset.on(device), align=not a.no_align, faces=not a.no_faces, **changes,
                   **{SKIPPED[part]: 0 for part in skipped})


def _base(name: str, device: str, seed: int) -> tuple[Generator, DualStart | None]:
    """A generator, or the one inside a DualStyleGAN that is gone on from."""
    model = load(model_path(name), device)
    if not isinstance(model, DualStyleGAN):
        return load_generator(name, device), None
    start = start_from(model, model.img_resolution, seed)
    return start.average.base, start


def _bars() -> OnStage:
    """A bar for each stage, as it comes."""
    bars: dict[str, Bar] = {}

    def on_step(stage: str, i: int, n: int, shown: object) -> None:
        if stage not in bars:
            bars[stage] = Bar(stage)
        bars[stage](i, n)

    return on_step


def add_train_sampler(sub: argparse.ArgumentParser) -> None:
    """Its arguments."""
    sub.add_argument("styles", help="bank of style codes: a file, or styles (the built-in)")
    sub.add_argument("out", type=Path, help="new .safetensors file")
    sub.add_argument("--model", default="dualstylegan", help="the DualStyleGAN the styles are for (default: the built-in)")
    sub.add_argument("--epochs", type=int, help="default: 500 000 codes seen in all, as published")
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument("--overwrite", action="store_true", help="replace an existing file")


def run_train_sampler(a: argparse.Namespace) -> int:
    """A sampler of styles like those of a bank; what an interrupted one has learnt waits beside OUT."""
    out = check_target(a.out, SAFETENSORS, a.overwrite)
    bank, dual = load_kind(a.styles, "style_bank"), load_kind(a.model, "dualstylegan")
    codes = bank.latents()
    codes.check(dual.base)
    state = out.with_name(f"{out.stem}.state.safetensors")
    sampler = fit_sampler(codes, dual.rows[0], a.epochs, a.seed, state, Bar("sampler"))
    sampler.info = bank.info.child(sampler.kind)
    save(sampler, out, overwrite=a.overwrite)
    state.unlink(missing_ok=True)
    say(f"wrote {out}" + (f" ({check_sampler(sampler, codes)})" if len(codes) > 1 else ""))
    return 0
