"""The demo style sampler: noise -> style codes like those of a bank, by implicit maximum likelihood (Li & Malik 2018).

    python -m tools.demo.train_sampler BANK.safetensors OUT.safetensors

Structure and color have networks of their own (2203.13248, section 3.4): what one draws says nothing of the other.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import trange

import stylegan_core as sg
from stylegan_core.engine import Adam
from stylegan_core.networks.sampler import StyleNet, StyleSampler, StyleSamplerConfig

ROWS = 1000
"""Codes in the training set: the bank's, repeated and jittered."""
JITTER = 0.05
BATCH = 128
PRECISION = 0.1
"""Weight of the distance of every drawn code from its nearest in the bank: without it some lie far from all, and look gray."""


def fit_sampler(codes: Tensor, structure_rows: int, epochs: int = 120, seed: int = 0) -> StyleSampler:
    """codes [N, rows, dim] in w+ -> a sampler of such codes, in eval mode."""
    config = StyleSamplerConfig(structure_rows, codes.shape[1] - structure_rows, codes.shape[2], space="w+")
    draw = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    sampler = StyleSampler(config)
    repeated = codes.repeat(max(ROWS // len(codes), 1), 1, 1)
    repeated = repeated + JITTER * codes.std(0) * torch.randn(repeated.shape, generator=draw)
    for name, part in (("structure", repeated[:, :structure_rows]), ("color", repeated[:, structure_rows:])):
        _fit(getattr(sampler, name), part.flatten(1), config.noise_dim, epochs, draw, name)
    return sampler.eval().requires_grad_(False)


def _fit(network: StyleNet, data: Tensor, noise_dim: int, epochs: int, draw: torch.Generator, name: str) -> None:
    batches = len(data) // BATCH
    optimizer = Adam(network.parameters(), betas=(0.5, 0.999), weight_decay=1e-5)
    for epoch in trange(epochs, desc=name):
        optimizer.set_rate(1e-3 * 0.5 ** (epoch // 50))
        noise = torch.randn(2 * batches * BATCH, noise_dim, generator=draw)
        with torch.no_grad():
            nearest = noise[torch.cdist(data, network(noise).flatten(1)).argmin(1)]
        order = torch.randperm(len(data), generator=draw)
        for k in range(batches):
            rows = order[k * BATCH : (k + 1) * BATCH]
            loss = F.mse_loss(network(nearest[rows]).flatten(1), data[rows])
            drawn = network(noise[torch.randint(len(noise), (BATCH,), generator=draw)]).flatten(1)
            aim = data[torch.cdist(drawn.detach(), data).argmin(1)]
            loss = loss + PRECISION * F.mse_loss(drawn, aim)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bank", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--structure-rows", type=int, default=10)
    args = parser.parse_args()
    bank = sg.load(args.bank)
    sg.save(fit_sampler(bank.codes, args.structure_rows), args.out)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
