"""What a workflow is described with: nodes by key in named groups, wires between them, what is folded into one node."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

PORTRAIT, CLIP, FOLDER = "atelier_portrait.jpg", "atelier_clip.mp4", "atelier_portraits"
DRAWINGS = "atelier_drawings"
"""What the pack lays into ComfyUI's input folder, so that the loading nodes have something at once."""


@dataclass(frozen=True)
class Out:
    """A wire: the node of that key, its n-th output."""

    key: str
    slot: int = 0


@dataclass(frozen=True)
class Node:
    key: str
    type: str
    inputs: dict[str, Any] = field(default_factory=dict)
    title: str = ""
    noted: bool = False
    """Says something when it runs, beside what its type shows: it needs room for that."""


@dataclass(frozen=True)
class Group:
    """A named column of the canvas; columns follow each other from left to right."""

    title: str
    nodes: list[Node]


@dataclass(frozen=True)
class Blueprint:
    """A job as one node of the editor: what of its inside is seen from outside."""

    groups: list[Group]
    description: str
    inputs: dict[str, list[tuple[str, str]]]
    """Name -> the (key, input)s it feeds."""
    outputs: dict[str, Out]
    category: str = "StyleGAN"


def note(text: str) -> Node:
    return Node("about", "MarkdownNote", {"": text})


def loader(key: str, name: str) -> Node:
    return Node(key, "AtelierLoadStyleGAN", {"file": f"{name} (built-in)"}, f"Load StyleGAN: {name}")


def encoder() -> Node:
    return Node("encoder", "AtelierLoadGANEncoder", {"file": "encoder (built-in)"})


def dual() -> Node:
    return Node("dual", "AtelierLoadDualStyleGAN", {"file": "dualstylegan (built-in)"})


def bank() -> Node:
    return Node("bank", "AtelierLoadStyleCodes", {"file": "styles (built-in)"})


def photo() -> Node:
    return Node("photo", "LoadImage", {"image": PORTRAIT}, "Load Image: your portrait")


def save(key: str, source: Out, prefix: str) -> Node:
    return Node(key, "SaveImage", {"images": source, "filename_prefix": prefix})


def found(model: Out, polish: bool = True) -> list[Node]:
    """A photograph's face cut out and found in a model: keys align, encode, and invert if it is polished."""
    polished = Node("invert", "AtelierInvertByOptimization",
                    {"model": model, "image": Out("align"), "quality": "quick", "space": "w+", "start": Out("encode")})
    return [Node("align", "AtelierAlignFaces", {"image": Out("photo"), "size_of": model, "faces_taken": "largest"}),
            Node("encode", "AtelierInvertWithEncoder", {"encoder": Out("encoder"), "image": Out("align"), "model": model}),
            *([polished] if polish else [])]


def masks(image: Out, photograph: Out | None = None) -> Node:
    """Head and face of what was drawn, over the photograph where there is one."""
    over = {} if photograph is None else {"faces": Out("align", 1), "photograph": photograph}
    return Node("masks", "AtelierHeadMask", {"image": image, **over})


MASKS = {"head_mask": Out("masks"), "face_mask": Out("masks", 1)}
