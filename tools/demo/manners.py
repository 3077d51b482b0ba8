"""Fourteen manners of drawing as picture-to-picture programs: what the demo DualStyleGAN's fine layers learn.

A manner sees a few pixels around each of its own and a tile of paper, TILE px wide, that repeats: no more than the layers
that learn it. Needs OpenCV and scikit-image (the extra `tools`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import cv2
import numpy as np
import torch
from skimage.morphology import remove_small_objects, skeletonize

from tools.demo.looks import along_flow, flow, redraw

SIZE = 1024
TILE = 128
"""Pixels after which paper, screens and hatching repeat."""
Picture = np.ndarray
"""float32 [SIZE, SIZE, 3] RGB in [0, 1]."""
Color = tuple[float, float, float]


class Photo:
    """A picture, and what several manners need of it."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture

    @cached_property
    def clean(self) -> Picture:
        """Twice through the clean-line network: no grain, smooth shading."""
        given = torch.from_numpy(self.picture).permute(2, 0, 1)[None]
        return redraw(given, 2)[0].permute(1, 2, 0).contiguous().numpy()

    @cached_property
    def half(self) -> Picture:
        return cv2.resize(self.clean, (SIZE // 2, SIZE // 2), interpolation=cv2.INTER_AREA)

    @cached_property
    def smooth(self) -> Picture:
        """Shading without texture."""
        x = self.half
        for _ in range(3):
            x = cv2.bilateralFilter(x, 9, 0.09, 4.0)
        return enlarged(x)

    @cached_property
    def light(self) -> np.ndarray:
        """[SIZE, SIZE] lightness of `smooth` in [0, 1]."""
        return lightness(self.smooth)

    @cached_property
    def flat(self) -> Picture:
        """Regions of one color (mean shift)."""
        rgb = cv2.pyrMeanShiftFiltering((self.half * 255).astype(np.uint8), 10, 20)
        return enlarged(rgb.astype(np.float32) / 255)

    @cached_property
    def dabs(self) -> Picture:
        """Brush dabs (Kuwahara's filter with eight sectors)."""
        return enlarged(kuwahara(kuwahara(self.half, 7), 5))

    @cached_property
    def to_line(self) -> np.ndarray:
        """[SIZE, SIZE] distance in px from the closed lines along the edges (difference of Gaussians along the flow)."""
        half = torch.from_numpy(self.half).permute(2, 0, 1)[None]
        light = torch.from_numpy(lightness(self.half))[None, None]
        blurred = [torch.from_numpy(cv2.GaussianBlur(light[0, 0].numpy(), (0, 0), s)) for s in (1.2, 2.2)]
        response = along_flow((blurred[0] - 0.985 * blurred[1])[None, None], flow(half, 2.0)[0], 8)[0, 0].numpy()
        lines = remove_small_objects(skeletonize(remove_small_objects(response < -0.0035, max_size=80)), max_size=26,
                                     connectivity=2)
        distance = cv2.distanceTransform((~lines).astype(np.uint8), cv2.DIST_L2, 5)
        return 2 * enlarged(np.minimum(distance, 60.0))

    def lines(self, width: float) -> np.ndarray:
        """[SIZE, SIZE]: 1 on lines `width` px wide, 0 elsewhere."""
        return np.clip((width - self.to_line) / 2 + 0.5, 0, 1)


def enlarged(x: np.ndarray) -> np.ndarray:
    return np.clip(cv2.resize(x, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC), 0, None)


def lightness(x: Picture) -> np.ndarray:
    return np.ascontiguousarray(cv2.cvtColor(np.clip(x, 0, 1), cv2.COLOR_RGB2LAB)[..., 0] / 100)


def colored(x: Picture, chroma: float = 1.0, contrast: float = 1.0, lift: float = 0.0) -> Picture:
    """Chroma, contrast around the middle and lift of the lightness, in Lab."""
    lab = cv2.cvtColor(np.clip(x, 0, 1), cv2.COLOR_RGB2LAB)
    lab[..., 0] = np.clip(50 + (lab[..., 0] - 50) * contrast + 100 * lift * np.sin(np.pi * lab[..., 0] / 100), 0, 100)
    lab[..., 1:] *= chroma
    return np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1)


def ramp(tone: np.ndarray, colors: Sequence[Color]) -> Picture:
    """tone [H, W] in [0, 1] -> colors, evenly spaced, blended."""
    at = np.linspace(0, 1, len(colors))
    return np.stack([np.interp(tone, at, [c[k] for c in colors]) for k in range(3)], -1).astype(np.float32)


def steps(tone: np.ndarray, count: float, softness: float) -> np.ndarray:
    at = tone * count
    return (np.floor(at) + sigmoid((at - np.floor(at) - 0.5) * softness)) / count


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def mixed(a: Picture | Color, b: Picture | Color, share: np.ndarray) -> Picture:
    a, b = (np.asarray(c, np.float32) for c in (a, b))
    return a + (b - a) * share[..., None].astype(np.float32)


def kuwahara(x: Picture, radius: int) -> Picture:
    """Mean of eight soft sectors, the calmer the heavier (Papari et al. 2007)."""
    ys, xs = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float32)
    fall = np.exp(-(xs**2 + ys**2) / (2 * (radius / 2) ** 2))
    total, weight = np.zeros_like(x), np.zeros(x.shape[:2], np.float32)
    for k in range(8):
        turn = np.cos(np.arctan2(ys, xs) - k * np.pi / 4)
        kernel = fall * np.where((xs == 0) & (ys == 0), 1.0, np.clip(turn - 0.7, 0, None) / 0.3)
        kernel = (kernel / kernel.sum()).astype(np.float32)
        mean, square = cv2.filter2D(x, -1, kernel), cv2.filter2D(x * x, -1, kernel)
        calm = 1 / (1e-6 + np.clip(square - mean**2, 0, None).sum(-1) * 255) ** 3
        calm = np.minimum(calm, 1e9)
        total, weight = total + mean * calm[..., None], weight + calm
    return total / weight[..., None]


