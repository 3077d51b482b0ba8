"""The built-in style bank in numbers, and what each pair of layers does: are its styles distinct, and structure and color
apart?

    python -m benchmarks.styles distances [--faces 2]     LPIPS (256 px) from each style to its nearest, on the same face
    python -m benchmarks.styles weights [--faces 2]       colors and shapes at several color weights
    python -m benchmarks.styles layers "owl night" "doll comic" --sheet layers.png

layers is figure 11 of DualStyleGAN's paper (2203.13248): the exemplar's weights are 1 in two places at a time, 0 elsewhere.
A model and a bank of one's own go in by --model and --styles.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from kornia.color import rgb_to_lab
from torch import Tensor
from tqdm import tqdm

import stylegan_core as sg
from stylegan_core.losses.perceptual import LPIPS
from stylegan_core.networks.style_weights import STRUCTURE_PLACES

FIRST_SEED, PSI, SIZE = 700, 0.7, 256
COLORS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)


def some_faces(dual: sg.DualStyleGAN, count: int) -> sg.Latents:
    z = sg.sample_z(list(range(FIRST_SEED, FIRST_SEED + count)), dual.z_dim)
    return sg.Latents(dual.mapping(z, truncation_psi=PSI), "w+", dual.base)


def drawn(dual: sg.DualStyleGAN, face: sg.Latents, styles: sg.Latents, weights: Sequence[float] | float) -> Tensor:
    """[styles, 3, SIZE, SIZE] in [-1, 1]."""
    return sg.transfer_style(dual, face, styles, weights, size=SIZE).clamp(-1, 1)


@torch.no_grad()
def distances(images: Tensor, lpips: LPIPS) -> Tensor:
    """[N, N] LPIPS between pictures."""
    found = torch.zeros(len(images), len(images))
    for i in tqdm(range(len(images) - 1), desc="distances"):
        found[i, i + 1 :] = lpips(images[i : i + 1].expand(len(images) - i - 1, -1, -1, -1), images[i + 1 :]).flatten()
    return found + found.T


def nearest(matrix: Tensor, names: Sequence[str]) -> list[tuple[str, str, float]]:
    """(style, its nearest, distance), the least distinct first."""
    least, where = (matrix + torch.eye(len(matrix)) * 1e9).min(1)
    return sorted(((names[i], names[int(where[i])], float(least[i])) for i in range(len(names))), key=lambda row: row[2])


def hues(images: Tensor) -> Tensor:
    """[B]: standard deviation of a and b (Lab) over a picture: near 0 where it has one hue."""
    return rgb_to_lab((images.clamp(-1, 1) + 1) / 2)[:, 1:].flatten(2).std(-1).norm(dim=1)


def pairs_of_layers(count: int) -> list[tuple[str, list[float]]]:
    """(label, weights) of figure 11: none, places two by two, all."""
    def only(chosen: Sequence[int]) -> list[float]:
        return [float(k in chosen) for k in range(count)]

    groups = [list(range(k, min(k + 2, STRUCTURE_PLACES))) for k in range(0, STRUCTURE_PLACES, 2)]
    groups += [list(range(k, min(k + 2, count))) for k in range(STRUCTURE_PLACES, count, 2)]
    labels = ["-".join(dict.fromkeys((str(g[0] + 1), str(g[-1] + 1)))) for g in groups]
    return [("none", only([])), *zip(labels, map(only, groups), strict=True),
            ("structure", only(range(STRUCTURE_PLACES))), ("color", only(range(STRUCTURE_PLACES, count))),
            ("all", only(range(count)))]


def tell(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    lines = [header, ["---"] * len(header), *rows]
    cells = [[f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row] for row in lines]
    sys.stdout.write("\n".join(f"| {' | '.join(row)} |" for row in cells) + "\n")


def show_distances(dual: sg.DualStyleGAN, styles: sg.Styles, args: argparse.Namespace) -> None:
    lpips, faces = LPIPS.embedded(), some_faces(dual, args.faces)
    matrix = torch.stack([distances(drawn(dual, faces.pick(i), styles.codes, 1.0), lpips) for i in range(args.faces)]).mean(0)
    tell(("style", "nearest", "LPIPS"), nearest(matrix, styles.names))


def show_weights(dual: sg.DualStyleGAN, styles: sg.Styles, args: argparse.Namespace) -> None:
    """Per color weight: spread of hues of the least colorful style; and how far the face moved, by structure and by color."""
    lpips, faces, colors = LPIPS.embedded(), some_faces(dual, args.faces), dual.num_weights - STRUCTURE_PLACES
    rows = []
    for weight in COLORS:
        found = [drawn(dual, faces.pick(i), styles.codes, [0.0] * STRUCTURE_PLACES + [weight] * colors)
                 for i in range(args.faces)]
        spread = torch.stack([hues(x) for x in found]).mean(0)
        plain = [drawn(dual, faces.pick(i), styles.codes.pick(0), 0.0) for i in range(args.faces)]
        moved = torch.stack([lpips(x, p.expand_as(x)).flatten() for x, p in zip(found, plain, strict=True)]).mean()
        rows.append((weight, float(spread.min()), styles.names[int(spread.argmin())], float(spread.mean()), float(moved)))
    tell(("color weight", "least spread of hues", "style", "mean", "LPIPS to the photograph"), rows)


def show_layers(dual: sg.DualStyleGAN, styles: sg.Styles, args: argparse.Namespace) -> None:
    cases, face = pairs_of_layers(dual.num_weights), some_faces(dual, 1)
    chosen = styles.pick(args.names or [styles.names[0]])
    rows = [[drawn(dual, face, chosen.codes.pick(i), weights)[0] for _, weights in tqdm(cases, desc=name)]
            for i, name in enumerate(chosen.names)]
    images = torch.stack([image for row in rows for image in row])
    captions = [label if not i else "" for i in range(len(rows)) for label, _ in cases]
    sg.write_image(sg.contact_sheet(images, len(cases), captions), args.sheet, True)


SHOWN = {"distances": show_distances, "weights": show_weights, "layers": show_layers}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=SHOWN)
    parser.add_argument("names", nargs="*", help="styles, for layers")
    parser.add_argument("--faces", type=int, default=2)
    parser.add_argument("--sheet", type=Path, default=Path("layers.png"))
    parser.add_argument("--model", type=Path, default=sg.builtin("dualstylegan"))
    parser.add_argument("--styles", type=Path, default=sg.builtin("styles"))
    args = parser.parse_args()
    dual: sg.DualStyleGAN = sg.load(args.model)  # type: ignore[assignment]
    SHOWN[args.what](dual, sg.Styles.of(sg.load(args.styles)), args)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
