"""The demo base: MobileStyleGAN cut after its 128 px block, with a fresh 256 px image head.

    python -m tools.demo.train_base RANDOM_FACE_DATA_FOLDER WORK_FOLDER --steps 800

The head starts at the least-squares solution on the teacher's samples; then head and last blocks learn by
L1 + LPIPS. The run is the folder WORK_FOLDER/base and goes on where it stopped; the result is base.safetensors.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from stylegan_core.networks.generators.base import StyledLayer
from stylegan_core.networks.generators.mobile_layers import haar
from stylegan_core.networks.generators.mobilestylegan import MobileStyleGAN, MobileStyleGANConfig
from stylegan_core.networks.mapping import MappingConfig
from tools.demo.fitting import Fit, fit, load_pairs, to_model_range
from tools.demo.recipe import student_ws
from tools.demo.sample_teacher import load_teacher

SOLVED = 96
"""Samples that the head is solved on."""
CONFIG = MobileStyleGANConfig(mapping=MappingConfig(num_ws=17), channels=(512, 512, 512, 512, 512, 256))


def load_student(path: Path) -> MobileStyleGAN:
    model = MobileStyleGAN(CONFIG)
    state = torch.load(path, weights_only=True)
    model.w_avg = state.pop("mapping.w_avg")
    model.load_state_dict(state, strict=False)
    return model.to(memory_format=torch.channels_last)


def cut_teacher(folder: Path) -> MobileStyleGAN:
    """The teacher's first blocks with an untrained head, on the teacher's mapping."""
    teacher = load_teacher(folder)
    student = MobileStyleGAN(CONFIG)
    kept = {k: v for k, v in teacher.state_dict().items() if k in student.state_dict() and ".head." not in k}
    student.load_state_dict(kept, strict=False)
    return student.to(memory_format=torch.channels_last)


@torch.no_grad()
def solve_head(student: MobileStyleGAN, samples: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Least squares of the wavelet bands of pictures on the last features; style starts at 1.

    samples: ws and the picture [1, 3, S, S] that they shall give.
    """
    head, last = student.synthesis.head, {}

    def keep(_: StyledLayer, x: Tensor) -> Tensor:
        last["features"] = x
        return x

    head.affine.weight.zero_()
    width = head.weight.shape[1]
    gram, cross = torch.zeros(width + 1, width + 1, dtype=torch.float64), torch.zeros(width + 1, 12, dtype=torch.float64)
    for ws, image in samples:
        student.synthesis(ws, hook=keep)
        features = last["features"][0].flatten(1)
        x = torch.cat([features, torch.ones(1, features.shape[1])]).double()
        gram += x @ x.T
        cross += x @ haar(image)[0].flatten(1).T.double()
    ridge = 1e-4 * gram.diagonal().mean() * torch.eye(width + 1, dtype=torch.float64)
    solved = torch.linalg.solve(gram + ridge, cross).float()
    head.weight.copy_(solved[:-1].T[:, :, None, None] * math.sqrt(width))
    head.bias.copy_(solved[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--lr", type=float, default=6e-4)
    args = parser.parse_args()
    images = load_pairs(args.work, "faces")
    student = cut_teacher(args.data)
    if not (args.work / "base").exists():
        solve_head(student, ((student_ws(student.mapping, i), to_model_range(images[i : i + 1])) for i in range(SOLVED)))
    trained = {n: p for n, p in student.synthesis.named_parameters() if n.startswith(("b64.", "b128.", "head."))}

    def pairs(_step: int, numbers: list[int], ws: Tensor) -> tuple[Tensor, Tensor]:
        return student.synthesis(ws), to_model_range(images[numbers])

    fit(Fit("base", args.work, args.steps, args.batch, args.lr), student, trained, len(images), pairs)


if __name__ == "__main__":
    main()
