"""Commands that train and measure."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

import numpy as np

from ..checkpoints.writing import check_target
from ..errors import InvalidInput
from ..metrics import best_separability, compare_sets, path_length, sample_pictures
from ..metrics.features import in_batches
from ..metrics.networks import best_features, best_perceptual
from ..metrics.plot import plot_measures
from ..networks.generators.base import Generator
from ..pictures.files import write_image
from ..training.ada import SETS
from ..training.data import prepare_pictures
from ..training.encoder import EncoderOptions, train_encoder
from ..training.growing import BATCHES, CRITICS, GROWTH, fresh_stylegan1
from ..training.one_drawing import MIXED
from ..training.processes import join_processes, leave_processes
from ..training.recipe import GROW, ONE, PRESETS, fine_tune
from .shared import Bar, load_generator, say

METRICS = ("fid", "kid", "pr", "ppl", "ls")
CHANGES = ("kimg", "batch_size", "micro_batch", "lr", "r1_gamma", "augment", "freeze_d", "layers", "pull_weights",
           "pull_features", "judge_resolution", "seed", "tick_kimg", "score_pictures", "patience", "checkpoint_minutes",
           "train_mapping", "G_reg_interval", "D_first_kimg", "ema_kimg", "bfloat16")
"""Options of a run that may be given one by one, beside the preset's."""

ENCODER = EncoderOptions()
ONE_CHANGES = ("steps", "structure", "lr", "seed")
"""Of a run on one drawing."""
GROWN = ("phase_kimg", "adversary", "devices")
"""Of growing alone."""


def add_train(sub: argparse.ArgumentParser) -> None:
    """Its arguments."""
    sub.add_argument("--data", required=True, type=Path, help="folder or zip of pictures, NVIDIA's dataset zip too")
    sub.add_argument("--base", help="model file or built-in that the child is made from; growing needs none")
    sub.add_argument("--out", required=True, type=Path, help="folder of the run")
    sub.add_argument("--preset", choices=PRESETS, default="standard",
                     help="how long, fitted to pictures and device; the style of a single picture; or a StyleGAN1 "
                          "from nothing, as its paper trains it")
    sub.add_argument("--resume", action="store_true", help="go on with the run in --out")
    sub.add_argument("--align", action="store_true", help="turn and crop faces as FFHQ does")
    sub.add_argument("--resolution", type=int, help="the base's side in px, to be sure of it; or that of a new StyleGAN1")
    sub.add_argument("--licence", default="unknown", help="of the pictures; told in the model's licence chain")
    sub.add_argument("--kimg", type=float, help="thousands of pictures to show, over all sittings")
    sub.add_argument("--batch-size", type=int)
    sub.add_argument("--micro-batch", type=int, help="pictures in one pass; the rest accumulates")
    sub.add_argument("--lr", type=float)
    sub.add_argument("--r1-gamma", type=float)
    sub.add_argument("--augment", choices=tuple(SETS))
    sub.add_argument("--freeze-d", type=int, help="layers of the discriminator that stay, from the picture on")
    sub.add_argument("--layers", help='which layers learn: all, coarse, middle, fine, or px such as "4-32"')
    sub.add_argument("--train-mapping", action="store_const", const=True, help="the mapping learns too")
    sub.add_argument("--pull-weights", type=float, help="draw each weight to the parent's")
    sub.add_argument("--pull-features", type=float, help="draw coarse features to the parent's")
    sub.add_argument("--path-length-every", type=int, dest="G_reg_interval", help="iterations between path length phases")
    sub.add_argument("--judge-resolution", type=int, help="px at which the discriminator looks")
    sub.add_argument("--seed", type=int)
    sub.add_argument("--tick-kimg", type=float, help="thousands of pictures between scores and sample grids")
    sub.add_argument("--score-pictures", type=int, help="pictures a score is taken over, 0 for none")
    sub.add_argument("--patience", type=int, help="stop after so many ticks without a better score")
    sub.add_argument("--checkpoint-minutes", type=float)
    sub.add_argument("--discriminator-first", type=float, dest="D_first_kimg",
                     help="thousands of pictures that teach the discriminator alone")
    sub.add_argument("--ema-kimg", type=float, help="half-life of the averaged generator, in thousands of pictures")
    sub.add_argument("--bfloat16", action=argparse.BooleanOptionalAction,
                     help="draw in 16 bits while learning, where that is fast")
    sub.add_argument("--steps", type=int, help="one drawing: steps")
    sub.add_argument("--structure", choices=tuple(MIXED), help="one drawing: faces keep their shapes, or take the drawing's")
    sub.add_argument("--phase-kimg", type=float, help="growing: thousands of pictures a level learns, and fades in")
    sub.add_argument("--adversary", choices=tuple(CRITICS), help="growing: the losses")
    sub.add_argument("--devices", type=int, choices=tuple(BATCHES), help="growing: whose batches")
    sub.add_argument("--device", default="cpu", help="such as cpu, cuda (default cpu)")


def train(a: argparse.Namespace) -> int:
    """Fine-tune a generator on unpaired pictures; under torchrun each process takes its share of every batch."""
    processes = join_processes(a.device)
    try:
        base = _base_of(a, processes.device)
        if a.resolution not in (None, base.img_resolution):
            raise InvalidInput(f"{a.base} draws {base.img_resolution} px and not {a.resolution}; give a base of that size.")
        known = {ONE: ONE_CHANGES, GROW: GROWTH}.get(a.preset, CHANGES)
        changes = {name: getattr(a, name) for name in (*CHANGES, *ONE_CHANGES, *GROWN) if getattr(a, name) is not None}
        if foreign := [name for name in changes if name not in known]:
            raise InvalidInput(f'--{foreign[0].replace("_", "-")} has no place in preset "{a.preset}"; leave it out.')
        result = fine_tune(base, a.data, a.out, a.preset, a.resume, a.align, a.licence, processes,
                           on_prepare=Bar("checking pictures") if processes.leads else None,
                           on_step=Bar("training") if processes.leads else None, **changes)
        if processes.leads:
            say(f"{result.report}\nThe model: {_model_of(a.out)}")
    finally:
        leave_processes()
    return 0


