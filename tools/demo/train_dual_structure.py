"""The built-in DualStyleGAN's structure: the base's extrinsic path, learned on pairs of faces and their stylized pictures.

    python -m tools.demo.train_dual_structure WORK_FOLDER --steps 800

Stage I: the path starts near the identity, a style's code is what the encoder sees in drawings of that style. Then, as every
parameter of the stylized pictures is known, supervised steps of three kinds in turn keep structure and color apart:
  structure: weights 1 for structure and 0 for color must give the face in the style's shape, as a photograph;
  color:     weights 0 and 1 must give the face's own shape in the style's palette;
  both:      all weights 1 must give the stylized picture.
The bank's codes are learned along; every fourth picture takes the encoder's code of another drawing of the style instead, so
that new drawings work too. At 256 px, whose base shares its layers up to 32 px with the 1024 px one; train_dual.py goes on with
the structure there. Reads what flatten_faces.py and train_encoder.py wrote; the run is the folder WORK_FOLDER/dual.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from stylegan_core.engine import FitOptions, Fitting, RunFolder
from stylegan_core.losses.perceptual import LPIPS
from stylegan_core.networks.dualstylegan import DualStyleGAN
from stylegan_core.networks.encoders.compact import CompactEncoder
from stylegan_core.networks.style_weights import STRUCTURE_PLACES
from tools.demo.fitting import learn, load_pairs, sheet, to_model_range
from tools.demo.palettes import STYLES, Style, stylized
from tools.demo.recipe import student_ws
from tools.demo.train_base import load_student
from tools.demo.train_encoder import fresh_encoder

HIDDEN = 48
"""Channels inside the residual blocks: the published 512 would weigh 80 MB."""
EXEMPLARS = 6
"""Drawings of each style whose codes the encoder gives."""
FRESH = 0.25
"""Share of pictures whose style code comes from the encoder and not from the bank."""
INK = 0.4
"""Strength of the ink lines: style vectors of a frozen generator follow palettes well and full lines not at all."""
KINDS = ((True, False), (False, True), (True, True))
"""(structure, color) of the three kinds of steps."""


@dataclass(frozen=True)
class Faces:
    """Sampled faces, and what stylized() needs of them."""

    images: np.ndarray
    smooth: np.ndarray
    lines: np.ndarray
    points: Tensor

    @classmethod
    def read(cls, work: Path, name: str = "faces") -> Faces:
        stores = [load_pairs(work, f"{name}{kind}") for kind in ("", "_smooth", "_lines")]
        return cls(*stores, torch.from_numpy(np.load(work / f"{name}_points.npy")))

    def __len__(self) -> int:
        return len(self.points)

    def picture(self, rows: list[int]) -> Tensor:
        return to_model_range(self.images[rows])

    def stylized(self, rows: list[int], styles: list[Style], structure: bool = True, color: bool = True) -> Tensor:
        """[B, 3, 256, 256] in [-1, 1]: each face in its style."""
        paper = 1 - INK * (1 - (to_model_range(self.lines[rows])[:, :1] + 1) / 2)
        flat = ((to_model_range(self.smooth[rows]) + 1) / 2, paper)
        return stylized(self.picture(rows), flat, self.points[rows], styles, structure, color)


RATES = ((r"structure\..*affine\..*", 0.15), (r"structure\..*", 2.0), (r"color\..*", 1.0), (r"transform\..*", 0.5),
         (r"bank", 0.6))
"""Learning rates by name, as shares: convolutions and color transforms are scaled at run time, affine layers are not."""


def rate_share(name: str) -> float:
    return next(share for pattern, share in RATES if re.fullmatch(pattern, name))


def load_encoder(work: Path, base: nn.Module) -> CompactEncoder:
    encoder, _ = fresh_encoder(base)  # type: ignore[arg-type]
    encoder.load_state_dict(torch.load(work / "encoder_final.pt", weights_only=True))
    return encoder.eval().requires_grad_(False)


@torch.no_grad()
def encoded_styles(faces: Faces, encoder: CompactEncoder) -> Tensor:
    """[24, EXEMPLARS, 17, 512]: the encoder's codes of drawings of each style; the first is the bank's exemplar."""
    return torch.stack([encoder.encode(faces.stylized(exemplar_rows(i), [style] * EXEMPLARS)).tensor
                        for i, style in enumerate(STYLES)])


def exemplar_rows(style: int) -> list[int]:
    return [style + len(STYLES) * k for k in range(EXEMPLARS)]


def train(args: argparse.Namespace) -> None:
    base = load_student(args.work / "base_final.pt").requires_grad_(False)
    faces = Faces.read(args.work)
    torch.manual_seed(0)
    dual = DualStyleGAN.over(base, HIDDEN)
    seen = encoded_styles(faces, load_encoder(args.work, base))
    bank = nn.Parameter(seen.mean(1).clone())
    path_parameters = {n: p for n, p in dual.named_parameters() if not n.startswith("base.")}
    trained = {**path_parameters, "bank": bank}
    lpips, shown = LPIPS.embedded(), dict[str, list[Tensor]]()

    def step(number: int) -> dict[str, Tensor]:
        rng = np.random.RandomState(900_001 + number)
        rows, ids = rng.randint(len(faces), size=args.batch).tolist(), rng.randint(len(STYLES), size=args.batch).tolist()
        structure, color = KINDS[number % len(KINDS)]
        want = faces.stylized(rows, [STYLES[i] for i in ids], structure, color)
        y, x = rng.randint(4, size=2)
        drawn, total = [], torch.zeros(())
        for n, i in enumerate(ids):  # one by one, which a CPU does faster than a batch
            code = seen[i, rng.randint(EXEMPLARS)] if rng.rand() < FRESH else bank[i]
            got = draw(dual, student_ws(base.mapping, rows[n]), code[None], float(structure), float(color))
            goal = want[n : n + 1]
            loss = ((got - goal).abs().mean() + 0.8 * lpips(got[..., y:, x:], goal[..., y:, x:]).mean()) / len(ids)
            loss.backward()
            drawn.append(got.detach())
            total += loss.detach()
        kind = ("shape", "color", "both")[number % len(KINDS)]
        shown.clear()
        shown[kind] = [want, torch.cat(drawn)]
        return {kind: total}

    options = FitOptions(args.steps, args.lr, warm_up=30)
    settings = {"steps": args.steps, "lr": args.lr, "batch": args.batch}
    with RunFolder(args.work / "dual", settings, resume=True, may_change=("steps",)) as folder:
        found = learn(Fitting(trained, step, options, rate_share, folder, {"DualStyleGAN": dual},
                              on_save=lambda: [sheet(rows, args.work / f"dual_{kind}.png") for kind, rows in shown.items()]),
                      "dual").result()
    torch.save(found, args.work / "dual_final.pt")


def draw(dual: DualStyleGAN, ws: Tensor, codes: Tensor, structure: float, color: float) -> Tensor:
    weights = [structure] * STRUCTURE_PLACES + [color] * (dual.num_weights - STRUCTURE_PLACES)
    return dual.render(ws, dual.exemplar_from_ws(codes), weights)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--lr", type=float, default=1e-2)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
