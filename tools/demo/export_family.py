"""Write the built-in family as fp16 safetensors with cards: base, base-256, and the looks, each without what it shares.

    python -m tools.demo.export_family RANDOM_FACE_DATA_FOLDER WORK_FOLDER [NAME ...]

base: the package's own layers and head. base-256: its layers up to 32 px, and base-256_whole.safetensors' finer ones and
head (train_base.py). figurine: base, structure_final.safetensors as low-rank additions to the layers of 8 to 32 px, and the
finer layers of figurine_final.safetensors. The other looks: figurine with finer layers of their own.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

import stylegan_core as sg
from stylegan_core.checkpoints.borrowing import LOW, lend
from stylegan_core.checkpoints.safetensors_file import write_safetensors
from stylegan_core.checkpoints.saving import plain_config
from stylegan_core.losses.perceptual import LPIPS
from stylegan_core.networks.generators.base import Generator
from stylegan_core.tuning.delta import cut, expand, principal
from tools.demo.cards import ASSETS, asset_parent, describe, write_card
from tools.demo.family import Pictures, family_ws

FINER = ("synthesis.b64.", "synthesis.b128.", "synthesis.b256.", "synthesis.b512.", "synthesis.head.")
LOOKS = {
    "figurine": "Animation film: large eyes with open lids, small nose and chin, smooth warm skin, crisp eyes and hair.",
    "ink": "Comic: closed dark lines, flat colors, figurine's shapes.",
    "painting": "Oil: brush strokes laid one over another, their relief lit, figurine's shapes.",
}
LINES = "its first step is line_x4.safetensors"
LEARNT = {
    "figurine": ("train_structure.py, train_look.py figurine", "", LINES),
    "ink": ("train_look.py ink", "", LINES),
    "painting": ("train_look.py painting, train_look.py painting --start FIRST --bolder", "400 and ",
                 "tools/demo/strokes.py; it began with an earlier painting, whose targets line_x4.safetensors drew first"),
}
"""How each was made: scripts, steps of runs before the last, and what its program is."""
TOLERANCE = 1.02
"""What LPIPS of the structure to its targets may grow by through low ranks."""


def write(name: str, data: Path, tensors: dict[str, Tensor], model: Generator, borrows: dict, notes: dict, parents: list
          ) -> None:
    info = describe(name, model.kind, data, parents, notes)
    facts = {"family": model.kind, "config": plain_config(model.config), "source": info.source, "sha256": "",
             "parents": list(info.parents), "licence": info.licence, "notes": info.notes, **borrows}
    write_safetensors(ASSETS / f"{name}.safetensors", {k: t.half() for k, t in tensors.items()}, facts, overwrite=True)


def write_base(data: Path, work: Path) -> None:
    base: Generator = sg.load(data / "SynthesisNetwork.xml")  # type: ignore[assignment]
    base.w_avg = sg.load(work / "base-256_whole.safetensors").w_avg  # type: ignore[assignment]
    write("base", data, base.state_dict(), base, {}, {}, [])
    write_card("base", data, "MobileStyleGAN, 1024 px, 23 styles, 10.1 M parameters, stored in fp16",
               "Portraits: the whole generator of the package, its own layers and head.", "python -m tools.demo.export_family",
               "rounded to fp16, else unchanged")


def write_small(data: Path, work: Path) -> None:
    whole: Generator = sg.load(work / "base-256_whole.safetensors")  # type: ignore[assignment]
    own = {k: t for k, t in whole.state_dict().items() if k.startswith(FINER) and not k.endswith("noise_const")}
    write("base-256", data, own, whole, lend("base", without=("synthesis.b256.", "synthesis.b512.", "synthesis.head.")), {},
          [asset_parent("base")])
    write_card("base-256", data, "MobileStyleGAN, 256 px, 17 styles, 9.1 M parameters, fp16; what base has is left out",
               "Portraits: base cut after its 128 px block, with a fresh 256 px head; for optimization, encoders and speed.",
               "python -m tools.demo.sample_teacher, train_base.py, export_family.py",
               "least-squares head, then the blocks of 64 and 128 px and the head by L1 + LPIPS on 3,000 samples of base")


@torch.no_grad()
def structure_distance(small: Generator, latents: sg.Latents, targets: Pictures) -> float:
    lpips, count = LPIPS.embedded(), 16
    first = len(latents) - count
    return sum(float(lpips(sg.render(small, latents.pick(first + i)), targets[first + i][None])) for i in range(count)) / count


@torch.no_grad()
def low_ranks(work: Path) -> dict[str, Tensor]:
    """The structure as additions to base's layers: the lowest ranks that keep LPIPS to the targets within TOLERANCE."""
    base: Generator = sg.load(sg.builtin("base-256"))  # type: ignore[assignment]
    whole: Generator = sg.load(work / "structure_final.safetensors")  # type: ignore[assignment]
    paths = sorted((work / "moved").glob("[0-9]*.npy"))
    latents = sg.Latents(torch.cat([family_ws(base.mapping, i, base.num_ws) for i in range(len(paths))]), "w+", base)
    wanted = structure_distance(whole, latents, Pictures(paths))
    before, after = base.state_dict(), whole.state_dict()
    changed = {k: after[k] - before[k] for k in after if not torch.equal(after[k], before[k])}
    for energy in (0.7, 0.8, 0.9, 0.95, 0.98, 0.995):
        own, tried = {}, dict(before)
        for key, change in changed.items():
            part = cut(principal((change,)), energy) if change.ndim > 1 and change[0].numel() > 16 else (after[key],)
            part = tuple(t.half() for t in part)
            tried[key] = before[key] + expand(part, change.shape) if len(part) == 2 else part[0].float()
            own |= {key: part[0]} if len(part) == 1 else {key + s: t for s, t in zip(LOW, part, strict=True)}
        small: Generator = sg.load(sg.builtin("base-256"))  # type: ignore[assignment]
        small.load_state_dict(tried)
        got = structure_distance(small, latents, Pictures(paths))
        size = sum(t.numel() for t in own.values()) * 2 / 1e6
        print(f"energy {energy}: {size:.1f} MB, LPIPS {got:.4f} for {wanted:.4f}", flush=True)
        if got <= TOLERANCE * wanted:
            return own
    raise SystemExit("No rank keeps the structure.")


