"""The Inception network of 2015 (Szegedy et al., 1512.00567) in the form whose features FID and KID are defined over.

Names are torchvision's, as the plain state dict of Google's weights has them (pt_inception-2015-12-05-6726825d.pth).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import LoadError

SIDE, EPS = 299, 1e-3

Step = tuple[str, int, tuple[int, int], int, tuple[int, int]]
"""Name, outputs, kernel, stride, padding."""


def _conv(name: str, out: int, kernel: int | tuple[int, int] = 1, stride: int = 1, pad: int | tuple[int, int] = 0) -> Step:
    pair = lambda n: (n, n) if isinstance(n, int) else n  # noqa: E731
    return name, out, pair(kernel), stride, pair(pad)


def _row(name: str, out: int, length: int) -> Step:
    return _conv(name, out, (1, length), 1, (0, length // 2))


def _column(name: str, out: int, length: int) -> Step:
    return _conv(name, out, (length, 1), 1, (length // 2, 0))


Branches = tuple[tuple[Step, ...], ...]


def _block_a(pool: int) -> Branches:
    return ((_conv("branch1x1", 64),), (_conv("branch5x5_1", 48), _conv("branch5x5_2", 64, 5, 1, 2)),
            (_conv("branch3x3dbl_1", 64), _conv("branch3x3dbl_2", 96, 3, 1, 1), _conv("branch3x3dbl_3", 96, 3, 1, 1)),
            (_conv("branch_pool", pool),))


def _block_c(width: int) -> Branches:
    wide = [_conv("branch7x7dbl_1", width), _column("branch7x7dbl_2", width, 7), _row("branch7x7dbl_3", width, 7),
            _column("branch7x7dbl_4", width, 7), _row("branch7x7dbl_5", 192, 7)]
    return ((_conv("branch1x1", 192),),
            (_conv("branch7x7_1", width), _row("branch7x7_2", width, 7), _column("branch7x7_3", 192, 7)),
            tuple(wide), (_conv("branch_pool", 192),))


BLOCK_B: Branches = ((_conv("branch3x3", 384, 3, 2),),
                     (_conv("branch3x3dbl_1", 64), _conv("branch3x3dbl_2", 96, 3, 1, 1), _conv("branch3x3dbl_3", 96, 3, 2)), ())
BLOCK_D: Branches = ((_conv("branch3x3_1", 192), _conv("branch3x3_2", 320, 3, 2)),
                     (_conv("branch7x7x3_1", 192), _row("branch7x7x3_2", 192, 7), _column("branch7x7x3_3", 192, 7),
                      _conv("branch7x7x3_4", 192, 3, 2)), ())
BLOCK_E: Branches = ((_conv("branch1x1", 320),),
                     (_conv("branch3x3_1", 384), _row("branch3x3_2a", 384, 3), _column("branch3x3_2b", 384, 3)),
                     (_conv("branch3x3dbl_1", 448), _conv("branch3x3dbl_2", 384, 3, 1, 1), _row("branch3x3dbl_3a", 384, 3),
                      _column("branch3x3dbl_3b", 384, 3)), (_conv("branch_pool", 192),))
"""Names that end in a and b start from the same place and stand side by side."""
STEM = (_conv("Conv2d_1a_3x3", 32, 3, 2), _conv("Conv2d_2a_3x3", 32, 3), _conv("Conv2d_2b_3x3", 64, 3, 1, 1),
        _conv("Conv2d_3b_1x1", 80), _conv("Conv2d_4a_3x3", 192, 3))
POOLED_AFTER = ("Conv2d_2b_3x3", "Conv2d_4a_3x3")
BLOCKS: tuple[tuple[str, Branches, str], ...] = (
    ("Mixed_5b", _block_a(32), "mean"), ("Mixed_5c", _block_a(64), "mean"), ("Mixed_5d", _block_a(64), "mean"),
    ("Mixed_6a", BLOCK_B, "halve"), ("Mixed_6b", _block_c(128), "mean"), ("Mixed_6c", _block_c(160), "mean"),
    ("Mixed_6d", _block_c(160), "mean"), ("Mixed_6e", _block_c(192), "mean"), ("Mixed_7a", BLOCK_D, "halve"),
    ("Mixed_7b", BLOCK_E, "mean"), ("Mixed_7c", BLOCK_E, "max"),
)
"""Name, branches, what the last branch pools by: means leave out the border, the last block's maximum is the 2015 graph's."""


class Inception(nn.Module):
    """images [B, 1 or 3, H, W] in [-1, 1] -> features [B, 2048] before the classifier."""

    name = "Inception"

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        """Batch norms are folded into the convolutions. Raises LoadError for a state dict of another network."""
        super().__init__()
        self.weights = nn.ParameterDict()
        width = 3
        for step in STEM:
            width = self._take(tensors, step[0], width, step)
        for name, branches, _ in BLOCKS:
            outputs = 0
            for branch in branches:
                inner = before = width
                for step in branch:
                    before = inner if not step[0].endswith("b") else before
                    inner = self._take(tensors, f"{name}.{step[0]}", before, step)
                    outputs += inner if step is branch[-1] or step[0].endswith("a") else 0
                outputs += 0 if branch else width
            width = outputs
        self.requires_grad_(False).eval()

    def _take(self, tensors: Mapping[str, Tensor], name: str, width: int, step: Step) -> int:
        weight = tensors.get(f"{name}.conv.weight")
        norm = [tensors.get(f"{name}.bn.{leaf}") for leaf in ("weight", "bias", "running_mean", "running_var")]
        if weight is None or tuple(weight.shape) != (step[1], width, *step[2]) or any(t is None for t in norm):
            raise LoadError(f"The file has no {name}.conv.weight of shape {[step[1], width, *step[2]]} with its batch norm, "
                            f"which FID's Inception needs; give pt_inception-2015-12-05-6726825d.pth.")
        gain, bias, mean, var = (t.float() for t in norm if t is not None)
        scale = gain / (var + EPS).sqrt()
        self.weights[f"{name}.weight".replace(".", "/")] = nn.Parameter(weight.float() * scale[:, None, None, None])
        self.weights[f"{name}.bias".replace(".", "/")] = nn.Parameter(bias - mean * scale)
        return step[1]

    def forward(self, images: Tensor) -> Tensor:
        x = F.interpolate(images.expand(-1, 3, -1, -1), size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        for step in STEM:
            x = self._convolve(step[0], step, x)
            x = F.max_pool2d(x, 3, 2) if step[0] in POOLED_AFTER else x
        for name, branches, pooling in BLOCKS:
            x = torch.cat([self._branch(name, branch, x, pooling) for branch in branches], dim=1)
        return x.mean(dim=(2, 3))

    def _branch(self, name: str, branch: tuple[Step, ...], x: Tensor, pooling: str) -> Tensor:
        if not branch or branch[0][0] == "branch_pool":
            x = _pooled(x, pooling)
        side_by_side: list[Tensor] = []
        for step in branch:
            y = self._convolve(f"{name}.{step[0]}", step, x)
            if step[0][-1] in "ab" and step[0][-2].isdigit():
                side_by_side.append(y)
            else:
                x = y
        return torch.cat(side_by_side, dim=1) if side_by_side else x

    def _convolve(self, name: str, step: Step, x: Tensor) -> Tensor:
        key = name.replace(".", "/")
        return F.relu(F.conv2d(x, self.weights[f"{key}/weight"], self.weights[f"{key}/bias"], step[3], step[4]))


def _pooled(x: Tensor, pooling: str) -> Tensor:
    if pooling == "halve":
        return F.max_pool2d(x, 3, 2)
    if pooling == "max":
        return F.max_pool2d(x, 3, 1, 1)
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
