"""How long a training takes: `python -m benchmarks.training [--threads 1] [--resolutions 64,128,256]`.

StyleGAN2 with its own discriminator, 4 pictures a step, seconds for a thousand pictures: a step of each loss, path length
every 4 and R1 every 16 iterations. The twin is the same trainer over the published arithmetic. And pictures a second of the
data pipeline: JPEG files of 512 px made ready at 256 px, and read from what was prepared, beside the files one by one.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stylegan_core.networks import Discriminator, DiscriminatorConfig
from stylegan_core.networks.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from stylegan_core.networks.mapping import MappingConfig
from stylegan_core.training import PhaseInputs, Trainer, TrainOptions, prepare_pictures
from stylegan_core.training.trainer import Phase

from .measure import best
from .twins import discriminator as plain_discriminator
from .twins import textbook

BATCH, PICTURES = 4, 48
AREA, MOST = 16384, 512
"""Channels times pixels, and channels at most, as the published 256 px configuration has them."""


class PlainTrainer(Trainer):
    """The same phases over the published arithmetic."""

    def draw(self, ws: Tensor, x: PhaseInputs) -> Tensor:
        return textbook.synthesize(self.G, ws)  # type: ignore[arg-type]

    def score(self, images: Tensor, c: Tensor | None, augmentation: Mapping[str, Tensor] | None) -> Tensor:
        return plain_discriminator.score(self.D, images, c)


def networks(resolution: int) -> tuple[StyleGAN2, Discriminator]:
    widths = tuple(min(MOST, AREA // (4 << i)) for i in range(resolution.bit_length() - 2))
    rows = 2 * len(widths)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        generator = StyleGAN2(StyleGAN2Config(MappingConfig(num_ws=rows), resolution, widths))
        return generator, Discriminator(DiscriminatorConfig(resolution, widths))


def seconds_per_kimg(threads: int, resolution: int, plain: bool, repeats: int = 1) -> float:
    torch.set_num_threads(threads)
    generator, judge = networks(resolution)
    trainer = (PlainTrainer if plain else Trainer)(generator, judge, None, TrainOptions(batch_size=BATCH))
    trainer.noise_mode = "const"
    z, reals = torch.randn(BATCH, 512), torch.randn(BATCH, 3, resolution, resolution)
    inputs: dict[Phase, PhaseInputs] = {
        "Gmain": PhaseInputs(z=z), "Dmain": PhaseInputs(z=z, reals=reals), "Dreg": PhaseInputs(reals=reals),
        "Greg": PhaseInputs(z=z[: BATCH // 2])}
    seconds = {name: best(lambda name=name, x=x: trainer.run_phase(name, x), repeats) for name, x in inputs.items()}
    return 1000 / BATCH * (seconds["Gmain"] + seconds["Dmain"] + seconds["Greg"] / 4 + seconds["Dreg"] / 16)


def data_rates(threads: int) -> dict[str, float]:
    """Pictures a second."""
    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch, "pictures")
        source.mkdir()
        for i in range(PICTURES):
            small = Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8))
            small.resize((512, 512), Image.Resampling.BICUBIC).save(source / f"{i:03}.jpg", quality=90)
        made = iter(range(1000))
        prepare = best(lambda: prepare_pictures(source, 256, Path(scratch, f"cache{next(made)}")), 1)
        order = rng.permutation(PICTURES)
        read = best(lambda: prepare_pictures(source, 256, Path(scratch, "cache")).take(order), 2)
        plain = best(lambda: torch.stack(list(_one_by_one(source))), 1)
    return {"prepare": PICTURES / prepare, "read": PICTURES / read, "plain": PICTURES / plain}


def _one_by_one(source: Path) -> Iterator[Tensor]:
    """Decoded and shrunk anew each time, as a folder data set does it."""
    for path in sorted(source.iterdir()):
        with Image.open(io.BytesIO(path.read_bytes())) as picture:
            small = picture.convert("RGB").resize((256, 256), Image.Resampling.LANCZOS)
        yield torch.from_numpy(np.array(small)).permute(2, 0, 1).float() / 127.5 - 1


def table(threads: int, resolutions: list[int], repeats: int = 1) -> None:
    print("\n| training, px | s/kimg | plain twin | faster |\n|---|---|---|---|")
    for resolution in resolutions:
        ours, twin = (seconds_per_kimg(threads, resolution, plain, repeats) for plain in (False, True))
        print(f"| {resolution} | {ours:.0f} | {twin:.0f} | {twin / ours:.2f}x |", flush=True)
    found = data_rates(threads)
    print(f"\nTraining data, 256 px: {found['read']:.0f} pictures/s once prepared, {found['plain']:.0f} from the files one by "
          f"one; preparing {found['prepare']:.0f} pictures/s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resolutions", default="64,128,256")
    options = parser.parse_args()
    table(options.threads, [int(part) for part in options.resolutions.split(",")])


if __name__ == "__main__":
    main()
