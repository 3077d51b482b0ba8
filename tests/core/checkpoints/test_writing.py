"""Every file of ours is on the disk whole or not at all, whatever happens while it is written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest
import torch
from safetensors import safe_open

import stylegan_core as sg
from stylegan_core.checkpoints import check_folder, check_target, write_file, writing
from stylegan_core.errors import InvalidInput, SaveError
from stylegan_core.pictures.files import write_image
from stylegan_core.tuning.delta import BaseModel, Delta

ROOT = Path(__file__).resolve().parents[3]
posix = pytest.mark.skipif(os.name != "posix", reason="umask, signals and limits of POSIX")


def delta_of(model) -> Delta:
    name = "synthesis." + next(n for n, p in model.synthesis.named_parameters() if p.ndim > 1)
    weight = dict(model.named_parameters())[name]
    return Delta({name: (torch.ones_like(weight),)}, BaseModel.of(model, [name]))


WRITERS = {
    "model": lambda model, path: sg.save(model, path, overwrite=True),
    "latents": lambda model, path: sg.Latents(torch.ones(40, model.num_ws, model.w_dim), "w+").save(path, overwrite=True),
    "delta": lambda model, path: delta_of(model).save(path, overwrite=True),
    "directions": lambda model, path: sg.Directions(torch.ones(300, 32), tuple(map(str, range(300))), torch.ones(300),
                                                    ("all",) * 300).save(path, overwrite=True),
    "picture": lambda model, path: write_image(torch.rand(3, 64, 64) * 2 - 1, path.with_suffix(".png"), overwrite=True),
    "npz": lambda model, path: sg.Latents(torch.ones(40, 9, 32), "w+").save(path.with_suffix(".npz"), overwrite=True),
}


@pytest.fixture(scope="module")
def model():
    return sg.load(ROOT / "tests/goldens/swap_ros2_tiny/model_A.pt")


@pytest.mark.parametrize("kind", WRITERS)
def test_every_writer_replaces_whole_files_and_leaves_nothing_else(kind: str, model, tmp_path) -> None:
    first = WRITERS[kind](model, tmp_path / "a")
    os.chmod(first, 0o600)
    again = WRITERS[kind](model, tmp_path / "a")
    assert again == first and [p.name for p in tmp_path.iterdir()] == [first.name]
    if os.name == "posix":
        mask = os.umask(0)
        os.umask(mask)
        assert first.stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize("kind", ["model", "latents", "delta", "directions"])
def test_files_say_which_version_wrote_them(kind: str, model, tmp_path) -> None:
    with safe_open(WRITERS[kind](model, tmp_path / "a"), "pt") as file:
        assert json.loads(file.metadata()["stylegan_atelier"])["version"] == sg.__version__
    import re

    declared = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert declared and declared[1] == sg.__version__


LIMITED = """
import resource, signal, sys
import torch
import stylegan_core as sg
from pathlib import Path
from typing import BinaryIO
from tests.core.checkpoints import test_writing as t
model = sg.load("tests/goldens/swap_ros2_tiny/model_A.pt")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))
for kind, write in t.WRITERS.items():
    try:
        write(model, Path(sys.argv[1]) / kind)
        print(kind, "written")
    except sg.SaveError as error:
        print(kind, str(error).replace("\\n", "|"))
