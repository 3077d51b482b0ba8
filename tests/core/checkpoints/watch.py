"""Run in its own process: read files one by one and report what each did. Used by the tests and by tools/fuzz.

    python watch.py WARM_UP_FILE < list of paths (one a line) > one JSON object a line

A line may begin with a reader and a tab: latents, directions, delta; a model else.
"""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

FORBIDDEN = (
    "exec", "compile", "import", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "subprocess.Popen", "socket.",
    "ctypes.", "pickle.find_class", "os.remove", "os.rename", "os.rmdir", "shutil.", "os.putenv", "pty.spawn",
)
CPU_SECONDS = 6.0


class Watch:
    """An audit hook that notes forbidden events while armed."""

    def __init__(self) -> None:
        self.armed = False
        self.events: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple) -> None:
        if not self.armed:
            return
        if event.startswith(FORBIDDEN):
            self.events.append(f"{event} {str(args)[:200]}")
        elif event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            self.events.append(f"write {str(args)[:200]}")

    @contextlib.contextmanager
    def on(self):
        self.events, self.armed = [], True
        try:
            yield self.events
        finally:
            self.armed = False


def peak_megabytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def too_slow(*_: object) -> None:
    raise TimeoutError(f"not done after {CPU_SECONDS} s of computing")


def describe(model: Any) -> dict:
    """Kind, whether all is finite, a digest of config and tensors, warnings."""
    import torch

    digest, finite = hashlib.sha256(repr(model.config).encode()), True
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(key.encode() + tensor.contiguous().numpy().tobytes())
        finite = finite and bool(torch.isfinite(tensor).all())
    notes = model.info.notes
    return {"kind": model.kind, "finite": finite, "digest": digest.hexdigest(), "warnings": notes.get("warnings"),
            "unverified": notes.get("unverified")}


def main() -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
    import torch

    import stylegan_core as sg
    from stylegan_core import checkpoints
    from stylegan_core.errors import AtelierError

    torch.set_num_threads(1)
    for warm_up in sys.argv[1:]:
        checkpoints.inspect(warm_up)
        checkpoints.load(warm_up)
    with contextlib.suppress(AtelierError):
        checkpoints.load("nowhere")
    codecs.lookup("cp437")  # zipfile's fallback for record names, a module of the standard library
    watch = Watch()
    signal.signal(signal.SIGPROF, too_slow)
    readers = {"latents": sg.Latents.load, "directions": sg.Directions.load, "delta": sg.Delta.load}
    for line in sys.stdin:
        reader, _, path = line.rstrip("\n").rpartition("\t")
        read, before = readers.get(reader, checkpoints.load), peak_megabytes()
        found: dict = {"path": path, "reader": reader or "model"}
        start = time.process_time()
        with watch.on() as events:
            signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
            try:
                model = read(path)
                found |= {"outcome": "loaded", **(describe(model) if read is checkpoints.load else {})}
            except AtelierError as error:
                found |= {"outcome": type(error).__name__, "message": str(error)}
            except BaseException as error:
                found |= {"outcome": "CRASH", "message": f"{type(error).__name__}: {error}"}
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
        found |= {"seconds": time.process_time() - start, "megabytes": peak_megabytes() - before, "events": events}
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
