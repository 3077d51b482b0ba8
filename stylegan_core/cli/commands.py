"""One function a command."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from ..blending import blend as blend_models
from ..blending import layer_weight, strength_note
from ..checkpoints import HEADINGS, MODEL_SUFFIXES, SAFETENSORS, check_target, inspect, load, save
from ..errors import AtelierError, InvalidInput
from ..faces.batch import return_faces, take_faces
from ..faces.frame import alignment_notes
from ..inversion import PRESETS, InversionOptions, Inverter
from ..inversion.encode import encode
from ..latents import Latents, class_label, sample_z
from ..latents.codes import check_truncation
from ..networks.style_weights import format_weights
from ..pictures.files import read_image, write_image
from ..pictures.rendering import render
from ..pictures.sheets import blend_grid, contact_sheet
from ..pipeline import Toonified, ToonOptions
from ..pipeline import toonify as toonify_photo
from ..runtime import at_precision
from ..stylization import Styles, choose_weights, transfer_style
from ..tuning import TUNE_PRESETS, Tuner
from .folder import each_picture, own_device, pictures_of
from .shared import (
    COLUMNS,
    Bar,
    check_pictures,
    licence_line,
    load_generator,
    load_kind,
    losses_text,
    model_path,
    say,
    write_row,
)

INTERRUPTED = 130


def info(a: argparse.Namespace) -> int:
    """Facts of a file; a table of a folder, where a file that can't be read says why and is passed over."""
    if not a.path.is_dir():
        say(_details(inspect(model_path(str(a.path)), a.weights, a.resolution)))
        return 0
    files = sorted(p for p in a.path.rglob("*") if p.suffix.lower() in MODEL_SUFFIXES and p.is_file())
    if not files:
        raise InvalidInput(f"{a.path} holds no model file ({', '.join(MODEL_SUFFIXES)}); put one there.")
    rows, refused = [], []
    for path in files:
        try:
            rows.append((str(path.relative_to(a.path)), *inspect(path, a.weights).row()))
        except AtelierError as error:
            refused.append(f"{path.relative_to(a.path)}: {str(error).removeprefix(f'{path.name}: ')}")
    say("\n".join([*(_table([("file", *HEADINGS), *rows]) if rows else []), *refused]))
    return int(not rows)


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    """Lines with columns as wide as their widest cell, but for the last."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    return ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows]


def _details(facts: Any) -> str:
    rows = [facts.sentence(), f"layout: {facts.layout}", f"container: {facts.container}"]
    rows += [f"{name}: {value}" for name in ("z_dim", "w_dim", "channels", "part", "source", "sha256")
             if (value := getattr(facts, name))]
    rows += [f"parent: {p.get('name') or 'unnamed'} (licence: {p.get('licence', 'unknown')})" for p in facts.parents]
    return "\n".join(rows + [f"{key}: {value}" for key, value in facts.notes.items()])


def convert(a: argparse.Namespace) -> int:
    """Any known model file -> this project's safetensors."""
    check_target(a.out, SAFETENSORS, a.overwrite, add=False)
    model = load(model_path(a.file), which=a.weights, resolution=a.resolution)
    say("\n".join([f"wrote {save(model, a.out, dtype=_storage(a), overwrite=a.overwrite)}", *licence_line(model)]))
    return 0


def generate(a: argparse.Namespace) -> int:
    """Pictures of seeds, or of a file of latents."""
    psi = a.psi if a.psi is not None else 1.0 if a.latents else 0.7
    check_truncation(psi, a.cutoff)
    given = Latents.load(a.latents, a.space) if a.latents else None
    seeds = a.seeds if given is None else range(len(given))
    names = [a.out / (f"seed{seed:04d}.png" if given is None else f"{a.latents.stem}_{seed:04d}.png") for seed in seeds]
    grid = a.out / "grid.png"
    check_pictures([*names, *([grid] if a.grid else [])], a.overwrite)
    model = load_generator(a.model, a.device)
    latents = Latents(sample_z(a.seeds, model.z_dim), "z", model) if given is None else given
    latents.check(model)
    label, small = class_label(model, a.label, space=latents.space), []
    for i, name in enumerate(tqdm(names, desc="generate", leave=False)):
        image = render(model, latents.pick(i), psi, a.cutoff, label, a.noise, seed=seeds[i], precision=a.precision)
        write_image(image, name, a.overwrite)
        small.append(image if a.grid else image[:0])
    if a.grid:
        write_image(contact_sheet(torch.cat(small), min(COLUMNS, len(names)), cell=min(256, model.img_resolution)),
                    grid, a.overwrite)
    note = latents.note(model)
    say("\n".join([f"wrote {len(names)} pictures to {a.out}", *([note] if note else []), *licence_line(model)]))
    return 0


