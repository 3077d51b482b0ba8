"""DualStyleGAN beside the generator it is built on, in one process and in turn, so that a slow moment hits all alike."""

from __future__ import annotations

import torch

from stylegan_core.networks.dualstylegan import DualStyleGAN

from .measure import in_turn, make


@torch.inference_mode()
def exemplar_transfer(threads: int, resolution: int, repeats: int) -> dict[str, float]:
    """Seconds a picture of the plain generator, of a further frame of one exemplar, and with all weights 0; and of the
    exemplar's preparation, which a first frame needs besides."""
    torch.set_num_threads(threads)
    base = make(resolution)
    dual = DualStyleGAN.over(base).eval()
    ws, style = torch.randn(2, 1, base.num_ws, base.w_dim)
    weights = [0.75] * 7 + [1.0] * (dual.num_weights - 7)
    exemplar = dual.exemplar_from_ws(style)
    cases = {"plain": lambda: base.synthesis(ws), "next": lambda: dual.render(ws, exemplar, weights),
             "off": lambda: dual.render(ws, exemplar, [0.0] * dual.num_weights),
             "exemplar": lambda: dual.exemplar_from_ws(style)}
    return in_turn(cases, repeats)
