"""A style from a single drawing (the idea of JoJoGAN: Chong & Forsyth 2021, 2112.11641).

The drawing's code is found; codes that share its rows but for some, which are random, are all taught to draw the drawing. What
the random rows say, the child then always says as the drawing does; what the others say, it still takes from the code.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..assets import asset_path
from ..checkpoints import load
from ..checkpoints.saving import lineage, save
from ..engine import FitOptions, Fitting, RunFolder, gradients, read_log, relative_rate, weighted_total
from ..errors import AtelierError, InvalidInput
from ..inversion import InversionOptions, Inverter
from ..inversion.encode import check_pairing, encode
from ..latents import rows_between
from ..losses.perceptual import LPIPS
from ..networks import Discriminator
from ..networks.generators.base import Generator
from ..networks.info import ModelInfo, joined_licences
from ..ops.resize import resize_area
from ..options import check_numbers
from ..pictures.files import write_image
from ..pictures.sheets import contact_sheet
from ..runtime import OnStep, private_copy
from .judges import layer_features, own_discriminator
from .shown import with_curves

Structure = Literal["kept", "taken"]
MIXED = {"kept": 64, "taken": 16}
"""Rows from so many px on are random while the child learns; layers from half of that on may change."""
SAMPLES, PREVIEWS, CELL = 8, 10, 256


@dataclass(frozen=True)
class OneDrawingOptions:
    """Every number of a run."""

    steps: int = 100
    batch: int = 2
    lr: float = 0.002
    """Relative to each tensor's size where weights are not equalized (see engine/rates.py)."""
    structure: Structure = "kept"
    """kept: faces keep their own shapes and take the drawing's rendering; taken: they take its features' shapes as well."""
    own_share: float = 0.3
    """Of the drawing's own code in the random rows: the closer to 1, the fewer codes must look like it."""
    inversion_steps: int = 100
    """Of finding the drawing's code where no encoder gives it."""
    lpips: float = 1.0
    judge: float = 0.2
    """Weight of the discriminator's features, where the model has one."""
    color: float = 0.5
    """Weight of the difference of small pictures, which hold the colors."""
    seed: int = 0

    def __post_init__(self) -> None:
        check_numbers(self, "Training on one drawing", ("steps", "batch", "inversion_steps"))
        if self.structure not in MIXED or not 0 <= self.own_share <= 1:
            raise InvalidInput(f'Training on one drawing got structure "{self.structure}" and a share of {self.own_share}; use '
                               f'{" or ".join(MIXED)}, and 0 to 1.')


MAY_CHANGE = ("steps",)


@torch.no_grad()
def code_of(base: Generator, drawing: Tensor, options: OneDrawingOptions, encoder: Any = None,
            on_step: OnStep | None = None) -> tuple[Tensor, str]:
    """(ws [1, num_ws, w_dim] of the face that the drawing shows, how they were found).

    A code near the others gives a face rather than a drawing of one, which is what the child starts from: the encoder's,
    or one in w, which every row shares.
    """
    encoder = encoder or built_in_encoder(base)
    if encoder is not None:
        ws = encode(encoder.to(next(base.parameters()).device), drawing, base).ws(base)
        return ws, "The drawing's face was found by an encoder."
    inverter = Inverter(base, drawing, "w", InversionOptions(steps=options.inversion_steps, seed=options.seed))
    return inverter.run(on_step).latents.ws(base), f"The drawing's face was found in {options.inversion_steps} steps."


def built_in_encoder(base: Generator) -> Any:
    """The encoder that travels with the package where base is a model it was made for."""
    try:
        found: Any = load(asset_path("encoder"))
        check_pairing(found, base)
    except AtelierError:
        return None
    return found