def blend(a: argparse.Namespace) -> int:
    """Two related models -> a file of one."""
    check_target(a.out, SAFETENSORS, a.overwrite, add=False)
    layer_weight(a.resolution, a.mode, a.width, a.coarse, a.convention)
    strength_note(a.strength)
    base, other = load_generator(a.base, a.device), load_generator(a.other, a.device)
    mixed = blend_models(base, other, a.resolution, a.mode, a.width, a.coarse, convention=a.convention,
                         strength=a.strength)
    written = save(mixed, a.out, dtype=_storage(a), overwrite=a.overwrite)
    notes = filter(None, [mixed.info.notes.get("warning"), strength_note(a.strength)])
    say("\n".join([f"wrote {written}", *notes, *licence_line(mixed)]))
    return 0


def invert(a: argparse.Namespace) -> int:
    """A photograph -> its latents, by optimization; Ctrl-C keeps the best so far."""
    stem = a.photo.stem
    crop_file, picture = a.out / f"{stem}_crop.png", a.out / f"{stem}_inversion.png"
    codes = a.out / f"{stem}_latents.safetensors"
    check_pictures([crop_file, picture], a.overwrite)
    check_target(codes, SAFETENSORS, a.overwrite)
    options, photo = _options(a), read_image(a.photo)
    model = load_generator(a.model, a.device)
    crops = photo if a.no_align else take_faces(photo, model.img_resolution)[0]
    inverter = Inverter(model, crops.to(a.device), a.space, options, c=class_label(model, a.label))
    notes = alignment_notes(photo) if a.no_align else ()
    interrupted = _interrupted(inverter, "invert")
    found = inverter.result()
    write_image(crops, crop_file, a.overwrite)
    write_image(found.images, picture, a.overwrite)
    found.latents.save(codes, a.overwrite)
    verb = "interrupted; wrote" if interrupted else "wrote"
    say("\n".join([f"{verb} the best of {found.steps_done} steps to {a.out}{losses_text(found.losses)}", *notes, *found.notes,
                    *licence_line(model)]))
    return INTERRUPTED if interrupted else 0


def tune(a: argparse.Namespace) -> int:
    """A crop and its latents -> a delta; Ctrl-C keeps the best so far."""
    stem = a.crop.stem.removesuffix("_crop")
    picture, delta_file = a.out / f"{stem}_tuned.png", a.out / f"{stem}_delta.safetensors"
    check_pictures([picture], a.overwrite)
    check_target(delta_file, SAFETENSORS, a.overwrite)
    preset = TUNE_PRESETS[a.quality]
    options = replace(preset, seed=a.seed, locality=a.locality, steps=preset.steps if a.steps is None else a.steps)
    crop, latents = read_image(a.crop), Latents.load(a.latents)
    model = load_generator(a.model, a.device)
    tuner = Tuner(model, latents, crop.to(a.device), options)
    interrupted = _interrupted(tuner, "tune")
    found = tuner.result()
    write_image(found.images, picture, a.overwrite)
    found.delta.save(delta_file, a.overwrite)
    verb = "interrupted; wrote" if interrupted else "wrote"
    say("\n".join([f"{verb} the best of {found.steps_done} steps to {a.out}{losses_text(found.losses)}", *alignment_notes(crop),
                    *licence_line(model)]))
    return INTERRUPTED if interrupted else 0


def _interrupted(job: Inverter | Tuner, name: str) -> bool:
    """Run it to its end, or until Ctrl-C; it keeps its best state either way."""
    try:
        job.run(Bar(name))
    except KeyboardInterrupt:
        return True
    return False


def toonify(a: argparse.Namespace) -> int:
    """One photograph, or every one of a folder."""
    if a.photo.is_dir():
        return _toonify_folder(a)
    places = _toon_places(a, a.photo.stem)
    check_pictures([*places.values()], a.overwrite)
    photo, work = read_image(a.photo), _Toonifier(a)
    made = work.draw(photo, places, a.overwrite, shown=True)
    say("\n".join([f"wrote {', '.join(places)} to {a.out}{losses_text(made.losses)}", *made.notes, *work.licence]))
    return 0


