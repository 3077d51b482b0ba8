"""What the converters share: hashing, writing, stamping the model card."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

ASSETS = Path(__file__).parents[2] / "stylegan_core" / "assets"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def half(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """fp16 copies; prints the largest relative rounding error of a tensor (share of its largest value)."""
    out = {name: t.to(torch.float16).contiguous() for name, t in tensors.items()}
    worst = max(((out[n].float() - t).abs().max() / t.abs().max()).item() for n, t in tensors.items())
    print(f"fp16 rounding: at most {worst:.1e} of a tensor's largest value")
    return out


def write_asset(name: str, tensors: dict[str, Tensor], sources: list[Path], metadata: dict[str, str]) -> None:
    """Write ASSETS/name.safetensors and put the hashes into ASSETS/name.md (lines "- sha256 ...: `hash`")."""
    target = ASSETS / f"{name}.safetensors"
    # one entry: the writer puts several in no fixed order, and the hash would change from run to run
    save_file(tensors, target, metadata={"about": json.dumps({"name": name, **metadata})})
    target.chmod(0o644)
    card = ASSETS / f"{name}.md"
    text = card.read_text(encoding="utf-8")
    for path in [*sources, target]:
        line = f"- sha256 of {path.name}: `{sha256(path)}`"
        text, found = re.subn(rf"- sha256 of {re.escape(path.name)}: .*", line, text)
        if not found:
            text = text.rstrip("\n") + "\n" + line + "\n"
    card.write_text(text, encoding="utf-8")
    print(f"{target.name}: {target.stat().st_size:,} bytes, {len(tensors)} tensors")


def main(convert: Callable[[Path], None], usage: str) -> None:
    """Run a converter on the one path given on the command line."""
    if len(sys.argv) != 2:
        raise SystemExit(usage)
    convert(Path(sys.argv[1]))
