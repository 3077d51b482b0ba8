"""One function a command."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from ..assets import asset_path
from ..blending import blend as blend_models
from ..checkpoints import inspect, load, save
from ..contact_sheet import blend_grid, contact_sheet
from ..errors import AtelierError, InvalidInput
from ..faces.batch import take_faces
from ..images import SUFFIXES, check_writable, read_image, write_image
from ..inversion import PRESETS, InversionOptions, Inverter
from ..latents import Latents, class_label, sample_z
from ..networks.base import Generator
from ..pipeline import ToonOptions
from ..pipeline import toonify as toonify_photo
from ..rendering import render

MODEL_SUFFIXES = (".safetensors", ".pt", ".pth", ".pkl", ".model", ".xml", ".npy")
SAFETENSORS = (".safetensors",)
COLUMNS = 4
INTERRUPTED = 130


def info(a: argparse.Namespace) -> int:
    """A sentence a file; in a folder a file that can't be read is named and passed over."""
    if a.path.is_dir():
        files = sorted(p for p in a.path.rglob("*") if p.suffix.lower() in MODEL_SUFFIXES and p.is_file())
        if not files:
            raise InvalidInput(f"{a.path} holds no model file ({', '.join(MODEL_SUFFIXES)}); put one there.")
        readable = [_tell(path) for path in files]
        return int(not any(readable))
    _say(_details(inspect(_model_path(str(a.path)))))
    return 0


def _tell(path: Path) -> bool:
    try:
        _say(f"{path.name}: {inspect(path).sentence()}")
    except AtelierError as error:
        _say(f"{path.name}: {error}")
        return False
    return True


def _details(facts: Any) -> str:
    rows = [facts.sentence(), f"layout: {facts.layout}", f"container: {facts.container}"]
    rows += [f"{name}: {value}" for name in ("z_dim", "w_dim", "channels", "part", "source", "sha256")
             if (value := getattr(facts, name))]
    rows += [f"parent: {p.get('name') or 'unnamed'} (licence: {p.get('licence', 'unknown')})" for p in facts.parents]
    return "\n".join(rows + [f"{key}: {value}" for key, value in facts.notes.items()])


def convert(a: argparse.Namespace) -> int:
    check_writable(a.out, SAFETENSORS, a.overwrite)
    _say(f"wrote {save(load(_model_path(a.file)), a.out, dtype=_storage(a), overwrite=a.overwrite)}")
    return 0


def generate(a: argparse.Namespace) -> int:
    names = [a.out / f"seed{seed:04d}.png" for seed in a.seeds]
    grid = a.out / "grid.png"
    _check_all([*names, *([grid] if a.grid else [])], a.overwrite)
    model = load_generator(a.model, a.device)
    latents, label = Latents(sample_z(a.seeds, model.z_dim), "z", model), class_label(model, a.label)
    small = []
    for i, name in enumerate(tqdm(names, desc="generate", leave=False)):
        image = render(model, latents.pick(i), a.psi, a.cutoff, label, a.noise, seed=a.seeds[i])
        write_image(image, name, a.overwrite)
        small.append(image if a.grid else image[:0])
    if a.grid:
        write_image(contact_sheet(torch.cat(small), min(COLUMNS, len(names)), cell=min(256, model.img_resolution)),
                    grid, a.overwrite)
    _say(f"wrote {len(names)} pictures to {a.out}")
    return 0


def blend(a: argparse.Namespace) -> int:
    check_writable(a.out, SAFETENSORS, a.overwrite)
    base, other = load_generator(a.base, a.device), load_generator(a.other, a.device)
    mixed = blend_models(base, other, a.resolution, a.mode, a.width, a.coarse, convention=a.convention)
    _say(f"wrote {save(mixed, a.out, dtype=_storage(a), overwrite=a.overwrite)}")
    return 0


