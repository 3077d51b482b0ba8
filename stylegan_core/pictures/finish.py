"""The x4 clean-line network over pictures of any size, tile by tile: a finish for toons, or a whole picture drawn anew."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import InvalidInput
from ..networks.line_network import REACH, SCALE, LineNetwork
from ..runtime import OnStep

TILE = 192
"""Pixels of the small picture that are drawn at a time, to each side: bounds the memory."""


@torch.no_grad()
def finish(images: Tensor, network: LineNetwork | None = None, on_step: OnStep | None = None, tile: int = TILE) -> Tensor:
    """images [B, 3, H, W] in [-1, 1] -> [B, 3, 4H, 4W]: enlarged, grain gone, lines closed.

    The tiles overlap by all that a pixel may depend on, so the result is that of the network at once. network: on any device;
    pictures and result stay where they are. on_step(done, tiles, None). Raises InvalidInput.
    """
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape or not torch.isfinite(images).all():
        raise InvalidInput(f"The finish got pictures of shape {tuple(images.shape)} but needs finite ones [batch, 3, height, "
                           f"width]; convert them to RGB first.")
    network = network or LineNetwork.embedded().to(images.device)
    height, width = images.shape[2:]
    out = images.new_empty(len(images), 3, height * SCALE, width * SCALE)
    jobs = [(i, y, x) for i in range(len(images)) for y in _starts(height, tile) for x in _starts(width, tile)]
    for done, (i, y, x) in enumerate(jobs, 1):
        rows, columns = (slice(a, min(a + tile, most)) for a, most in ((y, height), (x, width)))
        out[i, :, rows.start * SCALE : rows.stop * SCALE, columns.start * SCALE : columns.stop * SCALE] = _tile(
            network, images[i : i + 1], rows, columns)
        if on_step is not None:
            on_step(done, len(jobs), None)
    return out


def _starts(length: int, tile: int) -> Iterator[int]:
    yield from range(0, length, tile)


def _tile(network: LineNetwork, image: Tensor, rows: slice, columns: slice) -> Tensor:
    top, left = max(rows.start - REACH, 0), max(columns.start - REACH, 0)
    piece = image[:, :, top : rows.stop + REACH, left : columns.stop + REACH]
    drawn = network((piece.to(next(network.parameters())) + 1) / 2).clamp(0, 1)[0] * 2 - 1
    y, x = (rows.start - top) * SCALE, (columns.start - left) * SCALE
    return drawn[:, y : y + (rows.stop - rows.start) * SCALE, x : x + (columns.stop - columns.start) * SCALE].to(image)


def redrawn(photos: Tensor, network: LineNetwork | None = None, on_step: OnStep | None = None) -> Tensor:
    """[B, 3, H, W] in [-1, 1] -> the same pictures, of the same size, as the clean-line network draws them."""
    size = photos.shape[-2:]
    small = [max(1, round(side / SCALE)) for side in size]
    shrunk = functional.interpolate(photos.float(), size=small, mode="bicubic", antialias=True, align_corners=False)
    large = finish(shrunk.clamp(-1, 1), network, on_step)
    if large.shape[-2:] == size:
        return large
    return functional.interpolate(large, size=size, mode="bicubic", antialias=True, align_corners=False).clamp(-1, 1)
