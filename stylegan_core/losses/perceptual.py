"""LPIPS: the learned perceptual distance (Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features").

Version 0.1: unit-normalised features of a trunk, squared difference, one non-negative weight a channel, spatial mean,
sum over the taps. Value 0 for equal images; about 0.1 is a visible and 0.5 a large difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..assets import load_asset
from ..errors import InvalidInput, LoadError
from ..networks.judges.features import FeatureTrunk, TrunkConfig, alexnet, enlarge_to, vgg16
from ..networks.undrawn import Undrawn

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
EPSILON = 1e-10


class LPIPS(nn.Module):
    """images [B, 3, H, W] in [-1, 1] -> distance [B]. Differentiable in both; its own weights are frozen."""

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self.trunk = FeatureTrunk(config)
        self.heads = nn.ParameterList(torch.zeros(width) for width in config.tap_widths)
        self.requires_grad_(False).eval()

    @classmethod
    def embedded(cls) -> LPIPS:
        """LPIPS-Alex, whose weights travel with the package."""
        tensors = load_asset("lpips_alex")
        return cls.from_tensors(alexnet(), tensors, tensors)

    @classmethod
    def vgg(cls, trunk: Mapping[str, Tensor], heads: Mapping[str, Tensor]) -> LPIPS:
        """LPIPS-VGG from torchvision's VGG16 state dict and the published head file (`lin{k}.model.1.weight`)."""
        widths = [w.shape[0] for key, w in trunk.items() if key.endswith(".weight") and w.ndim == 4]
        if len(widths) < 13:
            raise LoadError(f"LPIPS-VGG needs 13 convolutions but the file has {len(widths)}; give VGG16's weights.")
        return cls.from_tensors(vgg16([widths[t] for t in vgg16().taps]), trunk, heads)

    @classmethod
    def from_tensors(cls, config: TrunkConfig, trunk: Mapping[str, Tensor], heads: Mapping[str, Tensor]) -> LPIPS:
        """Any trunk; heads under `heads.{k}.weight`, `lin{k}.weight` or `lin{k}.model.1.weight`."""
        with Undrawn():
            self = cls(config)
        self.trunk.load(trunk)
        for k, head in enumerate(self.heads):
            name = next((n for n in _HEAD_NAMES if n.format(k) in heads), None)
            if name is None or heads[name.format(k)].numel() != head.numel():
                raise LoadError(
                    f"The LPIPS head file has no head {k} of {head.numel()} channels; "
                    f"give the version 0.1 heads made for {config.name}."
                )
            head.copy_(heads[name.format(k)].flatten())
        return self

    def features(self, images: Tensor) -> list[Tensor]:
        """Unit-normalised activations of each tap; compute once for a fixed target and hand them to forward."""
        if images.ndim != 4 or images.shape[1] != 3:
            raise InvalidInput(f"LPIPS got images of shape {tuple(images.shape)} but needs [batch, 3, height, width].")
        shift, scale = (images.new_tensor(values).view(1, 3, 1, 1) for values in (SHIFT, SCALE))  # in the images' precision
        x = (enlarge_to(images, self.trunk.config.min_size) - shift) / scale
        # vector_norm, not sqrt of a sum: its gradient at an all-zero pixel is 0 instead of NaN
        return [f / (torch.linalg.vector_norm(f, dim=1, keepdim=True) + EPSILON) for f in self.trunk(x)]

    def layers(self, a: Tensor | list[Tensor], b: Tensor | list[Tensor], weight: Tensor | None = None) -> Tensor:
        """[B, taps]: what each tap adds to the distance. weight [B, 1, H, W]: how much each pixel counts (see spatial_mean)."""
        parts = [spatial_mean(d, weight) @ head for head, d in zip(self.heads, self._differences(a, b), strict=True)]
        return torch.stack(parts, dim=1)

    def maps(self, a: Tensor | list[Tensor], b: Tensor | list[Tensor]) -> list[Tensor]:
        """Of each tap [B, h, w], its own size: the distance place by place, whose means are those of layers()."""
        return [torch.einsum("bchw,c->bhw", d, head) for head, d in zip(self.heads, self._differences(a, b), strict=True)]

    def _differences(self, a: Tensor | list[Tensor], b: Tensor | list[Tensor]) -> Iterator[Tensor]:
        """Of each tap [B, C, h, w], squared."""
        fa = self.features(a) if isinstance(a, Tensor) else a
        fb = self.features(b) if isinstance(b, Tensor) else b
        if [f.shape[-2:] for f in fa] != [f.shape[-2:] for f in fb]:
            raise InvalidInput("LPIPS compares images of equal size; resize one of the two.")
        return ((x - y).square() for x, y in zip(fa, fb, strict=True))

    def forward(self, a: Tensor | list[Tensor], b: Tensor | list[Tensor], weight: Tensor | None = None) -> Tensor:
        """Images, or the result of features(), on either side -> [B]."""
        return self.layers(a, b, weight).sum(1)


def spatial_mean(x: Tensor, weight: Tensor | None = None) -> Tensor:
    """[B, C, h, w] -> [B, C]: mean over the pixels, each counted by weight [B, 1, H, W] >= 0, which is resized by area."""
    if weight is None:
        return x.mean((2, 3))
    weight = functional.interpolate(weight, x.shape[-2:], mode="area")
    return (x * weight).sum((2, 3)) / weight.sum((2, 3)).clamp(min=EPSILON)


_HEAD_NAMES = ("heads.{}.weight", "lin{}.weight", "lin{}.model.1.weight")
