"""Names in combos and name fields to files on disk; names stay inside their folders."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path

import folder_paths

from ..stylegan_core.assets import ALIASES, FOLDER, asset_path, example_portrait
from ..stylegan_core.checkpoints import LATENT_SUFFIXES, MODEL_SUFFIXES
from ..stylegan_core.checkpoints.writing import check_target, write_bytes
from ..stylegan_core.errors import InvalidInput

MODELS = "stylegan"
LATENTS = "stylegan_latents"
DELTAS = "stylegan_deltas"
DIRECTIONS = "stylegan_directions"
TRAINING = "stylegan_training"
METRICS = "stylegan_metrics"
EXTENSIONS = {MODELS: set(MODEL_SUFFIXES), LATENTS: set(LATENT_SUFFIXES), DELTAS: {".safetensors"},
              DIRECTIONS: {".safetensors", ".npy", ".pt", ".pth", ".pkl"}, METRICS: {".safetensors", ".pth", ".pkl"}}
BUILTINS = ("base", "figurine", "ink", "painting", "base-256", "toon")
BUILTIN_MARK = " (built-in)"
NAMED_DIRECTIONS = "faces" + BUILTIN_MARK
NO_FILE = "no file yet"
EXAMPLES = Path(__file__).parents[1] / "example_workflows" / "input"
MAX_NAME, MAX_PART = 400, 180
"""Characters of a name with its folders, bytes of one part of it."""


def register_folders() -> None:
    """models/<key> and output/<key> become folders of each key, beside those of extra_model_paths.yaml."""
    for key, extensions in EXTENSIONS.items():
        folder_paths.add_model_folder_path(key, os.path.join(folder_paths.models_dir, key), is_default=True)
        folder_paths.add_model_folder_path(key, os.path.join(folder_paths.get_output_directory(), key))
        folder_paths.folder_names_and_paths[key][1].update(extensions)


def place_examples() -> None:
    """What the workflows load comes to lie in ComfyUI's input folder, unless a file of that name is there."""
    target = Path(folder_paths.get_input_directory())
    files = {path.relative_to(EXAMPLES).as_posix(): path for path in sorted(EXAMPLES.rglob("*.*")) if path.is_file()}
    for name, path in {"atelier_portrait.jpg": example_portrait(), **files}.items():
        try:
            if not (target / name).exists():
                write_bytes(target / name, path.read_bytes())
        except (OSError, InvalidInput) as error:
            logging.getLogger(__name__).info("StyleGAN Atelier: %s could not be laid into %s (%s).", name, target, error)


def model_names(builtins: Sequence[str] = BUILTINS) -> list[str]:
    """Those of the built-in models that are here, then the files of models/stylegan and output/stylegan; never empty."""
    here = [name + BUILTIN_MARK for name in builtins if (FOLDER / f"{ALIASES.get(name, name)}.safetensors").is_file()]
    return here + folder_paths.get_filename_list(MODELS) or [NO_FILE]


def model_folders() -> list[str]:
    """models/stylegan and the folders beside it, where loss networks are looked for."""
    return folder_paths.get_folder_paths(MODELS)


def latent_names() -> list[str]:
    """The files of models/stylegan_latents and output/stylegan_latents."""
    return folder_paths.get_filename_list(LATENTS) or [NO_FILE]


def delta_names() -> list[str]:
    """The files of models/stylegan_deltas and output/stylegan_deltas."""
    return folder_paths.get_filename_list(DELTAS) or [NO_FILE]


def direction_names() -> list[str]:
    """The built-in named directions, then the files of models/stylegan_directions and output/stylegan_directions."""
    return [NAMED_DIRECTIONS] + folder_paths.get_filename_list(DIRECTIONS)


def model_path(name: str) -> str:
    """Path of a name from model_names. Raises InvalidInput."""
    if name.endswith(BUILTIN_MARK):
        return str(asset_path(name.removesuffix(BUILTIN_MARK)))
    return _listed(MODELS, name)


