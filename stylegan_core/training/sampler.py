"""Training of DualStyleGAN's sampling network (Yang et al. 2022, section 3.4): each style code's nearest sample moves to it.

Implicit maximum likelihood in the manner of GLANN (Hoshen et al. 2019, 1812.08985), which the published code takes from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from ..checkpoints.layouts.sampler import RENAMED
from ..engine import Adam
from ..errors import InvalidInput
from ..networks.sampler import StyleNet

LR, HALVED_EVERY = 1e-3, 50
BETAS, WEIGHT_DECAY = (0.5, 0.999), 1e-5
COUNTER = "num_batches_tracked"
"""Of forward passes in training mode; the published files have one a batch norm, ours none."""
ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class SamplerTraining:
    """What came of it: one loss a step, one rate an epoch, and the network under the names it came with."""

    losses: list[float]
    lrs: list[float]
    state: dict[str, Tensor]


def train_sampler(data: Tensor, state: Mapping[str, Tensor], first_epoch: int = 0, epochs: int = 1, batch_size: int = 128,
                  draw: Callable[[tuple[int, ...]], Tensor] | None = None, permutations: Sequence[Tensor] | None = None,
                  on_epoch: Callable[[int, float], None] | None = None) -> SamplerTraining:
    """Epochs first_epoch .. first_epoch + epochs - 1 on data [n, d], n >= batch_size. Raises InvalidInput.

    state: of the network of one part, under the published keys (lin1.weight, bn1.weight ... lin_out.weight). draw(shape):
    standard normal noise. permutations: one order of the data an epoch. on_epoch(epoch, mean loss) may raise to stop.

    An epoch: 2 * floor(n / batch_size) batches of noise are mapped in training mode (running statistics move), each row
    of data finds its nearest; then one step of Adam a batch towards the rows, the rest of the permutation dropped. Adam
    starts anew each epoch, its rate halves every 50.
    """
    if data.ndim != 2 or len(data) < batch_size:
        raise InvalidInput(f"The sampler learns from at least {batch_size} codes and got {list(data.shape)}; repeat them.")
    draw = draw or (lambda shape: torch.randn(shape).to(data))
    net, keys = _network(state)
    losses, lrs = [], []
    for i in range(epochs):
        epoch = first_epoch + i
        lr = LR * 0.5 ** (epoch // HALVED_EVERY)
        order = torch.randperm(len(data)) if permutations is None else permutations[i]
        mine = _epoch(net, data, order.to(data.device), batch_size, lr, draw)
        losses, lrs = losses + mine, [*lrs, lr]
        if on_epoch is not None:
            on_epoch(epoch, sum(mine) / len(mine))
    own, passes = net.state_dict(), 3 * (len(data) // batch_size) * epochs
    return SamplerTraining(losses, lrs, {key: state[key] + passes if key.endswith(COUNTER) else own[ours]
                                         for key, ours in keys.items()})


def _epoch(net: nn.Module, data: Tensor, order: Tensor, batch_size: int, lr: float,
           draw: Callable[[tuple[int, ...]], Tensor]) -> list[float]:
    steps = len(data) // batch_size
    noise_dim = net.get_parameter("fc0.weight").shape[1]
    noise = [draw((batch_size, noise_dim)) for _ in range(2 * steps)]
    with torch.no_grad():
        candidates = torch.cat([net(part).flatten(1) for part in noise])
        nearest = torch.cat([torch.cdist(rows, candidates).argmin(dim=1) for rows in data.split(ROWS_AT_ONCE)])
    chosen = torch.cat(noise)[nearest]
    adam = Adam(net.parameters(), lr, BETAS, weight_decay=WEIGHT_DECAY)
    losses = []
    for rows in order[: steps * batch_size].split(batch_size):
        adam.zero_grad()
        loss = mse_loss(net(chosen[rows]).flatten(1), data[rows])
        loss.backward()
        adam.step()
        losses.append(loss.detach())
    return torch.stack(losses).tolist()


def _network(state: Mapping[str, Tensor]) -> tuple[StyleNet, dict[str, str]]:
    """(network in training mode, key of the given state -> ours)."""
    keys = {key: f"{RENAMED.get(layer, layer)}.{leaf}" for key in state for layer, _, leaf in [key.partition(".")]}
    if absent := [f"{layer}.weight" for layer in RENAMED if f"{layer}.weight" not in state]:
        raise InvalidInput(f"The sampling network lacks {', '.join(absent)}; give its color or structure part.")
    (hidden, noise), out = state["lin1.weight"].shape, state["lin_out.weight"].shape[0]
    net = StyleNet(noise, hidden, 1, out).to(state["lin1.weight"])
    net.load_state_dict({ours: state[key] for key, ours in keys.items() if not key.endswith(COUNTER)})
    return net.train().requires_grad_(True), keys
