"""Which exemplars suit a photograph, and with which weights (future work of 2203.13248, section 5).

An exemplar's picture is drawn on the face behind it where that is known, else on the average face. Against the photograph
it is measured in structure (proportions and pose from five points) and color (CIE Lab of the face). The nearer it is, the
higher the weights it may have before the person is lost. The exemplars nearest in structure are then tried on the
photograph at those weights, and those come first that keep both the person and the style.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ..errors import InvalidInput
from ..faces.checks import check_finite, check_side
from ..faces.color import SKIN_CENTER, SKIN_RADII, to_lab
from ..faces.frame import FaceMeasures, crop_points
from ..faces.geometry import place_grid, superellipse
from ..latents import Latents
from ..losses.contextual import ContextualLoss
from ..losses.identity import SAME_PERSON, IdentityLoss
from ..networks.detector import MTCNN
from ..networks.dualstylegan import DualStyleGAN
from ..networks.style_weights import STRUCTURE_PLACES, format_weights
from ..ops.resize import resize_area
from ..pictures.sheets import contact_sheet
from ..runtime import OnStep
from .styles import Styles, average_face
from .transfer import transfer_style

LEAST_STRUCTURE, LEAST_COLOR = 0.4, 0.7
"""Weights suggested for an exemplar at distance 1 or more; at distance 0 they are 1."""
STEP = 0.05
"""Suggested weights are rounded to this."""
UNSEEN = 1.0
"""Structure distance of an exemplar in which no face is found: styles that far from photographs."""
COLOR_UNIT = 50.0
"""CIE Lab steps between mean colors (and their spreads) that count as distance 1."""
FIT = 1.5
"""Weight of the style fit in the score: with it the demo's styles differ as much in fit as in identity."""
SEEN = 256
"""Exemplars are looked at with at most so many pixels a side, so that a bank of hundreds fits into memory."""
Remember = Callable[[Callable[[], Tensor]], Tensor]
"""draw -> what it gives, or gave the last time."""
TRIED = 3
"""So many times the number asked for are tried on the photograph."""


@dataclass(frozen=True, eq=False)
class Recommendation:
    """One exemplar on one photograph; distances are 0 for equal and about 1 for very different."""

    index: int
    """Its number among the styles."""
    name: str
    structure: float
    """Proportions and pose, exemplar against photograph."""
    color: float
    identity: float
    """Photograph against the transferred picture, in SAME_PERSON units: below 1 is one person."""
    fit: float
    """Contextual loss of the transferred picture against the exemplar's: how much of the style arrived."""
    weights: tuple[float, ...]
    """Suggested, as many as the model takes."""
    image: Tensor
    """[C, H, W]: the photograph in this style at those weights."""

    @property
    def score(self) -> float:
        """Lower is better."""
        return self.identity + FIT * self.fit

    def sentence(self, place: int) -> str:
        return (f"{place}. {self.name} (number {self.index}): score {self.score:.2f} = identity {self.identity:.2f} + "
                f"{FIT:g} * style fit {self.fit:.2f}; structure differs by {self.structure:.2f}, color by {self.color:.2f}: "
                f"weights {format_weights(self.weights)}")


def suggest_weights(structure: float, color: float, count: int) -> tuple[float, ...]:
    """Distances -> `count` weights: 1 for equals, falling in a straight line to LEAST_STRUCTURE and LEAST_COLOR."""
    values = [round((1 - (1 - least) * min(distance, 1.0)) / STEP) * STEP
              for distance, least in ((structure, LEAST_STRUCTURE), (color, LEAST_COLOR))]
    return (values[0],) * STRUCTURE_PLACES + (values[1],) * (count - STRUCTURE_PLACES)


