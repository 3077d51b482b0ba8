"""Picture files in and out. One reader for every odd file a person may have, one writer."""

from __future__ import annotations

import io
import warnings
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from ..checkpoints.writing import check_target, write_bytes
from ..errors import InvalidInput

MAX_SIDE = 4096
"""Larger photographs are shrunk on reading; no face crop here needs more."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
COMPRESSION = zlib.Z_RLE
"""Of PNG files, after their filters: looking for runs alone takes a quarter of the usual time, for as many bytes."""
SIXTEEN_BITS = ("I", "I;16", "I;16B", "I;16L", "I;16N")


def read_image(path: str | Path, max_side: int = MAX_SIDE) -> Tensor:
    """A picture file -> [1, 3, H, W] float32 in [-1, 1], upright, at most max_side pixels on its longer side.

    Turned by its EXIF orientation; gray, palette, CMYK and 16-bit files become RGB; alpha lies on white; an animation
    gives its first frame. Raises InvalidInput naming the file.
    """
    path = Path(path)
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder; give a picture file.")
    if not path.exists():
        raise InvalidInput(f"{path} does not exist; check the path.")
    if not path.is_file():  # a pipe or a device, which may never end
        raise InvalidInput(f"{path} is no file; give a picture file.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                file.draft("RGB", (max_side, max_side))
                picture = to_rgb_picture(_bounded(ImageOps.exif_transpose(file), max_side))
    except Image.DecompressionBombError as error:
        raise InvalidInput(f"{path.name} has more pixels than is safe ({error}); shrink it first.") from error
    except UnidentifiedImageError as error:
        raise InvalidInput(f"{path.name} is no picture; give a PNG, JPEG, WebP, BMP or TIFF file.") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise InvalidInput(f"{path.name} can't be read ({error}); save or download the picture again.") from error
    return from_uint8(np.array(picture))


def _bounded(picture: Image.Image, max_side: int) -> Image.Image:
    longest = max(picture.size)
    if longest <= max_side:
        return picture
    width, height = (max(1, round(n * max_side / longest)) for n in picture.size)
    if picture.mode in ("P", "1"):
        picture = picture.convert("RGBA")
    return picture.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)


def to_rgb_picture(picture: Image.Image) -> Image.Image:
    """Any mode -> RGB: 16 bits keep their upper eight, floats are stretched to their range, alpha lies on white."""
    if picture.mode in SIXTEEN_BITS:
        values = np.asarray(picture).astype(np.float64) / 257
        return Image.fromarray(values.clip(0, 255).round().astype(np.uint8)).convert("RGB")
    if picture.mode == "F":
        values = np.nan_to_num(np.asarray(picture))
        spread = max(float(np.ptp(values)), 1e-12)
        return Image.fromarray(((values - values.min()) * (255 / spread)).round().astype(np.uint8)).convert("RGB")
    if "A" in picture.mode or "a" in picture.mode or "transparency" in picture.info:
        with_alpha = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, with_alpha).convert("RGB")
    return picture.convert("RGB")


def from_uint8(pixels: np.ndarray) -> Tensor:
    """uint8 [H, W, 3] -> float32 [1, 3, H, W] in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 127.5 - 1


def to_uint8(image: Tensor) -> np.ndarray:
    """[C, H, W] in [-1, 1], C of 1, 3 or 4 -> uint8 [H, W] or [H, W, C], rounded, clipped."""
    # rounded where it lies: a card sends a quarter of the bytes
    pixels = ((image.detach().float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu().permute(1, 2, 0).numpy()
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def write_image(image: Tensor, path: str | Path, overwrite: bool = False) -> Path:
    """[C, H, W] or [1, C, H, W] in [-1, 1] -> a file in the format of its suffix. Raises InvalidInput."""
    target = check_target(path, SUFFIXES, overwrite, add=False)
    picture = Image.fromarray(to_uint8(image[0] if image.ndim == 4 else image))
    if target.suffix.lower() in (".jpg", ".jpeg"):
        picture = picture.convert("RGB")
    return write_picture(picture, target, overwrite)


def write_picture(picture: Image.Image, path: Path, overwrite: bool = False, quality: int = 95) -> Path:
    """Encode a picture in the format of its suffix and write it whole or not at all. Raises SaveError."""
    data = io.BytesIO()
    picture.save(data, Image.registered_extensions()[path.suffix.lower()], quality=quality, compress_type=COMPRESSION)
    return write_bytes(path, data.getbuffer(), overwrite)