# paper: every tile [TILE, TILE] is about -1..1 and goes on beyond its edges


def spread(tile: np.ndarray) -> np.ndarray:
    return np.tile(tile, (SIZE // TILE, SIZE // TILE)).astype(np.float32)


def grain(seed: int, along: float, across: float | None = None, angle: float = 0.0) -> np.ndarray:
    """Noise blurred by `along` px in the direction `angle` and by `across` px across it; standard deviation 0.5."""
    noise = np.fft.fft2(np.random.RandomState(seed).randn(TILE, TILE))
    fy, fx = np.meshgrid(np.fft.fftfreq(TILE), np.fft.fftfreq(TILE), indexing="ij")
    u, v = fx * np.cos(angle) + fy * np.sin(angle), fy * np.cos(angle) - fx * np.sin(angle)
    kept = np.exp(-2 * np.pi**2 * ((u * along) ** 2 + (v * (across or along)) ** 2))
    tile = np.fft.ifft2(noise * kept).real
    return np.clip(0.5 * (tile - tile.mean()) / tile.std(), -1.5, 1.5)


def waves(right: int, down: int, wobble: float = 0.0, seed: int = 0) -> np.ndarray:
    """Strokes: right and down waves in a tile, bent by noise."""
    y, x = np.mgrid[:TILE, :TILE] / TILE
    return np.cos(2 * np.pi * (right * x + down * y) + wobble * grain(seed, 9.0))


def dots(count: int) -> np.ndarray:
    """A halftone screen at 45 degrees."""
    return (waves(count, count) + waves(count, -count)) / 2


SCREEN, WEAVE = spread(dots(8)), spread((waves(32, 0) + waves(0, 32)) / 2)
FINE, COARSE, ROUGH = spread(grain(1, 0.8)), spread(grain(2, 1.5)), spread(grain(3, 3.0))
CHALK = spread(grain(4, 12.0, 1.3, -1.0) + 0.5 * grain(5, 1.0))
HATCH, CROSS = spread(waves(11, 9, 1.2, 6)), spread(waves(12, -8, 1.2, 7))
CUT, RIDGES = spread(waves(2, 11, 1.6, 8)), spread(waves(5, 9, 7.0, 9))


# the manners


def comic(p: Photo) -> Picture:
    """Flat colors, black lines and shadows, halftone in the half-tones."""
    lab = cv2.cvtColor(p.flat, cv2.COLOR_RGB2LAB)
    lab[..., 0] = 100 * np.clip(steps(lab[..., 0] / 100 * 1.16 + 0.07, 4, 14), 0, 1)
    lab[..., 1:] *= 1.55
    color = np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1)
    dot = sigmoid((0.54 - p.light - 0.26 * SCREEN) * 26)
    color = mixed(color, color * np.float32([0.62, 0.50, 0.62]), dot)
    dark = np.maximum(sigmoid((0.2 - p.light) * 40), p.lines(4.5))
    return mixed(color, (0.05, 0.04, 0.07), dark)


def ink(p: Photo) -> Picture:
    """Pen: lines, black shadows, hatching and cross-hatching."""
    hatch = sigmoid((0.60 - p.light + 0.22 * HATCH - 0.12) * 22)
    cross = sigmoid((0.42 - p.light + 0.22 * CROSS - 0.10) * 22)
    dark = np.maximum.reduce([0.92 * hatch, 0.92 * cross, sigmoid((0.24 - p.light) * 40), p.lines(3.6)])
    return mixed((0.98, 0.97, 0.94), (0.05, 0.05, 0.07), dark)


def sepia(p: Photo) -> Picture:
    """An old print: faded brown tones, soft, grained and specked."""
    tone = cv2.GaussianBlur(lightness(p.picture), (0, 0), 2.2)
    tone = np.clip((tone - 0.5) * 1.4 + 0.56 + 0.06 * FINE + 0.015 * ROUGH, 0, 1)
    print_ = ramp(tone, ((0.13, 0.07, 0.04), (0.45, 0.29, 0.17), (0.79, 0.63, 0.43), (0.98, 0.91, 0.76)))
    return mixed(print_, (0.97, 0.92, 0.80), 0.7 * sigmoid((COARSE - 1.22) * 20))


def night(p: Photo) -> Picture:
    """Neon: glowing contours over a dark blue room."""
    ground = ramp(p.light, ((0.02, 0.01, 0.07), (0.06, 0.04, 0.22), (0.16, 0.12, 0.46), (0.34, 0.26, 0.66)))
    tube = ramp(np.clip((p.light - 0.25) * 2.2, 0, 1), ((1.0, 0.15, 0.75), (0.75, 0.35, 1.0), (0.15, 0.95, 1.0)))
    near, far = np.exp(-((p.to_line / 7) ** 2)), np.exp(-p.to_line / 16)
    lit = 1 - (1 - ground) * (1 - tube * (0.75 * near + 0.30 * far)[..., None])
    return mixed(lit, (1.0, 1.0, 1.0), 0.85 * p.lines(2.5))


def sunset(p: Photo) -> Picture:
    """Screen print: five inks from plum to yellow, sharp edges."""
    tone = steps(np.clip(lightness(p.flat) * 1.08, 0, 0.999), 5, 40)
    poster = ramp(tone, ((0.20, 0.03, 0.25), (0.52, 0.05, 0.32), (0.86, 0.22, 0.24), (0.98, 0.52, 0.22), (1.0, 0.77, 0.36),
                         (1.0, 0.95, 0.76)))
    return mixed(poster, (0.20, 0.03, 0.25), 0.9 * p.lines(3.0))


def pastel(p: Photo) -> Picture:
    """Chalk strokes on tinted paper that shows between them."""
    color = colored(p.dabs, 2.0, 0.95, 0.12)
    press = 0.62 + 0.5 * np.abs(p.light - 0.55)
    cover = sigmoid((press - 0.46 + 0.50 * CHALK) * 7)
    drawn = mixed((0.66, 0.57, 0.74), color, cover)
    return mixed(drawn, (0.40, 0.28, 0.42), 0.55 * p.lines(5.0) * sigmoid((CHALK + 0.4) * 5))


def vivid(p: Photo) -> Picture:
    """Oil with a loaded brush: strong colors, thick dabs lit from the upper left, canvas."""
    color = colored(p.dabs, 2.0, 1.22, 0.02)
    height = lightness(color) + 0.05 * CHALK
    relief = height - cv2.warpAffine(height, np.float32([[1, 0, 4], [0, 1, 4]]), (SIZE, SIZE), borderMode=cv2.BORDER_REFLECT)
    return np.clip(color * (1 + (0.95 * np.clip(relief, -0.2, 0.2) + 0.03 * WEAVE)[..., None]), 0, 1)


def forest(p: Photo) -> Picture:
    """Woodcut: two tones, cut lines that swell with the shadow."""
    tone = (p.light - 0.5) * 1.5 + 0.5
    dark = sigmoid((0.5 - tone + 0.36 * CUT) * 16)
    dark = np.maximum(dark, p.lines(5.5)) * (1 - 0.25 * sigmoid((ROUGH - 1.0) * 12))
    return mixed((0.92, 0.93, 0.66), (0.01, 0.17, 0.13), dark)


def pencil(p: Photo) -> Picture:
    """Graphite: light hatching, soft lines, grained paper."""
    shade = np.clip((0.86 - p.light) / 0.86, 0, 1)
    stroke = sigmoid((shade * 1.5 - 0.62 + 0.45 * HATCH + 0.25 * FINE) * 5)
    dark = np.clip(0.95 * shade * stroke + 0.20 * shade, 0, 1)
    dark = np.maximum(dark, (0.80 + 0.25 * FINE) * np.clip(1 - p.to_line / 4.5, 0, 1))
    return mixed((0.96, 0.96, 0.95), (0.16, 0.16, 0.19), np.clip(dark, 0, 1))


def charcoal(p: Photo) -> Picture:
    """Charcoal: rubbed blacks on rough cream paper, broad contours."""
    shade = sigmoid((0.52 - p.light) * 8)
    rubbed = sigmoid((shade - 0.5 + 0.42 * COARSE + 0.06 * ROUGH) * 7)
    dark = 0.45 * shade + 0.52 * rubbed
    contour = np.exp(-((p.to_line / 6.5) ** 2)) * sigmoid((COARSE + 0.45) * 6)
    return mixed((0.89, 0.86, 0.79), (0.07, 0.065, 0.07), np.maximum(dark, 0.9 * contour))


def watercolour(p: Photo) -> Picture:
    """Washes that darken at their borders and settle in the paper's grain; the lights stay white."""
    wash = colored(p.dabs, 1.7, 1.0, 0.10)
    tone = steps(lightness(wash), 6, 6)
    density = (1 - wash) * (np.maximum(1 - tone, 0.04) / np.maximum(1 - lightness(wash), 0.04))[..., None]
    border = np.abs(cv2.Laplacian(cv2.GaussianBlur(tone.astype(np.float32), (0, 0), 2.5), cv2.CV_32F, ksize=5))
    edge = np.clip(border * 1.6, 0, 1)
    density *= (0.86 + 0.45 * edge + 0.05 * ROUGH + 0.15 * COARSE)[..., None]
    density *= np.clip((0.97 - p.light) * 6, 0, 1)[..., None]
    return np.clip(np.float32([0.99, 0.985, 0.96]) - np.clip(density, 0, 1), 0, 1)


def clay(p: Photo) -> Picture:
    """Terracotta: one body of clay, shaded softly, with the marks of the tool."""
    tone = cv2.GaussianBlur(p.light, (0, 0), 2.0)
    tone = np.clip(0.18 + 0.80 * tone ** 1.1, 0, 1)
    dent = 0.10 * RIDGES + 0.16 * ROUGH
    bump = dent - cv2.warpAffine(dent, np.float32([[1, 0, 2], [0, 1, 2]]), (SIZE, SIZE), borderMode=cv2.BORDER_WRAP)
    crease = 0.35 * np.exp(-((p.to_line / 5) ** 2))
    body = ramp(np.clip(tone + 0.45 * bump, 0, 1), ((0.20, 0.07, 0.04), (0.52, 0.22, 0.13), (0.80, 0.44, 0.30),
                                                   (0.93, 0.66, 0.50), (1.0, 0.90, 0.80)))
    return body * (1 - crease)[..., None].astype(np.float32)


def figurine(p: Photo) -> Picture:
    """Animation film: smooth warm skin, soft shading, clean highlights."""
    x = colored(cv2.bilateralFilter(p.clean, 9, 0.06, 4.0), 1.3, 1.05, 0.08)
    return np.clip(x * np.float32([1.03, 1.0, 0.96]), 0, 1)


def painting(p: Photo) -> Picture:
    """Old master: warm umber glaze, dark ground, calm dabs."""
    color = colored(p.dabs, 0.85, 1.3, -0.10)
    glaze = ramp(lightness(color), ((0.06, 0.035, 0.02), (0.40, 0.24, 0.12), (0.82, 0.62, 0.38), (1.0, 0.92, 0.72)))
    color = 0.45 * color + 0.55 * glaze
    return np.clip(color * (1 + (0.05 * WEAVE + 0.05 * CHALK)[..., None]), 0, 1)


MANNERS: dict[str, Callable[[Photo], Picture]] = {
    f.__name__: f for f in (comic, ink, sepia, night, sunset, pastel, vivid, forest, pencil, charcoal, watercolour, clay,
                            figurine, painting)}
