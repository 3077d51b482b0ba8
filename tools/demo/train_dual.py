"""The built-in DualStyleGAN's rendering: manners of drawing for the fine layers of the 1024 px base, and styles' color codes.

    python -m tools.demo.train_dual WORK_FOLDER --steps 3600

Structure (residual blocks up to 32 px, T_s, structure codes) is what train_dual_structure.py learnt and stays. What a face
looks like after 32 px is then drawn by a program in each manner: the targets. Each step draws a part of one face in one
manner, with the color code of a style of that manner (its target tinted as the style says), or with the face's own color rows,
so that a manner keeps a person's colors where no style gives others. The run is the folder WORK_FOLDER/run; progress in
WORK_FOLDER/sheet.png.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import stylegan_core as sg
from stylegan_core.engine import FitOptions, Fitting, RunFolder
from stylegan_core.losses.perceptual import LPIPS
from stylegan_core.networks.dualstylegan import DualStyleGAN, Exemplar
from stylegan_core.networks.generators.base import Generator
from stylegan_core.networks.manners import NOISE, change_shapes, papered
from stylegan_core.networks.style_weights import STRUCTURE_PLACES
from stylegan_core.training.window import Window, Windows
from tools.demo.dual_faces import Faces
from tools.demo.family import sheet
from tools.demo.fitting import learn
from tools.demo.styles import OWN_MANNERS, STYLES, Style

HIDDEN = 48
"""Channels inside the residual blocks: the published 512 would weigh 80 MB."""
DRAWN = tuple(dict.fromkeys(style.manner for style in STYLES))
MANNERS = DRAWN + OWN_MANNERS
OWN = 0.25
"""Share of the steps with the face's own colors."""
SHARES = {NOISE: 16.0, "code": 7.0, "depthwise": 15.0, "affine.bias": 15.0, "bias": 5.0}
"""Learning rates as shares of that of the 1x1 convolutions, whose weights are a hundredth of the depthwise ones."""


def with_structure(base: Generator, learnt: DualStyleGAN, manners: int = len(MANNERS)) -> DualStyleGAN:
    """A DualStyleGAN over base with another's structure path; colors pass T_c as they are."""
    dual = DualStyleGAN.over(base, HIDDEN, manners)
    dual.transform.load_state_dict(learnt.transform.state_dict())
    dual.structure.load_state_dict(learnt.structure.state_dict())
    for layer in dual.color:
        layer.weight.data.copy_(torch.eye(dual.w_dim) * dual.w_dim**0.5)  # type: ignore[union-attr, operator]
    return dual.requires_grad_(False)


def structure_codes(dual: DualStyleGAN, bank: sg.Latents) -> Tensor:
    """[N, rows, w_dim]: a bank's codes, of whichever of the bases; only their structure rows serve."""
    return bank.ws(dual.base).float()


def code_name(style: Style) -> str:
    """Of a style's color code among the trained tensors; one that is drawn as another has that one's."""
    return f"code/{style.like or style.name}"


@dataclass(frozen=True)
class Lesson:
    """What one step draws."""

    manner: str
    style: int | None
    """None: in the face's own colors."""
    face: int


class Rendering:
    """The trained tensors, and how they draw."""

    def __init__(self, faces: Faces, manners: tuple[str, ...], crop: int) -> None:
        self.faces, self.manners, dual = faces, manners, faces.dual
        self.synthesis = dual.base.synthesis
        shapes = dict(change_shapes(dual.config.base.synthesis_shapes()))
        self.change = {m: {name: torch.zeros(shape) for name, shape in shapes.items()} for m in manners}
        center = dual.w_avg.expand(1, len(dual.rows), -1)
        self.codes = {i: center.clone() for i, style in enumerate(STYLES) if style.manner in manners and not style.like}
        finer = frozenset(x for x in dual.layers if any(name.startswith(x.name + ".") for name in shapes))
        self.windows = Windows.of(self.synthesis, finer, crop)
        self.ws = {i: faces.ws(i) for i in range(faces.count)}
        self.structure = {i: dual.exemplar_from_ws(faces.shape(i)).structure for i in range(faces.count)}

    def trained(self) -> dict[str, Tensor]:
        found = {f"{m}/{name}": x for m, change in self.change.items() for name, x in change.items()}
        return {**found, **{code_name(STYLES[i]): x for i, x in self.codes.items()}}

    def draw(self, lesson: Lesson, tensors: Mapping[str, Tensor], window: Window | None = None) -> Tensor:
        """[1, 3, S, S] (or the window's part), from `tensors`, named as trained() is."""
        dual, i, m = self.faces.dual, lesson.face, lesson.manner
        ws = self.ws[i]
        color = ws[:, list(dual.rows)] if lesson.style is None else tensors[code_name(STYLES[lesson.style])]
        change = {name: tensors[f"{m}/{name}"][None] for name in self.change[m]}
        weights = [self.faces.shaped(i)] * STRUCTURE_PLACES + [1.0] * len(dual.rows)
        exemplar = Exemplar(self.structure[i], color)
        if window is None:
            return dual.render(ws, exemplar, weights, change=change)
        paper = {name: x for name, x in change.items() if name.endswith(NOISE)}
        rest = {name: x for name, x in change.items() if name not in paper}
        maps = papered(self.synthesis, paper, dict.fromkeys(dual.rows, 1.0), self.synthesis.noise_maps(ws, "const", None, None))
        maps = [window.cut(x) if x.shape[-1] > window.whole else x for x in maps]
        return dual.render(ws, exemplar, weights, noise=maps, hook=window.hook, change=rest)

    def target(self, lesson: Lesson, window: Window | None = None) -> Tensor:
        whole = self.faces.targets[lesson.manner][lesson.face][None]
        part = whole if window is None else window.sound(window.cut(whole))
        return part if lesson.style is None else STYLES[lesson.style].tint(part)

    def lesson(self, rng: np.random.RandomState, number: int) -> Lesson:
        manner = self.manners[number % len(self.manners)]
        own = bool(rng.rand() < OWN)
        styles = [i for i in self.codes if STYLES[i].manner == manner]
        return Lesson(manner, None if own else int(rng.choice(styles)),
                      int(rng.choice([i for i in range(self.faces.count) if self.faces.own(i) == own])))


