"""Processes as torchrun starts them, over gloo on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = """
import sys, torch
torch.set_num_threads(1)
sys.path.insert(0, {root!r})
from stylegan_core.training.processes import join_processes, leave_processes
processes = join_processes()
{body}
torch.save(found, f"{folder}/{{processes.rank}}.pt")
leave_processes()
"""


def in_processes(body: str, folder: Path, count: int = 2, seconds: float = 1800) -> list[Any]:
    """What `found` is in each of `count` processes after `body`, lines of Python that see `processes`; tensors in dicts.

    seconds: when they are given up; far beyond what a busy machine needs.
    """
    script = folder / "worker.py"
    script.write_text(SCRIPT.format(root=str(ROOT), body=body.strip(), folder=folder.as_posix()), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = os.environ | {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
                           "OMP_NUM_THREADS": "1"}
    started = [subprocess.Popen([sys.executable, str(script)], cwd=ROOT, env=common | {"RANK": rank, "LOCAL_RANK": rank})
               for rank in map(str, range(count))]
    try:
        assert [process.wait(seconds) for process in started] == [0] * count
    finally:
        for process in started:
            process.kill()
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(count)]