class OneDrawing:
    """One run. A step depends on its number and the weights alone, so a resumed run is the one that never stopped."""

    def __init__(self, base: Generator, drawing: Tensor, options: OneDrawingOptions, folder: RunFolder | None = None,
                 encoder: Any = None, licence: str = "unknown", on_prepare: OnStep | None = None) -> None:
        """drawing: [1, 3, h, w] in [-1, 1], square, framed as the model's pictures are. base stays as it is."""
        if drawing.ndim != 4 or drawing.shape[:2] != (1, 3) or drawing.shape[2] != drawing.shape[3]:
            raise InvalidInput(f"One drawing came with shape {list(drawing.shape)}; give one square picture, aligned as the "
                               f"model's faces are.")
        if base.c_dim:
            raise InvalidInput(f"The model has {base.c_dim} classes; a style from one drawing needs one without.")
        self.base, self.options, self.folder, self.licence = base, options, folder, licence
        self.ws, self.note = code_of(base, drawing, options, encoder, on_prepare)
        with gradients():
            like = next(base.parameters())
            side = base.img_resolution
            self.wanted = interpolate(drawing.clone().to(like), size=(side, side), mode="bilinear", antialias=True)
            self.ws = self.ws.clone().to(like)
            self.model = private_copy(base).requires_grad_(False)
            self.parent = private_copy(base).requires_grad_(False)
            self.judge = self._judge()
            self.lpips = LPIPS.embedded().to(like.device)
            with torch.no_grad():
                small = resize_area(self.wanted, min(side, CELL)).expand(-1, 3, -1, -1)
                self.seen = self.lpips.features(small.float())
                self.judged = [] if self.judge is None else layer_features(self.judge, self.wanted)
            self.fitting = self._fitting()

    def _judge(self) -> Discriminator | None:
        found = own_discriminator(self.base, self.base.img_resolution) if self.options.judge else None
        return private_copy(found).to(self.wanted).requires_grad_(False) if isinstance(found, Discriminator) else None

    def _fitting(self) -> Fitting:
        options = self.options
        first = min(MIXED[options.structure], self.base.img_resolution // 2)
        rows = set(rows_between(self.base, f"{first // 2}-"))
        sides = {x.resolution for x in self.base.layers if x.row in rows}
        names = tuple(f"{x.name}." for x in self.base.layers if x.resolution in sides)
        trained = {name: p for name, p in self.model.synthesis.named_parameters() if name.startswith(names)}
        self.rows = rows_between(self.base, f"{first}-")
        fit = FitOptions(options.steps, options.lr, (0.0, 0.99), warm_up=5, floor=0.1, average=0.9, save_every=25,
                         save_seconds=20)
        shares = {name: 1.0 if self.base.equalized else relative_rate(p) for name, p in trained.items()}
        return Fitting(trained, self._step, fit, shares.__getitem__, self.folder, networks={"generator": self.model.synthesis})

    def codes(self, number: int, count: int, share: float | None = None) -> Tensor:
        """ws [count, num_ws, w_dim]: the drawing's, their chosen rows drawn towards random ones."""
        share = self.options.own_share if share is None else share
        draw = torch.Generator().manual_seed(self.options.seed * 1_000_003 + number)
        z = torch.randn(count, self.base.z_dim, generator=draw).to(self.ws)
        with torch.no_grad():
            other = self.parent.mapping(z)
        ws = self.ws.repeat(count, 1, 1)
        ws[:, self.rows] = other[:, self.rows].lerp(ws[:, self.rows], share)
        return ws

    def _step(self, number: int) -> dict[str, Tensor]:
        options, total = self.options, {}
        for k in range(options.batch):  # one after another: their gradients add up
            ws = self.codes(number * options.batch + k, 1)
            drawn = self.model.synthesis(ws, noise_mode="const")
            small = resize_area(drawn, min(drawn.shape[-1], CELL))
            y, x = (number * options.batch + k) % 4, number // 4 % 4  # every phase of the network's stride
            terms = {"lpips": self._perceived(small, y, x),
                     "color": (resize_area(drawn, 32) - resize_area(self.wanted, 32)).abs().mean()}
            if self.judge is not None:
                features = layer_features(self.judge, drawn)
                terms["judge"] = torch.stack([(a - b).abs().mean() for a, b in zip(features, self.judged, strict=True)]).mean()
            weights = {name: getattr(options, name) / options.batch for name in terms}
            weighted_total(terms, weights).backward()
            for name, value in terms.items():
                total[name] = total.get(name, 0.0) + value.detach() / options.batch
        return total

    def _perceived(self, small: Tensor, y: int, x: int) -> Tensor:
        wanted = resize_area(self.wanted, small.shape[-1])
        a, b = (t[..., y:, x:].expand(-1, 3, -1, -1) for t in (small, wanted))
        return self.lpips(a, b).mean()

    def run(self, on_step: OnStep | None = None) -> None:
        """All steps left; cancelled by what on_step raises, the state is kept."""
        every = max(self.options.steps // PREVIEWS, 1)

        def tell(step: int, steps: int, _: Tensor | None) -> None:
            self.fitting.losses()
            if on_step is not None:
                on_step(step, steps, self.grid(step) if step % every == 0 else None)

        self.fitting.run(tell)
        if self.fitting.folder is not None:
            self.fitting.save()

    @torch.no_grad()
    def grid(self, step: int | None = None) -> Tensor:
        """The drawing and what the child makes of faces: parents above, children below; with curves while it runs."""
        child = self.child()
        draw = torch.Generator().manual_seed(self.options.seed)
        z = torch.randn(SAMPLES // 2 - 1, self.base.z_dim, generator=draw).to(self.ws)
        ws = torch.cat([self.ws, self.parent.mapping(z, truncation_psi=0.7)])
        above = torch.cat([self.wanted, self.parent.synthesis(ws[1:])])
        pictures = torch.cat([above, child.synthesis(ws)]).float().cpu().expand(-1, 3, -1, -1)
        sheet = contact_sheet(pictures, len(ws), cell=min(CELL, pictures.shape[-1]), row_titles=("drawing\nand faces", "child"))
        if step is None or self.folder is None:
            return sheet
        return with_curves(sheet, read_log(self.folder.path))

    def child(self) -> Generator:
        """The averaged weights, with the licence chain, without gradients."""
        child = private_copy(self.model)
        self.fitting.average.copy_into(child.synthesis)
        parent = self.base.info
        licence = joined_licences((parent.licence, self.licence))
        notes = {"one_drawing": {"steps": self.fitting.steps_done, "options": asdict(self.options)}}
        child.info = ModelInfo(family=parent.family, parents=(lineage(self.base),), licence=licence, notes=notes)
        return child.requires_grad_(False).eval()

    def write(self) -> None:
        """last.safetensors and a picture into the run's folder."""
        if (folder := self.folder) is not None:
            folder.guard(lambda: save(self.child(), folder.path / "last.safetensors", overwrite=True))
            folder.guard(lambda: write_image(self.grid(), folder.path / "samples.png", overwrite=True))

    def report(self) -> str:
        losses = ", ".join(f"{name} {value:.3f}" for name, value in self.fitting.recent.items())
        judged = "with" if self.judge is not None else "without"
        return (f"{self.note} {self.fitting.steps_done} steps {judged} a discriminator's features ({losses}); shapes are "
                f"{self.options.structure}.\nLicence inherited from the parent and the drawing: {self.child().info.licence}.")


def open_drawing_run(folder: str | Path, base: Generator, drawing: Tensor, options: OneDrawingOptions,
                     resume: bool = False) -> RunFolder:
    """The folder of such a run; see RunFolder for what is refused."""
    digest = hashlib.sha256(((drawing.cpu() + 1) * 127.5).round().byte().numpy().tobytes()).hexdigest()[:24]
    settings = {**asdict(options), "recipe": "one drawing", "base": base.info.known_as, "drawing": digest}
    return RunFolder(folder, settings, resume, MAY_CHANGE)
