"""DualStyleGAN beside the generator it is built on, in one process."""

from __future__ import annotations

import torch

from stylegan_core.networks.dualstylegan import DualStyleGAN

from .measure import best, make


@torch.inference_mode()
def exemplar_transfer(threads: int, resolution: int, repeats: int) -> dict[str, float]:
    """Seconds a picture of the plain generator, of a first frame (exemplar prepared) and of a further one; and of the
    preparation itself."""
    torch.set_num_threads(threads)
    base = make(resolution)
    dual = DualStyleGAN.over(base).eval()
    ws, style = torch.randn(2, 1, base.num_ws, base.w_dim)
    weights = [0.75] * 7 + [1.0] * (dual.num_weights - 7)
    exemplar = dual.exemplar_from_ws(style)
    return {"plain": best(lambda: base.synthesis(ws), repeats),
            "next": best(lambda: dual.render(ws, exemplar, weights), repeats),
            "first": best(lambda: dual.render(ws, dual.exemplar_from_ws(style), weights), repeats),
            "exemplar": best(lambda: dual.exemplar_from_ws(style), repeats),
            "off": best(lambda: dual.render(ws, exemplar, [0.0] * dual.num_weights), repeats)}
