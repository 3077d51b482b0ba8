"""What a discriminator sees instead of plain pictures when data are few: ADA (Karras et al. 2020, 2006.06676, appendix B).

Geometry is one matrix an image and one resampling of all, color one more matrix; then come a filter of four bands, noise and
a hole. All pass gradients of gradients, which R1 needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import InvalidInput

SYM6 = (0.0154041093, 0.0034907121, -0.1179901111, -0.0483117426, 0.4910559419, 0.7876411410, 0.3379294217, -0.0726375228,
        -0.0210602925, 0.0447249018, 0.0017677119, -0.0078007083)
"""Low-pass taps of the symlet-6 wavelet."""
MARGIN = len(SYM6) // 4 * 2
"""Pixels the filters reach beyond the picture at its own rate."""

SYM2 = (-0.1294095226, 0.2241438680, 0.8365163037, 0.4829629131)
"""Low-pass taps of the symlet-2 wavelet, of norm 1."""
POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)
"""Of a natural picture, by band from the lowest: what a filter keeps as a whole."""

Params = Mapping[str, Tensor]
"""Name -> [B, ...]; see GEOMETRY, COLOR and CORRUPTION. A neutral value leaves an image alone."""


def _translation(x: Tensor, y: Tensor) -> Tensor:
    return _matrix([[1, 0, x], [0, 1, y], [0, 0, 1]])


def _scaling(x: Tensor, y: Tensor) -> Tensor:
    return _matrix([[x, 0, 0], [0, y, 0], [0, 0, 1]])


def _rotation(angle: Tensor) -> Tensor:
    cos, sin = angle.cos(), angle.sin()
    return _matrix([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def _matrix(rows: list[list[Tensor | float]]) -> Tensor:
    """Entries [B] or numbers -> [B, n, n]."""
    like = next(value for row in rows for value in row if isinstance(value, Tensor))
    entries = [value if isinstance(value, Tensor) else torch.full_like(like, value) for row in rows for value in row]
    return torch.stack(entries, dim=-1).unflatten(-1, (len(rows), -1))


GEOMETRY: dict[str, Callable[[Tensor], Tensor]] = {
    "xflip": lambda i: _scaling(1 - 2 * i, torch.ones_like(i)),
    "rotate90": lambda k: _rotation(k * (math.pi / 2)),
    "xint": lambda t: _translation(-t[:, 0], -t[:, 1]),
    "scale": lambda s: _scaling(1 / s, 1 / s),
    "rotate": _rotation,
    "aniso": lambda s: _scaling(1 / s, s),
    "rotate_post": _rotation,
    "xfrac": lambda t: _translation(-t[:, 0], -t[:, 1]),
}
"""Name -> inverse matrix [B, 3, 3] in pixels about the center, in the order of multiplication from the left.

xflip 0 or 1; rotate90 quarter turns; xint and xfrac pixels (x, y); scale a factor; rotate and rotate_post radians before and
after aniso, which scales x by s and y by 1 / s.
"""


def _luma(like: Tensor) -> Tensor:
    """Projection on the gray axis, [4, 4]."""
    v = like.new_tensor([1, 1, 1, 0]) / math.sqrt(3)
    return torch.outer(v, v)


def _hue(angle: Tensor) -> Tensor:
    """Rotation about the gray axis (Rodrigues), [B, 4, 4]."""
    v = 1 / math.sqrt(3)
    cross = angle.new_tensor([[0, -v, v, 0], [v, 0, -v, 0], [-v, v, 0, 0], [0, 0, 0, 0]])
    axis, last = _luma(angle), torch.diag(angle.new_tensor([0, 0, 0, 1]))
    cos, sin = (t[:, None, None] for t in (angle.cos(), angle.sin()))
    return axis + last + cos * (torch.eye(4).to(angle) - axis - last) + sin * cross


def _brightness(b: Tensor) -> Tensor:
    return _matrix([[1, 0, 0, b], [0, 1, 0, b], [0, 0, 1, b], [0, 0, 0, 1]])


def _contrast(c: Tensor) -> Tensor:
    return _matrix([[c, 0, 0, 0], [0, c, 0, 0], [0, 0, c, 0], [0, 0, 0, 1]])


COLOR: dict[str, Callable[[Tensor], Tensor]] = {
    "brightness": _brightness,
    "contrast": _contrast,
    "lumaflip": lambda i: torch.eye(4).to(i) - 2 * _luma(i) * i[:, None, None],
    "hue": _hue,
    "saturation": lambda s: _luma(s) + (torch.eye(4).to(s) - _luma(s)) * s[:, None, None],
}
"""Name -> matrix [B, 4, 4] on (r, g, b, 1), in the order of application.

