"""Named directions of the demo base: the clear ones among SeFa's and PCA's, chosen and named by looking at their sweeps.

    python -m tools.demo.make_directions [WORK_FOLDER]

Writes stylegan_core/assets/directions.safetensors and its card; sweeps of each on three faces go to WORK_FOLDER.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import stylegan_core as sg
from stylegan_core.checkpoints import sha256_of
from stylegan_core.directions.find import Method
from stylegan_core.networks.generators.base import Generator

ASSETS = Path(__file__).parents[2] / "stylegan_core" / "assets"
RECIPE: tuple[tuple[str, Method, str, int, float, str], ...] = (
    ("turn head", "sefa", "4-8", 1, 0.6, "4-8"),
    ("smile", "pca", "all", 16, -1.0, "8-16"),
    ("glasses", "pca", "all", 3, 1.0, "4-8"),
    ("age", "sefa", "all", 3, 1.0, "8-64"),
    ("beard", "pca", "all", 0, 1.0, "16-32"),
    ("hair length", "pca", "all", 6, -1.0, "4-8"),
    ("fringe", "sefa", "4-8", 6, -1.0, "4-8"),
    ("curls", "pca", "all", 9, -1.0, "16-32"),
    ("hair lightness", "pca", "all", 10, 0.8, "32-64"),
    ("brightness", "sefa", "64-", 3, -1.0, "64-"),
    ("warmth", "sefa", "64-", 4, -1.0, "64-"),
    ("contrast", "sefa", "64-", 0, -0.7, "64-"),
)
"""Name, method, layers looked at, number, share of a standard deviation that strength 1 is (negative: the other way), layers
moved: as few as show the change, so that little else follows."""
FACES = (5, 2, 9)
STRENGTHS = (-3.0, -1.5, 1.5, 3.0)
CARD = """# directions
{count} named directions in w of the demo base, for it and for every blend or child with its mapping.

- names: {names}
- source: computed from base.safetensors alone (sha256 `{base}`):
  eigenvectors of its style weights (SeFa, 2007.06600) and principal axes of its w (2004.02546), 10000 samples, seed 0; the
  clear ones chosen and named by looking at their sweeps
- licence chain: that of base.safetensors, see base.md
- made by: `python -m tools.demo.make_directions`, torch {torch_version}
- sha256 of directions.safetensors: `{sha256}`
- limits: what goes together in FFHQ goes together here (age with glasses, hair length with features); strengths from -3 to 3
"""


def make(base: Generator) -> sg.Directions:
    """RECIPE as Directions."""
    wells = {(method, where): sg.find_directions(base, method, where, 24) for _, method, where, *_ in RECIPE}
    parts = [wells[method, where].pick([number]) for _, method, where, number, *_ in RECIPE]
    gains = torch.tensor([gain for *_, gain, _ in RECIPE])
    return replace(parts[0], method="chosen", tensor=torch.cat([part.tensor for part in parts]),
                   scale=torch.cat([part.scale for part in parts]) * gains, names=tuple(name for name, *_ in RECIPE),
                   layers=tuple(where for *_, where in RECIPE))


def show(base: Generator, directions: sg.Directions, folder: Path) -> None:
    """One sheet a direction: a face a row, strengths across."""
    folder.mkdir(parents=True, exist_ok=True)
    faces = sg.Latents(sg.sample_z(list(FACES), base.z_dim), "z", base).truncate(base, 0.6)
    for name in directions.names:
        moved = sg.apply_direction(faces, directions, name, STRENGTHS, base)
        sheet = sg.contact_sheet(sg.render(base, moved), len(STRENGTHS), [f"{s:+g}" for s in STRENGTHS], cell=128)
        sg.write_image(sheet, folder / f"{name.replace(' ', '_')}.jpg", overwrite=True)


def main() -> None:
    base: Any = sg.load(sg.builtin("base-256"))
    directions = make(base)
    path = directions.save(ASSETS / "directions.safetensors", overwrite=True)
    (ASSETS / "directions.md").write_text(CARD.format(
        count=len(directions), names=", ".join(directions.names), base=sha256_of(ASSETS / "base.safetensors"),
        torch_version=torch.__version__, sha256=sha256_of(path)))
    if len(sys.argv) > 1:
        show(base, directions, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
