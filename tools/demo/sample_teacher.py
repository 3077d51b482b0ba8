"""Draw the teacher's own samples: MobileStyleGAN at 1024 px, reduced by area to 256 px. Resumes where it stopped.

    python -m tools.demo.sample_teacher RANDOM_FACE_DATA_FOLDER WORK_FOLDER --count 3000

Writes WORK_FOLDER/faces.u8 (uint8 [N, 256, 256, 3], zero where not yet drawn) and faces.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from stylegan_core.checkpoints.openvino import read_openvino
from stylegan_core.networks.generators.mobilestylegan import MobileStyleGAN, MobileStyleGANConfig
from tools.demo.recipe import HELD_OUT, student_ws, teacher_ws

SIZE = 256


def load_teacher(folder: Path) -> MobileStyleGAN:
    teacher = MobileStyleGAN(MobileStyleGANConfig())
    teacher.load_state_dict(read_openvino(folder / "SynthesisNetwork.xml"))
    return teacher.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def open_store(folder: Path, name: str, count: int) -> np.memmap:
    """A growing uint8 [count, 256, 256, 3] file; old content is kept."""
    path, size = folder / f"{name}.u8", count * SIZE * SIZE * 3
    folder.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.truncate(max(size, path.stat().st_size))
    return np.memmap(path, dtype=np.uint8, mode="r+").reshape(-1, SIZE, SIZE, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--held-out", action="store_true", help="draw unseen samples for the score instead")
    parser.add_argument("--compile", action="store_true", help="use torch.compile (needs a C++ compiler; 2x faster)")
    args = parser.parse_args()
    teacher = load_teacher(args.data)
    synthesis = torch.compile(teacher.synthesis, dynamic=False) if args.compile else teacher.synthesis
    name, first = ("held_out", HELD_OUT) if args.held_out else ("faces", 0)
    store = open_store(args.work, name, args.count)
    (args.work / f"{name}.json").write_text(json.dumps({"first": first, "count": args.count, "torch": torch.__version__}))
    with torch.no_grad():
        for i in tqdm(range(args.count), desc=name):
            if store[i].any():
                continue
            image = synthesis(teacher_ws(student_ws(teacher.mapping, first + i)))
            small = F.avg_pool2d(image, 4)[0].clamp(-1, 1)
            store[i] = (small * 127.5 + 128).clamp(0, 255).byte().permute(1, 2, 0).numpy()
    store.flush()


if __name__ == "__main__":
    main()