def _toonify_folder(a: argparse.Namespace) -> int:
    pictures, work = pictures_of(a.photo, a.out), _Toonifier(a)

    def is_done(name: str) -> bool:
        return not a.overwrite and _toon_places(a, name)["pasted"].exists()

    def make(name: str, path: Path) -> None:
        places = _toon_places(a, name)
        check_pictures([*places.values()], overwrite=True)
        work.draw(read_image(path), places, overwrite=True)

    report, some = each_picture("toonify", pictures, is_done, make)
    say("\n".join([report, *work.licence]))
    return int(not some)


def _toon_places(a: argparse.Namespace, name: str) -> dict[str, Path]:
    """The files of one photograph; "pasted" is written last and so says that it is done."""
    parts = ("crop", "inversion", "toon", *(("grid",) if a.grid else ()), "pasted")
    return {part: a.out / f"{name}_{part}.png" for part in parts}


class _Toonifier:
    """The arguments checked, the models loaded, for one photograph after the other."""

    def __init__(self, a: argparse.Namespace) -> None:
        self.grid, self.device = a.grid, own_device(a.device)
        encoder = ("encoder" if a.base == "base" and a.space == "w+" else "none") if a.encoder is None else a.encoder
        a.quality = a.quality or ("standard" if encoder == "none" else "quick")
        self.choice = ToonOptions(
            swap=a.swap, mode=a.mode, coarse="other" if a.coarse == "toon" else "base", space=a.space,
            inversion=None if a.steps == 0 else _options(a), every_face=a.every_face, color_match=a.color_match,
            feather=a.feather, which=a.which, outline=a.outline, grain=a.grain, whole=a.whole,
            strength=a.strength, precision=a.precision)
        self.base, self.toon = load_generator(a.base, self.device), load_generator(a.toon, self.device)
        self.encoder = None if encoder == "none" else load_kind(encoder, "encoder", self.device)
        self.licence = licence_line(self.base, self.toon)

    def draw(self, photo: Tensor, places: dict[str, Path], overwrite: bool, shown: bool = False) -> Toonified:
        """Toonify and write; shown: with a bar for each stage."""
        bars = [Bar(name) if shown else None for name in ("invert", "grid")]
        made = toonify_photo(photo.to(self.device), self.base, self.toon, self.choice, bars[0], self.encoder)
        stages = {"crop": made.crops, "inversion": made.inversions, "toon": made.toons, "pasted": made.pasted}
        if self.grid:
            stages["grid"] = blend_grid(self.base, self.toon, made.latents, on_step=bars[1])
        for part, place in places.items():
            write_row(stages[part], place, overwrite)
        return made


def transfer(a: argparse.Namespace) -> int:
    """A photograph -> the same in the style of an exemplar."""
    parts = ("crop", "inversion", "styled", "pasted")
    files = {part: a.out / f"{a.photo.stem}_{part}.png" for part in parts}
    check_pictures(list(files.values()), a.overwrite)
    options = _options(a)
    photo, dual, bank = read_image(a.photo), load_kind(a.model, "dualstylegan", a.device), load_kind(a.styles, "style_bank")
    style = Styles.of(bank).pick(a.style)
    weights = choose_weights(dual.num_weights, a.structure, a.color_weight, text=a.weights)
    crops, places = take_faces(photo, dual.img_resolution)
    if a.encoder:
        latents = encode(load_kind(a.encoder, "encoder", a.device), crops.to(a.device), dual.base)
    else:
        latents = Inverter(dual.base, crops.to(a.device), a.space, options).run(Bar("invert")).latents
    dual = at_precision(dual, a.precision, latents.ws(dual.base))
    seen = render(dual.base, latents)
    styled = transfer_style(dual, latents, style.codes, weights, a.color).clamp(-1, 1)
    pasted, _ = return_faces(photo, styled[:1], places, seen=seen)
    for part, images in zip(parts, (crops, seen, styled, pasted), strict=True):
        write_row(images, files[part], a.overwrite)
    say("\n".join([f"wrote {', '.join(parts)} to {a.out} ({', '.join(style.names)} at {format_weights(weights)})",
                    *licence_line(dual, bank)]))
    return 0


def _options(a: argparse.Namespace) -> InversionOptions:
    options = replace(PRESETS[a.quality], seed=a.seed)
    return options if a.steps is None else replace(options, steps=a.steps)


def _storage(a: argparse.Namespace) -> torch.dtype | None:
    return torch.float16 if a.half else None
