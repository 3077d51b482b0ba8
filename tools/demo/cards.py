"""What every exported demo network says of itself: the licence chain in the file, the model card beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from stylegan_core.checkpoints import sha256_of
from stylegan_core.networks.info import ModelInfo

ROOT = Path(__file__).parents[2]
ASSETS, DOCS = ROOT / "stylegan_core" / "assets", ROOT / "docs"
CHAIN = ("distributed as Apache-2.0 in random_face 2021.7.21.1; its teacher was NVIDIA's StyleGAN2 for FFHQ, "
         "whose weights are for non-commercial use: treat as non-commercial")
CARD = """# {name}
{what}

- kind: {kind}
- source: the `random_face` package, version 2021.7.21.1 (PyPI), `random_face/data/SynthesisNetwork.bin` and
  `MappingNetwork.bin`; sha256 of SynthesisNetwork.bin `{teacher}`
- licence chain: {chain}
- made by: `{command}`, seed 0, torch {torch_version}; {facts}
- sha256 of {name}.safetensors: `{sha256}`
- limits: portraits in FFHQ's framing; faces follow the biases of FFHQ; no hands, no full bodies
"""


def asset_parent(name: str, licence: str = CHAIN) -> dict[str, str]:
    """An entry of `parents` for something made from an embedded network."""
    return {"name": f"{name}.safetensors", "sha256": sha256_of(ASSETS / f"{name}.safetensors"), "licence": licence}


def describe(name: str, family: str, data: Path, parents: Sequence[dict[str, str]], extra: dict[str, object]) -> ModelInfo:
    """data: the folder random_face/data, whose generator is everything's ancestor."""
    teacher = {"name": "random_face 2021.7.21.1 SynthesisNetwork.bin", "sha256": sha256_of(data / "SynthesisNetwork.bin"),
               "licence": "Apache-2.0 (package); NVIDIA non-commercial (its teacher)"}
    return ModelInfo(family=family, layout="demo", source=f"StyleGAN Atelier demo {name}",
                     parents=(teacher, *parents), licence=CHAIN, notes={"torch": torch.__version__, "seed": 0} | extra)


def write_card(name: str, data: Path, kind: str, what: str, command: str, facts: str) -> None:
    text = CARD.format(name=name, what=what, kind=kind, teacher=sha256_of(data / "SynthesisNetwork.bin"), chain=CHAIN,
                       command=command, torch_version=torch.__version__, facts=facts,
                       sha256=sha256_of(ASSETS / f"{name}.safetensors"))
    (ASSETS / f"{name}.md").write_text(text)
