"""Every small file of the goldens that is meant to load, and the other networks inside."""

from __future__ import annotations

from pathlib import Path

GOLDENS = Path(__file__).parents[2] / "goldens"
SUFFIXES = (".pt", ".pth", ".pkl", ".model", ".npy")
PIECES = ("hostile_code.npy", "lpips_lin.pth", "lpips_vgg_v0.1.pth", "vgg16_narrow.pth")
"""A code bomb, and parts of loss networks."""
FILES = [str(p.relative_to(GOLDENS)) for p in sorted(GOLDENS.glob("*/*"))
         if p.suffix in SUFFIXES and p.parent.name != "hostile" and p.name not in PIECES]
DISCRIMINATORS = [f"{folder}/{file}" for folder, file in (
    ("ada_sg2_cond", "network-snapshot-000400.pkl"), ("ada_sg2_gray", "network-snapshot-000400.pkl"),
    ("sg3_r_tiny", "network-snapshot-000400.pkl"), ("tf_sg2_tiny", "network-final.pkl"),
    ("tf_sg2_gray", "network-final.pkl"), ("ros2_train_tiny", "010000.pt"), ("ckpt_formats", "generator-pretrain.pt"),
)]
INSIDE = ["psp_wplus_tiny/encoder_wplus.pt", "dsg_tiny64/generator.pt"]
CASES = [*((file, "ema") for file in FILES), *((file, "discriminator") for file in DISCRIMINATORS),
         *((file, "decoder") for file in INSIDE)]
IDS = [f"{file} {which}" for file, which in CASES]
