"""Every node with each of its widgets at its least, its most, every option, hostile text: done, or one sentence."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from stylegan_core import errors

from ..headless import Listener
from ..headless.prompts import generate, load, node, sample
from .world import Soak

HOSTILE = ("", " ", "\n", "../../x", "a\0b", "\x1b[31m", "%s{0}", "x" * 5000, "\u202egnp", "-1", "nan", "1e999")
MOST = 1 << 17
"""Whole numbers beyond it ask for more memory than the machine has; seeds aside."""
STATUS = Path("/proc/self/status")
LARGE = 300
"""Megabytes of memory more than ever before, which are worth a line."""
USUAL = {"frames": 2, "count": 16, "batch_size": 1, "steps": 2, "kimg": 0.01}
"""What these are set to while another widget is at its end."""
WORLD: dict[str, tuple[dict[str, Any], int]] = {
    "ATELIER_STYLEGAN": (load(), 0),
    "ATELIER_LATENT": (sample("ATELIER_STYLEGAN", count=1), 0),
    "IMAGE": (generate(["ATELIER_STYLEGAN", 0], ["ATELIER_LATENT", 0], at_once=1), 0),
    "ATELIER_FACES": (node("AtelierAlignFaces", image=["IMAGE", 0], faces_taken="largest", size=32, when_none="whole image",
                           smallest=0), 1),
}
"""What gives a wire of each type in the tiny world: the node and its output. The rest is found by the nodes' own schemas."""


OURS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.AtelierError)}


def peak() -> int:
    """Megabytes that this process held at most; 0 where the system does not tell."""
    try:
        lines = STATUS.read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) >> 10 for line in lines if line[:6] == "VmHWM:")
    except (OSError, StopIteration):
        return 0


def _node(name: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """A node of a prompt, whatever its inputs are called."""
    return {"class_type": name, "inputs": inputs}


class Inputs:
    """A node's inputs as its schema tells them."""

    def __init__(self, kind: type) -> None:
        groups = kind.INPUT_TYPES()  # type: ignore[attr-defined]
        self.all = {key: entry for group in ("required", "optional") for key, entry in groups.get(group, {}).items()}
        self.required = {key: entry[0] for key, entry in groups.get("required", {}).items()}

    def extremes(self, key: str) -> list[Any]:
        """The values that a widget may be set to, at its ends; none for a wire."""
        kind, options = self.all[key][0], self.all[key][1] if len(self.all[key]) > 1 else {}
        if isinstance(kind, list) or kind == "COMBO":
            return list(kind if isinstance(kind, list) else options.get("options", []))[:20]
        if kind in ("INT", "FLOAT"):
            return [options[end] for end in ("min", "max") if end in options]
        return {"BOOLEAN": [False, True], "STRING": list(HOSTILE)}.get(kind, [])

    def filled(self, world: dict[str, tuple[dict[str, Any], int]]) -> tuple[dict[str, Any], set[str]]:
        """(wires from the world and widgets as they come, required inputs that nothing fills)."""
        links = {key: [kind, world[kind][1]] for key, kind in self.required.items()
                 if isinstance(kind, str) and kind in world}
        plain = {key: USUAL.get(key, entry[1]["default"]) for key, entry in self.all.items()
                 if len(entry) > 1 and "default" in entry[1]}
        plain |= {key: self.extremes(key)[0] for key in set(self.all) - set(plain) - set(links) if self.extremes(key)}
        return links | plain, set(self.required) - set(links) - set(plain)


def whole_world(types: dict[str, type]) -> dict[str, tuple[dict[str, Any], int]]:
    """WORLD and, for every further type of wire, the first node that gives it and whose own inputs are there."""
    world, before = dict(WORLD), 0
    while len(world) != before:
        before = len(world)
        for name in sorted(types):
            outputs = [str(kind) for kind in types[name].RETURN_TYPES]  # type: ignore[attr-defined]
            inputs, missing = Inputs(types[name]).filled(world)
            if not missing:
                world |= {kind: (_node(name, inputs), i) for i, kind in enumerate(outputs) if kind not in world}
    return world


class Impatient(Listener):
    """Presses Cancel when a node takes long, and says so."""

    def __init__(self, patience: float) -> None:
        self.timer = threading.Timer(patience, self._press)
        self.timer.daemon = True
        self.pressed = False

    def _press(self) -> None:
        import comfy.model_management

        self.pressed = True
        comfy.model_management.interrupt_current_processing()


def widgets(soak: Soak) -> None:
    types = {name: kind for name, kind in soak.engine.node_types().items() if name.startswith("Atelier")}
    world, ended, passed_over = whole_world(types), Counter[str](), []
    trials = []
    for name in sorted(types):
        inputs = Inputs(types[name])
        filled, missing = inputs.filled(world)
        if missing:
            passed_over.append(f"{name} ({', '.join(sorted(missing))})")
            continue
        trials += [(name, filled, key, value) for key in inputs.all for value in inputs.extremes(key)]
    if soak.share < 1:
        random.Random(0).shuffle(trials)
    for i in soak.many(len(trials)):
        name, _, key, value = trials[i]
        before, start = peak(), time.monotonic()
        how = _one(soak, world, *trials[i])
        ended[how] += 1
        if peak() - before > LARGE or time.monotonic() - start > soak.patience / 2:
            print(f"    {i} {name}.{key} = {str(value)[:30]!r}: {how}, {time.monotonic() - start:.0f} s, memory at most "
                  f"{peak()} MB", flush=True)
    print(f"    {dict(ended)}; passed over: {', '.join(passed_over) or 'none'}", flush=True)


def _sources(world: dict[str, tuple[dict[str, Any], int]], inputs: dict[str, Any]) -> dict[str, Any]:
    """The nodes of the world that these inputs hang on."""
    found: dict[str, Any] = {}
    for value in inputs.values():
        if isinstance(value, list) and len(value) == 2 and value[0] in world:
            source = world[value[0]][0]
            found |= {value[0]: source} | _sources(world, source["inputs"])
    return found


def _one(soak: Soak, world: dict[str, tuple[dict[str, Any], int]], name: str, inputs: dict[str, Any], key: str,
         value: Any) -> str:
    """One node with one widget at an end: it is done, or says why not in one line. How it ended."""
    if type(value) is int and value > MOST and "seed" not in key:
        return "too large to try"
    what, inputs = f"{name}.{key} = {str(value)[:30]!r}", inputs | {key: value}
    prompt = _sources(world, inputs) | {"it": _node(name, inputs), "end": node("PreviewAny", source=["it", 0])}
    listener = Impatient(soak.patience)
    listener.timer.start()
    try:
        result = soak.run(prompt, listener)
    except Exception as error:  # the engine's own check of a prompt
        soak.check("\n" not in str(error)[:300], f"{what}: {type(error).__name__}: {str(error)[:200]}")
        return "refused by the engine"
    finally:
        listener.timer.cancel()
    if result.success:
        soak.check("it" in result.executed or "it" in result.cached, f"{what}: the engine left the node out")
        return "done"
    if listener.pressed:
        return "cancelled after a while"
    kind = result.error_type.rsplit(".", 1)[-1]
    if kind in OURS:
        soak.check("\n" not in result.error.strip(), f"{what}: {result.error[:200]!r} is no single line")
    else:  # the engine's own refusals are called "value_smaller_than_min" or ValidationError
        soak.check(kind.islower() or "alid" in kind, f"{what}: {kind}: {result.error[:200]}")
    return kind
