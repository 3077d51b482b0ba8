"""Drawings with what is known of them, for benchmarks of DualStyleGAN's training: of a program, so that the truth is known, or
a person's own; and the same with their scarcer styles augmented."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from kornia.color import lab_to_rgb, rgb_to_lab
from torch import Tensor
from tqdm import tqdm

import stylegan_core as sg
from stylegan_core.checkpoints.containers import read_file
from stylegan_core.checkpoints.safetensors_file import read_json, write_safetensors
from stylegan_core.inversion.encode import PortraitEncoder
from stylegan_core.latents import Latents
from stylegan_core.networks.generators.base import Generator
from stylegan_core.networks.generators.mobilestylegan import MobileStyleGAN
from stylegan_core.ops.resize import resize_area
from stylegan_core.training.data import prepare_pictures
from stylegan_core.training.dual_options import DualOptions
from stylegan_core.training.dual_recipe import ENCODED, FACES, train_dual
from stylegan_core.training.recipe import DATA
from tools.demo.palettes import STYLES, Style, stylized
from tools.demo.stylize import Shape, face_points, lines, move, smoothed
from tools.demo.train_base import solve_head

SEED, PSI, OFTEN, SOLVED = 800_000, 0.8, 6, 48
"""Of the faces that are drawn; drawings of every style but the rare ones, which have one each; faces that a cut base is solved
on."""
RARE = tuple(style.name for style in STYLES[3::4])
"""One style of every shape."""
CODES = DualOptions("cartoon", finetune_kimg=0.16, destylize_steps=30, structure=0, style=0, batch_size=4, micro_batch=4,
                    judge_resolution=64, refine_steps=0, sampler_epochs=0)
"""How a person's drawings are destylized."""


@dataclass(frozen=True, eq=False)
class DrawingSet:
    """Drawings [N, 3, S, S] in [-1, 1], their styles' names, and ws [N, num_ws, w_dim] of their faces and their styles."""

    images: Tensor
    styles: tuple[str, ...]
    intrinsic: Tensor
    extrinsic: Tensor

    @property
    def rare(self) -> frozenset[str]:
        """Names of the styles that come less often than others."""
        counts = Counter(self.styles)
        return frozenset(name for name, count in counts.items() if count < max(counts.values()))

    def with_more(self, other: DrawingSet) -> DrawingSet:
        images, intrinsic, extrinsic = (torch.cat([getattr(part, name) for part in (self, other)])
                                        for name in ("images", "intrinsic", "extrinsic"))
        return DrawingSet(images, self.styles + other.styles, intrinsic, extrinsic)

    def save(self, path: Path) -> None:
        tensors = {"images": ((self.images.clamp(-1, 1) + 1) * 127.5).round().byte(), "intrinsic": self.intrinsic,
                   "extrinsic": self.extrinsic}
        write_safetensors(path, tensors, {"family": "training_state", "facts": {"styles": self.styles}}, overwrite=True)

    def at(self, base: Generator) -> DrawingSet:
        """For a cut base: smaller pictures, fewer rows."""
        return replace(self, images=resize_area(self.images, base.img_resolution),
                       intrinsic=self.intrinsic[:, : base.num_ws], extrinsic=self.extrinsic[:, : base.num_ws])

    @classmethod
    def load(cls, path: Path) -> DrawingSet:
        contents = read_file(path)
        tensors = {key: lazy.read().clone() for key, lazy in contents.tree.items()}
        facts = (read_json(contents.metadata) or {})["facts"]
        return cls(tensors["images"] / 127.5 - 1, tuple(facts["styles"]), tensors["intrinsic"], tensors["extrinsic"])


@torch.no_grad()
def drawn_as(faces: Tensor, styles: Sequence[Style], color: bool = True) -> Tensor:
    """Faces [B, 3, S, S] in [-1, 1] -> what the program draws of each in its style; color False: the shape alone."""
    light, found = (faces.clamp(-1, 1) + 1) / 2, []
    for i, style in enumerate(styles):
        one = light[i : i + 1]
        flat = (smoothed(one), lines(one)) if color else (one, one)
        points = torch.as_tensor(face_points(faces[i : i + 1].clamp(-1, 1)))
        found.append(stylized(one * 2 - 1, flat, points, [style], color=color))
    return torch.cat(found)