def write_look(name: str, data: Path, work: Path) -> None:
    trained: Generator = sg.load(work / f"{name}_final.safetensors")  # type: ignore[assignment]
    pairs = trained.info.notes["pairs"]
    own = {k: t for k, t in trained.state_dict().items() if k.startswith(FINER) and not k.endswith("noise_const")}
    first = name == "figurine"
    own |= low_ranks(work) if first else {}
    parents = [asset_parent("base"), asset_parent("line_x4", "BSD-3-Clause")] + ([] if first else [asset_parent("figurine")])
    write(name, data, own, trained, lend("base" if first else "figurine"), {"pairs": pairs}, parents)
    made, before, program = LEARNT[name]
    score = pairs["score"]
    write_card(name, data, f"MobileStyleGAN, 1024 px, 23 styles, fp16; only what {'base' if first else 'figurine'}.safetensors "
               f"lacks is in the file", LOOKS[name], f"python -m tools.demo.{made}, export_family.py".replace(".py", ""),
               f"the layers from 64 px up learnt from {pairs['count']} pairs in {before}{pairs['steps']} steps, targets drawn "
               f"by the program {name} of tools/demo/looks.py ({program}) from samples of base; on "
               f"{score['count']} unseen pairs L1 {score['l1']:.3f}, LPIPS {score['lpips']:.3f}; the layers of 8 to 32 px "
               f"learnt shapes in the 256 px base from 304 samples moved around five face points")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("names", nargs="*", default=["base", "base-256", *LOOKS])
    args = parser.parse_args()
    for name in args.names:
        if name in LOOKS:
            write_look(name, args.data, args.work)
        else:
            {"base": write_base, "base-256": write_small}[name](args.data, args.work)


if __name__ == "__main__":
    main()
