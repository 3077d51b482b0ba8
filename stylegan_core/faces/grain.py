"""A photograph's grain for what was pasted into it: measured in flat places, of its strength and its coarseness."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .resample import gaussian_blur

FLAT = 0.2
"""Share of the pixels, those of the least detail, in which grain is measured: elsewhere detail passes for it."""
BLURS = (0.0, 0.4, 0.6, 0.8, 1.0, 1.3, 1.7)
"""Standard deviations, in pixels, of the grain's own blur that are told apart."""
LUMA = (0.299, 0.587, 0.114)
PATCH = 128


@torch.no_grad()
def match_grain(photo: Tensor, pasted: Tensor, mask: Tensor, amount: float, seed: int = 0) -> Tensor:
    """photo, pasted [3, H, W] in [-1, 1], mask [1, H, W] of what was pasted -> pasted with the grain it lacks, where it lies.

    amount: 0 none, 1 as much as the photograph has. The same seed gives the same grain.
    """
    rows, columns = (mask[0] > 0).any(1).nonzero(), (mask[0] > 0).any(0).nonzero()
    if amount == 0 or not len(rows):
        return pasted
    box = (slice(None), slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
    under = mask[box][0] > 0.5
    # all around the head for the photograph, whose flat places may lie there; the paste has its own under the mask only
    (strength, coarseness), (had, _) = _measured(photo[box], torch.ones_like(under)), _measured(pasted[box], under)
    lacking = max(strength**2 - had**2, 0.0) ** 0.5
    draw = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, *under.shape, generator=draw).to(pasted)
    noise = gaussian_blur(noise, _blur_of(coarseness))
    made = _measured(noise.expand(3, -1, -1), torch.ones_like(under))[0]
    out = pasted.clone()
    out[box] = (pasted[box] + amount * mask[box] * noise * (lacking / max(made, 1e-6))).clamp(-1, 1)
    return out


def _measured(image: Tensor, where: Tensor) -> tuple[float, float]:
    """[3, h, w], [h, w] -> the standard deviation of the finest detail in flat places, and that of the next coarser over it."""
    light = torch.einsum("c,chw->hw", image.new_tensor(LUMA), image)[None]
    fine = _spread(light, where)
    if min(light.shape[1:]) < 4:
        return fine, 0.5
    coarse = _spread(functional.avg_pool2d(light[None], 2)[0], functional.max_pool2d(where[None, None].float(), 2)[0, 0] > 0)
    return fine, coarse / max(fine, 1e-6)


def _spread(light: Tensor, where: Tensor) -> float:
    detail = (light - gaussian_blur(light, 1.0))[0]
    activity = gaussian_blur(detail[None].abs(), 2.0)[0][where]
    if len(activity) == 0:
        return 0.0
    flat = detail[where][activity <= _quantile(activity, FLAT)]
    return float(_quantile(flat.abs(), 0.5)) * 1.4826  # of a normal distribution: its standard deviation


def _quantile(values: Tensor, share: float) -> Tensor:
    """As torch.quantile, which refuses large tensors; no interpolation."""
    return values.kthvalue(max(1, round(share * len(values)))).values


def _blur_of(coarseness: float) -> float:
    """The blur whose noise has this ratio of coarser to finest detail."""
    draw = torch.Generator().manual_seed(0)
    noise = torch.randn(1, PATCH, PATCH, generator=draw)
    everywhere = torch.ones(PATCH, PATCH, dtype=torch.bool)
    ratios = [_measured(gaussian_blur(noise, blur).expand(3, -1, -1), everywhere)[1] for blur in BLURS]
    return min(zip(BLURS, ratios, strict=True), key=lambda pair: abs(pair[1] - coarseness))[0]
