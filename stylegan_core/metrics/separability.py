"""Linear separability (Karras et al. 2019, 1812.04948, section 4.2): how straight the line between two attributes is."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InvalidInput

C = 1.0
TOLERANCE, MAX_STEPS = 1e-10, 100


def linear_separability(latents: Tensor, logits: Tensor, keep: int | None = None) -> tuple[float, Tensor]:
    """latents [n, d], logits [n, attributes] -> (2^(sum of entropies), entropies [attributes] in bits).

    For each attribute the `keep` samples the classifier is surest of (None: half) are divided by a linear SVM; what the
    SVM's side leaves unknown of the class is counted in bits. Lower is straighter, 1 at best. An attribute with one class
    left counts 0. (The paper's exp of natural entropies is the same number.) Raises InvalidInput.
    """
    if latents.ndim != 2 or logits.ndim != 2 or len(latents) != len(logits):
        raise InvalidInput(f"Separability got latents {list(latents.shape)} and logits {list(logits.shape)} but needs "
                           f"[samples, dims] and [samples, attributes] of as many samples.")
    keep = len(latents) // 2 if keep is None else keep
    if not 2 <= keep <= len(latents):
        raise InvalidInput(f"{keep} of {len(latents)} samples can't be kept; use 2 to {len(latents)}.")
    entropies = torch.stack([_entropy(latents.double(), column.double(), keep) for column in logits.T])
    return float(2 ** entropies.sum()), entropies


def _entropy(latents: Tensor, logits: Tensor, keep: int) -> Tensor:
    """Bits of one attribute; class 0 where the logit is not negative."""
    rows = torch.argsort(-logits.abs(), stable=True)[:keep]
    x, target = latents[rows], (logits[rows] < 0).long()
    if len(target.unique()) < 2:
        return x.new_zeros(())
    weights = linear_svm(x, target * 2.0 - 1)
    side = (with_constant(x) @ weights > 0).long()
    table = torch.bincount(2 * side + target, minlength=4).view(2, 2).double()
    return conditional_entropy(table)


def conditional_entropy(table: Tensor) -> Tensor:
    """Counts or joint probabilities [rows, columns] -> H(column | row) in bits."""
    table = table.double() / table.double().sum()
    rows = table.sum(dim=1, keepdim=True).expand_as(table)
    seen = table > 0
    return -(table[seen] * (table[seen] / rows[seen]).log2()).sum()


def linear_svm(x: Tensor, y: Tensor, c: float = C) -> Tensor:
    """x [n, d], y [n] of -1 and 1 -> weights [d + 1], the last being the constant's.

    Minimises |w|^2 / 2 + c sum max(0, 1 - y x.w)^2 (scikit-learn's LinearSVC with its defaults), by Newton's method on the
    samples inside the margin (Chapelle 2007, "Training a support vector machine in the primal"), each step shortened until it
    helps. The minimum is the only one.
    """
    x = with_constant(x)
    w = x.new_zeros(x.shape[1])
    eye = torch.eye(len(w), dtype=x.dtype, device=x.device)

    def objective(w: Tensor) -> Tensor:
        return w.square().sum() / 2 + c * (1 - y * (x @ w)).clamp(min=0).square().sum()

    value = objective(w)
    for _ in range(MAX_STEPS):
        slack = 1 - y * (x @ w)
        active = x[slack > 0]
        gradient = w - 2 * c * (active.T @ (y * slack)[slack > 0])
        step = torch.linalg.solve(eye + 2 * c * active.T @ active, gradient)
        share = 1.0
        while share > TOLERANCE and objective(w - share * step) > value:
            share /= 2
        w, before, value = w - share * step, value, objective(w - share * step)
        if before - value <= TOLERANCE * before:
            break
    return w


def with_constant(x: Tensor) -> Tensor:
    """[n, d] -> [n, d + 1], the last 1: the bias as a weight like the others."""
    return torch.cat([x, x.new_ones(len(x), 1)], dim=1)
