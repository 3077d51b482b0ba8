"""How far each look goes from its base: sixteen samples at psi 0.7.

    python -m benchmarks.looks [--count 16]

LPIPS and identity distance between base and look (means, pictures reduced to 256 px), and the look's sharpness over the base's
at 1024 px, for the whole look and for its two halves: the layers up to 32 px alone, and those above alone.
"""

from __future__ import annotations

import argparse

import torch

import stylegan_core as sg
from stylegan_core.losses.identity import IdentityLoss
from stylegan_core.losses.perceptual import LPIPS
from stylegan_core.networks.generators.base import Generator
from stylegan_core.ops.resize import resize_area

from .paste import sharpness

LOOKS = ("figurine", "ink", "painting")


@torch.no_grad()
def measured(base: Generator, model: Generator, seeds: range) -> tuple[float, float, float]:
    """LPIPS, identity and sharpness of model's samples against base's."""
    lpips, identity, rows = LPIPS.embedded(), IdentityLoss.embedded(), []
    for seed in seeds:
        ws = base.mapping(sg.sample_z([seed], base.z_dim), truncation_psi=0.7)
        a, b = (m.synthesis(ws).clamp(-1, 1) for m in (base, model))
        sharp = sharpness(b, torch.ones_like(b[:, :1])) / sharpness(a, torch.ones_like(a[:, :1]))
        small = resize_area(a, 256), resize_area(b, 256)
        rows.append((float(lpips(*small)), float(identity(*small)), sharp))
    first, second, third = torch.tensor(rows).mean(0).tolist()
    return first, second, third


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=16)
    args = parser.parse_args()
    base: Generator = sg.load(sg.builtin("base"))  # type: ignore[assignment]
    print("| look | layers | LPIPS | identity | sharpness |\n|---|---|---|---|---|")
    for name in LOOKS:
        look: Generator = sg.load(sg.builtin(name))  # type: ignore[assignment]
        halves = {"all": look, "up to 32 px": sg.blend(base, look, 32), "above": sg.blend(base, look, 32, coarse="base")}
        for layers, model in halves.items():
            numbers = measured(base, model, range(100, 100 + args.count))
            print(f"| {name} | {layers} | {' | '.join(f'{value:.2f}' for value in numbers)} |", flush=True)


if __name__ == "__main__":
    main()
