"""A DualStyleGAN from a folder of drawings, stage by stage (Yang et al. 2022, 2203.13248, sections 3.1 to 3.4 and 4).

Fine-tuning, destylization, stages I to III, latent optimization, the sampling network: each keeps what it has in the run's
folder, is gone on from there, and is not done twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..checkpoints import load, save
from ..checkpoints.json_text import plain_text
from ..checkpoints.writing import MAX_NAME, write_bytes
from ..engine import RunFolder
from ..errors import InvalidInput
from ..faces.frame import crop_points
from ..inversion.encode import PortraitEncoder, check_pairing
from ..latents import Latents, sample_z
from ..losses.contextual import ContextualLoss
from ..losses.features import Features
from ..losses.perceptual import LPIPS
from ..metrics.features import in_batches
from ..networks.dualstylegan import DualStyleGAN
from ..networks.encoders.psp import INPUT
from ..networks.generators.base import Generator, plain_generator
from ..networks.sampler import StyleSampler
from ..ops.resize import resize_area
from ..pictures.files import write_image
from ..pictures.sheets import contact_sheet
from ..runtime import OnStep
from ..stylization import DestylizeOptions, RefineOptions, Styles, style_sheet
from .data import SOME, PictureSet, prepare_pictures, shrunk
from .draws import generator_for
from .dual_codes import DrawnCodes, destylize_all, refine_all
from .dual_options import AUTO, MAY_CHANGE, DualOptions, choose_kind, gave_up
from .dual_plan import StagePlan, published_plan
from .dual_stages import DualStages, StyleExamples, info_of, previewed, style_preview
from .dual_start import DualStart, check_start, fresh_start
from .processes import Processes
from .recipe import LEAST, fine_tune
from .style_mixture import mixture_note, style_features
from .style_sampler import check_sampler, fit_sampler

Source = str | Path | Tensor | PictureSet
OnStage = Callable[[str, int, int, Tensor | None], None]
"""(stage, step, steps of the stage, preview); may raise to stop, and the run keeps what it has."""
STAGES = ("pictures", "fine-tuning", "destylization", "training", "refinement", "sampler", "styles")
STYLED, MODEL, BANK, ENCODED, FACES, SAMPLER = ("styled", "dualstylegan", "styles", "styles_encoded", "faces", "style_sampler")
"""Files of a run: g', the model, its refined and its encoded styles, the faces behind them, the sampler."""
PICTURES, THUMBNAILS, THUMBNAIL_PX, SHEET_STYLES = "pictures", "thumbnails", 256, 36
STEM = MAX_NAME - 20
"""Bytes of a thumbnail's name, before its number and ending."""
NO_ENCODER = ('A DualStyleGAN is made with an encoder of its base, which sees faces and styles in drawings, and none came; use '
              'the built-in "encoder" with the built-in base, a pSp file (encoder.pt, encoder_wplus.pt), an e4e or ReStyle '
              'file of this base, or train one.')


@dataclass(frozen=True, eq=False)
class DualJudges:
    """Networks that judge; None for those that travel with the package (the paper used VGG and ArcFace)."""

    perceptual: LPIPS | None = None
    identity: Any = None
    features: Features | None = None
    contextual: ContextualLoss | None = None


@dataclass(frozen=True, eq=False)
class DualResult:
    """What a run gives."""

    model: DualStyleGAN
    styles: Styles
    """Refined, under the drawings' names."""
    faces: Latents
    """The face behind each drawing."""
    sampler: StyleSampler | None
    preview: Tensor
    """Four faces under four of the styles [1, 3, h, w]."""
    report: str


