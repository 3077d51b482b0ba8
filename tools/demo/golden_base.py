"""What the package's own weights draw in float32: tests/goldens/family/base.npz, every 16th pixel of three pictures.

    python -m tools.demo.golden_base RANDOM_FACE_DATA_FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

import stylegan_core as sg

SEEDS, PSI, STEP, FIRST = (3, 42, 100), 0.7, 16, 5


@torch.no_grad()
def main() -> None:
    package = sg.load(Path(sys.argv[1]) / "SynthesisNetwork.xml")
    package.w_avg = sg.load(sg.builtin("base")).w_avg  # type: ignore[assignment]
    ws = package.mapping(sg.sample_z(list(SEEDS), 512), truncation_psi=PSI)  # type: ignore[operator]
    drawn = torch.cat([package.synthesis(w[None]) for w in ws])[..., FIRST::STEP, FIRST::STEP]  # type: ignore[operator]
    levels = ((drawn.clamp(-1, 1) + 1) * 127.5).round().byte().numpy()
    path = Path(__file__).parents[2] / "tests" / "goldens" / "family" / "base.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"seeds": SEEDS, "psi": PSI, "step": STEP, "first": FIRST}
    np.savez_compressed(path, levels=levels, **{name: np.array(value) for name, value in facts.items()})  # type: ignore[arg-type]
    print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
