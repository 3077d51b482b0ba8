"""z -> w. Karras et al. 2019 (1812.04948) section 2; 2020 (1912.04958) appendix B."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import RandomState  # at import: numpy loads it late, and reading a file must import nothing
from torch import Tensor, nn

from ..errors import InvalidInput
from ..latents import truncate
from ..latents.codes import check_truncation

W_AVG_SAMPLES = 10_000


@dataclass(frozen=True)
class MappingConfig:
    """Everything the mapping's shape depends on."""

    z_dim: int = 512
    c_dim: int = 0
    w_dim: int = 512
    num_ws: int = 18
    num_layers: int = 8
    hidden_dim: int = 512
    """Width of all layers but the last (NVIDIA's layer_features, TensorFlow's mapping_fmaps)."""
    lr_multiplier: float = 0.01
    label: Literal["embed", "concat"] = "embed"
    """embed: y = N(E c), x = [N(z), y] (NVIDIA torch, ADA); concat: x = N([z, c W]) (TensorFlow StyleGAN 1 and 2)."""

    def __post_init__(self) -> None:
        if not 0 < self.lr_multiplier < math.inf:
            raise InvalidInput(f"A mapping network got lr_multiplier {self.lr_multiplier}; use a number above 0.")


def normalize_2nd_moment(x: Tensor, eps: float = 1e-8) -> Tensor:
    """[..., C] -> same, RMS 1 along the last axis (pixel norm)."""
    return x * (x.square().mean(dim=-1, keepdim=True) + eps).rsqrt()


class FullyConnected(nn.Module):
    """Equalized-learning-rate linear layer: x [..., in] -> [..., out]; gain lr_multiplier / sqrt(in) at run time."""

    def __init__(self, in_features: int, out_features: int, lr_multiplier: float = 1.0, bias_init: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features).normal_(std=1 / lr_multiplier))
        self.bias = nn.Parameter(torch.full((out_features,), bias_init / lr_multiplier))
        self.weight_gain = lr_multiplier / math.sqrt(in_features)
        self.bias_gain = lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.weight_gain, self.bias * self.bias_gain)


def leaky_relu_gain(x: Tensor) -> Tensor:
    """Leaky ReLU (slope 0.2) times sqrt(2), which keeps the variance (Karras et al. 2020)."""
    return F.leaky_relu(x, 0.2) * math.sqrt(2)


