"""A folder of photographs: gone on with, shared among processes, bad pictures passed over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stylegan_core.cli import commands
from stylegan_core.cli.folder import own_device, pictures_of
from stylegan_core.cli.main import main
from stylegan_core.errors import InvalidInput, SaveError
from stylegan_core.faces.batch import FacePlace, central_square
from stylegan_core.pictures.files import read_image

from .test_cli import models  # noqa: F401

PARTS = {"crop.png", "inversion.png", "toon.png", "pasted.png"}


@pytest.fixture
def photos(tmp_path: Path, monkeypatch) -> Path:
    """Four photographs, two of one stem, a text that says it is one, and another file."""
    def whole(images, size, *_args, **_kwargs):
        crop, transform = central_square(images[0], size)
        return crop[None], [FacePlace(0, transform)]

    monkeypatch.setattr("stylegan_core.pipeline.take_faces", whole)
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, name in enumerate(("a.png", "b.jpg", "b.png", "d.bmp")):
        Image.fromarray(np.random.RandomState(i).randint(0, 256, (30, 40, 3), dtype=np.uint8)).save(folder / name)
    (folder / "c.jpg").write_text("no picture")
    (folder / "notes.txt").write_text("nothing")
    return folder


def toonified(models, photos: Path, out: Path, *more: str) -> int:  # noqa: F811
    return main(["toonify", str(photos), "--base", models["base"], "--toon", models["toon"], "--swap", "8",
                 "--quality", "draft", "--steps", "1", "--outline", "square", "--out", str(out), *more])


def contents(out: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in out.iterdir()}


def test_every_picture_but_the_bad_one(models, photos, tmp_path, capsys) -> None:  # noqa: F811
    assert toonified(models, photos, tmp_path / "out") == 0
    made = contents(tmp_path / "out")
    assert set(made) == {f"{name}_{part}" for name in ("a", "b_jpg", "b_png", "d") for part in PARTS}
    told = capsys.readouterr().out
    assert "made 4 of 5" in told and "c.jpg" in told and "no picture" in told
    one = tmp_path / "one"
    assert toonified(models, photos / "a.png", one) == 0
    assert contents(one) == {name: data for name, data in made.items() if name.startswith("a_")}


def test_a_run_goes_on_where_it_stopped(models, photos, tmp_path, capsys) -> None:  # noqa: F811
    out = tmp_path / "out"
    assert toonified(models, photos, out) == 0
    before = contents(out)
    (out / "d_pasted.png").unlink()
    (out / "d_toon.png").write_bytes(b"half")
    stamps = {p.name: p.stat().st_mtime_ns for p in out.iterdir()}
    capsys.readouterr()
    assert toonified(models, photos, out) == 0
    assert "made 1 of 5 pictures, 3 were there already" in capsys.readouterr().out
    assert contents(out) == before
    assert all(p.stat().st_mtime_ns == stamps[p.name] for p in out.iterdir() if not p.name.startswith("d_"))


def test_processes_share_the_work_and_leave_the_same_files(models, photos, tmp_path, monkeypatch) -> None:  # noqa: F811
    assert toonified(models, photos, tmp_path / "alone") == 0
    monkeypatch.setenv("WORLD_SIZE", "3")
    counts = []
    for rank in "012":
        monkeypatch.setenv("RANK", rank)
        assert toonified(models, photos, tmp_path / "shared") == 0
        counts.append(len(contents(tmp_path / "shared")) // 4)
    assert contents(tmp_path / "shared") == contents(tmp_path / "alone")
    assert counts == [1, 3, 4]  # a and the bad one, b.jpg and d, b.png


def test_what_can_not_work(models, photos, tmp_path, capsys, monkeypatch) -> None:  # noqa: F811
    with pytest.raises(InvalidInput, match="another one"):
        pictures_of(photos, photos)
    (tmp_path / "none").mkdir()
    assert toonified(models, tmp_path / "none", tmp_path / "out") == 1
    assert "no picture" in capsys.readouterr().err
    for name in ("a.png", "b.jpg", "b.png", "d.bmp"):
        (photos / name).unlink()
    assert toonified(models, photos, tmp_path / "out") == 1
    monkeypatch.setenv("LOCAL_RANK", "5")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert (own_device("cuda"), own_device("cpu"), own_device("cuda:0")) == ("cuda:1", "cpu", "cuda:0")


def test_a_name_too_long_for_its_results_is_a_bad_one(models, photos, tmp_path, capsys, monkeypatch) -> None:  # noqa: F811
    """It is told before the picture is worked on."""
    (photos / "d.bmp").rename(photos / f"{'d' * 240}.bmp")
    read = []
    monkeypatch.setattr(commands, "read_image", lambda path: read.append(path.stem) or read_image(path))
    assert toonified(models, photos, tmp_path / "out") == 0
    told = capsys.readouterr().out
    assert "made 3 of 5" in told and "can't be a file's" in told
    assert "d" * 240 not in read and read == ["a", "b", "b", "c"]


def test_a_full_disk_ends_the_folder(models, photos, tmp_path, capsys, monkeypatch) -> None:  # noqa: F811
    """The other pictures would be drawn for nothing."""
    drawn = []

    def full(_work, _photo, places, **_how):
        drawn.append(places)
        raise SaveError("The disk of a_crop.png is full: no space is left; free some space or save elsewhere.", full=True)

    monkeypatch.setattr(commands._Toonifier, "draw", full)
    assert toonified(models, photos, tmp_path / "out") == 1
    assert len(drawn) == 1 and capsys.readouterr().err.strip().endswith("free some space or save elsewhere.")
