"""A model against pictures: every measure by its name, with the network and the counts it was taken over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from ..checkpoints import load
from ..errors import InvalidInput
from ..latents import random_labels, sample_z
from ..losses.perceptual import LPIPS
from ..networks.generators.base import Generator, NoiseMode, plain_generator
from ..runtime import OnStep
from .attributes import MeasuredAttributes, centred
from .distances import feature_statistics, frechet_distance, kernel_distance, precision_recall
from .features import OpenFeatures, features_of, in_batches
from .path_length import EPSILON, Space, perceptual_path_length, ppl_endpoints, ppl_images
from .separability import linear_separability

FEW = 2000
"""Pictures below which FID says more about the count than about the model, so that KID is told first."""
CLASSIFIERS = "celebahq-classifier-*.pkl"
CLASSIFIER_SIDE = 256
NEIGHBOURS = 3


@dataclass(frozen=True)
class Measure:
    """One number, told so that it can't be taken for another."""

    name: str
    value: float
    detail: str
    """Network, counts, conventions."""

    def __str__(self) -> str:
        return f"{self.name}: {self.value:.5g} ({self.detail})"


@torch.no_grad()
def sample_pictures(model: Generator, count: int, seed: int = 0, batch: int = 8,
                    truncation_psi: float = 1.0) -> Iterator[Tensor]:
    """Pictures of seeds seed, seed + 1, ... in batches, as measures want them: psi 1, fresh noise, rounded to bytes."""
    model, device = plain_generator(model), next(model.parameters()).device
    for rows in in_batches(count, batch):
        z = sample_z([seed + i for i in rows], model.z_dim).to(device)
        ws = model.mapping(z, random_labels(model, len(z), seed + rows.start), truncation_psi=truncation_psi)
        noise = torch.Generator().manual_seed(seed + rows.start)
        images = model.synthesis(ws, noise_mode=noise_mode(model), generator=noise)
        yield ((images.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


def noise_mode(model: Generator) -> NoiseMode:
    """"random" but for a MobileStyleGAN, whose noise has no learned strength."""
    return "const" if model.kind == "mobilestylegan" else "random"


def compare_sets(reals: Iterable[Tensor], real_count: int, fakes: Iterable[Tensor], fake_count: int,
                 wanted: Iterable[str] = ("fid", "kid", "pr"), network: nn.Module | None = None,
                 on_step: OnStep | None = None) -> list[Measure]:
    """Frechet and kernel distance, precision and recall of two sets of pictures [B, C, H, W] in [-1, 1] that come in batches.

    network: pictures -> features, with a `name`; None: the open one that travels with the package. Only a network named
    "Inception" gives what may be called FID and KID. With few real pictures the kernel distance comes first.
    """
    network = network or OpenFeatures()
    total = real_count + fake_count

    def watch(offset: int) -> OnStep | None:
        if on_step is None:
            return None
        return lambda done, _, preview, say=on_step: say(offset + done, total, preview)

    real = features_of(network, reals, real_count, watch(0))
    fake = features_of(network, fakes, fake_count, watch(real_count))
    return measure_features(real, fake, wanted, str(getattr(network, "name", type(network).__name__)))


def measure_features(real: Tensor, fake: Tensor, wanted: Iterable[str], network: str) -> list[Measure]:
    """The same of features [n, d] already taken."""
    counts = f"{network}, {len(real)} real and {len(fake)} generated pictures"
    true = network == "Inception"
    found: list[Measure] = []
    if "fid" in wanted:
        value = frechet_distance(feature_statistics(real), feature_statistics(fake))
        better = "KID" if true else "kernel distance"
        few = f"; biased at so few, prefer the {better}" if min(len(real), len(fake)) < FEW else ""
        found.append(Measure("FID" if true else f"Frechet distance, {network}", value, f"{counts}, covariance by N{few}"))
    if "kid" in wanted:
        found.append(Measure("KID" if true else f"Kernel distance, {network}", kernel_distance(real, fake),
                             f"{counts}, unbiased"))
    if "pr" in wanted:
        precision, recall = precision_recall(real, fake, NEIGHBOURS)
        found += [Measure(f"{name}, {network}", value, f"{counts}, {NEIGHBOURS} neighbours")
                  for name, value in (("Precision", precision), ("Recall", recall))]
    if min(len(real), len(fake)) < FEW:
        found.sort(key=lambda m: not m.name.startswith("K"))
    return found


@torch.no_grad()
def path_length(model: Generator, count: int = 1000, space: Space = "w", end: bool = False, crop: bool = True, seed: int = 0,
                distance: LPIPS | None = None, batch: int = 4, on_step: OnStep | None = None) -> tuple[Measure, Tensor]:
    """Perceptual path length over `count` pairs -> (its measure, the distances [count] divided by epsilon^2).

    end: t = 0 only. crop: the face of an FFHQ frame. distance: None is LPIPS over AlexNet, which travels with the package; the
    published numbers are over VGG16.
    """
    if count < 1:
        raise InvalidInput(f"A path length over {count} pairs can't be; use at least 1, usually some thousands.")
    model, like = plain_generator(model), next(model.parameters())
    distance = (distance or LPIPS.embedded()).to(like.device)
    found = []
    for rows in in_batches(count, batch):
        draw = np.random.default_rng([seed, rows.start])
        z0, z1 = (torch.from_numpy(draw.standard_normal((len(rows), model.z_dim))).to(like) for _ in range(2))
        t = torch.zeros(len(rows)).to(like) if end else torch.from_numpy(draw.random(len(rows))).to(like)
        ends = ppl_endpoints(model, z0, z1, t, EPSILON, space, random_labels(model, len(rows), seed + rows.start))
        pair = [ppl_images(_same_noise(model, ws, seed + rows.start), crop) / 127.5 - 1 for ws in ends]
        found.append(distance(*(x.expand(-1, 3, -1, -1).float() for x in pair)).cpu() / EPSILON**2)
        if on_step is not None:
            on_step(rows.stop, count, None)
    distances = torch.cat(found)
    name = "VGG16" if distance.trunk.config.name == "vgg16" else "AlexNet"
    where, which = "face" if crop else "whole picture", "ends" if end else "whole paths"
    detail = f"LPIPS over {name}, {count} pairs, {where}, {which} in {space}"
    return Measure(f"Perceptual path length, {name}", perceptual_path_length(distances), detail), distances


def _same_noise(model: Generator, ws: Tensor, seed: int) -> Tensor:
    """Both ends of a pair see one set of fresh maps."""
    return model.synthesis(ws, noise_mode=noise_mode(model), generator=torch.Generator().manual_seed(seed))


def measure_separability(model: Generator, classifiers: str | Path, count: int = 2000, seed: int = 0, batch: int = 8,
                         on_step: OnStep | None = None) -> tuple[list[Measure], Tensor, list[str]]:
    """Linear separability over NVIDIA's attribute classifiers in a folder -> (in z and w, bits [attributes, 2], names).

    Raises InvalidInput when the folder has none: they are not this package's to ship.
    """
    files = sorted(Path(classifiers).glob(CLASSIFIERS))
    if not files:
        raise InvalidInput(f"{classifiers} holds no {CLASSIFIERS}; separability needs NVIDIA's attribute classifiers, which "
                           f"you must bring (CC BY-NC), at best all 40.")
    device = next(model.parameters()).device
    networks = [load(file, device, which="discriminator") for file in files]

    def judge(images: Tensor) -> Tensor:
        return torch.cat([network(images) for network in networks], dim=1)

    names = [file.stem.split("-", 3)[-1] for file in files]
    return (*separate(model, judge, "Linear separability", len(names), count, seed, batch, on_step), names)


def best_separability(model: Generator, folder: str | Path, count: int = 2000, seed: int = 0, batch: int = 8,
                      on_step: OnStep | None = None) -> list[Measure]:
    """measure_separability where the folder has classifiers, else over attributes that can be measured in a picture, under a
    name of its own -> in z and w."""
    if any(Path(folder).glob(CLASSIFIERS)):
        return measure_separability(model, folder, count, seed, batch, on_step)[0]
    judge = MeasuredAttributes()
    return separate(model, judge, f"Separability, {judge.name}", len(judge.names), count, seed, batch, on_step)[0]


@torch.no_grad()
def separate(model: Generator, judge: Callable[[Tensor], Tensor], name: str, attributes: int, count: int, seed: int = 0,
             batch: int = 8, on_step: OnStep | None = None) -> tuple[list[Measure], Tensor]:
    """judge: pictures [B, C, h, w], 256 px at most -> logits [B, attributes] -> (in z and w, bits [attributes, 2])."""
    model, like = plain_generator(model), next(model.parameters())
    codes, logits = [], []
    for rows in in_batches(count, batch):
        z = sample_z([seed + i for i in rows], model.z_dim).to(like)
        ws = model.mapping(z, random_labels(model, len(z), seed + rows.start))
        images = _same_noise(model, ws, seed + rows.start)
        if images.shape[-1] > CLASSIFIER_SIDE:
            images = adaptive_avg_pool2d(images, CLASSIFIER_SIDE)
        codes.append((z.cpu(), ws[:, -1].cpu()))
        logits.append(judge(images).cpu())
        if on_step is not None:
            on_step(rows.stop, count, None)
    found = centred(torch.cat(logits)) if isinstance(judge, MeasuredAttributes) else torch.cat(logits)
    columns, measures = [], []
    for i, space in enumerate("zw"):
        score, bits = linear_separability(torch.cat([pair[i] for pair in codes]), found)
        few = count // 2 <= codes[0][i].shape[1]
        told = "; a line always parts so few, take more than twice the latents' dimensions" if few else ""
        measures.append(Measure(f"{name} in {space}", score, f"{attributes} attributes, {count} samples{told}"))
        columns.append(bits)
    return measures, torch.stack(columns, dim=1)
