"""What every style of the bank paints from: each sampled face smoothed, its lines, its five points. Resumes.

    python -m tools.demo.flatten_faces WORK_FOLDER --count 1500

Reads faces.u8 and held_out.u8; writes NAME_smooth.u8 (RGB), NAME_lines.u8 (stored as RGB) and NAME_points.npy.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from tools.demo.fitting import load_pairs, to_model_range
from tools.demo.sample_teacher import open_store
from tools.demo.stylize import face_points, lines, smoothed

BATCH = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--count", type=int, default=1500)
    args = parser.parse_args()
    for name in ("held_out", "faces"):
        faces = load_pairs(args.work, name)[: args.count]
        smooth, line = (open_store(args.work, f"{name}_{kind}", len(faces)) for kind in ("smooth", "lines"))
        path = args.work / f"{name}_points.npy"
        points = np.zeros((len(faces), 5, 2), np.float32)
        if path.exists():
            old = np.load(path)[: len(faces)]
            points[: len(old)] = old
        for i in tqdm(range(0, len(faces), BATCH), desc=name):
            part = slice(i, min(i + BATCH, len(faces)))
            if line[part.stop - 1].any():
                continue
            images = to_model_range(faces[part])
            points[part], unit = face_points(images), (images + 1) / 2
            for store, made in ((smooth, smoothed(unit)), (line, lines(unit).expand(-1, 3, -1, -1))):
                store[part] = (made * 255).round().byte().permute(0, 2, 3, 1).numpy()
            np.save(path, points)


if __name__ == "__main__":
    with torch.no_grad():
        main()