class MappingNetwork(nn.Module):
    """z [B, z_dim] (and labels c [B, c_dim]) -> ws [B, num_ws, w_dim]."""

    w_avg: Tensor
    """[w_dim], the centre of truncation. NaN until it is asked for where a file carried none; networks that share the mapping
    share its memory, so that it is estimated once."""

    def __init__(self, config: MappingConfig, centred: bool = True) -> None:
        """centred: whether there is a w_avg. A generator's mapping has one; a discriminator's, or a transform, has not."""
        super().__init__()
        self.config = config
        embed_dim = config.w_dim if config.label == "embed" else config.z_dim
        if config.c_dim and config.label == "embed":
            self.embed = FullyConnected(config.c_dim, embed_dim)
        elif config.c_dim:
            self.embed = nn.Linear(config.c_dim, embed_dim, bias=False)
        self.num_layers = config.num_layers
        width = config.z_dim + (embed_dim if config.c_dim else 0)
        for i in range(config.num_layers):
            out = config.w_dim if i == config.num_layers - 1 else config.hidden_dim
            setattr(self, f"fc{i}", FullyConnected(width, out, config.lr_multiplier))
            width = out
        self.register_buffer("w_avg", torch.full((config.w_dim,), torch.nan) if centred else None)
        self._known = False  # whether w_avg was seen to hold numbers: a look at it waits for the device
        self._estimated_at: int | None = None  # _versions() when it was estimated; None for a centre that was given

    def to_w(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """z [..., z_dim] -> w [..., w_dim], before truncation and repetition; works row by row on z+."""
        x = self._input(z.to(self._first.weight.dtype), c)
        for i in range(self.num_layers):
            x = leaky_relu_gain(self.get_submodule(f"fc{i}")(x))
        return x

    @property
    def _first(self) -> FullyConnected:
        return cast(FullyConnected, self.get_submodule("fc0"))

    def _input(self, z: Tensor, c: Tensor | None) -> Tensor:
        if not self.config.c_dim:
            return normalize_2nd_moment(z)
        if c is None:
            raise InvalidInput(
                f"This model has {self.config.c_dim} classes and needs a label; pick one from 0 to {self.config.c_dim - 1}, or "
                f"give latents in w or w+, which have theirs."
            )
        self._check_labels(c, z)
        y = self.embed(c.to(z)).expand(*z.shape[:-1], -1)
        if self.config.label == "concat":
            return normalize_2nd_moment(torch.cat([z, y], dim=-1))
        y = normalize_2nd_moment(y)
        return torch.cat([normalize_2nd_moment(z), y], dim=-1) if self.config.z_dim else y

    def _check_labels(self, c: Tensor, z: Tensor) -> None:
        if isinstance(c, Tensor) and c.ndim in (2, z.ndim) and c.shape[-1] == self.config.c_dim and len(c) in (1, len(z)):
            return
        found = list(c.shape) if isinstance(c, Tensor) else f"a {type(c).__name__}"
        raise InvalidInput(f"Labels came as {found} and are needed as one-hot rows [{len(z)}, {self.config.c_dim}], or one row "
                           f"for all.")

    def forward(self, z: Tensor, c: Tensor | None = None, truncation_psi: float = 1.0,
                truncation_cutoff: int | None = None) -> Tensor:
        """ws = w_avg + psi (w - w_avg) on rows below truncation_cutoff (None: all rows)."""
        if z.ndim != 2 or z.shape[1] != self.config.z_dim:
            raise InvalidInput(f"Mapping got z of shape {tuple(z.shape)} but needs [batch, {self.config.z_dim}].")
        check_truncation(truncation_psi, truncation_cutoff)
        ws = self.to_w(z, c).unsqueeze(1).repeat(1, self.config.num_ws, 1)
        return truncate(ws, self.center(), truncation_psi, truncation_cutoff) if truncation_psi != 1 else ws

    def center(self) -> Tensor:
        """w_avg [w_dim]; the mean of 10 000 seeded samples when the file carried none, anew after its weights have changed."""
        if not self._known:
            if bool(self.w_avg.isnan().any()):
                with torch.inference_mode(self.w_avg.is_inference()):
                    self.w_avg.copy_(self._estimate_center())  # in place, for all that share it
                self._estimated_at = self._versions()
            self._known = True
        elif self._estimated_at not in (None, self._versions()):
            self.w_avg, self._estimated_at = self._estimate_center(), self._versions()
        return self.w_avg

    def give_center(self, w_avg: Tensor) -> None:
        """Take another w_avg [w_dim], which stays whatever becomes of the weights."""
        self.w_avg, self._known, self._estimated_at = w_avg, False, None

    def _versions(self) -> int:
        """Grows with every change of a weight in place; those made under inference mode are not counted."""
        return sum(p._version for p in self.parameters() if not p.is_inference())

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy's weights count their changes from now on."""
        super().__setstate__(state)
        self._estimated_at = None if self._estimated_at is None else self._versions()

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        if self.w_avg is not None and not self.w_avg.is_meta:
            self.center()
        super()._save_to_state_dict(destination, prefix, keep_vars)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Weights that come without w_avg have another than these: it is estimated when it is asked for."""
        if self.w_avg is not None and f"{prefix}fc0.weight" in state_dict:
            state_dict.setdefault(f"{prefix}w_avg", torch.full_like(self.w_avg, torch.nan))
            self._known, self._estimated_at = False, None
        super()._load_from_state_dict(state_dict, prefix, *args)

    @torch.no_grad()
    def _estimate_center(self) -> Tensor:
        return self.sample(W_AVG_SAMPLES, 0)[1].mean(dim=0)

    def sample(self, count: int, seed: int, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z [count, z_dim], drawn on the CPU so that devices agree, and their w [count, w_dim].

        c [1, c_dim]: the label of all; without it a network with classes draws theirs too.
        """
        draw, device = RandomState(seed & 0xFFFFFFFF), self._first.weight.device
        z = torch.from_numpy(draw.randn(count, self.config.z_dim).astype(np.float32)).to(device)
        if c is None and self.config.c_dim:
            c = F.one_hot(torch.from_numpy(draw.randint(self.config.c_dim, size=count)), self.config.c_dim).float()
        return z, self.to_w(z, None if c is None else c.to(device).expand(count, -1))
