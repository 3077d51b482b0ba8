"""What a benchmark measures, each in a process of its own, so that peak memory is that of one case."""

from __future__ import annotations

import math
import resource
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import torch

import stylegan_core as sg
from stylegan_core.networks.generators import stylegan3
from stylegan_core.networks.generators.mobilestylegan import MobileStyleGANConfig
from stylegan_core.networks.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from stylegan_core.networks.generators.stylegan3 import StyleGAN3, StyleGAN3Config
from stylegan_core.networks.mapping import MappingConfig
from stylegan_core.runtime import fast_type

WIDTHS = (512, 512, 512, 512, 512, 256, 128, 64, 32)  # StyleGAN2 config-f


def clock() -> float:
    """Seconds; with one thread CPU time, which other work on the machine disturbs less."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def best(call: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest of `repeats` calls after one to warm up (none for a single one)."""
    if repeats > 1:
        call()
    times = []
    for _ in range(repeats):
        start = clock()
        call()
        times.append(clock() - start)
    return min(times)


def in_turn(cases: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Seconds of the fastest of `repeats` calls of each case, round by round, so that a slow moment hits all alike."""
    rounds = [{name: best(call, 1) for name, call in cases.items()} for _ in range(1 + repeats)]
    return {name: min(times[name] for times in rounds) for name in cases}


def make(resolution: int, seed: int = 0) -> StyleGAN2:
    """Config-f at a resolution, with seeded random weights."""
    torch.manual_seed(seed)
    widths = WIDTHS[: resolution.bit_length() - 2]
    model = StyleGAN2(StyleGAN2Config(MappingConfig(num_ws=2 * len(widths)), resolution, widths))
    model.w_avg = torch.zeros(512)
    return model.eval().requires_grad_(False)


def conv_flops(config: StyleGAN2Config) -> int:
    """Two for each multiply-add of the convolutions and image heads of one picture; no FIR, no pointwise work."""
    total, before = 0, config.channels[0]
    for resolution, width in zip(config.resolutions, config.channels, strict=True):
        if resolution > 4:
            total += 2 * 9 * before * width * (resolution // 2) ** 2
        total += 2 * (9 * width * width + width * config.img_channels) * resolution**2
        before = width
    return total


def gemm_rate(repeats: int = 5) -> float:
    """FLOP/s of a 1024 x 1024 x 1024 matrix product in float32."""
    a, b = torch.randn(2, 1024, 1024)
    return 2 * 1024**3 / best(lambda: a @ b, repeats)


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def mobile_flops(config: MobileStyleGANConfig) -> int:
    """The same of a MobileStyleGAN: its dense convolution and matrix products; no depthwise, wavelet or pointwise work."""
    total = 2 * 9 * config.channels[0] ** 2 * 16
    total += 8 * config.img_channels * config.channels[-1] * (config.img_resolution // 2) ** 2
    for i, (before, width) in enumerate(zip(config.channels, config.channels[1:], strict=False)):
        total += 2 * (before // 4 + width) * width * (8 << i) ** 2
    return total


@torch.inference_mode()
def built_in(threads: int, name: str, batch: int, repeats: int) -> dict[str, float]:
    """Seconds a picture of a built-in generator, in float32, in bf16 where the processor has it, and of its plain twin, in
    turn in one process; over its matrix products; and the difference that bf16 makes, in levels of 255."""
    from .twins.mobilestylegan import synthesize

    torch.set_num_threads(threads)
    model = cast(Any, sg.load(sg.builtin(name)))
    ws = model.mapping(torch.randn(batch, model.z_dim))
    cases: dict[str, Callable[[], torch.Tensor]] = {
        "seconds": lambda: model.synthesis(ws), "plain": lambda: synthesize(model, ws)}
    if fast_type("cpu") is not None:
        half = sg.at_precision(model, "bf16")
        cases["half"] = lambda: half.synthesis(ws)
    rate = gemm_rate()
    found = {case: seconds / batch for case, seconds in in_turn(cases, repeats).items()}
    found["ratio"] = found["seconds"] / (mobile_flops(model.config) / max(rate, gemm_rate()))
    if "half" in cases:
        pictures = [cases[case]().clamp(-1, 1) for case in ("seconds", "half")]
        found["levels"] = float((pictures[0] - pictures[1]).abs().mean()) * 127.5
    return found


@torch.inference_mode()
def in_half(threads: int, resolution: int, repeats: int) -> dict[str, float]:
    """StyleGAN2 config-f in bf16 beside its plain twin in float32, in turn: seconds a picture, and PSNR over their range."""
    from .twins.stylegan2 import synthesize

    torch.set_num_threads(threads)
    model = make(resolution)
    half, ws = sg.at_precision(model, "bf16"), torch.randn(1, model.num_ws, model.w_dim)
    cases = {"half": lambda: half.synthesis(ws), "single": lambda: model.synthesis(ws), "plain": lambda: synthesize(model, ws)}
    times = in_turn(cases, repeats - 1)
    exact, near = model.synthesis(ws), half.synthesis(ws)
    psnr = 20 * math.log10(float(exact.max() - exact.min())) - 10 * math.log10(float((exact - near).square().mean()))
    return times | {"psnr": psnr}


@torch.inference_mode()
def synthesis(threads: int, resolution: int, batch: int, plain: bool, repeats: int) -> dict[str, float]:
    """Time of one picture, peak memory above the loaded model's, and the matrix-product rate before and after."""
    torch.set_num_threads(threads)
    model = make(resolution)
    ws = torch.randn(batch, model.num_ws, model.w_dim)
    draw = model.synthesis
    if plain:
        from .twins.stylegan2 import synthesize

        def draw(ws: torch.Tensor) -> torch.Tensor:
            return synthesize(model, ws)

    rate, idle = gemm_rate(), peak_mb()
    seconds = best(lambda: draw(ws), repeats) / batch
    rate = max(rate, gemm_rate())
    return {"seconds": seconds, "peak": peak_mb() - idle, "ratio": seconds / (conv_flops(model.config) / rate), "rate": rate}


def alias_free_config(resolution: int, radial: bool) -> StyleGAN3Config:
    """StyleGAN3-T or -R as published: widths fall with the cutoff, R has twice as many (2106.12423, appendix G)."""
    mapping = MappingConfig(num_ws=16, num_layers=2)
    plain = StyleGAN3Config(mapping, resolution, (1,) * 14 + (3,), 1 if radial else 3, radial)
    base, most = (16384 if resolution <= 256 else 32768) * (2 if radial else 1), 1024 if radial else 512
    widths = [round(min(base / 2 / plan.cutoff[1], most)) for plan in plain.plan()[:-1]]
    return StyleGAN3Config(mapping, resolution, (*widths, 3), 1 if radial else 3, radial)


@torch.inference_mode()
def alias_free(threads: int, resolution: int, radial: bool, plain: bool) -> dict[str, float]:
    """Time of one StyleGAN3 picture and peak memory above the loaded model's."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = StyleGAN3(alias_free_config(resolution, radial)).eval().requires_grad_(False)
    if plain:
        from .twins.ops import grouped_filtered_lrelu

        stylegan3.filtered_lrelu = grouped_filtered_lrelu  # in this process only
    ws, idle = torch.randn(1, model.num_ws, model.w_dim), peak_mb()
    return {"seconds": best(lambda: model.synthesis(ws), 1), "peak": peak_mb() - idle, "process": peak_mb()}


@torch.inference_mode()
def files_and_blends(threads: int) -> dict[str, float]:
    """Saving, loading and blending of full-size models; seconds and megabytes."""
    from stylegan_core.blending import Blender, blend
    from stylegan_core.checkpoints import inspect, load, save

    torch.set_num_threads(threads)
    base, other = make(1024, 0), make(1024, 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save(base, path)
        found = {"load": best(lambda: load(path), 3), "inspect": best(lambda: inspect(path), 3)}
    found["swap"] = best(lambda: blend(base, other, 32), 5)
    old = {t.data_ptr() for model in (base, other) for t in model.parameters()}
    new = [t for t in blend(base, other, 32).parameters() if t.data_ptr() not in old]
    found["swap_mb"] = sum(t.numel() * t.element_size() for t in new) / 2**20
    found["smooth"] = best(lambda: blend(base, other, 32, "smooth"), 3)
    blender = Blender(base, other)
    blender.blend(curve={4: 0.5, 64: 0.5, 128: 0.1})
    step = iter(range(1, 99))
    found["slider"] = best(lambda: blender.blend(curve={4: 0.5, 64: 0.5, 128: next(step) / 100}), 3)
    return found
