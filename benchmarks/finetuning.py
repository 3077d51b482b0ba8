"""Which changes imitate fine-tuning: figure 5 of DualStyleGAN's paper (2203.13248, section 3.2) on the built-in family.

    python -m benchmarks.finetuning [--steps 200] [--out FOLDER]

The fine-tuned model is the base with the figurine's layers up to 32 px. After each of DualStyleGAN's seven structure places
the base's features are changed channel by channel (gain and shift, as AdaIN does), place by place (a gain map, diagonal
attention) or element by element (a residual block of convolutions); each kind learns what it can of the fine-tuned model's
features at 32 px, equally long, and is judged on faces it never saw. The picture of all goes to FOLDER/finetuning.png.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

import stylegan_core as sg
from stylegan_core.engine import Adam
from stylegan_core.losses.perceptual import LPIPS
from stylegan_core.networks.dualstylegan import structure_layers
from stylegan_core.networks.generators.base import Generator

HELD_OUT, BATCH, HIDDEN = 8, 2, 48
RATES = {"channel": 0.02, "spatial": 0.02, "element": 0.001}


class Channel(nn.Module):
    """Gain and shift of each channel."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.gain, self.shift = nn.Parameter(torch.ones(channels, 1, 1)), nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gain + self.shift


class Spatial(nn.Module):
    """Gain of each place."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(side, side))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gain


class Element(nn.Module):
    """A residual block of two convolutions over normalized features, as ModRes is with one style; starts as nothing."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(channels, HIDDEN, 3, padding=1), nn.Conv2d(HIDDEN, channels, 3, padding=1)
        for p in self.second.parameters():
            nn.init.zeros_(p)

    def forward(self, x: Tensor) -> Tensor:
        inner = nn.functional.leaky_relu(self.first(nn.functional.instance_norm(x)), 0.2)
        return x + self.second(nn.functional.instance_norm(inner))


KINDS: dict[str, Callable[[int, int], nn.Module]] = {"channel": Channel, "spatial": Spatial, "element": Element}


class _Reached(Exception):
    """Ends a drawing at the features that are compared."""


def features(model: Generator, ws: Tensor, changes: nn.ModuleDict | None = None) -> Tensor:
    """Features after the last structure place, changed after each."""
    last, found = structure_layers(model.layers)[-1].name, []

    def hook(layer: Any, x: Tensor) -> Tensor:
        x = changed(changes, layer.name, x)
        if layer.name == last:
            found.append(x)
            raise _Reached
        return x

    with suppress(_Reached):
        model.synthesis(ws, "const", hook=hook)
    return found[0]


def changed(changes: nn.ModuleDict | None, name: str, x: Tensor) -> Tensor:
    key = name.replace(".", "_")
    return changes[key](x) if changes is not None and key in changes else x


def learn(base: Generator, tuned: Generator, kind: str, steps: int) -> nn.ModuleDict:
    """The changes of one kind after each structure place, fitted to the fine-tuned model's features."""
    torch.manual_seed(0)
    shapes: dict[str, Tensor] = {}
    with torch.no_grad():
        base.synthesis(ws_of(base, 0, 1), "const", hook=lambda layer, x: _noted(shapes, layer.name, x))
    changes = nn.ModuleDict({place.name.replace(".", "_"): KINDS[kind](shapes[place.name].shape[1], shapes[place.name].shape[2])
                             for place in structure_layers(base.layers)})
    adam = Adam(changes.parameters(), betas=(0.9, 0.99))
    for step in tqdm(range(steps), desc=kind):
        ws = ws_of(base, HELD_OUT + step * BATCH, BATCH)
        with torch.no_grad():
            wanted = features(tuned, ws)
        loss = (features(base, ws, changes) - wanted).square().mean() / wanted.square().mean()
        adam.zero_grad()
        loss.backward()
        adam.set_rate(RATES[kind] * (1 - step / steps))
        adam.step()
    return changes.requires_grad_(False)


def _noted(shapes: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    shapes[name] = x
    return x


def ws_of(model: Generator, first: int, count: int) -> Tensor:
    z = sg.sample_z([7_000_000 + first + i for i in range(count)], model.z_dim)
    return model.mapping(z, truncation_psi=0.7)


@torch.no_grad()
def drawn(model: Generator, ws: Tensor, changes: nn.ModuleDict | None = None) -> Tensor:
    return torch.cat([model.synthesis(w, "const", hook=lambda layer, x: changed(changes, layer.name, x)) for w in ws.split(1)])


def imitation(steps: int, out: Path | None) -> list[tuple[str, float, float]]:
    """(name, share of the difference from the fine-tuned model that is left in L1, LPIPS to it) of the base and each kind."""
    base: Generator = sg.load(sg.builtin("base-256"))  # type: ignore[assignment]
    figurine: Generator = sg.load(sg.builtin("figurine"))  # type: ignore[assignment]
    tuned, lpips = sg.blend(base, figurine, 32), LPIPS.embedded()
    ws = ws_of(base, 0, HELD_OUT)
    goal, rows = drawn(tuned, ws), {"base": drawn(base, ws)}
    for kind in KINDS:
        rows[kind] = drawn(base, ws, learn(base, tuned, kind, steps))
    whole = float((rows["base"] - goal).abs().mean())
    if out is not None:
        shown = torch.cat([images[:6] for images in (*rows.values(), goal)]).clamp(-1, 1)
        sheet = sg.contact_sheet(shown, 6, row_titles=[*rows, "fine-tuned"], cell=160)
        sg.write_image(sheet, out / "finetuning.png", overwrite=True)
    with torch.no_grad():
        return [(name, float((images - goal).abs().mean()) / whole, float(lpips(images, goal).mean()))
                for name, images in rows.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{HELD_OUT} faces it never saw, {args.steps} steps each")
    print("change    difference left  LPIPS")
    for name, left, distance in imitation(args.steps, args.out):
        print(f"{name:<9} {left:>14.0%}  {distance:.3f}")


if __name__ == "__main__":
    main()
