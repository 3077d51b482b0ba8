"""Plain twin: NVIDIA's TensorFlow graph of the first StyleGAN, variable by variable, in float64 and with no care for speed."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

Variables = dict[str, Tensor]


def random_variables(widths: list[int], w_dim: int, z_dim: int, layers: int, labels: int, seed: int) -> Variables:
    """Weights of a network whose width at 4 * 2**i px is widths[i], under TensorFlow's names."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    v = {"lod": torch.zeros([]), "dlatent_avg": draw(w_dim) * 0.1, "synthesis/lod": torch.zeros([]),
         "synthesis/4x4/Const/const": draw(1, widths[0], 4, 4)}
    for i in range(layers):
        width = (z_dim * 2 if labels else z_dim) if i == 0 else w_dim
        v |= {f"mapping/Dense{i}/weight": draw(width, w_dim) * 100, f"mapping/Dense{i}/bias": draw(w_dim) * 20}
    if labels:
        v["mapping/LabelConcat/weight"] = draw(labels, z_dim)
    for i, width in enumerate(widths):
        r = 4 << i
        for j, scope in enumerate(("Const", "Conv") if i == 0 else ("Conv0_up", "Conv1")):
            name, before = f"synthesis/{r}x{r}/{scope}", width if j or i == 0 else widths[i - 1]
            v |= {f"{name}/Noise/weight": draw(width), f"{name}/bias": draw(width),
                  f"{name}/StyleMod/weight": draw(w_dim, 2 * width), f"{name}/StyleMod/bias": draw(2 * width) * 0.2,
                  f"synthesis/noise{2 * i + j}": draw(1, 1, r, r)}
            if scope != "Const":
                v[f"{name}/weight"] = draw(3, 3, before, width)
        head = f"synthesis/ToRGB_lod{len(widths) - 1 - i}"
        v |= {f"{head}/weight": draw(1, 1, width, 3), f"{head}/bias": draw(3)}
    return v


def mapping(v: Variables, z: Tensor, labels: Tensor | None) -> Tensor:
    x = z if labels is None else torch.cat([z, labels @ v["mapping/LabelConcat/weight"]], dim=1)
    x = x / (x.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()
    i = 0
    while f"mapping/Dense{i}/weight" in v:
        w = v[f"mapping/Dense{i}/weight"]
        x = x @ (w * math.sqrt(2) / math.sqrt(w.shape[0]) * 0.01) + v[f"mapping/Dense{i}/bias"] * 0.01
        x = torch.maximum(x, 0.2 * x)
        i += 1
    return x


def epilogue(v: Variables, scope: str, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
    c = x.shape[1]
    x = x + noise * v[f"{scope}/Noise/weight"][:, None, None] + v[f"{scope}/bias"][:, None, None]
    x = torch.maximum(x, 0.2 * x)
    x = x - x.mean(dim=(2, 3), keepdim=True)
    x = x / (x.square().mean(dim=(2, 3), keepdim=True) + 1e-8).sqrt()
    style = w @ (v[f"{scope}/StyleMod/weight"] / math.sqrt(w.shape[1])) + v[f"{scope}/StyleMod/bias"]
    return x * (style[:, :c, None, None] + 1) + style[:, c:, None, None]


def convolution(v: Variables, scope: str, x: Tensor, fused: bool) -> Tensor:
    w = v[f"{scope}/weight"]
    w = w * math.sqrt(2 / (9 * w.shape[2]))
    if scope.endswith("Conv0_up") and fused:
        k = F.pad(w.permute(2, 3, 0, 1), (1, 1, 1, 1))
        k = k[..., 1:, 1:] + k[..., :-1, 1:] + k[..., 1:, :-1] + k[..., :-1, :-1]
        return F.conv_transpose2d(x, k, stride=2, padding=1)
    if scope.endswith("Conv0_up"):
        x = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    return F.conv2d(x, w.permute(3, 2, 0, 1), padding=1)


def blur(x: Tensor) -> Tensor:
    f = torch.tensor([1.0, 2.0, 1.0], dtype=x.dtype) / 4
    return F.conv2d(x.flatten(0, 1)[:, None], torch.outer(f, f)[None, None], padding=1).reshape(x.shape)


def synthesis(v: Variables, ws: Tensor, fused_from: int, lod: float = 0.0) -> Tensor:
    levels = sum(key.endswith("/bias") and "ToRGB" in key for key in v)
    x, image, row = v["synthesis/4x4/Const/const"].expand(len(ws), -1, -1, -1), None, 0
    for i in range(levels):
        r = 4 << i
        for scope in ("Const", "Conv") if i == 0 else ("Conv0_up", "Conv1"):
            name = f"synthesis/{r}x{r}/{scope}"
            if scope != "Const":
                x = convolution(v, name, x, r >= fused_from)
            if scope == "Conv0_up":
                x = blur(x)
            x = epilogue(v, name, x, ws[:, row], v[f"synthesis/noise{row}"])
            row += 1
        level = levels - 1 - i
        w = v[f"synthesis/ToRGB_lod{level}/weight"]
        here = F.conv2d(x, w.permute(3, 2, 0, 1) / math.sqrt(w.shape[2])) + v[f"synthesis/ToRGB_lod{level}/bias"][:, None, None]
        before = here if image is None else image.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        image = here + (before - here) * min(max(lod - level, 0.0), 1.0)
    return image
