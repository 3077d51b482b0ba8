"""A command over every picture of a folder: resumed, shared among processes, one bad picture not sinking the rest."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from tqdm import tqdm

from ..checkpoints import check_folder
from ..errors import AtelierError, InvalidInput, SaveError
from ..pictures.files import SUFFIXES
from ..runtime import is_out_of_memory

SHOWN = 20
"""Refused pictures named one by one at most."""


def pictures_of(folder: Path, out: Path) -> dict[str, Path]:
    """The folder's picture files by the name their results get: the stem, or stem and ending where two share a stem."""
    check_folder(out)
    if folder.resolve() == out.resolve():
        raise InvalidInput(f"{out} is the folder of the photographs; write the results into another one (--out).")
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
    if not files:
        raise InvalidInput(f"{folder} holds no picture ({', '.join(SUFFIXES)}); put photographs there, or name one.")
    stems = Counter(p.stem for p in files)
    return {p.stem if stems[p.stem] == 1 else f"{p.stem}_{p.suffix[1:].lower()}": p for p in files}


def process() -> tuple[int, int, int]:
    """Rank, number of processes and rank on this machine, as torchrun tells each; 0, 1, 0 without it."""
    rank, world, local = (int(os.environ.get(name, default)) for name, default in
                          (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0")))
    return rank, world, local


def own_device(device: str) -> str:
    """The device of this process: of several cards, "cuda" means the one of its number."""
    count = torch.cuda.device_count() if device == "cuda" else 0
    return f"cuda:{process()[2] % count}" if count > 1 else device


def each_picture(name: str, pictures: dict[str, Path], is_done: Callable[[str], bool],
                 work: Callable[[str, Path], object]) -> tuple[str, bool]:
    """work(name, file) for this process's share of the pictures that are not done -> a report, and whether any came out. A full
    disk ends it.

    The share depends on the folder alone, not on what is done, so that processes that start late agree.
    """
    rank, world, _ = process()
    mine = list(pictures.items())[rank::world]
    made, existing, refused = 0, 0, []
    for title, path in tqdm(mine, desc=name, leave=False, disable=rank > 0):
        try:
            if is_done(title):
                existing += 1
            else:
                work(title, path)
                made += 1
        except AtelierError as error:
            if isinstance(error, SaveError) and error.full:  # the others would only cost their time
                raise
            refused.append(str(error) if str(error).startswith(path.name) else f"{path.name}: {error}")
        except OSError as error:
            refused.append(f"{path.name}: {error.strerror or error}.")
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            refused.append(f"{path.name}: memory ran out.")
    lines = [f"made {made} of {len(mine)} pictures" + (f", {existing} were there already" if existing else "")]
    lines += refused[:SHOWN] + ([f"and {len(refused) - SHOWN} more"] if len(refused) > SHOWN else [])
    # a process that failed would make torchrun stop the others
    return "\n".join(lines), bool(made or existing or world > 1)
