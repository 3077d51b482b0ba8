"""A slider that can be felt: the second run of toonify_portrait, with the face found already and one widget moved.

    COMFYUI_PATH=... python -m benchmarks.slider [--rounds 5] [--swap]

ComfyUI's own executor with its cache runs the workflow as the template has it, then again with another strength (or swap_at).
Printed: seconds of each node that ran again, and their sums over the synthesis alone (goal: at most 1.5 for the new face; paste
and ComfyUI's writing of files come on top). Needs ComfyUI with its requirements, since only it has a cache.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

import stylegan_core as sg
from tools.headless import PACK, Folders, Listener, comfyui

from .measure import best, clock

SLIDER = "AtelierBlendStyleGANsByResolution"
PICTURE = (SLIDER, "AtelierGenerateImage", "AtelierPasteFacesBack")
"""What must run again until the new picture is there."""
MOVES = {"strength": (1.3, 0.7, 1.5, 0.9, 1.2, 0.6), "swap_at": ("32", "64", "16", "128", "8", "256")}


class Watch(Listener):
    """When each node began."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, float]] = []

    def node(self, node_id: str) -> None:
        self.begun.append((node_id, clock()))

    def progress(self, value: int, total: int, preview: Any) -> None:
        pass


def timed(engine: comfyui.ComfyUIEngine, prompt: dict[str, Any]) -> dict[str, float]:
    """Run it -> seconds by node type, of those that ran."""
    watch = Watch()
    result = engine.run(prompt, watch)
    if not result.success:
        raise RuntimeError(result.error)
    ends = [*(at for _, at in watch.begun[1:]), clock()]
    seconds: dict[str, float] = {}
    for (node_id, at), end in zip(watch.begun, ends, strict=True):
        kind = prompt[node_id]["class_type"]
        seconds[kind] = seconds.get(kind, 0.0) + end - at
    return seconds


def synthesis_alone(rounds: int) -> float:
    """Seconds of one picture of the template's blend, nothing around it."""
    model = sg.blend(sg.load(sg.builtin("base")), sg.load(sg.builtin("figurine")), 1024, strength=1.3)
    with torch.inference_mode():
        ws = model.mapping(sg.sample_z([1], model.z_dim), truncation_psi=0.7)
        return best(lambda: model.synthesis(ws), rounds)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="runs with a moved slider; the fastest of each node counts")
    parser.add_argument("--swap", action="store_true", help="move swap_at in place of strength")
    options = parser.parse_args()
    path, widget = comfyui.folder(), "swap_at" if options.swap else "strength"
    if path is None or comfyui.missing():
        print(f"Set COMFYUI_PATH and use ComfyUI's Python; lacking: {', '.join(comfyui.missing()) or 'ComfyUI'}.",
              file=sys.stderr)
        return 2
    prompt = json.loads((PACK / "tests" / "workflows" / "toonify_portrait.json").read_text(encoding="utf-8"))
    blend = next(node for node in prompt.values() if node["class_type"] == SLIDER)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        base = Path(scratch)
        engine = comfyui.ComfyUIEngine(path, Folders(base, base / "output", base / "temp"))
        first = sum(timed(engine, prompt).values())
        runs = []
        for i in range(options.rounds):
            blend["inputs"][widget] = MOVES[widget][i % len(MOVES[widget])]
            runs.append(timed(engine, prompt))
        alone = synthesis_alone(options.rounds)
    again = {kind: min(run[kind] for run in runs) for kind in runs[0]}
    print(f"{engine.name}: first run {first:.2f} s; {widget} moved, again:")
    for kind, seconds in again.items():
        print(f"  {seconds:7.3f} s  {kind}")
    for what, kinds in (("blend and synthesis", PICTURE[:2]), ("until it is pasted", PICTURE), ("files written", tuple(again))):
        print(f"  {sum(again[kind] for kind in kinds) / alone:7.2f} x  {what}, over the synthesis alone ({alone:.3f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
