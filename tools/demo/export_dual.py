"""Write the trained DualStyleGAN, its bank and a style sampler as fp16 safetensors with cards, and contact sheets.

    python -m tools.demo.export_dual RANDOM_FACE_DATA_FOLDER WORK_FOLDER

Here the manners are written into the codes: the image head sees 64 combinations of its row's 512 numbers, and what the row
holds beside these changes nothing. Of what is left, the directions in which faces vary least name a manner each. The file of
the DualStyleGAN leaves out the generator inside, which is base.safetensors.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

import stylegan_core as sg
from stylegan_core.checkpoints.borrowing import lend
from stylegan_core.checkpoints.safetensors_file import write_safetensors
from stylegan_core.checkpoints.saving import plain_config
from stylegan_core.networks.dualstylegan import DualStyleGAN
from stylegan_core.networks.generators.base import Generator
from stylegan_core.networks.manners import Manners
from stylegan_core.networks.style_bank import StyleBank
from tools.demo.cards import ASSETS, DOCS, asset_parent, describe, write_card
from tools.demo.family import sheet
from tools.demo.styles import STYLES
from tools.demo.train_dual import DRAWN, MANNERS, code_name, structure_codes, with_structure
from tools.demo.train_sampler import fit_sampler

PREFIX = "base."
LENGTH = 6.0
"""How far a code goes in its manner's direction; faces go a tenth of that at most."""
STEEP, DEAD = 1.4, 0.2
"""Of the gate: a manner has all shares from 1 / STEEP of LENGTH on, and none of what faces go by chance."""
SAMPLES = 5000
SHEET_SEEDS = (100, 103, 107, 112)


def bank_codes(dual: DualStyleGAN, structure: Mapping[str, Tensor], color: Mapping[str, Tensor]) -> Tensor:
    """[styles, rows, w_dim]. structure: code of each shape [rows, w_dim]; color: of each style [1, color rows, w_dim]."""
    codes = torch.stack([structure.get(style.name, structure[style.shape]) for style in STYLES])
    first = {style.manner: color[code_name(style)] for style in reversed(STYLES)}
    codes[:, list(dual.rows)] = torch.cat([first[s.manner].lerp(color[code_name(s)], s.reach) for s in STYLES])
    return codes


def structures(codes: Tensor, names: tuple[str, ...]) -> dict[str, Tensor]:
    """A former bank's codes by name, and by shape their mean."""
    shapes = {name.split()[0] for name in names}
    means = {s: codes[[i for i, name in enumerate(names) if name.split()[0] == s]].mean(0) for s in shapes}
    return {**means, **dict(zip(names, codes, strict=True))}


@torch.no_grad()
def directions(dual: DualStyleGAN) -> Tensor:
    """[manners, w_dim] orthonormal: unseen by the image head, and in which w varies least."""
    seen: Tensor = dual.base.synthesis.get_parameter("head.affine.weight").double()
    free = torch.linalg.svd(seen)[2][len(seen) :]
    spread = (dual.mapping.to_w(sg.sample_z(list(range(SAMPLES)), dual.z_dim)) - dual.w_avg).double() @ free.T
    return (torch.linalg.eigh(spread.T @ spread)[1][:, : len(MANNERS)].T @ free).float()


@torch.no_grad()
def write_manners(dual: DualStyleGAN, codes: Tensor) -> float:
    """Into the codes [styles, rows, w_dim], in place, and into the gate -> the least share of its manner that a style gets."""
    named, manners = directions(dual), dual.manners
    own = torch.tensor([MANNERS.index(style.name if style.like else style.manner) for style in STYLES])
    head, gate = codes[:, dual.rows[-1]], manners.gate  # type: ignore[union-attr]
    head -= (head - dual.w_avg) @ named.T @ named - LENGTH * named[own]
    gate.weight[:-1] = STEEP / LENGTH * named  # type: ignore[index, operator]
    gate.bias[:-1] = -gate.weight[:-1] @ dual.w_avg  # type: ignore[index, operator]
    gate.weight[-1], gate.bias[-1] = -gate.weight[:-1].sum(0), 1 + DEAD - gate.bias[:-1].sum()  # type: ignore[index, operator]
    return float(manners.shares(codes[:, list(dual.rows)])[range(len(own)), own].min())  # type: ignore[union-attr]


