"""Prompts in API format, built node by node; links are [node id, output]."""

from __future__ import annotations

from typing import Any

Prompt = dict[str, dict[str, Any]]


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def load(name: str = "tiny_base.safetensors") -> dict[str, Any]:
    return node("AtelierLoadStyleGAN", file=name, weights="ema")


def sample(model: str = "base", seed: int = 1, count: int = 2, **more: Any) -> dict[str, Any]:
    inputs = {"truncation_psi": 0.7, "truncate_up_to": "all", "class_label": -1} | more
    return node("AtelierSampleLatents", model=[model, 0], seed=seed, batch_size=count, **inputs)


def generate(model: list, latents: list, noise: str = "const", at_once: int = 8, rotate: float = 0.0) -> dict[str, Any]:
    return node("AtelierGenerateImage", model=model, latents=latents, noise=noise, noise_variant=0, at_once=at_once,
                translate_x=0.0, translate_y=0.0, rotate=rotate)


def swap(at: str = "8", coarse: str = "other", mode: str = "swap", base: str = "base", other: str = "toon") -> dict[str, Any]:
    return node("AtelierBlendStyleGANsByResolution", base=[base, 0], other=[other, 0], swap_at=at, coarse=coarse, mode=mode,
                width=1.0, mapping="base", convention="paper")


def save(source: list, prefix: str) -> dict[str, Any]:
    return node("SaveImage", images=source, filename_prefix=prefix)


def sampled(prefix: str, **more: Any) -> Prompt:
    """Load, sample, generate, save; `more` replaces or adds nodes."""
    return {"base": load(), "latents": sample(), "image": generate(["base", 0], ["latents", 0]),
            "save": save(["image", 0], prefix)} | more


def aligned(size: int = 32, taken: str = "largest", when_none: str = "error", image: list | None = None) -> dict[str, Any]:
    return node("AtelierAlignFaces", image=image or ["photo", 0], faces_taken=taken, size=size, when_none=when_none, smallest=0)


def options(steps: int, **more: Any) -> dict[str, Any]:
    numbers = {"lpips": 0.0, "l2": 1.0, "identity": 0.0, "optimize_noise": False, "natural": True, "lr": 0.1, "deviation": 0.0,
               "perturbation": 0.05, "noise_regularization": 1e5, "patience": 0, "loss_size": 32, "chunk": 8}
    return node("AtelierInversionOptions", steps=steps, **(numbers | more))


def inverted(prefix: str, steps: int = 3, space: str = "w+", **more: Any) -> Prompt:
    """The portrait, aligned and inverted into the tiny base."""
    return {
        "photo": node("AtelierLoadExamplePortrait"), "base": load(), "faces": aligned(), "numbers": options(steps),
        "invert": node("AtelierInvertByOptimization", model=["base", 0], image=["faces", 0], space=space, quality="draft",
                       seed=0, options=["numbers", 0]),
        "save": save(["invert", 1], prefix),
    } | more
