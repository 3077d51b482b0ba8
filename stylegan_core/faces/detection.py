"""Face boxes and five points by MTCNN (Zhang et al. 2016), in plain torch.

The cascade: PNet slides over an image pyramid, RNet and ONet judge square crops. A big photograph is searched at a
reduced size; ONet then looks at crops of the photograph itself, so that points are as exact as its pixels allow. It
looks six times, at three sizes and mirrored: the mean halves the spread of the points, and what is no face is seldom
taken for one six times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from ..errors import InvalidInput
from ..networks.detector import MTCNN

PYRAMID_FACTOR = 0.709
PNET_WINDOW, PNET_STRIDE = 12, 2
SMALLEST_FACE = 20
"""Pixels; below it the cascade was never trained."""
SECOND_LOOK = (0.8, 0.9, 1.0)
"""Crop sides, as shares of the box, of the six looks; tighter ones place the points better than the usual 1.0."""
MIRRORED = [1, 0, 2, 4, 3]
"""Order of the five points in a mirrored picture."""
UPRIGHT_SCORE = 0.997
"""A photograph whose best face scores less is looked at in the other turns too. Measured on 24 photographs: in the right
turn the best face scores 0.990 to 1.000, in a wrong one always less: 0.994 at most, but for a head that leans."""
LEANS = math.radians(45)
"""A face that leans further stands more upright in another turn, which is looked at too (a head that leans by 35
scored 0.9973 in a wrong turn)."""
EYE_DROP = 0.018
"""MTCNN marks pupils; FFHQ's eye centre (mean of six contour points) lies lower by this share of eye to mouth. Measured
on 100 generated faces of known frame: without it crops sit 0.5 % too high."""


@dataclass(frozen=True)
class DetectConfig:
    """How hard to look."""

    thresholds: tuple[float, float, float, float] = (0.6, 0.7, 0.7, 0.8)
    """Face probability asked of PNet, RNet, ONet, and of ONet's six looks on average."""
    overlap: float = 0.7
    """Boxes that overlap more are one face (intersection over union)."""
    search_size: int = 640
    """Longest side of the picture the search runs on, unless min_size asks for more."""
    search_limit: int = 3072
    """Longest side of that picture at most, whatever min_size asks: bounds the memory."""
    proposals: int = 600
    """Candidates kept after PNet, best first."""


@dataclass(frozen=True, eq=False)
class Face:
    """One face; coordinates are pixels of the image searched, pixel i's centre at i."""

    box: Tensor
    """[4]: x0, y0, x1, y1."""
    score: float
    """Probability, 0 to 1."""
    points: Tensor
    """[5, 2], (x, y): eye centre, eye centre, nose tip, mouth corner, mouth corner; image left before right."""

    turn: int = 0
    """Quarter turns counterclockwise that set the face upright (torch.rot90's k); its points are named as in that turn."""

    @property
    def size(self) -> float:
        """Geometric mean of the box sides."""
        return float((self.box[2:] - self.box[:2]).clamp(min=0).prod().sqrt())


def roll(points: Tensor) -> float:
    """Radians by which the line of the eyes of five points [5, 2] leans, clockwise."""
    x, y = (points[1] - points[0]).tolist()
    return math.atan2(y, x)


@torch.no_grad()
def detect_faces(
    images: Tensor | Sequence[Tensor],
    min_size: float | None = None,
    config: DetectConfig | None = None,
    detector: MTCNN | None = None,
) -> list[list[Face]]:
    """Every face of every image, largest first; an image without a face gives an empty list.

    images: [B, C, H, W] or a sequence of [C, H, W], C of 1, 3 or 4 (alpha ignored), in [-1, 1], any sizes and device.
    min_size: smallest face side to look for, in pixels; None: 1/22 of the image's mean side. Smaller costs time.
    detector: networks to use again and again; None loads the embedded ones onto the images' device.
    """
    config = config or DetectConfig()
    if min_size is not None and not 0 <= min_size < math.inf:
        raise InvalidInput(f"Faces from {min_size} pixels on were to be looked for; use 0 or more, or None for a 22nd of the "
                           f"picture.")
    if len(images) == 0:
        return []
    detector = detector or MTCNN.embedded(images[0].device)
    return [_detect_one(_as_rgb(image), min_size, config, detector) for image in images]


def find_faces(images: Tensor | Sequence[Tensor], min_size: float | None = None,
               detector: MTCNN | None = None) -> list[list[Face]]:
    """detect_faces for photographs that may lie on a side or stand on their head, as cameras leave them.

    The other turns are tried where the best upright face scores below UPRIGHT_SCORE; the turn with the best face is kept.
    Boxes and points are the given image's own, so align_face cuts such a face out upright and pasting turns it back.
    """
    if len(images) == 0:
        return []
    detector = detector or MTCNN.embedded(images[0].device)
    return [_best_turn(image, min_size, detector) for image in images]


def _best_turn(image: Tensor, min_size: float | None, detector: MTCNN) -> list[Face]:
    best: list[Face] = []
    for k in range(4):
        turned = detect_faces([torch.rot90(image, k, (-2, -1))], min_size, detector=detector)[0]
        if _top(turned) > _top(best):
            best = [turned_back(face, k, image) for face in turned]
        if _is_upright(turned):
            break
    return best


