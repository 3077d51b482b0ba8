"""Write the trained demo models as fp16 safetensors with their licence chain, and the contact sheets of docs/.

    python tools/demo/export.py RANDOM_FACE_DATA_FOLDER WORK_FOLDER

Prints LPIPS-Alex of base(w) to its teacher on the held-out samples.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))
import stylegan_core as sg  # noqa: E402
from stylegan_core.losses.perceptual import LPIPS  # noqa: E402
from tools.demo.cards import ASSETS, DOCS, asset_parent, describe, write_card  # noqa: E402
from tools.demo.fitting import load_pairs, sheet, to_model_range  # noqa: E402
from tools.demo.recipe import HELD_OUT, student_ws  # noqa: E402
from tools.demo.train_toon import load_student  # noqa: E402


@torch.no_grad()
def held_out_distance(model: torch.nn.Module, work: Path) -> float:
    """Mean LPIPS-Alex of base(w) to the teacher over the held-out samples."""
    images, lpips, total = load_pairs(work, "held_out"), LPIPS.embedded(), 0.0
    for i in range(len(images)):
        made = model.synthesis(student_ws(model.mapping, HELD_OUT + i))
        total += float(lpips(made, to_model_range(images[i : i + 1])).sum())
    return total / len(images)


@torch.no_grad()
def contact_sheets(base: torch.nn.Module, toon: torch.nn.Module) -> None:
    """docs/samples.jpg (16 of each model at psi 0.7) and docs/swaps.jpg (both directions of every useful swap)."""
    ws = base.mapping(sg.sample_z(range(100, 116), base.z_dim), truncation_psi=0.7)
    drawn = {m: torch.cat([model.synthesis(w[None]) for w in ws]) for m, model in (("base", base), ("toon", toon))}
    sheet([drawn["base"][:8], drawn["base"][8:], drawn["toon"][:8], drawn["toon"][8:]], DOCS / "samples.jpg")
    rows = [drawn["base"][:6]]
    for coarse in ("other", "base"):
        for resolution in (8, 16, 32, 64):
            mixed = sg.blend(base, toon, resolution=resolution, coarse=coarse)
            rows.append(torch.cat([mixed.synthesis(w[None]) for w in ws[:6]]))
    sheet([*rows, drawn["toon"][:6]], DOCS / "swaps.jpg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    args = parser.parse_args()
    base = load_student(args.work / "base_final.pt").eval()
    distance = held_out_distance(base, args.work)
    runs = {p.stem: json.loads(p.read_text()) for p in args.work.glob("*.json")}
    base.info = describe("base", "mobilestylegan", args.data, [], {"lpips_to_teacher": round(distance, 4), "data": runs})
    sg.save(base, ASSETS / "base.safetensors", dtype=torch.float16, overwrite=True)
    toon = load_student(args.work / "toon_final.pt").eval()
    toon.info = describe("toon", "mobilestylegan", args.data, [asset_parent("base-256")], {"data": runs})
    sg.save(toon, ASSETS / "toon.safetensors", dtype=torch.float16, overwrite=True)
    count = len(load_pairs(args.work, "faces"))
    kind = "MobileStyleGAN, 256 px, 17 styles, 9.1 M parameters, stored in fp16"
    write_card("base", args.data, kind, "Portraits: MobileStyleGAN cut after its 128 px block, with a fresh 256 px image head.",
               "python tools/demo/sample_teacher.py, train_base.py, export.py",
               f"least-squares head, then L1 + LPIPS on {count} samples of the teacher; LPIPS-Alex to the teacher on unseen "
               f"samples {distance:.3f}")
    write_card("toon", args.data, kind,
               "The base fine-tuned on drawings of its own samples: larger eyes, smaller chin, flat, inked.",
               "python tools/demo/make_targets.py, train_toon.py, export.py",
               f"{len(load_pairs(args.work, 'toon'))} drawn samples; layers up to 32 px learn geometry, finer ones strokes")
    contact_sheets(sg.load(ASSETS / "base.safetensors"), sg.load(ASSETS / "toon.safetensors"))
    print(f"LPIPS-Alex of base to its teacher on {len(load_pairs(args.work, 'held_out'))} unseen samples: {distance:.4f}")


if __name__ == "__main__":
    main()