brightness is added; contrast a factor; lumaflip 0 or 1; hue radians about the gray axis; saturation a factor off it.
"""


def filter_bands(images: Tensor, gains: Tensor) -> Tensor:
    """images [B, C, H, W], gains [B, 4] of the bands from the lowest to the octave of the finest detail -> same."""
    bank = images.new_tensor(_octaves(len(POWER)))
    b, channels, height, width = images.shape
    taps = (gains @ bank).repeat_interleave(channels, dim=0)
    x = images.flatten(0, 1)[None]
    for shape, across in (((1, -1), True), ((-1, 1), False)):
        x = _mirrored(x, bank.shape[1] // 2, across)
        x = F.conv2d(x, taps.view(len(taps), 1, *shape), groups=len(taps))
    return x.view(b, channels, height, width)


def _mirrored(x: Tensor, reach: int, across: bool) -> Tensor:
    """x with `reach` more samples at both ends of one axis; mirrored as often as a small picture needs."""
    while reach:
        step = min(reach, x.shape[3 if across else 2] - 1)
        x = F.pad(x, (step, step, 0, 0) if across else (0, 0, step, step), mode="reflect")
        reach -= step
    return x


@cache
def _octaves(count: int) -> tuple[tuple[float, ...], ...]:
    """Zero-phase taps of `count` bands that sum to the identity: the lowest, then an octave each.

    The squared responses of an orthogonal pair of wavelet filters sum to 2, so half of each splits the highest octave off;
    what is left is split likewise at half the rate, its filters spread by zeros.
    """
    low = torch.tensor(SYM2, dtype=torch.float64)
    high = low.flip(0) * torch.tensor([1, -1, 1, -1], dtype=torch.float64)
    below, above = (F.conv1d(h.view(1, 1, -1), h.view(1, 1, -1), padding=3).view(-1) / 2 for h in (low, high))
    bands = [torch.ones(1, dtype=torch.float64)]
    for _ in range(count - 1):
        spread = [torch.stack([band, torch.zeros_like(band)], dim=1).flatten()[:-1] for band in bands]
        bands = [F.conv1d(band.view(1, 1, -1), below.flip(0).view(1, 1, -1), padding=6).view(-1) for band in spread]
        gap = (len(bands[0]) - len(above)) // 2
        bands.append(F.pad(above, (gap, gap)))
    return tuple(tuple(band.tolist()) for band in bands)


def add_noise(images: Tensor, noise: Tensor) -> Tensor:
    """noise [B, 3, H, W]; gray images take its first channel."""
    return images + noise[:, : images.shape[1]]


def cut_out(images: Tensor, holes: Tensor) -> Tensor:
    """Zero where |x - cx| and |y - cy| are below half the hole's side; holes [B, 3]: center (x, y) and side in 0..1."""
    height, width = images.shape[2:]
    x = (torch.arange(width, device=images.device) + 0.5) / width
    y = (torch.arange(height, device=images.device) + 0.5) / height
    half = holes[:, 2:] / 2
    across, down = ((axis.to(images) - holes[:, i : i + 1]).abs() < half for i, axis in enumerate((x, y)))
    return images.masked_fill((across[:, None, None, :] & down[:, None, :, None]), 0)


CORRUPTION: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"filter": filter_bands, "noise": add_noise, "cutout": cut_out}
"""Name -> (images, values) -> images, in the order of application after geometry and color.

filter: gains of four bands; noise: what is added; cutout: center and side of a hole.
"""


def apply_augmentations(images: Tensor, params: Params) -> Tensor:
    """images [B, C, H, W] -> same, each transformed by its own parameters; a group without any parameter is left out.

    Differentiable twice with respect to images. Raises InvalidInput for an unknown name or another number of rows.
    """
    for name, value in params.items():
        if name not in (known := (*GEOMETRY, *COLOR, *CORRUPTION)):
            raise InvalidInput(f'Augmentation "{name}" is unknown; use {", ".join(known)}.')
        if len(value) != len(images):
            raise InvalidInput(f'Augmentation "{name}" has {len(value)} values for {len(images)} images; give one an image.')
    moves = [make(params[name].to(images)) for name, make in GEOMETRY.items() if name in params]
    if moves:
        inverse = moves[0]
        for move in moves[1:]:
            inverse = inverse @ move
        images = warp_images(images, inverse)
    shades = [make(params[name].to(images)) for name, make in COLOR.items() if name in params]
    if shades:
        matrix = shades[0]
        for shade in shades[1:]:
            matrix = shade @ matrix
        images = recolor_images(images, matrix)
    for name, corrupt in CORRUPTION.items():
        if name in params:
            images = corrupt(images, params[name].to(images))
    return images


def recolor_images(images: Tensor, matrix: Tensor) -> Tensor:
    """images [B, 3 or 1, H, W], matrix [B, 4, 4] on (r, g, b, 1) -> same; gray images take what it does to grays."""
    b, channels, height, width = images.shape
    x = images.flatten(2)
    if channels == 1:
        row = matrix[:, :3].mean(dim=1, keepdim=True)
        x = x * row[:, :, :3].sum(dim=2, keepdim=True) + row[:, :, 3:]
    elif channels == 3:
        x = matrix[:, :3, :3] @ x + matrix[:, :3, 3:]
    else:
        raise InvalidInput(f"Images of {channels} channels can't be recolored; use 3, 1, or geometric augmentations only.")
    return x.view(b, channels, height, width)