def _top(faces: list[Face]) -> float:
    return max((face.score for face in faces), default=0.0)


def _is_upright(faces: list[Face]) -> bool:
    """Whether the best face is surely one in this turn."""
    best = max(faces, key=lambda face: face.score, default=None)
    return best is not None and best.score >= UPRIGHT_SCORE and abs(roll(best.points)) <= LEANS


@torch.no_grad()
def look_again(image: Tensor, face: Face, detector: MTCNN, config: DetectConfig | None = None) -> list[Face]:
    """The face near to where `face` was, in the next frame [C, H, W] of a video: the last stage alone, without a search."""
    return _output(_as_rgb(image), face.box[None].to(image.device).float() + 0.5, config or DetectConfig(), detector)


def turned_back(face: Face, k: int, image: Tensor) -> Face:
    """A face of torch.rot90(image, k, (-2, -1)), image [C, H, W], in the image's own pixels."""
    height, width = image.shape[-2:]
    back: Callable[[Tensor], Tensor] = (
        lambda at: at,
        lambda at: torch.stack([width - 1 - at[..., 1], at[..., 0]], -1),
        lambda at: torch.stack([width - 1 - at[..., 0], height - 1 - at[..., 1]], -1),
        lambda at: torch.stack([at[..., 1], height - 1 - at[..., 0]], -1),
    )[k]
    corners = back(face.box.view(2, 2))
    return replace(face, box=torch.cat([corners.amin(0), corners.amax(0)]), points=back(face.points), turn=k)


def _as_rgb(image: Tensor) -> Tensor:
    if image.ndim != 3 or image.shape[0] not in (1, 3, 4) or 0 in image.shape:
        raise InvalidInput(
            f"Face detection got an image of shape {tuple(image.shape)} but needs [1, 3 or 4 channels, height, width]."
        )
    return image[:3].float().expand(3, -1, -1)


def _detect_one(image: Tensor, min_size: float | None, config: DetectConfig, nets: MTCNN) -> list[Face]:
    longest = max(image.shape[1:])
    smallest = max(min_size or math.sqrt(image.shape[1] * image.shape[2]) / 22, 1.0)
    # the search picture is as small as lets the smallest face asked for still be seen
    wanted = max(config.search_size, longest * SMALLEST_FACE / smallest)
    scale = min(1.0, min(wanted, config.search_limit) / longest)
    small = _resize(image, scale)
    boxes = _propose(small, max(smallest * scale, SMALLEST_FACE), config, nets)
    boxes = _refine(small, boxes, config, nets)
    return _output(image, boxes / scale, config, nets)


def _resize(image: Tensor, scale: float) -> Tensor:
    if scale >= 1:
        return image
    size = [max(1, round(side * scale)) for side in image.shape[1:]]
    # area averaging in whole steps first: the antialiased filter alone would be slow on a huge photograph
    step = int(1 / scale / 2)
    if step > 1 and min(image.shape[1:]) >= step:
        image = functional.avg_pool2d(image[None], step)[0]
    return functional.interpolate(image[None], size=size, mode="bilinear", antialias=True, align_corners=False)[0]


def _propose(image: Tensor, smallest: float, config: DetectConfig, nets: MTCNN) -> Tensor:
    """PNet over the pyramid -> corrected boxes [N, 4] (edges: pixel i spans i to i + 1)."""
    scale, boxes, scores = PNET_WINDOW / smallest, [], []
    level = _resize(image, scale)
    while min(level.shape[1:]) >= PNET_WINDOW:
        probability, shift = nets.pnet(level[None])
        rows, columns = (probability[0] > config.thresholds[0]).nonzero(as_tuple=True)
        ratio = _sides(image) / _sides(level)
        corner = torch.stack([columns, rows], 1) * PNET_STRIDE
        box = torch.cat([corner * ratio, (corner + PNET_WINDOW) * ratio], 1)
        score = probability[0, rows, columns]
        keep = _suppress(box, score, 0.5, config.proposals)
        boxes.append(_shift(box, shift[0, :, rows, columns].T)[keep])
        scores.append(score[keep])
        scale *= PYRAMID_FACTOR
        level = _resize(image, scale)
    if not boxes:
        return image.new_zeros(0, 4)
    box, score = torch.cat(boxes), torch.cat(scores)
    return box[_suppress(box, score, config.overlap, config.proposals)]


def _sides(image: Tensor) -> Tensor:
    """[2]: width and height."""
    return torch.tensor([image.shape[2], image.shape[1]], dtype=torch.float32, device=image.device)


def _refine(image: Tensor, boxes: Tensor, config: DetectConfig, nets: MTCNN) -> Tensor:
    boxes = _square(boxes)
    if len(boxes) == 0:
        return boxes
    probability, shift = nets.rnet(_crops(image, boxes, 24))
    keep = probability > config.thresholds[1]
    boxes, probability = _shift(boxes, shift)[keep], probability[keep]
    return boxes[_suppress(boxes, probability, config.overlap, config.proposals)]


