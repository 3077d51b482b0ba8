"""What each part of DualStyleGAN's training is good for: figure 10 of its paper (2203.13248) as a table and a sheet.

    python -m benchmarks.stages WORK [--drawings FOLDER] [--px 128] [--iterations 40 40] [--sheet stages.png]

The same training over base-256 (cut after its 64 px block: 128 px), from the same seed and equally long, without one of its
parts each, and with augmented drawings. Without --drawings a program draws faces of base-256 in 24 styles, six of them once, so
that the true faces and the true results are known. What is done waits in WORK, and running again goes on. All numbers are means
over faces that no drawing shows; lower is nearer:

    style       Gram distance to the exemplar (AlexNet's features)
    identity    distance of the face's embedding from the plain face's
    layout      difference of the likeness between places (self-similarity of features) from the exemplar's
    truth       LPIPS to what the program draws of that face
    shape       with color off, LPIPS to the program's shape of that face; the plain face's is 1
    rare        truth, of the styles that were drawn once
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize
from tqdm import tqdm

import stylegan_core as sg
from benchmarks.drawn import DrawingSet, augmented, cut_base, drawn_as, given_drawings, latents, own_drawings
from stylegan_core.engine import RunFolder
from stylegan_core.inversion.encode import PortraitEncoder
from stylegan_core.losses.features import Features, style_distance
from stylegan_core.losses.identity import IdentityLoss
from stylegan_core.losses.perceptual import LPIPS
from stylegan_core.networks.dualstylegan import DualStyleGAN
from stylegan_core.networks.generators.base import Generator
from stylegan_core.networks.style_weights import STRUCTURE_PLACES
from stylegan_core.ops.resize import resize_area
from stylegan_core.runtime import fast_type
from stylegan_core.training.dual_options import MAY_CHANGE
from stylegan_core.training.dual_plan import CROSSOVERS, ITERATIONS, STRUCTURE_ITERATIONS, StagePlan, published_plan
from stylegan_core.training.dual_stages import DualStages, StyleExamples
from stylegan_core.training.dual_start import DualStart, fresh_start
from stylegan_core.training.files import get_adam
from tools.demo.palettes import STYLES

KIND, BATCH, HIDDEN, JUDGE_PX, G_REG_INTERVAL, WHOLE_PX = "cartoon", 2, 48, 64, 8, 256
STYLE_RATE = 3.0
"""Of stage III, times the published one: the iterations are so few."""
FACES, FACE_SEED, FACE_PSI, EXEMPLARS = 1, 900_000, 0.7, 24
LAYER = 2
"""Feature layer (AlexNet's third) whose places are compared."""
SHOWN = (0, 2, 5, 9, 13, 16, 20, 23)


@dataclass(frozen=True)
class Variant:
    """What a training leaves out, or has beside."""

    paired: bool = True
    regularized: bool = True
    initialized: bool = True
    structure: bool = True
    augmented: bool = False


VARIANTS = {
    "full": Variant(),
    "without pairs": Variant(paired=False),
    "without regularization": Variant(regularized=False),
    "without stage II": Variant(structure=False),
    "without stage I": Variant(initialized=False),
    "augmented drawings": Variant(augmented=True),
}


@dataclass(frozen=True, eq=False)
class Bench:
    """What all variants share."""

    base: Generator
    """The one that is trained over; whole: the one that drawings and codes are of."""
    whole: Generator
    encoder: PortraitEncoder
    drawings: DrawingSet
    work: Path
    iterations: tuple[int, int]
    """Of stages II and III."""

    def trained(self, variant: Variant) -> DualStyleGAN:
        start = fresh_start(self.base, JUDGE_PX, HIDDEN)
        start = start if variant.initialized else uninitialized(start)
        examples, tag = self.examples(variant), "" if variant.initialized else "_uninitialized"
        if variant.structure and self.iterations[0]:
            start = gone_on(self.stage(f"structure{tag}", start, examples, self.plan(structure=True)))
        plan = self.plan(structure=False)
        if not variant.regularized:
            (stage,) = plan.stages
            plan = replace(plan, stages=(replace(stage, weights=replace(stage.weights, modres=0.0)),))
        if not variant.paired:
            (stage,) = plan.stages
            plan = replace(plan, stages=(replace(stage, weights=replace(stage.weights, perceptual=(0.0,) * 3)),))
        name = next(name for name, other in VARIANTS.items() if other == variant)
        return self.stage(name.replace(" ", "_"), start, examples, plan).result()

    def plan(self, structure: bool) -> StagePlan:
        first, second = self.iterations
        whole = STRUCTURE_ITERATIONS * sum(CROSSOVERS.values())
        plan = published_plan(KIND, first / whole if structure else 0.0, 0.0 if structure else second / ITERATIONS[KIND],
                              batch_size=BATCH, micro_batch=BATCH, preview_every=20, save_every=10,
                              bfloat16=fast_type("cpu") is torch.bfloat16)
        faster = replace(plan.training, lr=plan.training.lr * (1.0 if structure else STYLE_RATE), G_reg_interval=G_REG_INTERVAL)
        return replace(plan, training=faster)

    def examples(self, variant: Variant) -> StyleExamples:
        """Without pairs the faces are anyone's."""
        made = self.drawings
        if variant.augmented:
            made = kept(self.work / "augmented.safetensors", lambda: augmented(made, self.whole, self.encoder))
        made = made.at(self.base)
        faces = made.intrinsic if variant.paired else some_faces(self.base, 2 * FACE_SEED, len(made.styles))
        return StyleExamples(lambda chosen: made.images[list(chosen)], latents(faces, self.base),
                             latents(made.extrinsic, self.base))

    def stage(self, name: str, start: DualStart, examples: StyleExamples, plan: StagePlan) -> DualStages:
        with RunFolder(self.work / name, plan.plain(), True, MAY_CHANGE) as folder, tqdm(desc=name, total=plan.total) as bar:
            work = DualStages(start, examples, plan, folder=folder)
            work.run(lambda i, n, shown: self._tell(bar, name, i, shown))
        return work

    def _tell(self, bar: tqdm[None], name: str, i: int, shown: Tensor | None) -> None:
        bar.update(i - bar.n)
        if shown is not None:
            sg.write_image(shown, self.work / f"{name}.png", overwrite=True)


def uninitialized(start: DualStart) -> DualStart:
    """With the filters and color transforms of any other layer, normal ones, in place of stage I's."""
    with torch.no_grad():
        for name, p in start.average.named_parameters():
            if name.startswith("color.") and name.endswith("weight"):
                p.sub_(len(p) ** 0.5 * torch.eye(len(p)).to(p)).mul_(100)
            elif name.startswith("structure.") and p.ndim == 4:
                p.mul_(100)
    return start


def gone_on(work: DualStages) -> DualStart:
    trainer = work.trainer
    adam = {tag: get_adam(trainer.optimizers[tag], trainer.network(tag)) for tag in "GD"}
    return DualStart(trainer.G, trainer.E, trainer.D, adam)  # type: ignore[arg-type]


@torch.no_grad()
def some_faces(base: Generator, seed: int, count: int) -> Tensor:
    return base.mapping(sg.sample_z(range(seed, seed + count), base.z_dim), truncation_psi=FACE_PSI)


def layout_distance(a: Tensor, b: Tensor) -> Tensor:
    """Features [B, C, h, w] -> [B]: mean difference of the cosines between all pairs of places."""
    mine, theirs = (normalize(x.flatten(2), dim=1) for x in (a, b))
    return (mine.mT @ mine - theirs.mT @ theirs).abs().mean((1, 2))


@dataclass(frozen=True, eq=False)
class Trial:
    """Faces under exemplars, and judges. One row a pair."""

    faces: Tensor
    """ws"""
    plain: Tensor
    exemplars: Tensor
    extrinsic: Tensor
    rare: Tensor
    truth: Tensor | None
    shape: Tensor | None

    @torch.no_grad()
    def drawn(self, dual: DualStyleGAN, color: bool = True) -> Tensor:
        weights = (1.0,) * STRUCTURE_PLACES + (float(color),) * (dual.num_weights - STRUCTURE_PLACES)
        pairs = zip(self.faces.split(1), self.extrinsic.split(1), strict=True)
        return torch.cat([dual.render(face, dual.exemplar_from_ws(style), weights).clamp(-1, 1) for face, style in pairs])

    @torch.no_grad()
    def numbers(self, full: Tensor, shaped: Tensor | None) -> dict[str, float]:
        """Results [N, 3, S, S], and those with color off."""
        features, identity, lpips = Features.embedded(), IdentityLoss.embedded(), LPIPS.embedded()
        mine, theirs = features(full), features(self.exemplars)
        found = {"style": float(style_distance(mine, theirs).mean()), "identity": float(identity(full, self.plain).mean()),
                 "layout": float(layout_distance(mine[LAYER], theirs[LAYER]).mean())}
        if self.truth is not None and self.shape is not None:
            away = lpips(full, self.truth).flatten()
            found["truth"] = float(away[~self.rare].mean())
            if shaped is not None:
                found["shape"] = float(lpips(shaped, self.shape).mean() / lpips(self.plain, self.shape).mean())
            found["rare"] = float(away[self.rare].mean())
        return found


@torch.no_grad()
def make_trial(whole: Generator, base: Generator, drawings: DrawingSet, known: bool) -> Trial:
    """FACES faces under the first drawing of each of up to EXEMPLARS styles. whole: as of Bench. known: the program drew
    them."""
    names = list(dict.fromkeys(drawings.styles))
    names = names[:: -(-len(names) // EXEMPLARS)]
    which = [drawings.styles.index(name) for name in names for _ in range(FACES)]
    styles = tuple(drawings.styles[i] for i in which)
    faces = some_faces(whole, FACE_SEED, len(which))
    plain = torch.cat([whole.synthesis(w[None]).clamp(-1, 1) for w in faces])
    rare = torch.tensor([name in drawings.rare for name in styles])
    table = [next((s for s in STYLES if s.name == name), STYLES[0]) for name in styles]
    truth, shape = (drawn_as(plain, table), drawn_as(plain, table, color=False)) if known else (None, None)
    plain, truth, shape = (None if x is None else resize_area(x, base.img_resolution) for x in (plain, truth, shape))
    assert plain is not None
    small = drawings.at(base)
    return Trial(faces[:, : base.num_ws], plain, small.images[which], small.extrinsic[which], rare, truth, shape)


def table(rows: dict[str, dict[str, float]]) -> str:
    names = list(next(iter(rows.values())))
    lines = [["", *names], ["---"] * (len(names) + 1)]
    lines += [[title, *[f"{row[name]:.3f}" if name in row else "" for name in names]] for title, row in rows.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--drawings", type=Path, help="a folder of drawings of one's own")
    parser.add_argument("--px", type=int, choices=(64, 128, WHOLE_PX), default=128)
    parser.add_argument("--iterations", type=int, nargs=2, default=(40, 40), metavar=("II", "III"))
    parser.add_argument("--only", nargs="*", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--sheet", type=Path, help="picture of some results")
    a = parser.parse_args()
    torch.set_num_threads(1)
    whole, base = cut_base(WHOLE_PX), cut_base(a.px)
    encoder: PortraitEncoder = sg.load(sg.builtin("encoder"))  # type: ignore[assignment]
    drawings = prepared(a.work, a.drawings, whole, encoder)
    bench = Bench(base, whole, encoder, drawings, a.work / f"{a.px}", tuple(a.iterations))
    trial = make_trial(whole, base, drawings, a.drawings is None)
    rows: dict[str, dict[str, float]] = {}
    pictures: dict[str, Tensor] = {"face": trial.plain, "exemplar": trial.exemplars}
    if trial.truth is not None:
        rows["the program itself"] = trial.numbers(trial.truth, trial.shape)
        pictures["truth"] = trial.truth
    stage_1 = fresh_start(base, JUDGE_PX, HIDDEN).average
    rows["stage I alone"] = trial.numbers(trial.drawn(stage_1), trial.drawn(stage_1, color=False))
    for name in a.only:
        dual = bench.trained(VARIANTS[name])
        pictures[name] = trial.drawn(dual)
        rows[name] = trial.numbers(pictures[name], trial.drawn(dual, color=False))
        print(name, rows[name], flush=True)
    print(table(rows))
    if a.sheet:
        show(pictures, a.sheet)


def prepared(work: Path, folder: Path | None, base: Generator, encoder: PortraitEncoder) -> DrawingSet:
    """The drawings and what is known of them."""
    def make() -> DrawingSet:
        return own_drawings(base, encoder) if folder is None else given_drawings(folder, work / "codes", base, encoder)

    return kept(work / "drawings.safetensors", make)


def kept(file: Path, make: Callable[[], DrawingSet]) -> DrawingSet:
    """Made once."""
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        make().save(file)
    return DrawingSet.load(file)


def show(pictures: dict[str, Tensor], path: Path) -> None:
    columns = [FACES * i for i in SHOWN if FACES * i < len(next(iter(pictures.values())))]
    cells = torch.cat([images[columns] for images in pictures.values()])
    sg.write_image(sg.contact_sheet(cells, len(columns), row_titles=list(pictures), cell=160), path, overwrite=True)


if __name__ == "__main__":
    main()
