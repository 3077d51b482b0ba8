"""The demo toon: the base fine-tuned on drawn pictures of its own samples, structure and rendering kept apart.

    python tools/demo/train_toon.py WORK_FOLDER --steps 700

Three kinds of steps in turn, so that swapping layers at 32 px shows both sides cleanly:
  moved: toon's layers up to 32 px with the base's finer ones must give the moved photograph;
  drawn: the base's layers up to 32 px with toon's finer ones must give the drawing with the old geometry;
  toon:  toon alone must give the drawing with the new geometry.
The run is the folder WORK_FOLDER/toon and goes on where it stopped.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor
from torch.func import functional_call

sys.path.insert(0, str(Path(__file__).parents[2]))
from stylegan_core.networks.generators.mobilestylegan import MobileStyleGAN  # noqa: E402
from tools.demo.fitting import Fit, fit, load_pairs, to_model_range  # noqa: E402
from tools.demo.train_base import CONFIG  # noqa: E402

KINDS = ("moved", "drawn", "toon")
COARSE = ("const", "b4.", "b8.", "b16.", "b32.")


def load_student(path: Path) -> MobileStyleGAN:
    model = MobileStyleGAN(CONFIG)
    model.load_state_dict(torch.load(path, weights_only=True), strict=False)
    return model.to(memory_format=torch.channels_last)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--lr", type=float, default=6e-4)
    args = parser.parse_args()
    base, toon = (load_student(args.work / "base_final.pt") for _ in range(2))
    targets = {kind: load_pairs(args.work, kind) for kind in KINDS}
    fixed = {k: v.detach() for k, v in base.synthesis.named_parameters()}
    own = dict(toon.synthesis.named_parameters())
    from_base = {"moved": [k for k in own if not k.startswith(COARSE)], "drawn": [k for k in own if k.startswith(COARSE)],
                 "toon": []}
    sources = {kind: own | {k: fixed[k] for k in names} for kind, names in from_base.items()}

    def pairs(step: int, numbers: list[int], ws: Tensor) -> tuple[Tensor, Tensor]:
        kind = KINDS[step % len(KINDS)]
        return functional_call(toon.synthesis, sources[kind], (ws,)), to_model_range(targets[kind][numbers])

    run = Fit("toon", args.work, args.steps, args.batch, args.lr)
    fit(run, toon, own, len(targets["toon"]), pairs)


if __name__ == "__main__":
    main()
