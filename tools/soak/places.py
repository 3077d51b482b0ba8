"""Two writers in one folder; odd languages and homes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from .world import ROOT, Soak

FILES = 60
WRITER = """
import sys
import torch
import stylegan_core as sg
from pathlib import Path
for i in range(int(sys.argv[2])):
    for name in (f"shared_{i % 3}", f"own_{sys.argv[3]}_{i}"):
        sg.Latents(torch.full((4, 18, 512), float(i)), "w+").save(Path(sys.argv[1]) / name, overwrite=True)
"""


def writers(soak: Soak) -> None:
    """Two processes that save into one folder: every file whole, nothing left behind."""
    import stylegan_core as sg

    folder, count = soak.base / "together", max(2, round(FILES * soak.share))
    both = [subprocess.Popen([sys.executable, "-c", WRITER, str(folder), str(count), name], cwd=ROOT) for name in "ab"]
    soak.check([child.wait(600) for child in both] == [0, 0], "two writers in one folder")
    found = sorted(folder.glob("*.safetensors"))
    soak.check(len(found) == min(count, 3) + 2 * count, f"{len(found)} files of two writers")
    for path in found:
        values = sg.Latents.load(path).tensor.unique()
        soak.check(len(values) == 1, f"{path.name} is a mixture of two writers' files")
    soak.check(not list(folder.glob(".*")), "a temporary file was left behind")


PLACE = """
import sys
from pathlib import Path
from tools.headless.prompts import sampled
from tools.soak.world import Soak
one = Soak(sys.argv[1], Path(sys.argv[2]), 1, 5)
result = one.run(sampled("place/a"))
assert result.success, result.error
assert one.pictures("place/")
"""


def places(soak: Soak) -> None:
    """The language C, a home that can't be written to, one that is no folder."""
    home, none = soak.base / "home", soak.base / "no folder"
    home.mkdir()
    home.chmod(0o500)  # which does not keep an administrator out; the last one does
    none.write_text("")
    for name, more in {"the language C": {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0"},
                       "a home that can't be written to": {"HOME": str(home), "USERPROFILE": str(home)},
                       "a home that is no folder": {"HOME": str(none / "home"), "USERPROFILE": str(none / "home")}}.items():
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as base:
            done = subprocess.run([sys.executable, "-c", PLACE, soak.choice, base], cwd=ROOT, env={**os.environ, **more},
                                  capture_output=True, text=True, errors="replace", timeout=600, check=False)
            soak.check(done.returncode == 0, f"{name}: {done.stderr.strip().splitlines()[-1:]}")
