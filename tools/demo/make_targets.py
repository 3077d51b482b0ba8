"""Draw what the toon model learns: for each sampled face, moved, drawn, and both. Resumes where it stopped.

    python tools/demo/make_targets.py WORK_FOLDER

Reads faces.u8; writes points.npy, moved.u8, drawn.u8 and toon.u8 (uint8 [N, 256, 256, 3]).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[2]))
from stylegan_core.faces.detection import detect_faces  # noqa: E402
from tools.demo.fitting import load_pairs, to_model_range  # noqa: E402
from tools.demo.sample_teacher import open_store  # noqa: E402
from tools.demo.stylize import draw, move  # noqa: E402

BATCH = 16
MEAN_POINTS = np.float32([[98, 123], [158, 123], [128, 157], [103, 188], [153, 188]])
"""Where FFHQ alignment puts the five points at 256 px; stands in where the detector finds none."""


def face_points(images: Tensor) -> np.ndarray:
    """[B, 5, 2] pixels of the largest face of each image in [-1, 1]."""
    found = detect_faces(images, min_size=80)
    return np.stack([np.asarray(f[0].points, np.float32) if f else MEAN_POINTS for f in found])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    args = parser.parse_args()
    faces = load_pairs(args.work, "faces")
    stores = {name: open_store(args.work, name, len(faces)) for name in ("moved", "drawn", "toon")}
    path = args.work / "points.npy"
    points = np.zeros((len(faces), 5, 2), np.float32)
    if path.exists():
        old = np.load(path)[: len(faces)]
        points[: len(old)] = old
    for i in tqdm(range(0, len(faces), BATCH), desc="targets"):
        part = slice(i, min(i + BATCH, len(faces)))
        if stores["toon"][part.stop - 1].any():
            continue
        images = to_model_range(faces[part])
        points[part] = face_points(images)
        unit, at = (images + 1) / 2, torch.from_numpy(points[part])
        moved = move(unit, at)
        for name, result in (("moved", moved), ("drawn", draw(unit)), ("toon", draw(moved))):
            stores[name][part] = (result * 255).round().byte().permute(0, 2, 3, 1).numpy()
        np.save(path, points)


if __name__ == "__main__":
    main()
