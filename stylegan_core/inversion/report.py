"""How near an inversion came: pictures, numbers and loss curves, one row an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import InvalidInput
from ..losses.identity import SAME_PERSON
from ..losses.reconstruction import EMBEDDED
from ..ops.resize import resize_area, to_rgb
from ..pictures.curves import plot_curves
from ..pictures.sheets import contact_sheet
from .optimize import lpips_at_size

COMPARED = 256
"""Both pictures are shrunk to at most so many pixels before they are compared, as the losses of an inversion do."""
AMPLIFIED = 4
"""Times the difference is multiplied before it is shown."""
CURVES = ("total", "lpips", "l2", "identity")


@dataclass(frozen=True, eq=False)
class Report:
    """What a person looks at, and its numbers."""

    picture: Tensor
    """[1, 3, h, w] in [-1, 1]: photo, inversion, amplified difference and loss curves, one row an image."""
    numbers: dict[str, Tensor]
    """[B] each: "lpips" (Alex), "l2" (mean square on [-1, 1]), "identity" (below 0.6: one person), all at 256 px at most; of
    larger pictures, "lpips_1024" or whatever both sizes reach."""
    text: str
    """The numbers in words, one line an image, and their mean."""


@torch.no_grad()
def report(photo: Tensor, reconstruction: Tensor, history: Mapping[str, Tensor] | None = None, cell: int = 256,
           distances: Mapping[str, nn.Module] | None = None) -> Report:
    """photo, reconstruction [B, 1|3|4, H, W] in [-1, 1], square, of any two sizes -> Report.

    history: losses [steps, B] by name, as InversionResult has them. cell: pixels of one picture. distances: networks in
    place of the embedded "lpips" and "identity". Raises InvalidInput.
    """
    pair = [_checked(photo, "photograph"), _checked(reconstruction, "reconstruction")]
    if len(pair[0]) != len(pair[1]):
        raise InvalidInput(f"A report got {len(pair[0])} photographs and {len(pair[1])} reconstructions; give equally many.")
    size = min(COMPARED, pair[0].shape[-1], pair[1].shape[-1])
    sharp = [resize_area(x.to(pair[0].device), min(x.shape[-1] for x in pair)) for x in pair]
    a, b = (resize_area(images, size) for images in sharp)
    given = distances or {}
    numbers = {name: _in_pieces(given.get(name) or make().to(a.device), a, b) for name, make in EMBEDDED.items()}
    numbers["l2"] = (a - b).square().mean((1, 2, 3))
    if sharp[0].shape[-1] > size:
        numbers |= lpips_at_size(given.get("lpips") or EMBEDDED["lpips"]().to(a.device), sharp[1], sharp[0])
    numbers = {name: values.float().cpu() for name, values in numbers.items()}
    return Report(_picture(sharp[0].cpu(), sharp[1].cpu(), numbers, history, cell), numbers, _text(numbers, size))


def _checked(images: Tensor, what: str) -> Tensor:
    if images.ndim != 4 or not len(images) or images.shape[1] not in (1, 3, 4) or images.shape[2] != images.shape[3]:
        raise InvalidInput(f"A report got a {what} of shape {list(images.shape)} but needs square faces [batch, 1, 3 or 4, "
                           f"size, size]; give the aligned crops that were inverted.")
    return to_rgb(images).float().clamp(-1, 1)


def _in_pieces(net: nn.Module, a: Tensor, b: Tensor) -> Tensor:
    """[B], image by image: memory does not grow with the batch."""
    return torch.cat([net(x[None], y[None]) for x, y in zip(a, b, strict=True)])


def _picture(a: Tensor, b: Tensor, numbers: Mapping[str, Tensor], history: Mapping[str, Tensor] | None, cell: int) -> Tensor:
    a, b = (functional.interpolate(x, (cell, cell), mode="bilinear", antialias=True) for x in (a, b))
    columns = [a, b, (AMPLIFIED * (a - b).abs() - 1).clamp(max=1)]
    titles, notes = ["photo", "inversion", f"difference x {AMPLIFIED}"], []
    for i in range(len(a)):
        label = f"{_lpips(numbers, i)}   L2 {numbers['l2'][i]:.4f}\nidentity {numbers['identity'][i]:.2f}"
        notes += [["", label, ""]]
    if history is not None:
        columns.append(torch.cat([_curves(history, i, len(a), cell) for i in range(len(a))]))
        titles.append("loss")
        steps = torch.isfinite(history["total"]).sum(0).tolist()
        notes = [[*row, f"{count} steps"] for row, count in zip(notes, steps, strict=True)]
    images = torch.stack(columns, 1).flatten(0, 1)
    return contact_sheet(images, len(columns), titles, captions=sum(notes, []))


def _lpips(numbers: Mapping[str, Tensor], i: int) -> str:
    """Of one image, at 256 px and, where it was measured, at the pictures' own size."""
    larger = [f", {name.split('_')[1]} px {values[i]:.3f}" for name, values in numbers.items() if name.startswith("lpips_")]
    return f"LPIPS {numbers['lpips'][i]:.3f}" + "".join(larger)


def _curves(history: Mapping[str, Tensor], i: int, batch: int, cell: int) -> Tensor:
    """One image's curves; blank paper for an image that never had a loss."""
    if any(values.ndim != 2 or values.shape[1] != batch for values in history.values()) or "total" not in history:
        shapes = {name: list(values.shape) for name, values in history.items()}
        raise InvalidInput(f"A report of {batch} images got a history of {shapes}; give the one of this very inversion.")
    curves = {name: history[name][:, i] for name in CURVES if name in history}
    drawable = any((torch.isfinite(v) & (v > 0)).any() for v in curves.values())
    return plot_curves(curves, cell, cell) if drawable else torch.ones(1, 3, cell, cell)


def _text(numbers: Mapping[str, Tensor], size: int) -> str:
    def line(name: str, values: Mapping[str, Tensor], i: int) -> str:
        person = "one person" if values["identity"][i] < SAME_PERSON else "another person"
        return (f"{name}: {_lpips(values, i)}, L2 {values['l2'][i]:.4f}, identity {values['identity'][i]:.2f} "
                f"({person}; threshold {SAME_PERSON})")

    batch = len(numbers["l2"])
    lines = [line(f"image {i + 1}", numbers, i) for i in range(batch)]
    if batch > 1:
        lines.append(line("mean", {name: v.mean()[None] for name, v in numbers.items()}, 0))
    return "\n".join([*lines, f"compared at {size} px; LPIPS: AlexNet; L2: mean square on -1 to 1"])