def _base_of(a: argparse.Namespace, device: str) -> Generator:
    if a.base is not None:
        return load_generator(a.base, device)
    if a.preset != GROW or a.resolution is None:
        raise InvalidInput(f'No base was given; give --base, or --resolution with --preset "{GROW}".')
    return fresh_stylegan1(a.resolution).to(device)


def _model_of(out: Path) -> Path:
    best = out / "best.safetensors"
    return best if best.is_file() else out / "last.safetensors"


def add_train_encoder(sub: argparse.ArgumentParser) -> None:
    """Its arguments."""
    sub.add_argument("base", help="model file or built-in that the encoder is for")
    sub.add_argument("--out", required=True, type=Path, help="folder of the run; encoder.safetensors comes to lie there")
    sub.add_argument("--resume", action="store_true", help="go on with the run in --out")
    sub.add_argument("--steps", type=int, default=ENCODER.steps, help=f"on codes alone (default {ENCODER.steps})")
    sub.add_argument("--image-steps", type=int, default=ENCODER.image_steps,
                     help=f"through the generator as well, after them (default {ENCODER.image_steps})")
    sub.add_argument("--batch-size", type=int, default=ENCODER.batch)
    sub.add_argument("--lr", type=float, default=ENCODER.lr)
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument("--device", default="cpu", help="such as cpu, cuda (default cpu)")


def fit_encoder(a: argparse.Namespace) -> int:
    """An encoder for any generator, from its own samples."""
    options = EncoderOptions(steps=a.steps, image_steps=a.image_steps, batch=a.batch_size, lr=a.lr, seed=a.seed)
    found = train_encoder(load_generator(a.base, a.device), a.out, options, a.resume, Bar("training"))
    say(f"{found.report}\nThe encoder: {a.out / 'encoder.safetensors'}")
    return 0


def add_score(sub: argparse.ArgumentParser) -> None:
    """Its arguments."""
    sub.add_argument("model", help="model file or built-in")
    sub.add_argument("--data", type=Path, help="folder or zip of real pictures; for fid, kid, pr")
    sub.add_argument("--metric", default="fid,kid,pr", help=f"comma list of {', '.join(METRICS)}")
    sub.add_argument("--count", type=int, default=1000, help="generated pictures, pairs or samples (default 1000)")
    sub.add_argument("--networks", type=Path, default=Path("models/stylegan_metrics"),
                     help="folder with the measures' own networks (default models/stylegan_metrics)")
    sub.add_argument("--space", choices=("z", "w"), default="w", help="of the path length")
    sub.add_argument("--end", action="store_true", help="path length at the paths' ends only")
    sub.add_argument("--whole", action="store_true", help="path length over the whole picture instead of the face")
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument("--plot", type=Path, help="picture of the numbers to write")
    sub.add_argument("--overwrite", action="store_true", help="replace existing files")
    sub.add_argument("--device", default="cpu", help="such as cpu, cuda, mps (default cpu)")


def score(a: argparse.Namespace) -> int:
    """Measures of a generator, each by the name of the network it was taken over."""
    wanted = [name.strip() for name in a.metric.split(",") if name.strip()]
    if unknown := [name for name in wanted if name not in METRICS]:
        raise InvalidInput(f"Metric {unknown[0]} is unknown; use {', '.join(METRICS)}.")
    sets = [name for name in wanted if name in ("fid", "kid", "pr")]
    if not wanted:
        raise InvalidInput(f"No metric was given; use {', '.join(METRICS)}.")
    if sets and a.data is None:
        raise InvalidInput(f"{', '.join(sets)} compare with real pictures; give --data.")
    if a.plot is not None:
        check_target(a.plot, (".png", ".jpg"), a.overwrite, add=False)
    model, found = load_generator(a.model, a.device), []
    if sets:
        with _cache_of(a.data) as cache:
            data = prepare_pictures(a.data, model.img_resolution, cache, channels=model.img_channels, least=2)
            reals = (data.take(np.arange(r.start, r.stop)) for r in in_batches(len(data)))
            network = best_features(a.networks).to(a.device)
            fakes = sample_pictures(model, a.count, a.seed)
            found += compare_sets(reals, len(data), fakes, a.count, sets, network, Bar("features"))
    if "ppl" in wanted:
        found.append(path_length(model, a.count, a.space, a.end, not a.whole, a.seed, best_perceptual(a.networks),
                                 on_step=Bar("paths"))[0])
    if "ls" in wanted:
        found += best_separability(model, a.networks, a.count, a.seed, on_step=Bar("attributes"))
    say("\n".join(map(str, found)))
    if a.plot is not None:
        write_image(plot_measures(found), a.plot, overwrite=True)
    return 0


@contextmanager
def _cache_of(data: Path) -> Iterator[Path]:
    """Where prepared pictures are kept for the next time: beside the data; for this time only where that is read-only."""
    beside = data.parent / ".stylegan_cache"
    try:
        beside.mkdir(exist_ok=True)
        TemporaryFile(dir=beside).close()
    except OSError:
        beside = None
    if beside:
        yield beside
        return
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # Windows keeps what is open
        yield Path(folder)
