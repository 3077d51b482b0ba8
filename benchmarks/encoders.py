"""pSp's encoder at full size beside the published arithmetic: in one process and in turn, so that a slow moment hits both."""

from __future__ import annotations

import torch

from stylegan_core.networks.encoders.psp import Encoder, EncoderConfig, HeadGroup
from stylegan_core.ops.memory_format import arrange

from .measure import in_turn

HEADS = (HeadGroup(0, 3, 512, 4), HeadGroup(1, 4, 512, 5), HeadGroup(2, 11, 512, 6))
"""Of the 1024 px generator's 18 rows."""


@torch.inference_mode()
def psp(threads: int, repeats: int) -> dict[str, float]:
    """Seconds a portrait, as loaded from a file and of the plain twin."""
    from benchmarks.twins.psp import raw

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    plain = Encoder(EncoderConfig(HEADS, 512)).eval().requires_grad_(False)
    ours = Encoder(EncoderConfig(HEADS, 512)).eval().requires_grad_(False)
    arrange(ours)
    x = torch.rand(1, 3, 256, 256) * 2 - 1
    cases = {"ours": lambda: ours.raw(x), "plain": lambda: raw(plain, x)}
    return in_turn(cases, repeats)
