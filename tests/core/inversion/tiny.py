"""A generator of 16 px and a plain pixel distance: the engine's arithmetic without its weight."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import stylegan_core as sg
from stylegan_core.losses.perceptual import spatial_mean
from stylegan_core.networks.generators.mobilestylegan import MobileStyleGAN, MobileStyleGANConfig
from stylegan_core.networks.mapping import MappingConfig


class PixelDistance(nn.Module):
    """Mean absolute difference, counting how often targets were looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def features(self, images: Tensor) -> list[Tensor]:
        return [images * self.weight]

    def forward(self, a: list[Tensor], b: list[Tensor], weight: Tensor | None = None) -> Tensor:
        return spatial_mean((a[0] - b[0]).abs(), weight).mean(1)


def tiny(seed: int = 0, classes: int = 0) -> MobileStyleGAN:
    """16 px; weights of a size that gives pictures within [-1, 1]; noise maps that show."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        mapping = MappingConfig(z_dim=12, w_dim=8, c_dim=classes, num_ws=5, num_layers=2, hidden_dim=8)
        model = MobileStyleGAN(MobileStyleGANConfig(mapping, (16, 8))).eval().requires_grad_(False)
        for name, buffer in model.named_buffers():
            if name.endswith("noise_const"):
                buffer.copy_(0.3 * torch.randn_like(buffer))
        z = sg.sample_z(range(64), 12)
        label = None if not classes else torch.eye(classes)[torch.arange(64) % classes]
        size = model.synthesis(model.mapping(z, label)).std()
        model.synthesis.head.weight /= 3 * size
    return model


FAST = sg.InversionOptions(steps=40, lr=0.1, identity=0.0, patience=0)


def run(model: MobileStyleGAN, images: Tensor, space: str = "w+", options: sg.InversionOptions = FAST, **more):
    return sg.invert(model, images, space, options=options, distances={"lpips": PixelDistance()}, **more)


def samples(model: MobileStyleGAN, seeds: list[int]) -> Tensor:
    """Pictures that the model can draw."""
    return sg.render(model, sg.Latents(sg.sample_z(seeds, 12), "z", model), 0.7).clamp(-1, 1)
