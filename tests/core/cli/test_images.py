"""Every odd picture file a person may have."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stylegan_core.errors import InvalidInput
from stylegan_core.pictures.files import read_image, write_image

RED = (255, 0, 0)


def close(image: torch.Tensor, rgb: tuple[int, int, int], tolerance: float = 4) -> bool:
    """Every pixel is about this colour."""
    wanted = torch.tensor(rgb).view(1, 3, 1, 1) / 127.5 - 1
    return bool((image - wanted).abs().max() <= tolerance / 127.5)


@pytest.mark.parametrize(("mode", "color", "suffix", "expected"), [
    ("RGB", RED, ".png", RED), ("RGB", RED, ".webp", RED), ("L", 100, ".png", (100,) * 3), ("1", 1, ".png", (255,) * 3),
    ("LA", (100, 255), ".png", (100,) * 3), ("RGBA", (255, 0, 0, 255), ".png", RED),
    ("RGBA", (255, 0, 0, 0), ".png", (255,) * 3), ("RGBA", (255, 0, 0, 128), ".png", (255, 127, 127)),
    ("CMYK", (0, 255, 255, 0), ".jpg", RED), ("P", 0, ".gif", (0, 0, 0)), ("I;16", 51400, ".png", (200,) * 3),
    ("I", 51400, ".tif", (200,) * 3), ("F", 3.0, ".tif", (0, 0, 0)),
])
def test_modes(mode: str, color, suffix: str, expected: tuple[int, int, int], tmp_path: Path) -> None:
    Image.new(mode, (9, 5), color).save(tmp_path / f"a{suffix}", lossless=True)
    image = read_image(tmp_path / f"a{suffix}")
    assert image.shape == (1, 3, 5, 9) and image.dtype == torch.float32 and close(image, expected)


def test_transparent_palette(tmp_path: Path) -> None:
    picture = Image.new("P", (4, 4), 3)
    picture.putpalette(list(range(256)) * 3)
    picture.save(tmp_path / "a.png", transparency=3)
    assert close(read_image(tmp_path / "a.png"), (255, 255, 255))


def test_exif_orientation(tmp_path: Path) -> None:
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it upright
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    image = read_image(tmp_path / "a.png")
    assert image.shape == (1, 3, 6, 4) and image[0, 0, 0, 3] == 1 and image[0, 0, 0, 0] == -1


def test_huge_pictures_are_bounded(tmp_path: Path) -> None:
    Image.new("RGB", (12_000, 300), RED).save(tmp_path / "a.jpg")
    assert read_image(tmp_path / "a.jpg", max_side=600).shape == (1, 3, 15, 600)
    Image.new("1", (12_000, 12_000), 1).save(tmp_path / "b.png")
    assert close(read_image(tmp_path / "b.png", max_side=64), (255, 255, 255))


def test_a_thin_picture_keeps_a_pixel_and_a_palette_is_averaged(tmp_path: Path) -> None:
    Image.new("RGB", (300, 1), RED).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", max_side=64).shape == (1, 3, 1, 64)
    striped = Image.fromarray(np.tile(np.array([0, 1], np.uint8), (64, 32)), "P")
    striped.putpalette([0, 0, 0, 255, 255, 255])
    striped.save(tmp_path / "b.png")
    averaged = read_image(tmp_path / "b.png", max_side=8)
    assert averaged.abs().max() < 0.1, "neither black nor white; Pillow's versions differ by a few levels at the sides"


def test_numbers_of_any_range_are_stretched(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 1, 4, np.nan]], np.float32)).save(tmp_path / "a.tif")
    assert ((read_image(tmp_path / "a.tif") + 1) * 127.5).round()[0, 0, 0].tolist() == [0, 64, 255, 0]


def test_jpeg_files_are_good_ones_whatever_the_suffixs_case(tmp_path: Path) -> None:
    path = write_image(torch.zeros(4, 8, 8), tmp_path / "a.JPG")
    Image.new("RGB", (8, 8)).save(tmp_path / "b.jpg", quality=95)
    assert Image.open(path).quantization == Image.open(tmp_path / "b.jpg").quantization  # type: ignore[attr-defined]


def test_one_pixel(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), RED).save(tmp_path / "a.png")
    assert close(read_image(tmp_path / "a.png"), RED)


def test_what_is_no_picture(tmp_path: Path) -> None:
    good = tmp_path / "good.png"
    Image.fromarray(np.random.RandomState(0).randint(0, 256, (64, 64, 3), dtype=np.uint8)).save(good)
    (tmp_path / "torn.png").write_bytes(good.read_bytes()[:2000])
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "empty.png").write_bytes(b"")
    for name in ("torn.png", "text.jpg", "empty.png", "none.png", "."):
        with pytest.raises(InvalidInput, match=str(tmp_path / name) if name in (".", "none.png") else name):
            read_image(tmp_path / name)


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch) -> None:
    Image.new("1", (100, 100)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(InvalidInput, match="more pixels"):
        read_image(tmp_path / "a.png")


def test_write_and_read_back(tmp_path: Path) -> None:
    image = torch.rand(1, 3, 5, 7) * 2 - 1
    for shape in (image, image[0], image[:, :1]):
        path = write_image(shape, tmp_path / "new" / "a.png", overwrite=True)
        assert (read_image(path) - shape).abs().max() <= 1.01 / 255
    write_image(torch.rand(4, 5, 7), tmp_path / "a.jpg")
    for path in (tmp_path / "a.jpg", tmp_path / "a.exe", tmp_path, tmp_path / "a.jpg" / "b.png"):
        with pytest.raises(InvalidInput):
            write_image(image, path)


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_a_pipe_or_a_device_is_no_picture(tmp_path: Path) -> None:
    """Opening one would wait for ever, or read without end."""
    os.mkfifo(tmp_path / "a.png")
    for path in (tmp_path / "a.png", Path("/dev/zero")):
        with pytest.raises(InvalidInput, match="is no file; give a picture file"):
            read_image(path)