@torch.no_grad()
def tint_heads(manners: Manners, base: Generator) -> None:
    """Give the styles' own manners their tints, in place: of the image head's 12 bands (LL of three colors, then LH, HL and HH
    of each) every kind is mixed as colors are, and twice a color in LL is that color."""
    weight, bias = (base.synthesis.get_parameter(f"head.{part}") for part in ("weight", "bias"))
    for k, style in enumerate((s for s in STYLES if s.like), len(DRAWN)):
        matrix, offset = style.tint.affine()
        for own, change in ((weight, manners.head_weight[k]), (bias, manners.head_bias[k])):  # type: ignore[index]
            whole = (own + change).flatten(1) if own.ndim > 1 else (own + change)[:, None]
            low = matrix @ whole[:3]
            high = torch.einsum("ij,jbc->ibc", matrix, whole[3:].unflatten(0, (3, 3))).flatten(0, 1)
            change.copy_(torch.cat([low, high]).view_as(own) - own)
        manners.head_bias[k, :3] += 2 * offset  # type: ignore[index]


def assembled(args: argparse.Namespace) -> tuple[DualStyleGAN, Tensor]:
    """The DualStyleGAN and its bank's codes, from a run."""
    trained = torch.load(args.work / "final.pt", weights_only=True)
    base = sg.load(ASSETS / "base.safetensors")
    dual = with_structure(base, sg.load(args.structure))  # type: ignore[arg-type]
    former = sg.load(args.bank)
    old = structure_codes(dual, former.latents())  # type: ignore[union-attr, operator]
    codes = bank_codes(dual, structures(old, tuple(former.names)), trained)  # type: ignore[union-attr, arg-type]
    manners: Manners = dual.manners  # type: ignore[assignment]
    with torch.no_grad():
        for name, own in manners.names.items():
            changes = [trained[f"{style.manner}/{name}"] for style in STYLES if style.like]
            manners.get_parameter(own).copy_(torch.stack([*(trained[f"{m}/{name}"] for m in DRAWN), *changes]))
        tint_heads(manners, base)  # type: ignore[arg-type]
    print(f"share of its manner that a style has: at least {write_manners(dual, codes):.3f}; that a face has by chance: "
          f"at most {shares_of_faces(dual):.3f}")
    return dual, codes


@torch.no_grad()
def shares_of_faces(dual: DualStyleGAN) -> float:
    w = dual.mapping.to_w(sg.sample_z(list(range(SAMPLES, SAMPLES + 1000)), dual.z_dim))
    return float(dual.manners.shares(w[:, None]).sum(1).max())  # type: ignore[union-attr]


def write_dual(dual: DualStyleGAN, data: Path) -> None:
    """Everything but the base's tensors, in fp16."""
    info = describe("dualstylegan", dual.kind, data, [asset_parent("base")], {"styles": [s.name for s in STYLES],
                                                                             "manners": list(MANNERS)})
    tensors = {k: v.half() for k, v in dual.state_dict().items() if not k.startswith(PREFIX)}
    facts = {"family": dual.kind, "config": plain_config(dual.config), "source": info.source, "sha256": "",
             "parents": list(info.parents), "licence": info.licence, "notes": info.notes, **lend("base", PREFIX)}
    write_safetensors(ASSETS / "dualstylegan.safetensors", tensors, facts, overwrite=True)


def write_bank(codes: Tensor, base: torch.nn.Module, data: Path) -> None:
    bank = StyleBank.of(sg.Latents(codes, "w+", base), [style.name for style in STYLES])  # type: ignore[arg-type]
    bank.info = describe("styles", bank.kind, data, [asset_parent("dualstylegan")], {})
    sg.save(bank, ASSETS / "styles.safetensors", dtype=torch.float16, overwrite=True)


