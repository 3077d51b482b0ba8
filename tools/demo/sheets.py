"""docs/samples.jpg, strength.jpg, swaps.jpg, toonify.jpg: sixteen samples of each look, a strip of strengths, swaps in both
directions, and a photograph's way to a toon.

    python -m tools.demo.sheets [samples] [strength] [swaps] [toonify]
"""

from __future__ import annotations

import sys

import torch
from torch import Tensor

import stylegan_core as sg
from stylegan_core.networks.generators.base import Generator
from tools.demo.cards import DOCS
from tools.demo.family import sheet

FAMILY = ("base", "figurine", "ink", "painting")
FACES = (100, 109, 112, 208)


def faces(base: Generator, seeds: tuple[int, ...]) -> sg.Latents:
    return sg.Latents(base.mapping(sg.sample_z(list(seeds), base.z_dim), truncation_psi=0.7), "w+", base)


def drawn(model: Generator, latents: sg.Latents) -> list[Tensor]:
    return list(sg.render(model, latents, chunk=1))


@torch.no_grad()
def main() -> None:
    wanted = sys.argv[1:] or ["samples", "strength", "swaps", "toonify"]
    base, *looks = (sg.load(sg.builtin(name)) for name in FAMILY)
    if "samples" in wanted:
        many = faces(base, tuple(range(100, 116)))  # type: ignore[arg-type]
        rows = [drawn(model, many) for model in (base, *looks)]  # type: ignore[arg-type]
        sheet([half for row in rows for half in (row[:8], row[8:])], DOCS / "samples.jpg", 200)
    some = faces(base, FACES)  # type: ignore[arg-type]
    if "strength" in wanted:
        strengths = ((0.0, 0.0), (0.5, 0.5), (1.0, 1.0), (1.5, 1.0), (2.0, 1.0))
        strip = [drawn(sg.blend(base, looks[0], 1024, strength=s), some) for s in strengths]  # type: ignore[type-var, arg-type]
        sheet(list(zip(*strip, strict=True)), DOCS / "strength.jpg", 256)
    if "swaps" in wanted:
        rows = [drawn(sg.blend(base, looks[1], px, coarse=side), some)  # type: ignore[type-var, arg-type]
                for side in ("other", "base") for px in (8, 32, 64)]
        sheet([drawn(base, some), *rows, drawn(looks[1], some)], DOCS / "swaps.jpg", 256)  # type: ignore[arg-type]
    if "toonify" in wanted:
        photo, encoder = sg.read_image(sg.example_portrait()), sg.load(sg.builtin("encoder"))
        made = sg.toonify(photo, base, looks[0], sg.ToonOptions(inversion="quick"), encoder=encoder)  # type: ignore[arg-type]
        sheet([[made.crops[0], made.inversions[0], made.toons[0], made.pasted[0]]], DOCS / "toonify.jpg", 400)


if __name__ == "__main__":
    main()