def invert(a: argparse.Namespace) -> int:
    stem = a.photo.stem
    crop_file, picture = a.out / f"{stem}_crop.png", a.out / f"{stem}_inversion.png"
    codes = a.out / f"{stem}_latents.safetensors"
    _check_all([crop_file, picture], a.overwrite)
    check_writable(codes, SAFETENSORS, a.overwrite)
    options, photo = _options(a), read_image(a.photo)
    model = load_generator(a.model, a.device)
    crops = photo if a.no_align else take_faces(photo, model.img_resolution)[0]
    inverter = Inverter(model, crops.to(a.device), a.space, options)
    interrupted = False
    try:
        inverter.run(Bar("invert"))
    except KeyboardInterrupt:
        interrupted = True
    found = inverter.result()
    write_image(crops, crop_file, a.overwrite)
    write_image(found.images, picture, a.overwrite)
    found.latents.save(codes)
    told = "interrupted; wrote" if interrupted else "wrote"
    _say(f"{told} the best of {found.steps_done} steps to {a.out} ({_losses(found)})")
    return INTERRUPTED if interrupted else 0


def toonify(a: argparse.Namespace) -> int:
    parts = ("crop", "inversion", "toon", "pasted", "grid")
    files = {part: a.out / f"{a.photo.stem}_{part}.png" for part in parts}
    _check_all(list(files.values()), a.overwrite)
    choice = ToonOptions(swap=a.swap, mode=a.mode, coarse="other" if a.coarse == "toon" else "base", space=a.space,
                         inversion=_options(a), every_face=a.every_face, color_match=a.color_match)
    photo = read_image(a.photo)
    base, toon = load_generator(a.base, a.device), load_generator(a.toon, a.device)
    made = toonify_photo(photo.to(a.device), base, toon, choice, Bar("invert"))
    grid = blend_grid(base, toon, made.inversion.latents, on_step=Bar("grid"))
    stages = (made.crops, made.inversion.images, made.toons, made.pasted, grid)
    for part, images in zip(parts, stages, strict=True):
        one = images if len(images) == 1 else contact_sheet(images, min(COLUMNS, len(images)))
        write_image(one, files[part], a.overwrite)
    _say(f"wrote {', '.join(parts)} to {a.out} ({_losses(made.inversion)})")
    return 0


def load_generator(name: str, device: str = "cpu") -> Generator:
    """A model file or a built-in's name -> its generator. Raises LoadError, InvalidInput."""
    model = load(_model_path(name), device)
    if not isinstance(model, Generator):
        kind = getattr(model, "kind", "network")
        raise InvalidInput(f"{name} holds a {kind} but a generator is needed; give a StyleGAN file.")
    return model


def _model_path(name: str) -> Path:
    path = Path(name)
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder; give a model file.")
    if path.exists():
        return path
    if path.suffix or len(path.parts) > 1:
        raise InvalidInput(f"{path} does not exist; check the path.")
    return asset_path(name)


def _options(a: argparse.Namespace) -> InversionOptions:
    options = replace(PRESETS[a.quality], seed=a.seed)
    return options if a.steps is None else replace(options, steps=a.steps)


def _check_all(files: list[Path], overwrite: bool) -> None:
    for path in files:
        check_writable(path, SUFFIXES, overwrite)


def _storage(a: argparse.Namespace) -> torch.dtype | None:
    return torch.float16 if a.half else None


class Bar:
    """An on_step that draws a progress bar from the first step on; nothing is drawn for work that is refused."""

    def __init__(self, name: str) -> None:
        self.name, self.bar = name, None

    def __call__(self, i: int, n: int, preview: Tensor | None = None) -> None:
        if self.bar is None:
            self.bar = tqdm(total=n, desc=self.name, leave=False)
        self.bar.update(i - self.bar.n)
        if i == n:
            self.bar.close()


def _losses(found: Any) -> str:
    return ", ".join(f"{name} {float(value.mean()):.3f}" for name, value in found.losses.items())


def _say(text: str) -> None:
    tqdm.write(text)