def latent_path(name: str) -> str:
    """Path of a name from latent_names. Raises InvalidInput."""
    return _listed(LATENTS, name)


def delta_path(name: str) -> str:
    """Path of a name from delta_names. Raises InvalidInput."""
    return _listed(DELTAS, name)


def direction_path(name: str) -> str:
    """Path of a name from direction_names. Raises InvalidInput."""
    return str(asset_path("directions")) if name == NAMED_DIRECTIONS else _listed(DIRECTIONS, name)


def _listed(key: str, name: str) -> str:
    path = folder_paths.get_full_path(key, name) if name in folder_paths.get_filename_list(key) else None
    if path is None:
        raise InvalidInput(f'"{name}" is not in ComfyUI/models/{key} or ComfyUI/output/{key}; put a file there, '
                           f"press R to refresh the list, and pick it.")
    return path


def fingerprint(path: str) -> tuple[str, int, int]:
    """Changes when the file does, so that ComfyUI reads an edited file again."""
    stat = os.stat(path)
    return path, stat.st_mtime_ns, stat.st_size


def output_folder(key: str) -> Path:
    """output/<key>, which may not exist yet."""
    return Path(folder_paths.get_output_directory(), key).resolve()


def new_output(key: str, name: str) -> Path:
    """A file that does not exist yet, output/<key>/<name>_00001.safetensors or the next number; latents whose name ends in .npz
    keep that ending. Raises InvalidInput."""
    root, plain = output_folder(key), name.strip()
    suffix = ".npz" if key == LATENTS and plain.lower().endswith(".npz") else ".safetensors"
    plain = plain[: -len(suffix)] if plain.lower().endswith(suffix) else plain
    if len(plain) > MAX_NAME or not plain.isprintable() or any(len(os.fsencode(part)) > MAX_PART for part in plain.split("/")):
        raise InvalidInput(f"The name {plain[:40]!r} is {len(plain)} characters long or holds some that no file name can; "
                           f'use a plain one such as "my_face".')
    target = (root / plain).resolve()
    if root not in target.parents:
        what = f'The name "{name}" leads outside output/{key}' if plain else "No name was given"
        raise InvalidInput(f'{what}; use a plain one such as "my_face".')
    number = 1
    while (path := target.with_name(f"{target.name}_{number:05}{suffix}")).exists():
        number += 1
    return check_target(path, (suffix,), overwrite=False)


def run_folder(name: str) -> Path:
    """output/stylegan_training/NAME. Raises InvalidInput for a name that leads elsewhere."""
    if not re.fullmatch(r"\w[\w .-]{0,100}", name) or name.endswith((".", " ")) or len(os.fsencode(name)) > MAX_PART:
        raise InvalidInput(f'"{name[:60]}" is no name for a run; use up to 100 letters, digits, spaces, dots and dashes.')
    return output_folder(TRAINING) / name


def input_source(name: str) -> Path:
    """A folder, zip or picture in ComfyUI/input. Raises InvalidInput."""
    root = Path(folder_paths.get_input_directory()).resolve()
    try:
        path = (root / name).resolve()
        there = root in path.parents and path.exists()
    except (OSError, ValueError):  # too long a name, or one that no file can have
        there = False
    if not name.strip() or not there:
        raise InvalidInput(f'"{name[:100]}" is not in ComfyUI/input; copy the folder or zip of drawings there and give its '
                           f"name, or connect images.")
    return path


def listing_fingerprint(name: str) -> str:
    """Changes when a picture of an input folder (or the file itself) does; empty for what is not there."""
    try:
        path = input_source(name)
    except InvalidInput:
        return ""
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    told = [f"{file} {stat.st_size} {stat.st_mtime_ns}" for file in found if file.is_file() and (stat := file.stat())]
    return hashlib.sha256(os.fsencode("\n".join(told))).hexdigest()


def metrics_folder() -> Path:
    """The first models/stylegan_metrics that holds anything, else the first."""
    places = [Path(place) for place in folder_paths.get_folder_paths(METRICS)]
    return next((place for place in places if place.is_dir() and any(place.iterdir())), places[0])
