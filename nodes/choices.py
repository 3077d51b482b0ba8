"""Pictures to choose a widget's value by: web/choices.js makes them buttons; without it the host shows them as one picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional

from .images import preview_images, to_image


def choices(sheet: Tensor, pictures: Tensor, widget: str, values: Sequence[str], labels: Sequence[str], many: bool,
            node: type) -> Any:
    """What a node shows: sheet [1, 3, h, w], and pictures [N, 3, s, s] as buttons that set `widget` to their value.

    labels: what each is called, "number  name" for numbered ones. many: the widget takes several, as "0, 5-8".
    """
    shown, columns = preview_images(to_image(sheet), node), math.ceil(math.sqrt(len(pictures)))
    if shown is None:
        return None
    rows = -(-len(pictures) // columns)
    whole = functional.pad(pictures, (0, 0, 0, 0, 0, 0, 0, rows * columns - len(pictures)))
    tiles = whole.unflatten(0, (rows, columns)).permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)
    (file,) = preview_images(to_image(tiles[None]), node).as_dict()["images"]
    told = {"widget": widget, "many": many, "values": list(values), "labels": list(labels), "file": file, "columns": columns,
            "rows": rows}
    return shown.as_dict() | {"atelier_choices": [told]}
