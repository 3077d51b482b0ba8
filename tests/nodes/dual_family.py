"""A tiny DualStyleGAN with its bank, sampler and encoder, and the prompts around it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch
from prompts import generate, load, node, sample, save
from support import tiny

import stylegan_core as sg
from stylegan_core.networks.dualstylegan import DualStyleGAN
from stylegan_core.networks.encoders.psp import Encoder, EncoderConfig, HeadGroup
from stylegan_core.networks.judges.irse import IRSEConfig
from stylegan_core.networks.sampler import StyleSampler, StyleSamplerConfig
from stylegan_core.networks.style_bank import StyleBank

NAMES = ("imp night.jpg", "clown.jpg", "owl ink.jpg")
GOLDENS = Path(__file__).resolve().parents[1] / "goldens"
WEIGHTS = "[7*0.75, 11*1]"


def small(seed: int, mapping_seed: int = 0):
    """64 px, 11 rows: the smallest with all seven structure places. Its noise maps count, as those of a trained model do."""
    model = tiny(seed, (16,) * 4, mapping_seed)
    draw = torch.Generator().manual_seed(seed)
    for name, buffer in model.synthesis.named_buffers():
        if name.endswith("noise_const"):
            buffer.copy_(torch.randn(buffer.shape, generator=draw) * 0.3)
    return model


def write_family(folder: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        dual = DualStyleGAN.over(small(11))
        for block in dual.structure:
            block.conv1.weight.data.mul_(100)  # type: ignore[union-attr]
        base = dual.base
        codes = torch.randn(3, base.num_ws, base.z_dim)
        sampler = StyleSampler(StyleSamplerConfig(structure_rows=dual.rows[0], color_rows=len(dual.rows), dim=16))
        signature = sg.ModelSignature.of(base)
        heads = (HeadGroup(0, 3, 16, 4), HeadGroup(1, 4, 16, 5), HeadGroup(2, 4, 16, 6))
        encoder = Encoder(EncoderConfig(heads, 16, IRSEConfig((16,) * 4), space="z+", average_rows=1,
                                        mapping_hash=signature.mapping_hash, model_resolution=64))
        stranger = DualStyleGAN.over(small(13, mapping_seed=9))
    bank = StyleBank.of(sg.Latents(codes, "z+", base), NAMES)
    for name, model in {"dual": dual, "dual_base": base, "dual_styled": small(12), "dual_bank": bank, "dual_sampler": sampler,
                        "dual_encoder": encoder, "dual_stranger": stranger}.items():
        sg.save(model.eval(), folder / f"tiny_{name}.safetensors", overwrite=True)
    shutil.copy(GOLDENS / "codes_npy" / "exstyle_code.npy", folder / "foreign_code.npy")


def dual_node(name: str = "tiny_dual") -> dict:
    return node("AtelierLoadDualStyleGAN", file=f"{name}.safetensors")


def bank_node(name: str = "tiny_dual_bank.safetensors") -> dict:
    return node("AtelierLoadStyleCodes", file=name)


def transfer(style: list, **more) -> dict:
    inputs = {"preset": "sliders", "structure_weight": 0.75, "color_weight": 1.0, "weights": "", "color": "auto",
              "combine": "pair", "truncation_psi": 1.0, "truncate_toward": "zero", "noise": "const", "noise_variant": 0,
              "at_once": 4, "latents": ["faces", 0], "model": ["dual", 0]} | more
    return node("AtelierTransferExemplarStyle", style=style, **inputs)


def transferred(prefix: str, count: int = 1, which: str = "1", **more) -> dict:
    """Load, sample faces, pick a style, transfer, save."""
    return {"dual": dual_node(), "bank": bank_node(), "faces": sample("dual", count=count),
            "style": node("AtelierPickStyle", styles=["bank", 0], which=which, sheet_of="all", cell_size=48),
            "image": transfer(["style", 0], **more), "save": save(["image", 0], prefix)}


def core_faces(dual, count: int = 1) -> sg.Latents:
    return sg.Latents(sg.sample_z(range(1, count + 1), dual.z_dim), "z", dual).truncate(dual, 0.7)


def as_pixels(images: torch.Tensor) -> np.ndarray:
    return ((images.clamp(-1, 1) + 1) * 127.5).permute(0, 2, 3, 1).numpy()


def drawn_pair() -> dict:
    """Two drawings: what the styled generator makes of two faces."""
    return {"dual": dual_node(), "base": load("tiny_dual_base.safetensors"), "styled": load("tiny_dual_styled.safetensors"),
            "bank": bank_node(), "codes": sample("styled", seed=21, count=2), "art": generate(["styled", 0], ["codes", 0]),
            "faces": sample("dual", count=2), "behind": sample("dual", seed=31, count=3)}


def core_drawings(styled) -> torch.Tensor:
    latents = sg.Latents(sg.sample_z([21, 22], styled.z_dim), "z", styled).truncate(styled, 0.7)
    return sg.render(styled, latents).clamp(-1, 1)