"""


@posix
def test_a_limit_on_files_is_a_sentence_and_the_old_file_stays(model, tmp_path) -> None:
    """As on a full disk, the write fails half-way."""
    old = {kind: write(model, tmp_path / kind) for kind, write in WRITERS.items()}
    before = {kind: path.read_bytes() for kind, path in old.items()}
    done = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=120,
                          check=True)
    told = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert all("larger than a file may be there" in told[kind] and "|" not in told[kind] for kind in WRITERS), done.stdout
    assert {kind: path.read_bytes() for kind, path in old.items()} == before
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in old.values())


@pytest.mark.parametrize("kind", ["model", "latents", "delta", "directions", "picture", "npz"])
def test_a_full_disk_is_told_with_the_bytes_that_are_missing(kind: str, model, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(writing.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(SaveError, match="bytes are missing of the") as told:
        WRITERS[kind](model, tmp_path / "a")
    needed = int(str(told.value).split(" it needs")[0].split()[-1])
    assert told.value.missing == needed - 1000 > 0 and str(told.value.missing) in str(told.value)
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, sys
from pathlib import Path
from typing import BinaryIO
from stylegan_core.checkpoints import write_file
def write(file):
    file.write(bytes(100))
    print(*Path(sys.argv[1]).parent.glob(".atelier-*.tmp"), flush=True)
    if sys.argv[2] == "die":
        os._exit(9)
    sys.stdin.read()
write_file(Path(sys.argv[1]), write)
"""


def test_what_killed_writers_leave_goes_and_what_living_ones_hold_stays(tmp_path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "dead"), "die"], cwd=ROOT, capture_output=True, timeout=120,
                   check=False)
    assert len(list(tmp_path.glob(".atelier-*.tmp"))) == 1
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "alive"), "wait"], cwd=ROOT, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as living:
        assert living.stdout and living.stdin
        held = Path(living.stdout.readline().split()[-1])
        write_file(tmp_path / "mine", lambda file: file.write(b"x"))
        assert list(tmp_path.glob(".atelier-*.tmp")) == [held]
        living.stdin.close()
        assert living.wait(60) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["alive", "mine"]


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt()])
def test_a_write_that_breaks_off_changes_nothing(error: BaseException, tmp_path) -> None:
    def write(file: BinaryIO) -> None:
        file.write(b"half")
        raise error

    (tmp_path / "a").write_bytes(b"whole")
    with pytest.raises(type(error)):
        write_file(tmp_path / "a", write, overwrite=True)
    assert (tmp_path / "a").read_bytes() == b"whole" and len(list(tmp_path.iterdir())) == 1


def test_a_file_that_comes_in_the_meantime_is_not_replaced(tmp_path) -> None:
    def write(file: BinaryIO) -> None:
        file.write(b"mine")
        (tmp_path / "a").write_bytes(b"theirs")

    with pytest.raises(SaveError, match="exists already"):
        write_file(tmp_path / "a", write)
    assert (tmp_path / "a").read_bytes() == b"theirs" and len(list(tmp_path.iterdir())) == 1


