"""How two sets of features differ: FID, KID, precision and recall, inception score. In float64 throughout."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InvalidInput

Statistics = tuple[Tensor, Tensor]
"""(mean [d], covariance [d, d])."""

KID_SUBSETS, KID_SIZE = 100, 1000
ROWS_AT_ONCE = 2048


def feature_statistics(features: Tensor, unbiased: bool = False) -> Statistics:
    """features [n, d] -> mean [d] and covariance [d, d], float64.

    The covariance is divided by n (StyleGAN2-ADA, StyleGAN3), or by n - 1 if `unbiased` (StyleGAN1, TTUR, pytorch-fid). The
    two are the same at 50 000 samples and a percent apart at 100. Raises InvalidInput for fewer than two samples.
    """
    x = _features(features, 2)
    mean = x.mean(dim=0)
    centered = x - mean
    return mean, centered.T @ centered / (len(x) - int(unbiased))


def frechet_distance(a: Statistics, b: Statistics) -> float:
    """FID (Heusel et al. 2017, 1706.08500): |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2).

    The trace of the root is taken from the eigenvalues of S1^1/2 S2 S1^1/2, which are those of S1 S2 but real and, up to
    rounding, not negative. Never below 0. Raises InvalidInput when the two were taken from other networks.
    """
    (m1, s1), (m2, s2) = ([t.double() for t in pair] for pair in (a, b))
    if m1.shape != m2.shape or s1.shape != s2.shape:
        raise InvalidInput(f"Features of {len(m1)} and of {len(m2)} numbers can't be compared; use one network for both sets.")
    values, vectors = torch.linalg.eigh(s1)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    product = root @ s2 @ root
    shared = torch.linalg.eigvalsh((product + product.T) / 2).clamp(min=0).sqrt().sum()
    return max(float((m1 - m2).square().sum() + s1.trace() + s2.trace() - 2 * shared), 0.0)


def kernel_distance(real: Tensor, fake: Tensor, subsets: Iterable[tuple[Any, Any]] | None = None, seed: int = 0) -> float:
    """KID (Binkowski et al. 2018, 1801.01401): unbiased squared MMD under k(x, y) = (x.y / d + 1)^3, mean over subsets.

    real [n, d], fake [m, d]. subsets: (rows of real, rows of fake) pairs of one size; None draws 100 of min(n, m, 1000) with
    `seed`. Unbiased at any sample count, unlike FID: the number to trust with a few hundred pictures. May be a little
    below 0.
    """
    x, y = _same_width(_features(real, 2), _features(fake, 2))
    pairs = list(_draw_subsets(len(x), len(y), seed) if subsets is None else subsets)
    return float(np.mean([_kernel_distance(x[torch.as_tensor(i)], y[torch.as_tensor(j)]) for i, j in pairs]))


def _draw_subsets(n: int, m: int, seed: int) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    draw, size = np.random.RandomState(seed), min(n, m, KID_SIZE)
    return [(draw.choice(n, size, replace=False), draw.choice(m, size, replace=False)) for _ in range(KID_SUBSETS)]


def _kernel_distance(x: Tensor, y: Tensor) -> float:
    m, d = x.shape
    within = sum((k.sum() - k.trace()) / (m - 1) for k in ((v @ v.T / d + 1) ** 3 for v in (x, y)))
    between = ((x @ y.T / d + 1) ** 3).sum()
    return float((within - 2 * between / m) / m)


def precision_recall(real: Tensor, fake: Tensor, k: int = 3) -> tuple[float, float]:
    """Improved precision and recall (Kynkaanniemi et al. 2019, 1904.06991) of features real [n, d], fake [m, d], in 0..1.

    A set's manifold is the union of balls about its samples that reach to their k-th neighbour. Precision: the share of
    fakes in the manifold of reals; recall: the share of reals in that of fakes. Raises InvalidInput for k samples or fewer.
    """
    x, y = _same_width(_features(real, k + 1), _features(fake, k + 1))
    return _covered(y, x, k), _covered(x, y, k)


def _covered(samples: Tensor, manifold: Tensor, k: int) -> float:
    """Share of samples inside a manifold."""
    radius = torch.cat([_distances(rows, manifold).kthvalue(k + 1, dim=1).values for rows in manifold.split(ROWS_AT_ONCE)])
    inside = [(_distances(rows, manifold) <= radius).any(dim=1) for rows in samples.split(ROWS_AT_ONCE)]
    return float(torch.cat(inside).double().mean())


def _distances(a: Tensor, b: Tensor) -> Tensor:
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")  # the other mode tells a copy from itself


def inception_score(probs: Tensor, splits: int = 10) -> tuple[float, float]:
    """Salimans et al. 2016 (1606.03498): class probabilities [n, classes] -> mean and deviation of exp(E KL(p(y|x), p(y)))
    over `splits` equal runs of samples."""
    p = _features(probs, splits)
    scores = []
    for i in range(splits):
        part = p[i * len(p) // splits : (i + 1) * len(p) // splits]
        divergence = torch.special.xlogy(part, part) - torch.special.xlogy(part, part.mean(dim=0, keepdim=True))
        scores.append(float(divergence.sum(dim=1).mean().exp()))
    return float(np.mean(scores)), float(np.std(scores))


def _features(x: Tensor, least: int) -> Tensor:
    if x.ndim != 2 or len(x) < least:
        raise InvalidInput(f"The measure got features of shape {list(x.shape)} but needs [samples, numbers] of at least "
                           f"{least} samples; give more pictures.")
    return x.double()


def _same_width(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    if x.shape[1] != y.shape[1]:
        raise InvalidInput(f"Features of {x.shape[1]} and of {y.shape[1]} numbers can't be compared; use one network for both.")
    return x, y