def train_dual(base: Generator, source: Source, encoder: PortraitEncoder | None, out: str | Path,
               options: DualOptions | None = None, resume: bool = False, styled: Generator | None = None,
               start: DualStart | None = None, licence: str = "unknown", processes: Processes | None = None,
               judges: DualJudges | None = None, on_step: OnStage | None = None) -> DualResult:
    """The whole recipe on a folder, a zip or a batch of drawings, or on prepared ones; `out` is the run's folder.

    styled: a g' that exists, such as finetune-000600.pt, in place of fine-tuning. start: what stages II and III go on from
    (published_start), whose generator must be base; structure is then not learnt anew. licence: of the drawings. Cancelling
    keeps what is done; resume goes on. Raises InvalidInput, LatentMismatch and TrainingStopped, one sentence each.
    """
    licence = source.licence if isinstance(source, PictureSet) and licence == "unknown" else licence
    options, processes = options or DualOptions(), processes or Processes(device=str(next(base.parameters()).device))
    if encoder is None:
        raise InvalidInput(NO_ENCODER)
    base, styled = plain_generator(base), None if styled is None else plain_generator(styled)
    check_pairing(encoder, base)
    if isinstance(source, (str, Path)) and Path(out).resolve().is_relative_to(Path(source).resolve()):
        raise InvalidInput(f"The run would write its pictures into {source}, among the drawings; choose another folder for it.")
    if start is not None and start.average.base.img_resolution != base.img_resolution:
        raise InvalidInput(f"The DualStyleGAN that is gone on from draws {start.average.img_resolution} px and the base "
                           f"{base.img_resolution} px; give the generator inside it as base.")
    settings = {**options.plain(), "recipe": "dual", "base": _name(base), "encoder": _name(encoder), "styled": _name(styled),
                "start": "" if start is None else _name(start.average)}
    folder = RunFolder(out, settings, resume, MAY_CHANGE) if processes.leads else None
    try:
        return _Recipe(base, encoder, Path(out), options, styled, start, licence, processes, judges or DualJudges(), on_step,
                       folder).run(source)
    finally:
        if folder is not None:
            folder.forget()
            folder.close()


def _name(network: Any) -> str:
    return "" if network is None else network.info.known_as


