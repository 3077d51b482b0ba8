"""Write the trained demo encoder as fp16 safetensors with its card, and docs/encoder.jpg.

    python -m tools.demo.export_encoder RANDOM_FACE_DATA_FOLDER WORK_FOLDER

Prints what its codes lose on the held-out samples.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import stylegan_core as sg
from stylegan_core.losses.identity import IdentityLoss
from stylegan_core.losses.perceptual import LPIPS
from tools.demo.cards import ASSETS, DOCS, asset_parent, describe, write_card
from tools.demo.fitting import load_pairs, sheet, to_model_range
from tools.demo.train_base import load_student
from tools.demo.train_dual_structure import load_encoder

JUDGED = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    args = parser.parse_args()
    encoder = load_encoder(args.work, load_student(args.work / "base_final.pt"))
    parents = [asset_parent("base-256"), asset_parent("lpips_alex", "BSD")]
    encoder.info = describe("encoder", encoder.family, args.data, parents, {})
    sg.save(encoder, ASSETS / "encoder.safetensors", dtype=torch.float16, overwrite=True)
    base, encoder = sg.load(ASSETS / "base.safetensors"), sg.load(ASSETS / "encoder.safetensors")
    wanted = to_model_range(load_pairs(args.work, "held_out")[:JUDGED])
    with torch.no_grad():
        got = sg.render(base, encoder.encode(wanted, base))
        lpips, identity = (float(net(got, wanted).mean()) for net in (LPIPS.embedded(), IdentityLoss.embedded()))
    sheet([wanted[:10], got[:10]], DOCS / "encoder.jpg")
    count = len(load_pairs(args.work, "faces"))
    write_card("encoder", args.data,
               "w+ encoder, 17 rows, AlexNet trunk at 160 px, 7.5 M parameters, stored in fp16",
               "Portraits to w+ codes of base.safetensors in one pass.",
               "python -m tools.demo.sample_teacher, train_encoder.py, export_encoder.py",
               f"codes of {count} samples, then L2 + LPIPS + identity through the generator; the trunk starts as "
               f"lpips_alex.safetensors; on {JUDGED} unseen samples LPIPS {lpips:.3f}, identity distance {identity:.3f}")
    print(f"{JUDGED} unseen samples: LPIPS {lpips:.4f}, identity distance {identity:.4f}")


if __name__ == "__main__":
    main()