def _output(image: Tensor, boxes: Tensor, config: DetectConfig, nets: MTCNN) -> list[Face]:
    boxes = _square(boxes)
    if len(boxes) == 0:
        return []
    probability, shift, _ = nets.onet(_crops(image, boxes, 48))
    boxes, keep = _shift(boxes, shift), probability > config.thresholds[2]
    boxes, probability = boxes[keep], probability[keep]
    boxes = boxes[_suppress(boxes, probability, config.overlap, config.proposals, inside=True)]
    boxes = boxes[(boxes[:, 2:] - boxes[:, :2] > 1).all(1)]
    if len(boxes) == 0:
        return []
    probability, points = _second_look(image, boxes, nets)
    points[:, :2] += EYE_DROP * (points[:, 3:].mean(1, keepdim=True) - points[:, :2].mean(1, keepdim=True))
    # from edge coordinates to pixel centres
    boxes, points = (boxes - 0.5).cpu(), (points - 0.5).cpu()
    found = zip(boxes, probability.tolist(), points, strict=True)
    faces = [Face(box, score, five) for box, score, five in found if score > config.thresholds[3]]
    return sorted(faces, key=lambda face: face.size, reverse=True)


def _second_look(image: Tensor, boxes: Tensor, nets: MTCNN) -> tuple[Tensor, Tensor]:
    """Mean probability [N] and mean points [N, 5, 2] of ONet over SECOND_LOOK and the mirror."""
    squares = _square(boxes)
    centers, half = (squares[:, 2:] + squares[:, :2]) / 2, (squares[:, 2:] - squares[:, :2]) / 2
    looks = torch.cat([torch.cat([centers - half * share, centers + half * share], 1) for share in SECOND_LOOK])
    crops = _crops(image, looks, 48)
    probability, _, points = nets.onet(torch.cat([crops, crops.flip(3)]))
    straight, mirrored = points.chunk(2)
    mirrored = torch.stack([1 - mirrored[..., 0], mirrored[..., 1]], -1)[:, MIRRORED]
    points = looks[:, None, :2] + (straight + mirrored) / 2 * (looks[:, 2:] - looks[:, :2])[:, None]
    return (rearrange(probability, "(looks n) -> looks n", looks=2 * len(SECOND_LOOK)).mean(0),
            rearrange(points, "(looks n) five xy -> looks n five xy", looks=len(SECOND_LOOK)).mean(0))


def _shift(boxes: Tensor, correction: Tensor) -> Tensor:
    sides = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    return boxes + correction * sides


def _square(boxes: Tensor) -> Tensor:
    """The square of the longer side about the same centre; boxes without area are dropped."""
    sides = boxes[:, 2:] - boxes[:, :2]
    alive = (sides > 1).all(1)
    centers, half = (boxes[:, 2:] + boxes[:, :2])[alive] / 2, sides[alive].amax(1, keepdim=True) / 2
    return torch.cat([centers - half, centers + half], 1)


def _crops(image: Tensor, boxes: Tensor, size: int, taps: int = 4) -> Tensor:
    """Square crops [N, 3, size, size], each pixel the mean of taps x taps bilinear samples; outside is mid gray."""
    fine = size * taps
    steps = (torch.arange(fine, device=image.device) + 0.5) / fine
    sides = boxes[:, 2:] - boxes[:, :2]
    x = (boxes[:, :1] + sides[:, :1] * steps) / image.shape[2] * 2 - 1
    y = (boxes[:, 1:2] + sides[:, 1:] * steps) / image.shape[1] * 2 - 1
    grid = torch.stack([x[:, None].expand(-1, fine, -1), y[:, :, None].expand(-1, -1, fine)], -1)
    # all crops stacked into one tall picture: one call, and the image is never copied
    tall = functional.grid_sample(image[None], grid.view(1, -1, fine, 2), align_corners=False)
    return rearrange(functional.avg_pool2d(tall, taps)[0], "c (n h) w -> n c h w", h=size)


def _suppress(boxes: Tensor, scores: Tensor, overlap: float, most: int, inside: bool = False) -> Tensor:
    """Indices of the boxes that no better box overlaps by more than `overlap`, best first, at most `most`.

    inside: measure the overlap against the smaller box instead of the union.
    """
    order = scores.argsort(descending=True)[:most]
    chosen = boxes[order].cpu().double()
    low, high = torch.maximum(chosen[:, None, :2], chosen[:, :2]), torch.minimum(chosen[:, None, 2:], chosen[:, 2:])
    shared = (high - low).clamp(min=0).prod(2)
    area = (chosen[:, 2:] - chosen[:, :2]).clamp(min=0).prod(1)
    other = torch.minimum(area[:, None], area) if inside else area[:, None] + area - shared
    clash = (shared > overlap * other).numpy()
    alive, survivors = [True] * len(chosen), []
    for i in range(len(chosen)):
        if alive[i]:
            survivors.append(i)
            for j in clash[i].nonzero()[0]:
                alive[j] = False
    return order[torch.tensor(survivors, dtype=torch.long, device=order.device)]
