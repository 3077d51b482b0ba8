"""What a run on a few hundred drawings learnt: pictures and numbers from its folder, and what its parts are good for.

    python -m benchmarks.transfer RUN [--out FOLDER] [--base base-256]
    python -m benchmarks.transfer --ablation DRAWINGS WORK [--kimg 0.6]

The first writes transfer_time.png (faces of the averaged child after so many training pictures), transfer_score.png (its
score), transfer_blend.png (a public-domain photograph and faces of the base: the child, and blends with the base at 16 and
32 px) and transfer_nearest.png (samples above the training pictures most like them, by AlexNet's features). The second trains
the same run, equally long and from the same seed, without one of its parts each, a folder each in WORK, which goes on where
it stopped, and prints a table.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize
from tqdm import tqdm

import stylegan_core as sg
from stylegan_core.assets import asset_path
from stylegan_core.cli.shared import load_generator
from stylegan_core.engine import read_log
from stylegan_core.faces.batch import take_faces
from stylegan_core.metrics.features import OpenFeatures, features_of, in_batches
from stylegan_core.networks.generators.base import Generator
from stylegan_core.ops.resize import resize_area
from stylegan_core.pictures.curves import plot_curves
from stylegan_core.pictures.files import read_image, write_image
from stylegan_core.pictures.sheets import MARGIN, contact_sheet
from stylegan_core.training.data import PictureSet, open_prepared
from stylegan_core.training.recipe import DATA, fine_tune
from stylegan_core.training.transfer import GRID, PICTURES

FACES, MOMENTS, STEPS, PSI = 4, 6, 60, 0.7
SIDES = (16, 32)
ABLATION: dict[str, dict[str, Any]] = {
    "all of it": {}, "without ADA": {"augment": "none"}, "freeze-D, 6 layers": {"freeze_d": 6},
    "layers up to 32 px alone": {"layers": "4-32"}, "without the pull": {"pull_features": 0.0}}
COMMON = {"lr": 0.001, "pull_features": 1.0, "D_first_kimg": 0.08, "ema_kimg": 0.1, "score_pictures": 96, "tick_kimg": 0.2}


def over_time(run: Path) -> Tensor:
    """The first faces of some of the run's sample sheets, a row each, from the base on."""
    sheets = [run / PICTURES / "fakes_init.png", *sorted((run / PICTURES).glob("fakes0*.png"))]
    chosen = [sheets[i] for i in np.unique(np.linspace(0, len(sheets) - 1, MOMENTS).round().astype(int))]
    columns = round(GRID**0.5)
    faces, titles = [], []
    for path in chosen:
        sheet = read_image(path)
        step = (sheet.shape[3] - MARGIN) // columns
        faces += [sheet[:, :, MARGIN + y * step : (y + 1) * step, MARGIN + x * step : (x + 1) * step]
                  for y in range(2) for x in range(columns)]
        titles.append("base" if path == sheets[0] else f"{int(path.stem[5:])}")
    return contact_sheet(torch.cat(faces), 2 * columns, row_titles=titles, cell=128)


def score_curve(run: Path) -> Tensor:
    entries = [e for e in read_log(run) if "score" in e]
    told = ", ".join(f"{e['images']}: {e['score']:.3f}" for e in entries)
    print(f"{entries[0]['score_name']} after so many training pictures: {told}")
    ends = f"{entries[0]['images']} pictures", f"{entries[-1]['images']}"
    return plot_curves({entries[0]["score_name"]: torch.tensor([e["score"] for e in entries])}, 480, 320, ends)


@torch.no_grad()
def blends(base: Generator, child: Generator) -> Tensor:
    """Rows: a photograph's inverted face and samples; columns: the face, the base, the child, blends both ways."""
    photo, _ = take_faces(list(read_image(asset_path("base-256").with_name("astronaut.jpg"))), base.img_resolution)
    with torch.inference_mode(False):
        found = sg.invert(base, photo, steps=STEPS)
    z = sg.sample_z(range(100, 100 + FACES - 1), base.z_dim)
    ws = torch.cat([found.latents.ws(base), base.mapping(z, truncation_psi=PSI)])
    models = {"base": base, "child": child}
    for side in SIDES:
        models[f"child to {side} px,\nthen base"] = sg.blend(base, child, side, coarse="other")
        models[f"base to {side} px,\nthen child"] = sg.blend(base, child, side, coarse="base")
    drawn = torch.stack([m.synthesis(ws) for m in models.values()], dim=1)
    rows = [torch.cat([photo[:1] if i == 0 else x[:1], x]) for i, x in enumerate(drawn)]
    return contact_sheet(torch.cat(rows), len(models) + 1, column_titles=("photo, or\nsample", *models), cell=160)


