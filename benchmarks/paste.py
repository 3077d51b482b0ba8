"""How a pasted toon sits in its photograph: as sharp as what it replaces, without a seam, and how long pasting takes.

    python -m benchmarks.paste [PHOTO ...] [--look figurine] [--steps 30] [--color-match 0] [--grain 0] [--sheet out.png]

Without photographs: the bundled one, and the same at 12 megapixels. Sharpness is the variance of the Laplacian of the lightness
under the mask, pasted over photograph (goal: at least 0.8): pores and grain of the photograph count, which a look leaves out.
Contours is the mean of the steepest hundredth of gradients there, pasted over photograph: lids, lips, lines of hair. Border is
the mean gradient in the mask's soft edge, pasted over photograph (at most 1.1: more is a seam). Seconds are those of the paste
alone. The sheet shows each head before and after.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import kornia
import torch
from torch import Tensor
from torch.nn import functional

import stylegan_core as sg
from stylegan_core.faces import FaceTransform
from stylegan_core.faces.align import cut_again
from stylegan_core.faces.batch import FacePlace

from .measure import best

MEGAPIXELS_12 = (3000, 4000)
STEEPEST = 0.01
SHARP, SEAM = 0.8, 1.1
"""What a paste should reach."""
AROUND = 1.3
"""Of the face's square, what the sheet shows."""


def lightness(image: Tensor) -> Tensor:
    """[1, 3, H, W] in [-1, 1] -> [1, 1, H, W], 0 to 255."""
    return kornia.color.rgb_to_grayscale((image + 1) / 2) * 255


def sharpness(image: Tensor, mask: Tensor) -> float:
    """Variance of the Laplacian where mask [1, 1, H, W] is above one half."""
    return float(kornia.filters.laplacian(lightness(image), 3, normalized=False)[mask > 0.5].var())


def contours(image: Tensor, mask: Tensor) -> float:
    """Mean of the steepest STEEPEST of gradients where mask is above one half."""
    slopes = slope(image)[mask > 0.5]
    return float(slopes.topk(max(1, round(STEEPEST * len(slopes)))).values.mean())


def slope(image: Tensor) -> Tensor:
    """[1, 1, H, W]: length of the lightness' gradient."""
    return kornia.filters.spatial_gradient(lightness(image))[:, 0].norm(dim=1, keepdim=True)


def border(image: Tensor, mask: Tensor) -> float:
    """Mean gradient in the mask's soft edge."""
    return float(slope(image)[(mask > 0.02) & (mask < 0.98)].mean())


def measured(photo: Tensor, pasted: Tensor, mask: Tensor) -> tuple[float, float]:
    """Sharpness and border of the pasted photograph over the photograph's own."""
    return sharpness(pasted, mask) / sharpness(photo, mask), border(pasted, mask) / border(photo, mask)


def head(image: Tensor, place: FacePlace, size: int = 384) -> Tensor:
    """[1, 3, H, W] -> [1, 3, size, size]: the head with something around it."""
    middle = place.transform.quad.mean(0)
    quad = middle + (place.transform.quad - middle) * AROUND
    return cut_again(image[0], FaceTransform(quad, size, quad), size)[None]


def at_12_megapixels(threads: int, repeats: int) -> dict[str, float]:
    """Seconds of one head of 1024 px pasted into the bundled photograph enlarged to 12 megapixels, and its side there."""
    torch.set_num_threads(threads)
    small = sg.read_image(sg.example_portrait())
    photo = functional.interpolate(small, size=MEGAPIXELS_12, mode="bicubic").clamp(-1, 1)
    crops, places = sg.take_faces(photo, 1024)
    seconds = best(lambda: sg.return_faces(photo, crops, places, color_match=1.0, grain=1.0), repeats)
    return {"seconds": seconds, "side": places[0].transform.side}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="*")
    parser.add_argument("--look", default="figurine", help="built-in model (default figurine)")
    parser.add_argument("--swap", type=float, default=1024)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--color-match", type=float, default=0.0)
    parser.add_argument("--grain", type=float, default=0.0)
    parser.add_argument("--sheet", type=Path)
    args = parser.parse_args()
    base, look, encoder = (sg.load(sg.builtin(name)) for name in ("base", args.look, "encoder"))
    options = sg.ToonOptions(swap=args.swap, inversion=replace(sg.PRESETS["quick"], steps=args.steps),
                             color_match=args.color_match, grain=args.grain)
    photos = {path.name: sg.read_image(path) for path in args.photos}
    if not photos:
        photos["astronaut"] = sg.read_image(sg.example_portrait())
        photos["12 megapixels"] = functional.interpolate(photos["astronaut"], size=MEGAPIXELS_12, mode="bicubic").clamp(-1, 1)
    print("| photograph | face px | sharpness | contours | border | seconds |\n|---|---|---|---|---|---|")
    shown, found = [], []
    for name, photo in photos.items():
        made = sg.toonify(photo, base, look, options, encoder=encoder)  # type: ignore[arg-type]
        start = time.perf_counter()
        pasted, mask = sg.return_faces(photo, made.toons, made.places, seen=made.inversions, **options.pasting)
        spent = time.perf_counter() - start
        sharp, edge = measured(photo, pasted, mask)
        lines = contours(pasted, mask) / contours(photo, mask)
        side = made.places[0].transform.side
        print(f"| {name} | {side:.0f} | {sharp:.2f} | {lines:.2f} | {edge:.2f} | {spent:.2f} |", flush=True)
        found.append((sharp, lines, edge))
        shown += [head(photo, made.places[0]), head(pasted, made.places[0])]
    numbers = torch.tensor(found)
    print("| median | | " + " | ".join(f"{x:.2f}" for x in numbers.quantile(0.5, dim=0).tolist()) + " | |")
    sharp, lines = (numbers[:, :2] >= SHARP).sum(0).tolist()
    print(f"of {len(numbers)}, sharpness at least {SHARP}: {sharp}; contours: {lines}; border at most {SEAM}: "
          f"{int((numbers[:, 2] <= SEAM).sum())}")
    if args.sheet:
        sg.write_image(sg.contact_sheet(torch.cat(shown), 4), args.sheet, True)


if __name__ == "__main__":
    main()