@torch.no_grad()
def recommend_styles(photo: Tensor, content: Latents, dual: DualStyleGAN, styles: Styles, count: int = 5,
                     faces: Latents | None = None, identity: IdentityLoss | None = None,
                     texture: ContextualLoss | None = None, detector: MTCNN | None = None,
                     on_step: OnStep | None = None, remember: Remember | None = None) -> list[Recommendation]:
    """photo [1, 3, S, S] in [-1, 1], aligned, and its latents -> the `count` best of the styles, best first.

    faces: the faces behind the exemplars (a bank of intrinsic codes), one each; None: the average face under every style.
    identity, texture, detector: networks to use again; None loads the embedded ones. remember: gives the exemplars' pictures,
    drawn or known from another photograph. Raises InvalidInput, LatentMismatch.
    """
    _check(photo, content, styles, count, faces)
    like = next(dual.parameters())
    judge = IdentityLoss.embedded().to(like) if identity is None else identity
    texture = ContextualLoss.embedded().to(like) if texture is None else texture
    tried = min(TRIED * count, len(styles))
    ticks = _ticks(on_step, len(styles) + tried)
    draw = partial(_exemplar_pictures, dual, styles, faces, ticks(0))
    shown = draw() if remember is None else remember(draw)
    if broken := [i for i, picture in enumerate(shown) if not picture.isfinite().all()]:
        raise InvalidInput(f"The picture of {styles.names[broken[0]]} (number {broken[0]}) holds NaN or infinite pixels; leave "
                           f"this style out, or load model and styles again.")
    parts = exemplar_distances(photo, shown, detector)
    nearest = sorted(range(len(styles)), key=lambda i: parts[i])[:tried]
    weights = {i: suggest_weights(*parts[i], dual.num_weights) for i in nearest}
    found = []
    for n, i in enumerate(nearest):
        image = transfer_style(dual, content, styles.codes.pick(i), weights[i])
        seen = resize_area(image, min(SEEN, image.shape[-1])).clamp(-1, 1).to(like)
        likeness, fit = float(judge(seen, photo.to(like))) / SAME_PERSON, float(texture(seen, shown[i : i + 1].to(like)))
        found.append(Recommendation(i, styles.names[i], *parts[i], likeness, fit, weights[i], image[0]))
        ticks(len(styles))(n + 1, tried, image)
    return sorted(found, key=lambda r: r.score)[:count]


def _exemplar_pictures(dual: DualStyleGAN, styles: Styles, faces: Latents | None, on_step: OnStep) -> Tensor:
    """Every style on the face behind it, or on the average face -> [N, C, s, s] in [-1, 1] on the CPU."""
    behind = average_face(dual) if faces is None else faces
    return transfer_style(dual, behind, styles.codes, 1.0, on_step=on_step, size=SEEN).clamp(-1, 1)


def _check(photo: Tensor, content: Latents, styles: Styles, count: int, faces: Latents | None) -> None:
    if photo.ndim != 4 or photo.shape[:2] != (1, 3) or photo.shape[2] != photo.shape[3] or len(content) != 1:
        raise InvalidInput(f"Recommending needs one aligned photograph [1, 3, size, size] and its latents, but got shape "
                           f"{tuple(photo.shape)} and {len(content)} latents; cut the face out with Align Faces, and pick one.")
    check_side(photo, "A photograph")
    check_finite(photo, "Photograph")
    if count < 1 or not len(styles):
        raise InvalidInput(f"{count} of {len(styles)} styles were asked for; ask for at least 1 of at least 1.")
    if faces is not None and len(faces) not in (1, len(styles)):
        raise InvalidInput(f"{len(faces)} faces came for {len(styles)} styles; give the face behind each, or none.")


def _ticks(on_step: OnStep | None, total: int) -> Callable[[int], OnStep]:
    """on_step callbacks of one stage that count on from `before`."""
    def starting(before: int) -> OnStep:
        def tick(i: int, n: int, image: Tensor | None) -> None:
            if on_step is not None:
                on_step(before + i, total, image)

        return tick

    return starting


def exemplar_distances(photo: Tensor, exemplars: Tensor, detector: MTCNN | None = None) -> list[tuple[float, float]]:
    """photo [1, 3, S, S] and pictures [N, 3, s, s] in FFHQ's frame -> (structure, color) distance of each to the photo."""
    detector = detector or MTCNN.embedded(exemplars.device)
    own, *others = (None if p is None else FaceMeasures.of(p)
                    for images in (photo.to(exemplars), exemplars) for p in crop_points(images, detector))
    goal = face_colors(photo.to(exemplars))
    colors = ((face_colors(exemplars) - goal).norm(dim=1) / COLOR_UNIT).tolist()
    structures = [UNSEEN if own is None or other is None else own.shape_distance(other) + own.pose_distance(other)
                  for other in others]
    return list(zip(structures, colors, strict=True))


def face_colors(images: Tensor) -> Tensor:
    """[B, 3, S, S] in FFHQ's frame -> [B, 6]: mean and standard deviation of the face's CIE Lab, brow to chin."""
    inside = (superellipse(place_grid(images.shape[-1]), SKIN_CENTER, SKIN_RADII, 2.0) < 1).to(images.device)
    lab = to_lab(images[:, :3].float())[:, :, inside]
    return torch.cat([lab.mean(2), lab.std(2)], dim=1)


def recommendation_sheet(photo: Tensor, found: Sequence[Recommendation], cell: int = 200) -> Tensor:
    """The photograph and each recommended style on it, named and scored -> one picture [1, 3, h, w] in [-1, 1]."""
    images = torch.stack([r.image.clamp(-1, 1).float().cpu() for r in found])
    first = torch.nn.functional.interpolate(photo.float().cpu(), images.shape[2:], mode="bilinear", antialias=True)
    captions = ["photograph", *(f"{r.index}  {r.name}\nscore {r.score:.2f}" for r in found)]
    return contact_sheet(torch.cat([first, images]), min(6, len(captions)), cell=cell, captions=captions)