class Pace:
    """True once in so many seconds, and the first time."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.last = seconds, float("-inf")

    def due(self) -> bool:
        if time.monotonic() - self.last < self.seconds:
            return False
        self.last = time.monotonic()
        return True


def share(name: str) -> float:
    return next((value for part, value in SHARES.items() if part in name), 1.0)


def train(args: argparse.Namespace) -> None:
    dual = with_structure(sg.load(sg.builtin("base")), sg.load(args.structure))  # type: ignore[arg-type]
    codes = structure_codes(dual, sg.load(args.bank).latents())  # type: ignore[union-attr]
    faces = Faces(dual, codes, args.work / "targets", args.faces)
    manners = tuple(args.manners.split(",")) if args.manners else DRAWN
    faces.draw(manners)
    rendering, lpips = Rendering(faces, manners, args.crop), LPIPS.embedded()
    trained = rendering.trained()

    def step(number: int) -> dict[str, Tensor]:
        rng = np.random.RandomState([17, number])
        lesson, window = rendering.lesson(rng, number), rendering.windows and rendering.windows.draw(rng)
        with torch.autocast("cpu", torch.bfloat16):
            got = rendering.draw(lesson, trained, window).float()
        got, want = (got if window is None else window.sound(got)), rendering.target(lesson, window)
        y, x = rng.randint(8, size=2)
        with torch.autocast("cpu", torch.bfloat16):
            seen = lpips(got[..., y:, x:], want[..., y:, x:]).mean()
        loss = (got - want).abs().mean() + args.lpips * seen.float()
        loss.backward()
        return {lesson.manner: loss.detach()}

    settings = {k: getattr(args, k) for k in ("lr", "crop", "lpips", "faces", "manners")}
    with RunFolder(args.work / "run", settings, resume=True, may_change=("steps",)) as folder:
        options = FitOptions(args.steps, args.lr, warm_up=40, floor=0.05, save_every=28, save_seconds=100)
        fitting = Fitting(trained, step, options, share, folder, {"DualStyleGAN": dual})
        shown = Pace(300)
        fitting.on_save = lambda: show(rendering, fitting.result(), args.work) if shown.due() else None
        learn(fitting, "dual")
        torch.save(fitting.result(), args.work / "final.pt")


@torch.no_grad()
def show(rendering: Rendering, tensors: Mapping[str, Tensor], work: Path) -> None:
    """sheet.png: of each manner its target and what is drawn, one face after the other by the steps' turns."""
    faces = rendering.faces
    chosen = [i for i in range(faces.count) if not faces.own(i)][-2:]
    rows = []
    for k, manner in enumerate(rendering.manners):
        i = chosen[k % 2]
        style = next(s for s in rendering.codes if STYLES[s].manner == manner)
        lesson = Lesson(manner, style, i)
        rows.append([rendering.target(lesson)[0], rendering.draw(lesson, tensors)[0]])
    half = -(-len(rows) // 2)
    blank = torch.zeros_like(rows[0][0])
    columns = rows + [[blank, blank]] * (2 * half - len(rows))
    sheet([[x for row in columns[a : a + half] for x in [row[part]]] for a in (0, half) for part in (0, 1)],
          work / "sheet.png", 384)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--steps", type=int, default=3600)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--crop", type=int, default=384)
    parser.add_argument("--lpips", type=float, default=0.5)
    parser.add_argument("--faces", type=int, default=48)
    parser.add_argument("--manners", default="", help="only these, with commas between")
    parser.add_argument("--structure", type=Path, default=sg.builtin("dualstylegan"), help="whose structure path is taken")
    parser.add_argument("--bank", type=Path, default=sg.builtin("styles"), help="whose structure codes are taken")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
