"""Which faces the demo models learn from: one deterministic w+ code for each sample number."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from stylegan_core.latents import sample_z, truncate
from stylegan_core.networks.mapping import MappingNetwork

STUDENT_ROWS = 17
TEACHER_ROWS = 23
MIX_PROBABILITY = 0.3
HELD_OUT = 1_000_000
"""Sample numbers from here on are never trained on."""


@torch.no_grad()
def student_ws(mapping: MappingNetwork, number: int) -> Tensor:
    """[1, 17, 512]: a truncated sample (psi 0.4 to 1), in three of ten cases mixed with a second one."""
    rng = np.random.RandomState(number)
    psi, mixed, crossover = rng.uniform(0.4, 1.0), rng.rand() < MIX_PROBABILITY, rng.randint(1, STUDENT_ROWS)
    w = mapping.to_w(sample_z([number, number + 500_000], mapping.config.z_dim))
    ws = truncate(w[:, None].expand(-1, STUDENT_ROWS, -1), mapping.center(), float(psi))
    return torch.cat([ws[:1, :crossover], ws[1:, crossover:]], dim=1) if mixed else ws[:1].clone()


def teacher_ws(ws: Tensor) -> Tensor:
    """[B, 17, 512] -> [B, 23, 512]: the student's image head stands for all the teacher's finer rows."""
    head = ws[:, -1:].expand(-1, TEACHER_ROWS - STUDENT_ROWS + 1, -1)
    return torch.cat([ws[:, :-1], head], dim=1)
