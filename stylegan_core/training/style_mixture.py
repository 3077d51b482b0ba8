"""Whether a set of drawings is of one style: clusters of their strokes and colors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from ..losses.features import Features

MOST, ROUNDS = 4, 25
DISTINCT = 0.3
"""Silhouette from which clusters count as styles of their own; drawings of one hand lie near 0.1."""
LAYERS = 3
SHOWN = 5


@torch.no_grad()
def style_features(batches: Iterable[Tensor], network: Features | None = None) -> Tensor:
    """Pictures [B, 3, S, S] in [-1, 1], batch by batch -> [N, d]: strength and spread of each feature of the three shallow
    layers, which see strokes and colors and hardly who is drawn; every column of one scale."""
    network, found = network or Features.embedded(), []
    for images in batches:
        maps = network(images)[:LAYERS]
        found.append(torch.cat([torch.cat([m.mean((2, 3)), m.std((2, 3), correction=0)], 1) for m in maps], 1).cpu())
    x = torch.cat(found)
    return (x - x.mean(0)) / x.std(0).clamp(min=1e-6)


def find_styles(features: Tensor, seed: int = 0) -> tuple[Tensor, float]:
    """(cluster of each row, silhouette) of the best of two to four clusters; rows [N, d]. Fewer than six rows are one style."""
    best = (torch.zeros(len(features), dtype=torch.long), 0.0)
    for count in range(2, min(MOST, len(features) // 3) + 1):
        labels = _k_means(features, count, seed)
        score = _silhouette(features, labels)
        if score > best[1]:
            best = (labels, score)
    return best


def mixture_note(names: Sequence[str], features: Tensor, seed: int = 0) -> str:
    """A warning that names the clusters; empty where the drawings are of one style."""
    labels, score = find_styles(features, seed)
    if score < DISTINCT:
        return ""
    groups = []
    for k in labels.unique().tolist():
        members = [name for name, label in zip(names, labels.tolist(), strict=True) if label == k]
        groups.append(f"{len(members)} like {', '.join(members[:SHOWN])}")
    return (f"The drawings look like {len(groups)} styles (silhouette {score:.2f}): {'; '.join(groups)}. One DualStyleGAN "
            f"learns one style with variants best; train each group by itself, or go on.")


def _k_means(x: Tensor, count: int, seed: int) -> Tensor:
    """Lloyd's algorithm from centers that lie far apart (k-means++ taking the farthest)."""
    centers = [x[int(torch.randint(len(x), (), generator=torch.Generator().manual_seed(seed)))]]
    while len(centers) < count:
        centers.append(x[torch.cdist(x, torch.stack(centers)).amin(1).argmax()])
    middles = torch.stack(centers)
    for _ in range(ROUNDS):
        labels = torch.cdist(x, middles).argmin(1)
        middles = torch.stack([x[labels == k].mean(0) if bool((labels == k).any()) else middles[k] for k in range(count)])
    return labels


def _silhouette(x: Tensor, labels: Tensor) -> float:
    """Mean of (b - a) / max(a, b), a the mean distance within a row's cluster and b that to the nearest other (Rousseeuw 1987);
    0 where a cluster has fewer than two rows."""
    away, kinds = torch.cdist(x, x), labels.unique()
    if any(int((labels == k).sum()) < 2 for k in kinds):
        return 0.0
    own = labels[:, None] == kinds
    to = (away @ own.float()) / (own.sum(0) - own.float())
    a, b = to[own], to.masked_fill(own, float("inf")).amin(1)
    return float(((b - a) / torch.maximum(a, b).clamp(min=1e-9)).mean())
