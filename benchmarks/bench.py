"""The speed tables of StyleGAN2 config-f, the built-in base and StyleGAN3.

`python -m benchmarks.bench [--threads 1] [--quick] [--full]`. On the CPU, float32 where no other is named. Every case beside
its plain twin and the published arithmetic (benchmarks.peers), and StyleGAN2 and the base with the time that their matrix
products alone would take.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import torch

from stylegan_core.runtime import fast_type

from . import dual, encoders, inversion, measure, paste, peers, toon, training

CASES = [(256, 1), (256, 8), (1024, 1), (1024, 8)]
ALIAS_FREE = [(256, False), (256, True), (1024, False), (1024, True)]
"""Pixels, radial."""


def alone(function: Callable[..., dict[str, float]], *arguments: Any) -> dict[str, float]:
    """Run in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def inverted(threads: int, steps: int) -> str:
    """The line about inversion by optimization: 256 px, four images."""
    ours, twin = (alone(inversion.steps_per_second, threads, 256, 4, textbook, steps) for textbook in (False, True))
    return (f"Inversion, 256 px, 4 images, w+, LPIPS + L2: {ours['rate']:.3f} steps/s, {ours['peak']:.0f} MB; the textbook's "
            f"loop {twin['rate']:.3f} steps/s, {twin['peak']:.0f} MB: {ours['rate'] / twin['rate']:.2f}x")


def styled(threads: int, resolution: int, repeats: int) -> str:
    """The line about DualStyleGAN, beside the generator inside it."""
    found = alone(dual.exemplar_transfer, threads, resolution, repeats)
    return (f"DualStyleGAN, {resolution} px, all weights on: {found['next'] * 1e3:.0f} ms a further frame of one exemplar, "
            f"{found['next'] / found['plain']:.2f}x the plain StyleGAN2; the exemplar itself {found['exemplar'] * 1e3:.1f} ms, "
            f"once; all weights 0 {found['off'] / found['plain']:.2f}x")


def built_in(options: argparse.Namespace) -> None:
    """The built-in base's table: the network that everybody runs."""
    print("\n| built-in base | batch | ms/image | x matrix product | plain twin | faster | bf16 ms | faster | bf16 off by |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, batch in [("base-256", 1), ("base-256", 8)] + ([] if options.quick else [("base", 1)]):
        found = alone(measure.built_in, options.threads, name, batch, 1 if options.quick else 3)
        half = ["-", "not on this processor", "-"]
        if "half" in found:
            half = [f"{found['half'] * 1e3:.0f}", f"{found['plain'] / found['half']:.1f}x", f"{found['levels']:.2f} of 255"]
        print(f"| {name} | {batch} | {found['seconds'] * 1e3:.0f} | {found['ratio']:.2f} "
              f"| {found['plain'] * 1e3:.0f} | {found['plain'] / found['seconds']:.1f}x | {' | '.join(half)} |", flush=True)


def in_half(options: argparse.Namespace) -> None:
    """Lines about StyleGAN2 in bf16; on a processor without it they say so."""
    for resolution in (256,) if options.quick else (256, 1024):
        if fast_type("cpu") is None:
            print(f"StyleGAN2 config-f, {resolution} px, bf16: this processor has none")
            continue
        found = alone(measure.in_half, options.threads, resolution, 1 if options.quick else 2)
        print(f"StyleGAN2 config-f, {resolution} px, bf16: {found['half'] * 1e3:.0f} ms, "
              f"{found['single'] / found['half']:.2f}x float32, {found['plain'] / found['half']:.1f}x the plain twin, "
              f"PSNR {found['psnr']:.0f} dB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1, help="threads of one picture (default 1)")
    parser.add_argument("--quick", action="store_true", help="256 px only, one repeat, no twin for batches")
    parser.add_argument("--full", action="store_true", help="the plain StyleGAN3 at 1024 px too: minutes, and 11 GB of memory")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {platform.processor() or platform.machine()}, {options.threads} thread(s), float32\n")
    print("| px | batch | ms/image | plain twin | faster | x matrix product | GFLOP/s | peak MB |")
    print("|---|---|---|---|---|---|---|---|")
    for resolution, batch in CASES[:2] if options.quick else CASES:
        ours = alone(measure.synthesis, options.threads, resolution, batch, False, 1 if options.quick else 3)
        twin = None
        if batch == 1 or (resolution < 1024 and not options.quick):
            twin = alone(measure.synthesis, options.threads, resolution, batch, True, 1)
        told = ("-", "-") if twin is None else (f"{twin['seconds'] * 1e3:.0f}", f"{twin['seconds'] / ours['seconds']:.1f}x")
        print(f"| {resolution} | {batch} | {ours['seconds'] * 1e3:.0f} | {told[0]} | {told[1]} | {ours['ratio']:.2f} "
              f"| {ours['rate'] / 1e9:.0f} | {ours['peak']:.0f} |", flush=True)
    in_half(options)
    print("\nBeside the published arithmetic:\n")
    peers.table(options.threads, options.quick)
    built_in(options)
    print(f"\n{inverted(options.threads, 1 if options.quick else 3)}", flush=True)
    alias_free(options)
    print(f"\n{styled(options.threads, 256 if options.quick else 1024, 1 if options.quick else 3)}", flush=True)
    found = alone(encoders.psp, options.threads, 1 if options.quick else 3)
    print(f"\npSp encoder, 18 rows: {found['ours'] * 1e3:.0f} ms a portrait; the published arithmetic "
          f"{found['plain'] * 1e3:.0f} ms: {found['plain'] / found['ours']:.2f}x", flush=True)
    found = alone(paste.at_12_megapixels, options.threads, 1 if options.quick else 3)
    print(f"\nPasting a head of 1024 px, {found['side']:.0f} px in a photograph of 12 megapixels, colors and grain matched: "
          f"{found['seconds']:.2f} s", flush=True)
    training.table(options.threads, [64] if options.quick else [64, 128, 256])
    print(f"\n{toon.line(options.threads, 1 if options.quick else 2)}", flush=True)
    found = alone(measure.files_and_blends, options.threads)
    print(f"\n1024 px model: load {found['load'] * 1e3:.0f} ms, inspect {found['inspect'] * 1e3:.1f} ms, "
          f"hard swap {found['swap'] * 1e3:.1f} ms with {found['swap_mb']:.1f} MB of new weights, "
          f"smooth blend {found['smooth'] * 1e3:.0f} ms, slider step above 64 px {found['slider'] * 1e3:.0f} ms")


def alias_free(options: argparse.Namespace) -> None:
    """StyleGAN3's table: the twin inserts zeros and convolves group by group."""
    print("\n| network | px | s/image | plain twin | faster | peak MB | of the plain twin |")
    print("|---|---|---|---|---|---|---|")
    for resolution, radial in ALIAS_FREE[:2] if options.quick else ALIAS_FREE:
        case = (options.threads, resolution, radial)
        ours = alone(measure.alias_free, *case, False)
        told = ["not run"] * 3
        if resolution < 1024 or options.full:
            twin = alone(measure.alias_free, *case, True)
            told = [f"{twin['seconds']:.1f}", f"{twin['seconds'] / ours['seconds']:.1f}x", f"{twin['peak']:.0f}"]
        print(f"| StyleGAN3-{'R' if radial else 'T'} | {resolution} | {ours['seconds']:.1f} | {told[0]} | {told[1]} "
              f"| {ours['peak']:.0f} | {told[2]} |", flush=True)


if __name__ == "__main__":
    main()
