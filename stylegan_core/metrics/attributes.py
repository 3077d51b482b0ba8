"""Attributes that can be measured in a picture, where the published classifiers are not at hand."""

from __future__ import annotations

import torch
from torch import Tensor

from ..faces.detection import detect_faces
from ..networks.detector import MTCNN
from ..ops.resize import to_rgb

LUMA = (0.299, 0.587, 0.114)


class MeasuredAttributes:
    """images [B, 1 or 3, H, W] in [-1, 1] -> [B, 7]: four of the colors, three of the largest face, NaN where there is none."""

    name = "measured attributes"
    names = ("light", "warm", "contrast", "light edge", "turned", "tilted", "wide mouth")

    def __init__(self) -> None:
        self.detector: MTCNN | None = None

    def __call__(self, images: Tensor) -> Tensor:
        images = to_rgb(images).float()
        self.detector = self.detector or MTCNN.embedded(images.device)
        luma = (images * images.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1)
        edge = max(images.shape[-1] // 8, 1)
        colors = torch.stack([luma.mean((1, 2)), (images[:, 0] - images[:, 2]).mean((1, 2)), luma.std((1, 2)),
                              luma[:, :edge].mean((1, 2))], dim=1)
        faces = [self._of_face(image) for image in images]
        return torch.cat([colors.cpu(), torch.stack(faces)], dim=1)

    def _of_face(self, image: Tensor) -> Tensor:
        found = detect_faces([image], image.shape[-1] / 5, detector=self.detector)[0]
        if not found:
            return torch.full((3,), float("nan"))
        left, right, nose, mouth_left, mouth_right = found[0].points.cpu().float()
        across = right - left
        apart = across.norm().clamp(min=1e-6)
        turned = ((nose - (left + right) / 2) @ across) / apart**2
        return torch.stack([turned, across[1] / apart, (mouth_right - mouth_left).norm() / apart])


def centred(values: Tensor) -> Tensor:
    """[n, attributes] -> logits: distances from the median in deviations, so that each attribute parts the samples in halves;
    0, which counts as unsure, where nothing was measured."""
    middle = values.nanmedian(dim=0).values
    away = (values - middle).nan_to_num(0.0)
    return away / away.square().mean(dim=0).sqrt().clamp(min=1e-12)