def warp_images(images: Tensor, inverse: Tensor) -> Tensor:
    """images [B, C, H, W], inverse [B, 3, 3] (output -> input, pixels about the center) -> same.

    Mirrored at the border, raised to twice the rate, sampled bilinearly, lowered again: free of aliasing.
    """
    b, channels, height, width = images.shape
    left, top, right, bottom = _margins(inverse, width, height)
    images = F.pad(images, (left, right, top, bottom), mode="reflect")
    inverse = _shift(inverse, (left - right) / 2, (top - bottom) / 2) @ inverse
    images = _filter(images, up=True)
    inverse = _scale(inverse, 2, 2) @ inverse @ _scale(inverse, 0.5, 0.5)
    inverse = _shift(inverse, -0.5, -0.5) @ inverse @ _shift(inverse, 0.5, 0.5)
    out_h, out_w = 2 * (height + MARGIN), 2 * (width + MARGIN)
    inverse = _scale(inverse, 2 / images.shape[3], 2 / images.shape[2]) @ inverse @ _scale(inverse, out_w / 2, out_h / 2)
    grid = F.affine_grid(inverse[:, :2], [b, channels, out_h, out_w], align_corners=False)
    return _filter(sample_bilinear(images, grid), up=False)


def _margins(inverse: Tensor, width: int, height: int) -> list[int]:
    """Padding (left, top, right, bottom) that holds what any image of the batch looks at."""
    cx, cy = (width - 1) / 2, (height - 1) / 2
    corners = inverse.new_tensor([[-cx, -cy, 1], [cx, -cy, 1], [cx, cy, 1], [-cx, cy, 1]])
    x, y = (inverse @ corners.T)[:, :2].unbind(1)
    reach = torch.stack([-x.min(), -y.min(), x.max(), y.max()])
    need = reach + MARGIN - reach.new_tensor([cx, cy, cx, cy])
    return [int(n) for n in need.clamp(min=0).minimum(need.new_tensor([width - 1, height - 1] * 2)).ceil().tolist()]


def _shift(like: Tensor, x: float, y: float) -> Tensor:
    return like.new_tensor([[1, 0, x], [0, 1, y], [0, 0, 1]])


def _scale(like: Tensor, x: float, y: float) -> Tensor:
    return like.new_tensor([[x, 0, 0], [0, y, 0], [0, 0, 1]])


def _filter(x: Tensor, up: bool) -> Tensor:
    """Twice (up) or half the rate under the wavelet's low-pass, one axis after the other; half: MARGIN is cropped."""
    taps = x.new_tensor(SYM6)
    taps, channels, half = taps / taps.sum(), x.shape[1], len(SYM6) // 2
    for shape, stride, pad in (((1, -1), (1, 2), (0, half - 1)), ((-1, 1), (2, 1), (half - 1, 0))):
        if up:
            weight = (2 * taps).view(1, 1, *shape).expand(channels, -1, -1, -1)
            x = F.conv_transpose2d(x, weight, stride=stride, padding=pad, groups=channels)
        else:
            weight = taps.view(1, 1, *shape).expand(channels, -1, -1, -1)
            x = F.conv2d(_crop(x, stride), weight, stride=stride, groups=channels)
    return x


def _crop(x: Tensor, stride: tuple[int, int]) -> Tensor:
    """One sample less on either side of the axis that is lowered."""
    return x[:, :, 1:-1] if stride[0] == 2 else x[:, :, :, 1:-1]


def sample_bilinear(images: Tensor, grid: Tensor) -> Tensor:
    """torch's grid_sample (bilinear, zeros outside, pixel centers) with a second derivative with respect to images.

    grid [B, h, w, 2] gets no gradient.
    """
    return _Sample.apply(images, grid)  # type: ignore[return-value]


class _Sample(torch.autograd.Function):
    @staticmethod
    def forward(ctx, images: Tensor, grid: Tensor) -> Tensor:  # noqa: ANN001
        ctx.save_for_backward(grid)
        ctx.size = images.shape[2:]
        return F.grid_sample(images, grid, align_corners=False)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]  # noqa: ANN001
        grid, = ctx.saved_tensors
        return _Spread.apply(gradient, grid, ctx.size), None  # type: ignore[return-value]


class _Spread(torch.autograd.Function):
    """The transpose of _Sample, which is linear in the image: its own derivative is _Sample again."""

    @staticmethod
    def forward(ctx, gradient: Tensor, grid: Tensor, size: tuple[int, int]) -> Tensor:  # noqa: ANN001
        ctx.save_for_backward(grid)
        images = gradient.new_zeros(*gradient.shape[:2], *size)
        spread, _ = torch.ops.aten.grid_sampler_2d_backward(gradient.contiguous(), images, grid, 0, 0, False, [True, False])
        return spread

    @staticmethod
    def backward(ctx, second: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]  # noqa: ANN001
        grid, = ctx.saved_tensors
        return _Sample.apply(second, grid), None, None  # type: ignore[return-value]