@posix
def test_a_read_only_folder_is_a_sentence(tmp_path, monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(writing.os, "open", refuse)
    with pytest.raises(SaveError, match="read-only"):
        write_file(tmp_path / "a", lambda file: file.write(b"x"))


@pytest.mark.parametrize("name", ["n" * 5000, "a\0b", "", "x" * 201, "ä" * 101, "a/" + "b" * 300, "\ud800", "c" * 300 + "/a",
                                  "\udfff/a", "d" * 100 + "/" + ("e" * 100 + "/") * 60 + "a"])
def test_names_that_cannot_be(name: str, tmp_path) -> None:
    with pytest.raises(InvalidInput) as told:
        check_target(tmp_path / name if name else "", (".safetensors",), False)
    assert len(str(told.value)) < 400 and str(told.value).isprintable()


def test_one_suffix_rule(tmp_path) -> None:
    assert check_target(tmp_path / "a.b", (".safetensors",), False).name == "a.b.safetensors"
    assert check_target(tmp_path / "a.SAFETENSORS", (".safetensors",), False).name == "a.SAFETENSORS"
    assert check_target(tmp_path / "new" / "a", (".safetensors", ".npz"), False) == tmp_path / "new" / "a.safetensors"
    assert not (tmp_path / "new").exists(), "nothing is made before there is something to write"
    (tmp_path / "file").write_text("x")
    with pytest.raises(InvalidInput, match="is a file"):
        check_target(tmp_path / "file" / "a", (".safetensors",), False)


def test_a_link_leads_to_its_file(tmp_path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_bytes(b"old")
    try:
        (tmp_path / "link").symlink_to(tmp_path / "real" / "a")
    except OSError:
        pytest.skip("no links here")
    write_file(tmp_path / "link", lambda file: file.write(b"new"), overwrite=True)
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real" / "a").read_bytes() == b"new"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a file system without a size")
def test_a_place_without_a_size_is_not_called_full() -> None:
    with pytest.raises(SaveError, match="can't be written|read-only") as told:
        write_file(Path("/proc/a.safetensors"), lambda file: file.write(b"x"), size=1000)
    assert not told.value.full


@pytest.mark.parametrize(("error", "said"), [
    (PermissionError(13, "Permission denied"), "read-only"), (OSError(30, "Read-only file system"), "Read-only file system"),
    (OSError(28, "No space left on device"), "is full: no space is left"), (OSError(5, "Input/output error"), "output error"),
])
def test_a_folder_that_takes_no_file_is_told_before_work_begins(error: OSError, said: str, tmp_path, monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise error

    monkeypatch.setattr(writing.os, "open", refuse)
    for check in (lambda: check_target(tmp_path / "new" / "a.png", (".png",), False), lambda: check_folder(tmp_path / "new")):
        with pytest.raises(SaveError, match=said) as told:
            check()
        assert "\n" not in str(told.value) and ("a.png" in str(told.value) or "new" in str(told.value))


def test_of_the_trial_nothing_stays(tmp_path) -> None:
    assert check_folder(tmp_path / "new" / "deep") == tmp_path / "new" / "deep"
    check_target(tmp_path / "a.png", (".png",), False)
    assert list(tmp_path.iterdir()) == []


@posix
def test_links_that_lead_nowhere(tmp_path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "later").symlink_to(tmp_path / "not" / "yet")
    for name in ("loop", "loop/a"):
        with pytest.raises(InvalidInput, match="symbolic links|leads nowhere"):
            check_target(tmp_path / f"{name}.png", (".png",), False) if name != "loop" else check_folder(tmp_path / name)
    with pytest.raises(InvalidInput, match="is a link that leads nowhere; give a folder"):
        check_folder(tmp_path / "later")
    file = write_file(check_target(tmp_path / "later" / "a.png", (".png",), False), lambda file: file.write(b"x"))
    assert file.read_bytes() == (tmp_path / "not" / "yet" / "a.png").read_bytes() == b"x"


@posix
def test_a_pipe_that_looks_like_a_left_file_holds_nobody_up(tmp_path) -> None:
    os.mkfifo(tmp_path / ".atelier-0123456789abcdef.tmp")
    write_file(tmp_path / "a", lambda file: file.write(b"x"))
    assert (tmp_path / "a").read_bytes() == b"x"


@pytest.mark.parametrize("kind", ["model", "latents", "directions"])
def test_names_whose_bytes_are_no_text_are_kept(kind: str, model, tmp_path) -> None:
    """Python spells such bytes of a file's name by halves of a pair, which UTF-8 has not; other readers of the file do well."""
    name = "caf\udce9 \U0001f98a \\ud83e.pt"
    if kind == "model":
        path = sg.save(model, tmp_path / "a", metadata={"source": name, "notes": {name: name}})
        assert sg.load(path).info.notes[name] == name and sg.inspect(path).source == name
    elif kind == "directions":
        path = sg.Directions(torch.ones(1, 32), (name,), torch.ones(1), ("all",)).save(tmp_path / "a")
        assert sg.Directions.load(path).names == (name,)
    else:
        signature = replace(sg.ModelSignature.of(model), family=name)
        path = sg.Latents(torch.ones(1, 32), "w", signature).save(tmp_path / "a")
        assert sg.Latents.load(path).model == signature
    with safe_open(path, "pt") as file:
        assert "caf\\udce9" in file.metadata()["stylegan_atelier"]
