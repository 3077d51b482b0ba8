"""The demo encoder: codes from portraits, learned on samples whose codes are known.

    python -m tools.demo.train_encoder WORK_FOLDER --steps 6000                  # codes alone: cheap steps
    python -m tools.demo.train_encoder WORK_FOLDER --steps 6000 --image-steps 400   # then through the generator as well

Reads faces.u8, held_out.u8 and base_final.pt; augments the pictures to look like photographs (moved, blurred, noisy, partly
covered). The second part adds L2 + LPIPS + identity of base(code) to the picture. Each part is a run in a folder,
WORK_FOLDER/encoder_codes and encoder_pictures, and goes on where it stopped.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from stylegan_core.engine import FitOptions, Fitting, RunFolder, weighted_total
from stylegan_core.inversion.spaces import Coordinates
from stylegan_core.losses.identity import IdentityLoss
from stylegan_core.losses.perceptual import LPIPS
from stylegan_core.networks.generators.mobilestylegan import MobileStyleGAN
from stylegan_core.training.encoder import TRUNK_RATE, augment, code_loss, fresh_encoder
from tools.demo.fitting import learn, load_pairs, sheet, to_model_range
from tools.demo.recipe import HELD_OUT, student_ws
from tools.demo.train_base import load_student


@dataclass(frozen=True)
class Weights:
    """Of the losses in the second part."""

    code: float = 0.3
    l2: float = 0.5
    lpips: float = 1.0
    identity: float = 0.4


@torch.no_grad()
def known_codes(base: MobileStyleGAN, space: Coordinates, count: int, first: int = 0) -> Tensor:
    """Whitened coordinates [count, 17, 512] of the samples from number `first` on."""
    return space.from_code(torch.cat([student_ws(base.mapping, first + i) for i in range(count)]))


def train(args: argparse.Namespace) -> None:
    base = load_student(args.work / "base_final.pt").requires_grad_(False)
    encoder, space = fresh_encoder(base)
    assert space.axes is not None
    scale, images_loss = space.axes.square().sum(0), ImageLoss(base, Weights())
    faces, held = load_pairs(args.work, "faces"), load_pairs(args.work, "held_out")
    codes, held_codes = known_codes(base, space, len(faces)), known_codes(base, space, len(held), HELD_OUT)

    def step(number: int, batch: int, through: bool) -> dict[str, Tensor]:
        rng = np.random.RandomState(700_001 + number)
        rows = rng.randint(len(faces), size=batch)
        clean = to_model_range(faces[rows])
        got = encoder.coordinates(augment(clean, rng))
        terms = {"code": code_loss(got, codes[rows], scale)}
        if through:
            terms |= images_loss.terms(encoder.to_code(got), clean, rng)
        weights = asdict(images_loss.weights) if through else {"code": 1.0}
        weighted_total(terms, weights).backward()
        return {name: value.detach() for name, value in terms.items()}

    def score() -> None:
        with torch.no_grad():
            error = code_loss(encoder.coordinates(to_model_range(held)), held_codes, scale)
        tqdm.write(f"code loss on unseen samples {float(error):.4f}")

    parts = {"codes": (args.steps, args.batch, FitOptions(max(args.steps, 1), args.lr, warm_up=50, average=0.998, clip=1.0,
                                                          save_every=250)),
             "pictures": (args.image_steps, args.image_batch, FitOptions(max(args.image_steps, 1), 0.15 * args.lr, warm_up=50,
                                                                         clip=1.0))}
    for name, (steps, batch, options) in parts.items():
        if not steps:
            continue
        settings = {"batch": batch, "lr": options.lr, "steps": steps, "after": args.steps}
        first = args.steps if name == "pictures" else 0
        with RunFolder(args.work / f"encoder_{name}", settings, resume=True, may_change=("steps",)) as folder:
            learn(Fitting(dict(encoder.named_parameters()), lambda i, f=first, b=batch: step(f + i, b, bool(f)), options,
                          lambda n: TRUNK_RATE if n.startswith("trunk.") else 1.0, folder, {"encoder": encoder}, on_save=score),
                  f"encoder, {name}").average.apply()
    encoder.eval().requires_grad_(False)
    torch.save(encoder.state_dict(), args.work / "encoder_final.pt")
    with torch.no_grad():
        shown = to_model_range(held[:8])
        sheet([shown, torch.cat([base.synthesis(encoder.encode(x[None]).tensor) for x in shown])], args.work / "encoder.png")


class ImageLoss:
    """L2, LPIPS and identity between base(code) and the picture."""

    def __init__(self, base: MobileStyleGAN, weights: Weights) -> None:
        self.base, self.weights = base, weights
        self.lpips, self.identity = LPIPS.embedded(), IdentityLoss.embedded()

    def terms(self, ws: Tensor, wanted: Tensor, rng: np.random.RandomState) -> dict[str, Tensor]:
        drawn = self.base.synthesis(ws)
        y, x = rng.randint(4, size=2)
        return {"l2": (drawn - wanted).square().mean(), "lpips": self.lpips(drawn[..., y:, x:], wanted[..., y:, x:]).mean(),
                "identity": self.identity(drawn, wanted).mean()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--image-steps", type=int, default=0)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--image-batch", type=int, default=4)
    parser.add_argument("--lr", type=float, default=6e-4)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
