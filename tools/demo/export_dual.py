"""Write the trained demo DualStyleGAN, its bank and a style sampler as fp16 safetensors with cards, and contact sheets.

    python -m tools.demo.export_dual RANDOM_FACE_DATA_FOLDER WORK_FOLDER

The DualStyleGAN's file leaves out the generator inside, which is base.safetensors.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

import stylegan_core as sg
from stylegan_core.checkpoints.borrowing import lend
from stylegan_core.checkpoints.safetensors_file import write_safetensors
from stylegan_core.checkpoints.saving import plain_config
from stylegan_core.networks.dualstylegan import DualStyleGAN
from stylegan_core.networks.style_bank import StyleBank
from tools.demo.cards import ASSETS, DOCS, asset_parent, describe, write_card
from tools.demo.fitting import sheet
from tools.demo.styles import STYLES
from tools.demo.train_dual import HIDDEN
from tools.demo.train_sampler import fit_sampler

PREFIX = "base."
SHEET_SEEDS = (100, 103, 107, 112)


def write_dual(dual: DualStyleGAN, data: Path) -> None:
    """Everything but the base's tensors, in fp16."""
    info = describe("dualstylegan", dual.kind, data, [asset_parent("base-256")], {"styles": [s.name for s in STYLES]})
    tensors = {k: v.half() for k, v in dual.state_dict().items() if not k.startswith(PREFIX)}
    facts = {"family": dual.kind, "config": plain_config(dual.config), "source": info.source, "sha256": "",
             "parents": list(info.parents), "licence": info.licence, "notes": info.notes, **lend("base-256", PREFIX)}
    write_safetensors(ASSETS / "dualstylegan.safetensors", tensors, facts, overwrite=True)


def write_bank(codes: Tensor, base: torch.nn.Module, data: Path) -> StyleBank:
    bank = StyleBank.of(sg.Latents(codes, "w+", base), [style.name for style in STYLES])  # type: ignore[arg-type]
    bank.info = describe("styles", bank.kind, data, [asset_parent("dualstylegan")], {})
    sg.save(bank, ASSETS / "styles.safetensors", dtype=torch.float16, overwrite=True)
    return sg.load(ASSETS / "styles.safetensors")  # type: ignore[return-value]


@torch.no_grad()
def contact_sheets(dual: DualStyleGAN, bank: StyleBank) -> None:
    """docs/styles.jpg: 24 styles on one face; docs/structure_color.jpg: for six styles, shape alone, color alone, both."""
    ws = sg.Latents(dual.mapping(sg.sample_z(list(SHEET_SEEDS), dual.z_dim), truncation_psi=0.6), "w+", dual.base)
    drawn = sg.style_grid(dual, ws.pick([0, 2]), bank.latents(), "[14*1]")
    sheet([drawn[i : i + 12] for i in range(0, 48, 12)], DOCS / "styles.jpg")
    rows = []
    for i in (0, 5, 9, 14, 18, 22):
        style = bank.pick(i)
        parts = [sg.transfer_style(dual, ws, style, weights) for weights in ("[7*1, 7*0]", "[7*0, 7*1]", "[14*1]")]
        rows.append(torch.cat([torch.stack([p[k] for p in parts]) for k in range(len(ws))]))
    sheet([torch.cat([torch.stack([x, x, x]) for x in sg.render(dual.base, ws)]), *rows], DOCS / "structure_color.jpg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    args = parser.parse_args()
    trained = torch.load(args.work / "dual_final.pt", weights_only=True)
    codes = trained.pop("bank")
    base = sg.load(ASSETS / "base.safetensors")
    dual = DualStyleGAN.over(base, HIDDEN)  # type: ignore[arg-type]
    dual.load_state_dict({**dual.state_dict(), **trained})
    write_dual(dual, args.data)
    bank = write_bank(codes, base, args.data)
    dual = sg.load(ASSETS / "dualstylegan.safetensors")
    sampler = fit_sampler(bank.codes.float(), structure_rows=dual.rows[0])  # type: ignore[attr-defined]
    sampler.info = describe("style_sampler", sampler.kind, args.data, [asset_parent("styles")], {})
    sg.save(sampler, ASSETS / "style_sampler.safetensors", dtype=torch.float16, overwrite=True)
    made = "python -m tools.demo.flatten_faces, train_dual.py, export_dual.py"
    write_card("dualstylegan", args.data, f"extrinsic path of a DualStyleGAN over base.safetensors, {HIDDEN} channels inside "
               "the residual blocks, fp16; the generator inside is left out and read from base.safetensors",
               "Draws a face in the style of an exemplar: shape and color apart.", made,
               "L1 + LPIPS on pairs of faces and their stylized pictures, structure alone, color alone and both in turn")
    write_card("styles", args.data, f"{len(STYLES)} extrinsic w+ codes [17, 512], fp16",
               "The bank of dualstylegan.safetensors: six shapes of the face, eight palettes.", made,
               "codes learned with the DualStyleGAN; no picture of anybody is among them")
    write_card("style_sampler", args.data, "style sampler, structure and color apart, fp16",
               "Draws new styles between those of the bank.", "python -m tools.demo.train_sampler, export_dual.py",
               "fitted to the bank's codes")
    contact_sheets(dual, bank)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