@torch.no_grad()
def nearest(child: Generator, data: PictureSet) -> Tensor:
    """Samples above the training picture, mirrored or not, whose features are nearest; prints how near that is."""
    network, count = OpenFeatures(), len(data)
    rows = [np.arange(r.start, r.stop) for r in in_batches(count)]
    known = torch.cat([features_of(network, (data.take(r, np.full(len(r), flip)) for r in rows), count)
                       for flip in (False, True)])
    middle = known.mean(dim=0)  # angles about it: plain distances make a dull picture everyone's neighbour
    known = normalize(known - middle)
    among = 1 - known[:count] @ known.T
    own = torch.arange(count)
    among[own, own] = among[own, own + count] = float("inf")
    pictures = child.synthesis(child.mapping(sg.sample_z(range(200, 208), child.z_dim), truncation_psi=1.0)).clamp(-1, 1)
    seen = normalize(features_of(network, iter([resize_area(pictures, data.resolution)]), 8) - middle)
    away, at = (1 - seen @ known.T).min(dim=1)
    print(f"Nearest training picture (1 - cosine) of a sample: {away.mean():.2f}, {away.min():.2f} at least; of another: "
          f"{among.min(dim=1).values.mean():.2f}")
    near = torch.cat([data.take(np.array([int(i) % count]), np.array([int(i) >= count])) for i in at])
    near = interpolate(near, size=pictures.shape[2:], mode="bilinear", antialias=True)
    return contact_sheet(torch.cat([pictures, near]), 8, row_titles=("sample", "nearest"), cell=128)


def show(run: Path, out: Path, name: str) -> None:
    settings = json.loads((run / "settings.json").read_text(encoding="utf-8"))["settings"]
    base: Generator = load_generator(name, "cpu")
    best = run / "best.safetensors"
    child: Generator = sg.load(best if best.is_file() else run / "last.safetensors")  # type: ignore[assignment]
    data = open_prepared(run / DATA, settings["pictures"])
    out.mkdir(parents=True, exist_ok=True)
    pictures = {"time": lambda: over_time(run), "score": lambda: score_curve(run), "nearest": lambda: nearest(child, data),
                "blend": lambda: blends(base, child)}
    for title, draw in pictures.items():
        write_image(draw(), out / f"transfer_{title}.png", overwrite=True)


def ablate(drawings: Path, work: Path, kimg: float, name: str) -> None:
    """The same run but for one thing each; scores lower is nearer."""
    base: Generator = load_generator(name, "cpu")
    found = {}
    for title, changes in ABLATION.items():
        folder = work / title.replace(" ", "_").replace(",", "")
        with tqdm(desc=title) as bar:
            def tell(i: int, n: int, _: Tensor | None, bar: Any = bar) -> None:
                bar.total = n
                bar.update(i - bar.n)

            fine_tune(base, drawings, folder, "standard", resume=True, kimg=kimg, on_step=tell, **{**COMMON, **changes})
        entries = [e for e in read_log(folder) if "score" in e]
        found[title] = [e["score"] for e in entries], [e["images"] for e in entries], entries[-1]["s_per_kimg"]
    moments = next(iter(found.values()))[1]
    print("| run | " + " | ".join(f"{n} pictures" for n in moments) + " | s/kimg |\n|" + "---|" * (len(moments) + 2))
    for title, (scores, _, seconds) in found.items():
        print(f"| {title} | " + " | ".join(f"{s:.3f}" for s in scores) + f" | {seconds:.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--ablation", type=Path, nargs=2, metavar=("DRAWINGS", "WORK"))
    parser.add_argument("--out", type=Path, default=Path("."))
    parser.add_argument("--base", default="base-256")
    parser.add_argument("--kimg", type=float, default=0.6)
    a = parser.parse_args()
    torch.set_num_threads(1)
    if a.ablation:
        ablate(*a.ablation, a.kimg, a.base)
    elif a.run:
        show(a.run, a.out, a.base)
    else:
        parser.error("give a RUN, or --ablation")


if __name__ == "__main__":
    main()
