"""In ComfyUI's process: `COMFYUI_PATH=... python -m benchmarks.cards.residency [--lowvram | --cpu ...]` (ComfyUI's own flags).

A generator and another big model take turns under ComfyUI's accounting; the picture must be the CPU's each time, and both must
fit. Says in its last line how much lay on the card.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from stylegan_core.runtime import private_copy

from .drawing import EXACT, difference
from .families import make

UNUSABLE = 3
"""Exit code where ComfyUI can't be imported."""
ROUNDS = 3
SHARE = 0.6
"""Of the card, for the other model."""


def pack_residency() -> ModuleType:
    """nodes/residency.py by its path: ComfyUI owns the name `nodes`."""
    place = Path(__file__).resolve().parents[2] / "nodes" / "residency.py"
    spec = importlib.util.spec_from_file_location("pack_residency", place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> int:
    sys.path.insert(0, os.environ["COMFYUI_PATH"])
    try:
        import comfy.options  # type: ignore[import-not-found]

        comfy.options.enable_args_parsing()
        import comfy.model_management as mm  # type: ignore[import-not-found]
        import comfy.model_patcher  # type: ignore[import-not-found]
    except ImportError as error:
        print(f"not measured: {error}; use ComfyUI's Python")
        return UNUSABLE
    device = mm.get_torch_device()
    on_card = device.type == "cuda"
    subject = make("stylegan2", not on_card)
    ws = subject.ws(1)
    with torch.inference_mode():
        wanted = subject.drawer(private_copy(subject.network))(ws)
        resident = pack_residency().Resident(subject.network)
        room = int(SHARE * torch.cuda.mem_get_info(device)[1]) if on_card else 1 << 20
        other: Any = torch.nn.ModuleList(torch.nn.Linear(1024, room // 4096 // 8, bias=False) for _ in range(8))
        big = comfy.model_patcher.ModelPatcher(other, load_device=device, offload_device=torch.device("cpu"))
        off = []
        for _ in range(ROUNDS):
            mm.load_models_gpu([big])
            place = pack_residency().on_device(resident)
            off.append(difference(subject.drawer()(ws.to(place)), wanted, True))
        held = torch.cuda.max_memory_allocated(device) / 2**20 if on_card else 0
    print(f"{ROUNDS} rounds beside a model of {room / 2**20:.0f} MB, off by {max(off):.1e} of range, at most {held:.0f} MB")
    return int(not max(off) <= EXACT)


if __name__ == "__main__":
    sys.exit(main())