@dataclass(frozen=True, eq=False)
class _Recipe:
    """One run's stages, each from the ones before."""

    base: Generator
    encoder: PortraitEncoder
    out: Path
    options: DualOptions
    given_styled: Generator | None
    start: DualStart | None
    licence: str
    processes: Processes
    judges: DualJudges
    on_step: OnStage | None
    folder: RunFolder | None
    notes: list[str] = field(default_factory=list)

    def run(self, source: Source) -> DualResult:
        data = self._data(source)
        if self.folder is not None and not self.folder.log_file.is_file():
            self.folder.log({"note": f"{len(data)} drawings are ready."})
        styled = self._styled(data)
        codes = self._codes(data, styled)
        dual: DualStyleGAN = self._file(MODEL, lambda: self._trained(data, codes))
        refined = self._refined(dual, data, codes)
        sampler = self._sampler(dual, refined) if self.options.sampler_epochs != 0 else None
        return self._result(dual, codes, refined, sampler, data)

    def _told(self, stage: str) -> OnStep | None:
        tell = self.on_step
        return None if tell is None or not self.processes.leads else lambda i, n, shown: tell(stage, i, n, shown)

    def _picture(self, name: str, images: Tensor, columns: int) -> None:
        if self.processes.leads:
            sheet = images if len(images) == 1 else contact_sheet(images.clamp(-1, 1).float().cpu(), columns)
            write_image(sheet, self.out / PICTURES / f"{name}.png", overwrite=True)

    def _file(self, name: str, make: Callable[[], nn.Module], together: bool = True) -> Any:
        """A network of the run, written by the leading process unless its file is there; made by all, or by that one alone."""
        path = self.out / f"{name}.safetensors"
        if not self.processes.from_leader(path.is_file()):
            model = make() if together or self.processes.leads else None
            if self.processes.leads and model is not None:
                save(model, path, overwrite=True)
            self.processes.wait()
        return load(path, self.processes.device)

    # drawings

    def _data(self, source: Source) -> PictureSet:
        options = self.options
        data = source if isinstance(source, PictureSet) else self._prepared(source)
        least, most = min(INPUT, self.base.img_resolution), self.base.img_resolution
        if len(data) < LEAST or not least <= data.resolution <= most or data.images.shape[1] != 3:
            kind = "in color" if data.images.shape[1] == 3 else "in gray"
            sizes = f"{least} px" if least == most else f"{least} to {most} px"
            raise InvalidInput(f"{len(data)} drawings of {data.resolution} px {kind} came; a DualStyleGAN over this base takes "
                               f"{LEAST} or more in color, of {sizes}: prepare them so.")
        self.notes.extend(data.notes)
        if options.faces and (isinstance(source, PictureSet) or not options.align):
            self._check_faces(data)
        batches = (data.take(np.arange(r.start, r.stop)) for r in in_batches(len(data)))
        if note := mixture_note(data.names, style_features(batches), options.seed):
            self.notes.append(note)
        return data

    def _prepared(self, source: str | Path | Tensor) -> PictureSet:
        return self.processes.leader_first(lambda: prepare_pictures(
            source, self.base.img_resolution, self.out / "data", self.options.align, 3, LEAST, on_step=self._told("pictures")))

    def _check_faces(self, data: PictureSet) -> None:
        """Raises InvalidInput where no drawing has a face; some that have none are told."""
        without = [name for i, name in enumerate(data.names) if crop_points(_small(data.take(np.array([i]))))[0] is None]
        if len(without) == len(data):
            raise InvalidInput(f"No face was found in any of the {len(data)} drawings; give portraits, or let their faces be "
                               f"cut out (align), or say that the base draws other things (faces off).")
        if without:
            rest = f" and {len(without) - SOME} more" if len(without) > SOME else ""
            self.notes.append(f"No face was found in {', '.join(without[:SOME])}{rest}; they stay in, as they may be drawn "
                              f"too freely.")

    def _styled(self, data: PictureSet) -> Generator:
        """g': given, fine-tuned, or the base itself."""
        kimg = self.options.finetune_kimg
        if self.given_styled is not None or not kimg:
            return self.given_styled or self.base
        side = self.options.judge_resolution or data.resolution
        small, before = shrunk(data, min(side, data.resolution)), (self.out / f"{STYLED}.safetensors").is_file()

        def make() -> Generator:
            return fine_tune(self.base, small, self.out / "finetune", resume=True, data_licence=self.licence,
                             processes=self.processes, on_step=self._told("fine-tuning"), kimg=kimg, seed=self.options.seed,
                             batch_size=min(self.options.batch_size, 32), micro_batch=self.options.micro_batch,
                             tick_kimg=kimg / 10, score_pictures=0, patience=0).model

        styled: Generator = self._file(STYLED, make)
        if not before:
            self._picture("1_fine_tuning", torch.cat([self._faces_of(self.base), self._faces_of(styled)]), 4)
        return styled

    @torch.no_grad()
    def _faces_of(self, model: Generator) -> Tensor:
        """The four faces of every preview."""
        z = torch.randn(4, model.z_dim, generator=generator_for(self.options.seed, 0, "score")).to(next(model.parameters()))
        return torch.cat([model.synthesis(ws, "const") for ws in self.base.mapping(z).split(1)])

    def _codes(self, data: PictureSet, styled: Generator) -> DrawnCodes:
        options = self.options
        codes = destylize_all(self.base, styled, self.encoder, data, DestylizeOptions(
            steps=options.destylize_steps, truncation_psi=options.truncation_psi, seed=options.seed), self.out / "destylized",
            options.faces, self.processes, self._told("destylization"), self.judges.perceptual, self.judges.identity, LEAST)
        self.notes.extend(codes.report())
        shown = previewed(len(codes.rows))
        drawings = torch.cat([_small(data.take(np.array([codes.rows[k]]))) for k in shown])
        self._picture("2_destylized", torch.cat([drawings, codes.faces[shown]]), len(shown))
        return codes

    # stages I to III

    def plan(self, codes: DrawnCodes) -> StagePlan:
        options = self.options
        kind = choose_kind(codes.distance) if options.kind == AUTO else options.kind
        if options.kind == AUTO:
            self.notes.append(f"The drawings were taken for {kind} (their persons lie {codes.distance:.2f} from the faces).")
        structure = options.structure if self.start is None or self.start.fresh else 0.0
        more = {name: getattr(options, name) for name in ("seed", "batch_size", "micro_batch", "preview_every", "save_every",
                                                           "bfloat16")}
        return published_plan(kind, structure, options.style, **more)

    def _trained(self, data: PictureSet, codes: DrawnCodes) -> DualStyleGAN:
        options, plan = self.options, self.plan(codes)
        side = min(options.judge_resolution or self.base.img_resolution, data.resolution)
        start = self.start or fresh_start(self.base, side, options.hidden, options.seed)
        self.notes.extend([start.note] if start.note else [])
        styles = codes.extrinsic.ws(self.base)
        if start.fresh:
            z = sample_z([options.seed], self.base.z_dim).to(styles)
            found = check_start(start.average, self.base.mapping(z), styles[:1])
            self.notes.append(f"Stage I: with all weights 0 the pictures are the base's; fresh residuals change them by "
                              f"{found.structure:.1%}, colors arrive within {found.color:.1%}.")
        self._picture("3_before_training", style_preview(start.average, styles, options.seed), 1)
        if not plan.total:
            start.average.info = info_of(start.average, self.licence, {}) if start.fresh else start.average.info
            return start.average
        examples = StyleExamples(lambda chosen: data.take(np.array([codes.rows[k] for k in chosen])), codes.intrinsic,
                                 codes.extrinsic)
        folder = RunFolder(self.out / "stages", plan.plain(), True, MAY_CHANGE) if self.processes.leads else None
        try:
            return DualStages(start, examples, plan, self._encode, None, self.judges.features, self.judges.identity, folder,
                              self.processes, self.licence).run(self._shown(plan))
        finally:
            if folder is not None:
                folder.close()

    def _encode(self, faces: Tensor) -> Tensor:
        return self.encoder.encode(faces, self.base).ws(self.base)

    def _shown(self, plan: StagePlan) -> OnStep:
        """Keeps every preview as a picture of its iteration, under the stage's name."""
        tell = self._told("training")

        def on_step(i: int, n: int, shown: Tensor | None) -> None:
            if shown is not None and i:
                self._picture(f"4_{i:05d}_{plan.at(i - 1)[0].name.replace(' ', '_')}", shown, 1)
            if tell is not None:
                tell(i, n, shown)

        return on_step

    # styles

    def _refined(self, dual: DualStyleGAN, data: PictureSet, codes: DrawnCodes) -> Styles:
        options = self.options
        refined = codes.extrinsic
        if options.refine_steps:
            chosen = RefineOptions(options.refine_steps, options.lr_color, options.lr_structure, seed=options.seed)
            refined, same = refine_all(dual, codes, data, chosen, self.out / "refined", self.processes,
                                       self._told("refinement"), perceptual=self.judges.perceptual,
                                       contextual=self.judges.contextual)
            self.notes.extend([f"Kept as encoded, as refining gave no numbers: {', '.join(same)}."] if same else [])
        self._picture("5_refined", style_preview(dual, refined.ws(dual.base), options.seed), 1)
        return Styles(refined, codes.names)

    def _sampler(self, dual: DualStyleGAN, styles: Styles) -> StyleSampler:
        options = self.options

        def make() -> StyleSampler:
            sampler = fit_sampler(styles.codes, dual.rows[0], options.sampler_epochs, options.seed,
                                  self.out / "sampler_state.safetensors", self._told("sampler"))
            sampler.info = dual.info.child(sampler.kind)
            return sampler

        sampler: StyleSampler = self._file(SAMPLER, make, together=False)
        self.notes.append(f"Sampler: {check_sampler(sampler, styles.codes)}.")
        self._picture("6_sampled", style_preview(dual, sampler.sample(4, options.seed).ws(dual.base), options.seed), 1)
        return sampler

    def _result(self, dual: DualStyleGAN, codes: DrawnCodes, styles: Styles, sampler: StyleSampler | None,
                data: PictureSet) -> DualResult:
        preview = style_preview(dual, styles.codes.ws(dual.base), self.options.seed)
        report = "\n".join([*self.notes, *[f"Given up: {said}." for said in gave_up(self.options)]])
        if self.processes.leads:
            for name, latents, role in ((BANK, styles.codes, "extrinsic"), (ENCODED, codes.extrinsic, "extrinsic"),
                                        (FACES, codes.intrinsic, "intrinsic")):
                bank = Styles(latents, codes.names).bank(role)  # type: ignore[arg-type]
                bank.info = dual.info.child(bank.kind)
                save(bank, self.out / f"{name}.safetensors", overwrite=True)
            self._thumbnails(dual, codes, styles, data)
            write_bytes(self.out / "report.txt", plain_text(report + "\n").encode(), overwrite=True)
        self.processes.wait()
        return DualResult(dual, styles, codes.intrinsic, sampler, preview, report)

    def _thumbnails(self, dual: DualStyleGAN, codes: DrawnCodes, styles: Styles, data: PictureSet) -> None:
        """The drawings by their styles' names, and a sheet of styles as the model draws them."""
        for row, name in zip(codes.rows, thumbnail_names(codes.names), strict=True):
            place = self.out / THUMBNAILS / name
            if not place.is_file():
                write_image(_small(data.take(np.array([row])), THUMBNAIL_PX), place, overwrite=True)
        chosen = np.linspace(0, len(styles) - 1, min(SHEET_STYLES, len(styles))).round().astype(int).tolist()
        sheet = style_sheet(dual, styles.pick(chosen), codes.intrinsic.pick(chosen), on_step=self._told("styles"))
        self._picture("7_styles", sheet, 1)


def thumbnail_names(names: Sequence[str]) -> list[str]:
    """A picture file's name for each drawing's, each another: a zip may hold the same one in two folders, or longer ones than a
    folder can."""
    stems = [Path(name.replace("/", "_")).stem.encode("utf-8", "replace")[:STEM].decode("utf-8", "ignore") for name in names]
    counts = Counter(map(str.casefold, stems))  # as folders of Windows and macOS tell names apart
    for i, stem in enumerate(stems):
        if counts[stem.casefold()] > 1:
            stems[i] = f"{stem} {i}"
            while stems[i].casefold() in counts:
                stems[i] += "_"
    return [f"{stem}.png" for stem in stems]


def _small(images: Tensor, most: int = INPUT) -> Tensor:
    return resize_area(images, most) if images.shape[-1] > most else images