@torch.no_grad()
def cut_base(resolution: int) -> MobileStyleGAN:
    """base-256, or what is left of it without its finer blocks, with an image head solved on its own faces."""
    whole: MobileStyleGAN = sg.load(sg.builtin("base-256"))  # type: ignore[assignment]
    if resolution == whole.img_resolution:
        return whole
    depth = resolution.bit_length() - 3
    config = replace(whole.config, channels=whole.config.channels[:depth])
    cut = MobileStyleGAN(replace(config, mapping=replace(config.mapping, num_ws=config.num_ws)), whole.info)
    own = cut.state_dict()
    cut.load_state_dict({k: v for k, v in whole.state_dict().items() if k in own and ".head." not in k}, strict=False)
    cut.w_avg = whole.w_avg
    ws = whole.mapping(sg.sample_z(range(SEED - SOLVED, SEED), whole.z_dim), truncation_psi=PSI)
    faces = (resize_area(whole.synthesis(w[None]), resolution) for w in ws)
    solve_head(cut, ((w[None, : cut.num_ws], face) for w, face in zip(ws, faces, strict=True)))
    return cut.eval().requires_grad_(False)


@torch.no_grad()
def own_drawings(base: Generator, encoder: PortraitEncoder) -> DrawingSet:
    """Faces of base in all the program's styles: their codes are the true ones, the styles' what the encoder sees."""
    table = [style for style in STYLES for _ in range(1 if style.name in RARE else OFTEN)]
    ws = base.mapping(sg.sample_z(range(SEED, SEED + len(table)), base.z_dim), truncation_psi=PSI)
    images = torch.cat([drawn_as(base.synthesis(w[None]), [style])
                        for w, style in tqdm(zip(ws, table, strict=True), "drawings", len(table))])
    return DrawingSet(images, tuple(style.name for style in table), ws, _encoded(encoder, images, base))


def given_drawings(folder: Path, work: Path, base: Generator, encoder: PortraitEncoder) -> DrawingSet:
    """A person's drawings as the recipe prepares and destylizes them; each is a style of its own."""
    data = prepare_pictures(folder, base.img_resolution, work / DATA, align=True)
    with tqdm(desc="destylized") as bar:
        train_dual(base, data, encoder, work, CODES, resume=(work / "settings.json").is_file(),
                   on_step=lambda stage, i, n, _: bar.set_postfix_str(f"{stage} {i}/{n}"))
    faces, styles = (sg.load(work / f"{name}.safetensors").latents() for name in (FACES, ENCODED))  # type: ignore[operator, union-attr]
    names = tuple(sg.load(work / f"{ENCODED}.safetensors").names)  # type: ignore[union-attr, arg-type]
    images = data.take(np.array([list(data.names).index(name) for name in names]))
    return DrawingSet(images, names, faces.ws(base), styles.ws(base))


@torch.no_grad()
def augmented(drawings: DrawingSet, base: Generator, encoder: PortraitEncoder, seed: int = 0) -> DrawingSet:
    """With further drawings of the rare styles, as many as of the others: flipped, in other colors, with other eyes and hair.

    Their styles are what the encoder sees in them; the face behind a flipped one is the flipped face, encoded.
    """
    draw = np.random.RandomState(seed)  # noqa: NPY002
    counts, chosen, images, faces = Counter(drawings.styles), [], [], []
    for name in sorted(drawings.rare):
        mine = [i for i, style in enumerate(drawings.styles) if style == name]
        for k in range(max(counts.values()) - len(mine)):
            i = mine[k % len(mine)]
            image, flip = varied(drawings.images[i : i + 1], draw), k % 2 == 0
            chosen.append(name)
            images.append(image.flip(3) if flip else image)
            face = drawings.intrinsic[i : i + 1]
            faces.append(_encoded(encoder, base.synthesis(face).clamp(-1, 1).flip(3), base) if flip else face)
    if not chosen:
        return drawings
    more = torch.cat(images)
    return drawings.with_more(DrawingSet(more, tuple(chosen), torch.cat(faces), _encoded(encoder, more, base)))


def varied(image: Tensor, draw: np.random.RandomState) -> Tensor:
    """[1, 3, S, S] in [-1, 1] -> the same in other colors (hue, chroma, lightness), with other eyes, hair and jaw."""
    lab = rgb_to_lab((image + 1) / 2)
    angle, chroma, light = draw.uniform(-0.35, 0.35), draw.uniform(0.75, 1.3), draw.uniform(-6, 6)
    turn = torch.tensor([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], dtype=lab.dtype) * chroma
    lab = torch.cat([(lab[:, :1] + light).clamp(0, 100), torch.einsum("ij,bjhw->bihw", turn, lab[:, 1:])], 1)
    shape = Shape(eyes=draw.uniform(-0.2, 0.2), nose=0.0, jaw=draw.uniform(-0.15, 0.15), chin=0.0,
                  cranium=draw.uniform(-0.2, 0.2))
    return move(lab_to_rgb(lab).clamp(0, 1), torch.as_tensor(face_points(image)), shape) * 2 - 1


def _encoded(encoder: PortraitEncoder, images: Tensor, base: Generator) -> Tensor:
    return sg.encode(encoder, images, base).ws(base)


def latents(ws: Tensor, base: Generator) -> Latents:
    return Latents(ws, "w+", base)
