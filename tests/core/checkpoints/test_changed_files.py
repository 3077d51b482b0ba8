"""A file that shrinks or is written over while what was read from it is in use: nothing dies and nothing changes.

In a process of its own: a mapped file that is cut off ends the process with SIGBUS, which no test could catch.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import stylegan_core as sg
from stylegan_core.networks.generators.mobilestylegan import MobileStyleGAN, MobileStyleGANConfig
from stylegan_core.networks.mapping import MappingConfig
from stylegan_core.tuning.delta import BaseModel

ROOT = Path(__file__).resolve().parents[3]
CHILD = """
import sys
from pathlib import Path
import torch
import stylegan_core as sg

torch.set_num_threads(1)

def change(path):
    size = path.stat().st_size
    with path.open("r+b") as file:  # in place, as a download done again does
        if sys.argv[1] == "cut":
            file.truncate(100)
        else:
            file.write(b"\\xff" * size)

def numbers(found):
    if isinstance(found, sg.Latents):
        return [found.tensor, *found.noise]
    if isinstance(found, sg.Directions):
        return [found.tensor]
    if isinstance(found, sg.Delta):
        return [t for part in found.parts.values() for t in part]
    with torch.no_grad():
        return [found.synthesis(torch.ones(1, found.num_ws, found.w_dim)), found.w_avg]

READ = {"latents": sg.Latents.load, "directions": sg.Directions.load, "delta": sg.Delta.load}
for path in map(Path, sys.argv[2:]):
    read = READ.get(path.stem, sg.load)
    before, found = [t.clone() for t in numbers(read(path))], read(path)
    change(path)
    assert all(map(torch.equal, before, numbers(found))), f"{path.name} changed under what was read from it"
    print(path.name, flush=True)
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    """One file of every container and kind, with tensors of several pages each."""
    folder = tmp_path_factory.mktemp("files")
    torch.manual_seed(0)
    model = MobileStyleGAN(MobileStyleGANConfig(MappingConfig(256, 0, 256, 8, 3, 256), (64, 32, 16))).eval()
    state = model.state_dict()
    torch.save(state, folder / "zip.pt")
    torch.save(state, folder / "legacy.pt", _use_new_zipfile_serialization=False)
    (folder / "plain.pkl").write_bytes(pickle.dumps({"G_ema": state}))
    sg.save(model, folder / "own")
    sg.Latents(torch.randn(300, 3, 256), "w+", None, [torch.randn(1, 1, 256, 256)]).save(folder / "latents.safetensors")
    base = sg.load(sg.builtin("base-256"))
    names = tuple(map(str, range(300)))
    sg.Directions(torch.randn(300, 256), names, torch.ones(300), ("all",) * 300).save(folder / "directions")
    parts = {"synthesis." + name: (torch.randn_like(p),) for name, p in base.synthesis.named_parameters() if p.ndim > 1}
    sg.Delta(parts, BaseModel.of(base, parts)).save(folder / "delta")
    return sorted(folder.iterdir())


@pytest.mark.parametrize("damage", ["cut", "written over"])
def test_what_was_read_outlives_its_file(damage: str, files: list[Path], tmp_path) -> None:
    copies = [tmp_path / path.name for path in files]
    for path, copy in zip(files, copies, strict=True):
        copy.write_bytes(path.read_bytes())
    done = subprocess.run([sys.executable, "-c", CHILD, damage, *map(str, copies)], cwd=ROOT, capture_output=True, text=True,
                          timeout=120, check=False)
    sound = done.stdout.split()
    assert sound == [path.name for path in copies], f"after {sound} ended with {done.returncode}: {done.stderr[-1500:]}"
