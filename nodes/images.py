"""ComfyUI's IMAGE and MASK to the core's tensors and back; previews. Nothing else converts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import comfy.model_management as mm
import torch
from comfy_api.latest import ui
from PIL import Image
from torch import Tensor

from ..stylegan_core.errors import InvalidInput
from ..stylegan_core.faces.checks import check_finite, check_range

try:
    from comfy_execution.graph_utils import ExecutionBlocker
except ImportError:  # a host without it passes None on
    ExecutionBlocker = None

PREVIEW_COLUMNS = 4
COPIES = 3
"""Of a batch in float32, while it becomes an IMAGE."""


def to_core(image: Tensor) -> Tensor:
    """IMAGE [B, H, W, C] in [0, 1] -> [B, 3, H, W] float32 in [-1, 1]; gray is repeated, alpha dropped. Raises InvalidInput for
    other shapes, NaN and other ranges."""
    return _sound(unchecked(image), "Image")


def _sound(pixels: Tensor, what: str) -> Tensor:
    check_finite(pixels, what)
    check_range(pixels, what)
    return pixels


def unchecked(image: Tensor) -> Tensor:
    """As to_core, but whatever numbers the pixels are: what a node itself has made."""
    if image.ndim != 4 or image.shape[-1] not in (1, 3, 4):
        raise InvalidInput(f"An image came with shape {tuple(image.shape)}; give [batch, height, width, 1, 3 or 4 "
                           f"channels].")
    if 0 in image.shape:
        raise InvalidInput(f"An image batch came empty, with shape {tuple(image.shape)}; give at least one picture.")
    rgb = image[..., :3].movedim(-1, 1).float()
    return rgb.expand(-1, 3, -1, -1) * 2 - 1


class CoreFrames(Sequence[Tensor]):
    """The pictures of an IMAGE as to_core gives them, converted one at a time: a long video is not held twice."""

    def __init__(self, image: Tensor) -> None:
        unchecked(image[:1])
        self.image = image

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, t: int) -> Tensor:  # type: ignore[override]
        return _sound(unchecked(self.image[t : t + 1])[0], f"Picture {t + 1}")


def to_image(x: Tensor) -> Tensor:
    """[B, 1, 3 or 4, H, W] in [-1, 1] -> IMAGE [B, H, W, 3 or 4] in [0, 1], off the GPU; gray becomes RGB."""
    x = x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x
    dtype = getattr(mm, "intermediate_dtype", lambda: torch.float32)()
    return x.clamp(-1, 1).add_(1).div_(2).movedim(1, -1).contiguous().to(mm.intermediate_device(), dtype)


def check_room(count: int, height: int, width: int) -> None:
    """Raise InvalidInput for more pictures than the whole memory holds: systems end a program that tries."""
    needed, there = count * height * width * 12 * COPIES, mm.get_total_memory(torch.device("cpu"))
    if needed > there:
        raise InvalidInput(f"{count} pictures of {width} x {height} px need {needed / 1e9:.0f} GB of memory while they are "
                           f"made and this machine has {there / 1e9:.0f} GB; make fewer at a time, or smaller ones.")


def with_alpha_of(image: Tensor, original: Tensor) -> Tensor:
    """IMAGE [B, H, W, 3] with the alpha channel of `original` where that has one."""
    return image if original.shape[-1] != 4 else torch.cat([image, original[..., 3:].to(image)], dim=-1)


def to_mask(mask: Tensor) -> Tensor:
    """[B, 1, H, W] in [0, 1] -> MASK [B, H, W], off the GPU."""
    return mask[:, 0].clamp(0, 1).float().to(mm.intermediate_device())


def to_pil(x: Tensor) -> Image.Image:
    """The first images of a batch [B, C, H, W] in [-1, 1], side by side."""
    strip = torch.cat(list(x[:PREVIEW_COLUMNS, :3].expand(-1, 3, -1, -1)), dim=-1)
    return Image.fromarray(((strip.clamp(-1, 1) + 1) * 127.5).byte().permute(1, 2, 0).cpu().numpy())


def preview_images(image: Tensor, node: type) -> Any:
    """IMAGE as the node's own preview; None where the host has no previews."""
    return ui.PreviewImage(image, cls=node) if hasattr(ui, "PreviewImage") else None


def preview_text(text: str) -> Any:
    """Text as the node's own preview; None where the host has no previews."""
    return ui.PreviewText(text) if hasattr(ui, "PreviewText") else None


def blocked(why: str) -> Any:
    """In place of an output that can't be made: what is linked to it stops and says why."""
    return None if ExecutionBlocker is None else ExecutionBlocker(why)