def write_sampler(codes: Tensor, dual: DualStyleGAN, data: Path) -> None:
    sampler = fit_sampler(codes, structure_rows=dual.rows[0])
    sampler.info = describe("style_sampler", sampler.kind, data, [asset_parent("styles")], {})
    sg.save(sampler, ASSETS / "style_sampler.safetensors", dtype=torch.float16, overwrite=True)


def write_cards(data: Path) -> None:
    made = "python -m tools.demo.train_dual_structure, train_dual.py, export_dual.py"
    write_card("dualstylegan", data, "extrinsic path of a DualStyleGAN over base.safetensors (1024 px): structure path with 48 "
               f"channels inside the residual blocks, color transforms, {len(MANNERS)} manners of drawing for the layers above "
               "64 px and the gate that mixes them, fp16; the generator inside is left out and read from base.safetensors",
               "Draws a face in the style of an exemplar: shape, and color with manner, apart.", made,
               "structure: L1 + LPIPS on pairs of faces and their stylized pictures at 256 px; manners: L1 + LPIPS at 1024 px "
               "on pictures drawn by the programs of tools/demo/manners.py")
    write_card("styles", data, f"{len(STYLES)} extrinsic w+ codes [23, 512], fp16",
               f"The bank of dualstylegan.safetensors: six shapes of the face, {len(MANNERS)} manners of drawing, tints.", made,
               "codes learned with the DualStyleGAN; no picture of anybody is among them")
    write_card("style_sampler", data, "style sampler, structure and color apart, fp16",
               "Draws new styles between those of the bank.", "python -m tools.demo.train_sampler, export_dual.py",
               f"fitted to the {len(STYLES)} codes of the bank")


@torch.no_grad()
def contact_sheets(dual: DualStyleGAN, bank: StyleBank) -> None:
    """docs/styles.jpg: every style on one face; docs/structure_color.jpg: for six styles, shape alone, color alone, both."""
    ws = sg.Latents(dual.mapping(sg.sample_z(list(SHEET_SEEDS), dual.z_dim), truncation_psi=0.6), "w+", dual.base)
    drawn = sg.style_grid(dual, ws.pick([0]), bank.latents(), 1.0, size=256)
    sheet([drawn[i : i + 9] for i in range(0, len(drawn), 9)], DOCS / "styles.jpg", 256)
    rows = []
    for name in ("doll comic", "owl night", "hero sunset", "imp forest", "doll watercolour", "clown clay"):
        style = bank.pick(bank.names.index(name))
        parts = [sg.transfer_style(dual, ws, style, weights, size=256)
                 for weights in ("[7*1, 13*0]", "[7*0, 13*1]", "[20*1]")]
        rows.append([p[k] for k in range(len(ws)) for p in parts])
    plain = sg.render(dual.base, ws)
    sheet([[x for x in plain for _ in range(3)], *rows], DOCS / "structure_color.jpg", 256)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--structure", type=Path, default=sg.builtin("dualstylegan"), help="whose structure path is taken")
    parser.add_argument("--bank", type=Path, default=sg.builtin("styles"), help="whose structure codes are taken")
    parser.add_argument("--only", choices=("model", "sampler", "sheets"), help="one part, of what was written before")
    args = parser.parse_args()
    if args.only in (None, "model"):
        dual, codes = assembled(args)
        write_dual(dual, args.data)
        write_bank(codes, dual.base, args.data)
    dual, bank = (sg.load(ASSETS / f"{name}.safetensors") for name in ("dualstylegan", "styles"))
    if args.only in (None, "sampler"):
        write_sampler(bank.codes.float(), dual, args.data)  # type: ignore[arg-type, operator, union-attr]
        write_cards(args.data)
    if args.only in (None, "sheets"):
        contact_sheets(dual, bank)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
