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
from stylegan_core.checkpoints import sha256_of  # noqa: E402
from stylegan_core.losses.perceptual import LPIPS  # noqa: E402
from stylegan_core.networks.base import ModelInfo  # noqa: E402
from tools.demo.fitting import load_pairs, sheet, to_model_range  # noqa: E402
from tools.demo.recipe import HELD_OUT, student_ws  # noqa: E402
from tools.demo.train_toon import load_student  # noqa: E402

ROOT = Path(__file__).parents[2]
ASSETS, DOCS = ROOT / "stylegan_core" / "assets", ROOT / "docs"
CHAIN = ("distributed as Apache-2.0 in random_face 2021.7.21.1; its teacher was NVIDIA's StyleGAN2 for FFHQ, "
         "whose weights are for non-commercial use: treat as non-commercial")


def describe(name: str, data: Path, parents: list[dict[str, str]], extra: dict[str, object]) -> ModelInfo:
    teacher = {"name": "random_face 2021.7.21.1 SynthesisNetwork.bin", "sha256": sha256_of(data / "SynthesisNetwork.bin"),
               "licence": "Apache-2.0 (package); NVIDIA non-commercial (its teacher)"}
    return ModelInfo(family="mobilestylegan", layout="demo", source=f"StyleGAN Atelier demo {name}",
                     parents=(teacher, *parents), licence=CHAIN, notes={"torch": torch.__version__, "seed": 0} | extra)


CARD = """# {name}
{what}

- kind: MobileStyleGAN, 256 px, 17 styles, 9.1 M parameters, stored in fp16
- source: the `random_face` package, version 2021.7.21.1 (PyPI), `random_face/data/SynthesisNetwork.bin` and
  `MappingNetwork.bin`; sha256 of SynthesisNetwork.bin `{teacher}`
- licence chain: {chain}
- made by: `{command}`, seed 0, torch {torch_version}; {facts}
- sha256 of {name}.safetensors: `{sha256}`
- limits: portraits in FFHQ's framing; faces follow the biases of FFHQ; no hands, no full bodies
"""


def write_card(name: str, data: Path, what: str, command: str, facts: str) -> None:
    text = CARD.format(name=name, what=what, teacher=sha256_of(data / "SynthesisNetwork.bin"), chain=CHAIN, command=command,
                       torch_version=torch.__version__, facts=facts, sha256=sha256_of(ASSETS / f"{name}.safetensors"))
    (ASSETS / f"{name}.md").write_text(text)


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
    base.info = describe("base", args.data, [], {"lpips_to_teacher": round(distance, 4), "data": runs})
    sg.save(base, ASSETS / "base.safetensors", dtype=torch.float16, overwrite=True)
    toon = load_student(args.work / "toon_final.pt").eval()
    parent = {"name": "base.safetensors", "sha256": sha256_of(ASSETS / "base.safetensors"), "licence": CHAIN}
    toon.info = describe("toon", args.data, [parent], {"data": runs})
    sg.save(toon, ASSETS / "toon.safetensors", dtype=torch.float16, overwrite=True)
    count = len(load_pairs(args.work, "faces"))
    write_card("base", args.data, "Portraits: MobileStyleGAN cut after its 128 px block, with a fresh 256 px image head.",
               "python tools/demo/sample_teacher.py, train_base.py, export.py",
               f"least-squares head, then L1 + LPIPS on {count} samples of the teacher; LPIPS-Alex to the teacher on unseen "
               f"samples {distance:.3f}")
    write_card("toon", args.data, "The base fine-tuned on drawings of its own samples: larger eyes, smaller chin, flat, inked.",
               "python tools/demo/make_targets.py, train_toon.py, export.py",
               f"{len(load_pairs(args.work, 'toon'))} drawn samples; layers up to 32 px learn geometry, finer ones strokes")
    contact_sheets(sg.load(ASSETS / "base.safetensors"), sg.load(ASSETS / "toon.safetensors"))
    print(f"LPIPS-Alex of base to its teacher on {len(load_pairs(args.work, 'held_out'))} unseen samples: {distance:.4f}")


if __name__ == "__main__":
    main()
