"""Identity: how far apart two aligned faces are as persons."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import InvalidInput
from ..networks.judges.dlib_face import IdentityNet, chip
from ..networks.judges.irse import HEAD_INPUT, IRSE50

SAME_PERSON = 0.6
"""Embeddings nearer than this belong to one person (dlib's threshold)."""


class IdentityLoss(nn.Module):
    """FFHQ-aligned faces [B, 3, S, S] in [-1, 1] -> distance [B]; below SAME_PERSON: one person. Weights are embedded.

    It knows photographs; it barely follows a person into a cartoon.
    """

    def __init__(self, network: IdentityNet) -> None:
        super().__init__()
        self.network = network

    @classmethod
    def embedded(cls) -> IdentityLoss:
        """The network that travels with the package."""
        return cls(IdentityNet.embedded())

    def embed(self, faces: Tensor) -> Tensor:
        """[B, 3, S, S] -> [B, 128], not normalised (their length is about 1.5)."""
        _check(faces)
        return self.network(chip(faces))

    def features(self, faces: Tensor) -> list[Tensor]:
        """What forward takes in place of faces: compute it once for a fixed target."""
        return [self.embed(faces)]

    def forward(self, a: Tensor | list[Tensor], b: Tensor | list[Tensor]) -> Tensor:
        """Faces, or the result of features(), on either side -> [B]; differentiable in both."""
        return identity_distance(*((self.features(x) if isinstance(x, Tensor) else x)[0] for x in (a, b)))


def identity_distance(a: Tensor, b: Tensor) -> Tensor:
    """Embeddings [B, D] -> Euclidean distance [B]; its gradient between equal ones is 0."""
    return torch.linalg.vector_norm(a - b, dim=1)


class ArcFaceLoss(nn.Module):
    """1 - cosine of IR-SE50 embeddings: the identity loss of pSp, e4e and DualStyleGAN (weights given by the user)."""

    rows, columns = (35, 223), (32, 220)
    """The crop, in pixels of a 256 px FFHQ frame."""

    def __init__(self, network: IRSE50) -> None:
        super().__init__()
        self.network = network

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> ArcFaceLoss:
        """From the state dict of `model_ir_se50.pth`; raises LoadError."""
        return cls(IRSE50.from_tensors(tensors))

    def embed(self, faces: Tensor) -> Tensor:
        """FFHQ-aligned faces [B, 3, S, S] in [-1, 1] -> unit embeddings [B, 512]; other sizes than 256 are averaged."""
        _check(faces)
        if faces.shape[-1] != 256:
            faces = functional.adaptive_avg_pool2d(faces, 256)
        chip = faces[..., slice(*self.rows), slice(*self.columns)]
        return self.network(functional.adaptive_avg_pool2d(chip, HEAD_INPUT))

    def features(self, faces: Tensor) -> list[Tensor]:
        """What forward takes in place of faces: compute it once for a fixed target."""
        return [self.embed(faces)]

    def forward(self, a: Tensor | list[Tensor], b: Tensor | list[Tensor]) -> Tensor:
        """Faces, or the result of features(), on either side -> [B], 0 (same) to 2."""
        x, y = ((self.features(v) if isinstance(v, Tensor) else v)[0] for v in (a, b))
        return 1 - (x * y).sum(1)


def _check(faces: Tensor) -> None:
    if faces.ndim != 4 or faces.shape[1] != 3 or faces.shape[2] != faces.shape[3]:
        raise InvalidInput(f"Identity got faces of shape {tuple(faces.shape)} but needs aligned [batch, 3, S, S].")
